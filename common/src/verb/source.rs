//! Where a stack comes from: a file, a pipe, or the default place.

use crate::stdio;
use clap::Args;
use std::path::{Path, PathBuf};

/// Where a stack comes from.
#[derive(Clone, Debug, Default, Args)]
pub struct StackArgs {
    /// The stack file, YAML or JSON; `-` is standard input; default: a document from a pipe, else $LSX_STACK, else ./stack.yaml
    #[arg(value_name = "STACK")]
    pub input: Option<PathBuf>,
    /// Apply this environment of the document; default: $LSX_ENVIRONMENT
    #[arg(long = "env", value_name = "NAME")]
    pub environment: Option<String>,
    /// Set a value of the document before it is validated, such as networks.test.cidr=10.9.0.0/16; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder that relative paths in the document start from; default: the document's own folder
    #[arg(long, value_name = "DIR")]
    pub base: Option<PathBuf>,
    /// With an LStacker file: turn mistakes into warnings and leave out what they concern
    #[arg(long)]
    pub keep_going: bool,
    /// Write derived addresses and names to FILE, and keep those that FILE already has
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
}

impl StackArgs {
    /// The file of the document: the named one, else the default one. None is standard input, which takes precedence over
    /// the default file if it can bring a document.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        let usual = || if stdio::brings_nothing() { usual_stack() } else { None };
        self.input.clone().or_else(usual).filter(|path| path.as_os_str() != "-")
    }

    /// The environment to apply; an empty name is none.
    pub(crate) fn environment(&self) -> Option<String> {
        let usual = || std::env::var_os("LSX_ENVIRONMENT").map(|name| name.to_string_lossy().into_owned());
        self.environment.clone().or_else(usual).filter(|name| !name.is_empty())
    }

    /// A path of the document as seen from this machine: relative to `--base`, else to the document's folder. `~` is left
    /// to ssh.
    pub fn beside(&self, path: &str) -> String {
        if path.starts_with(['/', '~']) {
            return path.to_owned();
        }
        let file = self.file();
        let folder = self.base.as_deref().or(file.as_deref().and_then(Path::parent));
        folder.unwrap_or(Path::new("")).join(path).display().to_string()
    }
}

/// The default stack file: `LSX_STACK`, else `stack.yaml` in the current folder; none if `LSX_STACK` is empty.
pub fn usual_stack() -> Option<PathBuf> {
    let here = || Some(PathBuf::from("stack.yaml")).filter(|path| path.is_file());
    std::env::var_os("LSX_STACK")
        .map_or_else(here, |named| Some(PathBuf::from(named)))
        .filter(|path| !path.as_os_str().is_empty())
}

//! The verb `images`: manages the image store.

use crate::image::{self, Access, Collected, Form, Source, Store, Stored};
use crate::model::IDS;
use clap::{Args, Subcommand};
use common::stack::hint;
use common::stdio::Output;
use common::{Failure, Failures, Kind, document, log};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Verbs on images.
#[derive(Debug, Subcommand)]
pub enum ImagesVerb {
    /// Pull an image from a registry; its name in the store is REFERENCE, unless --name is given
    Pull {
        /// [HOST/]REPOSITORY[:TAG][@DIGEST]
        #[arg(value_name = "REFERENCE")]
        reference: String,
        /// Name of the image in the store; default: REFERENCE
        #[arg(long)]
        name: Option<String>,
        /// How registries are reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Push an image to a registry; layers that the registry has are not sent
    Push {
        /// Name or digest of an image in the store
        #[arg(value_name = "IMAGE")]
        image: String,
        /// [HOST/]REPOSITORY[:TAG]
        #[arg(value_name = "REFERENCE")]
        reference: String,
        /// How registries are reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// Import an image: oci:FOLDER[:TAG], tar:FILE, lxd:METADATA,ROOTFS, docker://REFERENCE, mmdebstrap:SUITE
    Import {
        /// Source of the image
        #[arg(value_name = "SOURCE")]
        source: String,
        /// Name of the image in the store
        #[arg(long)]
        name: String,
        /// How registries are reached.
        #[command(flatten)]
        reach: Reach,
    },
    /// List the images of the store
    Ls,
    /// Remove names; `images gc` then removes images that nothing uses
    Rm {
        /// Names of images in the store
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Remove image data that has no name and that no stack on this host uses
    Gc {
        /// Keep data added less than this time ago
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = common::cli::duration)]
        older: Duration,
    },
    /// Write an image to a file or folder
    Export {
        /// Name or digest of an image in the store
        #[arg(value_name = "IMAGE")]
        image: String,
        /// The archive to write; with --form oci the folder
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Format of the exported image
        #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Docker)]
        form: Form,
    },
}

/// How registries are reached.
#[derive(Debug, Args)]
pub struct Reach {
    /// File with registry logins, in the format of `docker login`
    #[arg(long, value_name = "FILE")]
    logins: Option<PathBuf>,
    /// CA certificate for registries, in addition to those of this machine
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Try MIRROR before the registry HOST; may be repeated
    #[arg(long, value_name = "HOST=MIRROR", value_parser = mirror)]
    mirror: Vec<(String, String)>,
    /// Contact registries by plain HTTP, without TLS
    #[arg(long, conflicts_with = "ca")]
    insecure: bool,
}

fn mirror(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((host, mirror)) if !host.is_empty() && !mirror.is_empty() => {
            Ok((host.to_owned(), mirror.to_owned()))
        }
        _ => Err("write docker.io=mirror.example:5000".to_owned()),
    }
}

/// An image of the store, as a document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// `lsx.ct.image/1`.
    schema: String,
    #[serde(flatten)]
    image: Stored,
}

/// The result of `gc`, as a document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Swept {
    /// `lsx.ct.collected/1`.
    schema: String,
    #[serde(flatten)]
    collected: Collected,
}

impl Reach {
    fn store(&self, root: &Path) -> Result<Store, Failure> {
        let mut access = Access { insecure: self.insecure, ca: self.ca.clone(), ..Access::default() };
        for (host, mirror) in &self.mirror {
            access.mirrors.entry(host.clone()).or_default().push(mirror.clone());
        }
        if let Some(path) = &self.logins {
            access.config = Some(path.clone());
        }
        Ok(Store::open(root)?.access(access))
    }
}

/// Runs the verb on the store in a folder.
///
/// # Errors
/// Errors of the store, the registry or the file.
pub fn run(verb: &ImagesVerb, root: &Path, output: &Output) -> Result<(), Failures> {
    let store = Store::open(root)?;
    match verb {
        ImagesVerb::Pull { reference, name, reach } => {
            let source = Source::Registry(reference.clone());
            let name = name.as_deref().unwrap_or(reference);
            add(&reach.store(root)?, &source, name, output)
        }
        ImagesVerb::Push { image, reference, reach } => {
            let stored = found(&store, image)?;
            reach.store(root)?.push(&stored.digest, reference)?;
            list(vec![stored], output)
        }
        ImagesVerb::Import { source, name, reach } => {
            let source = Source::parse(source, &|path| PathBuf::from(path))?;
            add(&reach.store(root)?, &source, name, output)
        }
        ImagesVerb::Ls => list(store.list()?, output),
        ImagesVerb::Rm { names } => remove(&store, names),
        ImagesVerb::Gc { older } => {
            // Instances use images of the host's store; another store belongs to a person, whose plans add images again if
            // needed.
            let host = root == Path::new(crate::paths::STORE);
            let used = if host { image::used()? } else { BTreeSet::new() };
            let collected = store.gc_older(&used, *older)?;
            Ok(output.emit(&[Swept { schema: document::schema("ct", "collected"), collected }])?)
        }
        ImagesVerb::Export { image, path, form } => {
            let stored = found(&store, image)?;
            store.export(&stored.digest, *form, path)?;
            list(vec![stored], output)
        }
    }
}

/// Adds an image, and warns if an instance needs more ids for it than the default.
fn add(store: &Store, source: &Source, name: &str, output: &Output) -> Result<(), Failures> {
    let stored = store.import(source, name)?;
    let highest = store.highest_id(&stored.digest)?;
    if highest >= IDS {
        log::warning(&format!(
            "files of image {name} belong to ids up to {highest}, but an instance has {IDS} ids by default: \
             write ids: {} in instances that use it",
            u64::from(highest) + 1
        ));
    }
    list(vec![stored], output)
}

fn list(images: Vec<Stored>, output: &Output) -> Result<(), Failures> {
    let schema = document::schema("ct", "image");
    let listed: Vec<Listed> =
        images.into_iter().map(|image| Listed { schema: schema.clone(), image }).collect();
    Ok(output.emit(&listed)?)
}

fn found(store: &Store, image: &str) -> Result<Stored, Failure> {
    store.find(image)?.ok_or_else(|| unknown(store, image))
}

/// Removes all names that exist, and reports the others.
fn remove(store: &Store, names: &[String]) -> Result<(), Failures> {
    let mut failures = Vec::new();
    for name in names {
        match store.remove(name) {
            Ok(true) => {}
            Ok(false) => failures.push(unknown(store, name)),
            Err(failure) => failures.push(failure),
        }
    }
    Failures(failures).verdict()
}

fn unknown(store: &Store, name: &str) -> Failure {
    let names: Vec<String> =
        store.list().unwrap_or_default().into_iter().flat_map(|stored| stored.names).collect();
    Failure::new(Kind::Usage, "ct.image.unknown", format!("no image {name} in the store"))
        .hint(hint(name, names.iter().map(String::as_str)))
}

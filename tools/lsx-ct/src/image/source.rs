//! Sources of images, as written in stacks and arguments.

use super::refused;
use common::Failure;
use std::path::PathBuf;

/// The source of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `oci:FOLDER[:TAG]`: an OCI image layout.
    Layout {
        /// Its folder.
        folder: PathBuf,
        /// The tag of an image in it.
        tag: Option<String>,
    },
    /// `tar:FILE`: an archive of `docker save`, an OCI archive, an LXD image, or a root file system.
    Archive(PathBuf),
    /// `lxd:META,ROOTFS`: an LXD image in two files.
    Lxd {
        /// The archive with metadata.yaml.
        metadata: PathBuf,
        /// Its files, as an archive or squashfs.
        rootfs: PathBuf,
    },
    /// `docker://REF`: a registry.
    Registry(String),
    /// `mmdebstrap:SUITE?...`: created here from Debian packages.
    Debootstrap(Debian),
    /// A name in the store.
    Name(String),
}

/// A Debian system to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Debian {
    /// Its suite: bookworm.
    pub suite: String,
    /// Packages in addition to those of the variant.
    pub include: Vec<String>,
    /// The variant of mmdebstrap; default: minbase.
    pub variant: Option<String>,
    /// The package mirror.
    pub mirror: Option<String>,
    /// Without manuals, documentation and translations, like Docker's slim images.
    pub slim: bool,
}

const FORMS: &str = "oci:FOLDER[:TAG], tar:FILE, lxd:METADATA,ROOTFS, docker://REFERENCE, \
                     mmdebstrap:SUITE?include=A,B&variant=minbase, or the name of an image in the store";

impl Source {
    /// Parses a source; `beside` resolves a path in a document.
    ///
    /// # Errors
    /// `Data`, with the possible forms.
    pub(crate) fn parse(text: &str, beside: &dyn Fn(&str) -> PathBuf) -> Result<Source, Failure> {
        let wrong = |why: &str| refused("source", format!("{text:?}: {why}")).hint(format!("write {FORMS}"));
        let given = |rest: &str, what: &str| if rest.is_empty() { Err(wrong(what)) } else { Ok(()) };
        if let Some(reference) = text.strip_prefix("docker://") {
            given(reference, "no reference")?;
            return Ok(Source::Registry(reference.to_owned()));
        }
        let (form, rest) = text.split_once(':').unwrap_or(("", text));
        match form {
            "oci" => {
                let tagged = rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/') && !tag.is_empty());
                let (folder, tag) =
                    tagged.map_or((rest, None), |(folder, tag)| (folder, Some(tag.to_owned())));
                given(folder, "no folder")?;
                Ok(Source::Layout { folder: beside(folder), tag })
            }
            "tar" => given(rest, "no file").map(|()| Source::Archive(beside(rest))),
            "lxd" => match rest.split_once(',') {
                Some((metadata, rootfs)) if !metadata.is_empty() && !rootfs.is_empty() => {
                    Ok(Source::Lxd { metadata: beside(metadata), rootfs: beside(rootfs) })
                }
                None if !rest.is_empty() => Ok(Source::Archive(beside(rest))),
                _ => Err(wrong("two files are required")),
            },
            "mmdebstrap" => debian(rest).map(Source::Debootstrap).map_err(|why| wrong(&why)),
            _ => check_name(text)
                .map(|()| Source::Name(text.to_owned()))
                .map_err(|e| e.hint(format!("write {FORMS}"))),
        }
    }
}

fn debian(words: &str) -> Result<Debian, String> {
    let (suite, options) = words.split_once('?').unwrap_or((words, ""));
    // They become arguments of a program, so options and paths are refused.
    let plain = |word: &str, more: &str| {
        let good = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        word.starts_with(|c: char| c.is_ascii_alphanumeric()) && word.chars().all(good)
    };
    if !plain(suite, "-.") {
        return Err("no suite".to_owned());
    }
    let mut debian = Debian { suite: suite.to_owned(), ..Debian::default() };
    for option in options.split('&').filter(|o| !o.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        match key {
            "include" if value.split(',').all(|p| plain(p, "+-.")) => {
                debian.include = value.split(',').map(str::to_owned).collect();
            }
            "variant" if plain(value, "-") => debian.variant = Some(value.to_owned()),
            "mirror" if value.starts_with("http://") || value.starts_with("https://") => {
                debian.mirror = Some(value.to_owned());
            }
            "slim" if matches!(value, "yes" | "no") => debian.slim = value == "yes",
            "include" | "variant" | "mirror" | "slim" => return Err(format!("{key}={value} is not valid")),
            _ => return Err(format!("{key}: write include, variant, mirror or slim")),
        }
    }
    Ok(debian)
}

/// A name given by a person: letters, digits and `._/:@-`, suitable for command lines and tables.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._/:@-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= 255 && name.chars().all(good) && !name.contains("..") {
        return Ok(());
    }
    Err(refused("name", format!("{name:?} is not an image name: use letters, digits and ._/:@-")))
}

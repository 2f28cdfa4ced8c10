//! The host's side of a transfer: which bytes it lacks, and what it stores. A secret is readable by root only.

use super::file::{self, Mode};
use super::limit;
use crate::failure::{Failure, Kind};
use crate::secret;
use crate::transfer::{Bytes, Piece, Secrets, code};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Display;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The secrets of all stacks: /var/lib/lsx/secrets/STACK/TOOL/NAME.
pub const SECRETS: &str = "/var/lib/lsx/secrets";

/// The file of a secret of a tool's part of a stack.
pub fn secret_path(stack: &str, tool: &str, name: &str) -> PathBuf {
    folder(stack, tool).join(name)
}

/// Earlier versions of this tool kept secrets at /var/lib/lsx/secrets/STACK/NAME.
const EARLIER: &str = "ct";

/// The secrets that an earlier version has left.
fn earlier(stack: &str, tool: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(Path::new(SECRETS).join(stack)).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.map(|entry| entry.path()).filter(|_| tool == EARLIER).collect()
}

/// Moves them to where they are now, unless there is a later one.
fn move_on(stack: &str, tool: &str) -> Result<(), Failure> {
    let folder = folder(stack, tool);
    for old in earlier(stack, tool) {
        let Some(new) = old.file_name().map(|name| folder.join(name)) else { continue };
        if new.exists() || old == folder {
            file::remove(&old)?;
        } else {
            make(&folder)?;
            std::fs::rename(&old, &new).map_err(|e| file::failure(&old, "move", &e))?;
        }
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| file::failure(folder, "make", &e))
}

fn folder(stack: &str, tool: &str) -> PathBuf {
    Path::new(SECRETS).join(stack).join(tool)
}

fn wrong(code: &str, e: &dyn Display) -> Failure {
    Failure::new(Kind::Bug, code, e.to_string())
}

/// Which of these bytes this host lacks, including parts of those that it has.
pub(crate) fn lacking(store: &dyn Bytes, digests: &[String]) -> Vec<String> {
    let mut all = store.missing(digests);
    for digest in digests.iter().filter(|d| !all.contains(d)).cloned().collect::<Vec<_>>() {
        all.extend(lacking_parts(store, &digest));
    }
    all
}

/// Stores a piece; answers with the parts that are needed, too.
///
/// # Errors
/// Errors of the store; another digest.
pub(crate) fn receive(tool: &str, store: &dyn Bytes, piece: &Piece) -> Result<Vec<String>, Failure> {
    let bytes = STANDARD.decode(&piece.data).map_err(|e| wrong(&code(tool, ".receive"), &e))?;
    store.receive(&piece.digest, piece.offset, &bytes, piece.last)?;
    Ok(if piece.last { lacking_parts(store, &piece.digest) } else { Vec::new() })
}

fn lacking_parts(store: &dyn Bytes, digest: &str) -> Vec<String> {
    store.missing(&store.parts(digest).into_iter().map(|(part, _)| part).collect::<Vec<_>>())
}

/// Stores secrets.
///
/// # Errors
/// A value with another digest; errors of the file system.
pub(crate) fn keep(tool: &str, secrets: &Secrets) -> Result<(), Failure> {
    if let Some(name) = secrets.values.keys().chain([&secrets.stack]).find(|name| !is_file_name(name)) {
        let message = format!("{name:?} is not a name of a secret or a stack");
        return Err(Failure::new(Kind::Data, &code(tool, ".secrets"), message));
    }
    move_on(&secrets.stack, tool)?;
    let folder = folder(&secrets.stack, tool);
    make(&folder)?;
    let wrong = |e: &dyn Display| wrong(&code(tool, ".secrets"), e);
    for (name, value) in &secrets.values {
        let path = folder.join(name);
        let Some(data) = &value.data else {
            has(tool, name, &path, &value.digest)?;
            continue;
        };
        let bytes = STANDARD.decode(data).map_err(|e| wrong(&e))?;
        if secret::digest(&bytes) != value.digest {
            return Err(wrong(&format!("secret {name} was damaged in transfer")));
        }
        file::write(&path, &bytes, Mode::Private)?;
    }
    Ok(())
}

/// Whether a name stays in its folder.
fn is_file_name(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|last| last == name)
}

/// A secret that is not sent must be on the host already.
fn has(tool: &str, name: &str, path: &Path, wanted: &str) -> Result<(), Failure> {
    let kept = file::read_at_most(path, limit::SECRET)?;
    if kept.is_some_and(|bytes| secret::digest(&bytes) == wanted) {
        return Ok(());
    }
    let message = format!("secret {name} is missing on this host, and the document does not name its file");
    Err(Failure::new(Kind::Failed, &code(tool, ".secret"), message)
        .hint("add the secret and what needs it to the document"))
}

/// Whether a tool has secrets of a stack here.
pub(crate) fn has_secrets(stack: &str, tool: &str) -> bool {
    folder(stack, tool).exists() || !earlier(stack, tool).is_empty()
}

/// Removes the secrets of a tool's part of a stack.
///
/// # Errors
/// Errors of the file system.
pub(crate) fn forget(stack: &str, tool: &str) -> Result<(), Failure> {
    let folder = folder(stack, tool);
    file::remove_tree(&folder)?;
    earlier(stack, tool).iter().try_for_each(|path| file::remove(path).map(|_| ()))?;
    folder.ancestors().skip(1).take(3).for_each(file::remove_empty);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::SentSecret;

    #[test]
    fn no_name_of_a_plan_leads_out_of_the_folder_of_secrets() {
        let value = SentSecret { digest: secret::digest(b"x"), data: Some(STANDARD.encode(b"x")) };
        for (stack, name) in
            [("s", "../x"), ("s", "/etc/x"), ("s", ".."), ("s", ""), ("s", "a/"), ("../s", "a")]
        {
            let secrets = Secrets { stack: stack.into(), values: [(name.into(), value.clone())].into() };
            let failure = keep("note", &secrets).unwrap_err();
            assert_eq!((failure.kind, failure.code.as_str()), (Kind::Data, "note.secrets"), "{stack} {name}");
        }
    }
}

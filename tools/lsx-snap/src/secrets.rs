//! The passwords of repositories: read on the operator's machine, and needed on the hosts with volumes.

use crate::model::{Key, Object, Shared};
use common::host::{file, limit, received};
use common::plan::Kept;
use common::secret;
use common::stack::Stack;
use common::tool::Source;
use common::transfer::{NeededSecret, Needs};
use common::{Failure, Failures, Kind};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The secrets of the repositories that the document names.
///
/// # Errors
/// All that are missing, cannot be read, or are no passwords.
pub(crate) fn gather(from: &Source<'_>) -> Result<BTreeMap<String, Key>, Failures> {
    of_stack(from.stack, &|_| true, &|path| from.beside(path))
}

/// The same for some of the repositories; `beside` finds a path of the document.
///
/// # Errors
/// As there.
pub(crate) fn of_stack(
    stack: &Stack,
    needed: &dyn Fn(&str) -> bool,
    beside: &dyn Fn(&str) -> PathBuf,
) -> Result<BTreeMap<String, Key>, Failures> {
    let (mut all, mut failures) = (BTreeMap::new(), Vec::new());
    for (name, target) in stack.snap.iter().flat_map(|snap| &snap.to).filter(|(name, _)| needed(name)) {
        match found(stack, &target.key, beside) {
            Ok(key) => _ = all.insert(target.key.clone(), key),
            Err(failure) => failures.push(failure.at(format!("snap.to.{name}.key"))),
        }
    }
    Failures(failures).verdict().map(|()| all)
}

fn found(stack: &Stack, name: &str, beside: &dyn Fn(&str) -> PathBuf) -> Result<Key, Failure> {
    let found = secret::find(stack, name, beside)?;
    password(&secret::value(&stack.name, name, &found.place)?).map_err(|why| wrong(name, why))?;
    Ok(Key { digest: found.digest, place: Some(found.place) })
}

fn wrong(name: &str, why: &str) -> Failure {
    Failure::new(Kind::Data, "snap.password", format!("secret {name} is no password of a repository: {why}"))
        .hint("write one line of text, without blanks at its ends")
}

/// The password, from the value of a secret: restic reads the same from a file.
///
/// # Errors
/// Why it is none.
pub(crate) fn password(value: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(value).map_err(|_| "it is not text")?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    match text {
        "" => Err("it is empty"),
        text if text.trim() != text => Err("it has blanks at its ends"),
        text if text.chars().any(char::is_control) => Err("it has several lines, or control characters"),
        text => Ok(text),
    }
}

/// The password of a repository on this host.
///
/// # Errors
/// If it is missing, or none.
pub(crate) fn of_host(stack: &str, name: &str) -> Result<String, Failure> {
    let path = received::secret_path(stack, "snap", name);
    let value = file::read_at_most(&path, limit::SECRET)?.ok_or_else(|| {
        Failure::new(Kind::Failed, "snap.secret", format!("secret {name} is missing on this host"))
            .hint("run `lsx-snap up` with the stack's document")
    })?;
    password(&value).map(str::to_owned).map_err(|why| wrong(name, why))
}

/// What the intent of a host needs there.
pub(crate) fn needs<'p>(data: &'p Shared, object: &Object) -> Needs<'p> {
    let Object::Kept(Kept::Intent { digest }) = object else { return Needs::default() };
    let keys = data.keys.get(digest).into_iter().flatten();
    let needed =
        keys.map(|(name, key)| NeededSecret { name, digest: &key.digest, place: key.place.as_deref() });
    Needs { secrets: needed.collect(), ..Needs::default() }
}

#[cfg(test)]
mod tests {
    use super::password;

    #[test]
    fn a_password_is_one_line() {
        assert_eq!(password(b"secret words\n"), Ok("secret words"));
        for wrong in [&b""[..], b"\n", b" a", b"a ", b"a\n\n", b"a\nb", b"a\0", &[0xff; 8]] {
            assert!(password(wrong).is_err(), "{wrong:?}");
        }
    }
}

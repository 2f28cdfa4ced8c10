//! Debian systems from packages. Only the command line of mmdebstrap is tested, since a test has no mirror.

use super::*;
use crate::image::source::Debian;

#[test]
fn mmdebstrap_understands_the_words() {
    if common::host::Program::new("mmdebstrap").there().is_err() {
        return eprintln!("SKIPPED: mmdebstrap is not installed");
    }
    let place = StoreFolder::new();
    // A mirror on a port where nobody listens: it fails fast, and says so.
    let source = place.source(
        "mmdebstrap:bookworm?include=systemd&variant=essential&slim=yes&mirror=http://127.0.0.1:9/debian",
    );
    let failure = place.store.bring(&source).unwrap_err();
    let program = failure.program.clone().unwrap();
    assert_eq!(program.argv[0], "mmdebstrap");
    assert_eq!(
        program.argv[3..6],
        ["--format=tar", "--variant=essential", "--include=systemd"].map(str::to_owned)
    );
    assert!(
        program.argv.contains(&"--dpkgopt=path-exclude=/usr/share/man/*".to_owned()),
        "{:?}",
        program.argv
    );
    let said = program.output.join("\n");
    assert!(said.contains("127.0.0.1") || said.contains("apt-get"), "{failure}");
    assert!(failure.hint.unwrap().contains("mirror=URL"));
    place.tidy();
}

#[test]
fn what_was_made_today_is_not_made_again() {
    let place = StoreFolder::new();
    let debian = Debian { suite: "sid".to_owned(), ..Debian::default() };
    let layer = place.write("rootfs.tar", &system().bytes());
    let made = place.store.bring(&Source::Archive(layer)).unwrap();
    place.store.amend(|index| _ = index.sources.insert(debian.key(), made.digest.clone())).unwrap();
    assert_eq!(place.store.bring(&Source::Debootstrap(debian.clone())).unwrap(), made);
    let other = Debian { include: vec!["systemd".to_owned()], ..debian.clone() };
    assert_ne!(other.key(), debian.key());
}

//! What an instance may have left at a path, and the result.

use super::*;
use crate::model::IDS;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

fn root() -> Option<(tempfile::TempDir, Root)> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: what belongs to others is root's to make");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path(), Ids { first: 0, size: IDS }).unwrap();
    Some((folder, root))
}

fn write(root: &Root, path: &str) -> Result<(), Failure> {
    root.write(Path::new(path), b"new", 0o640, &Account { user: 5, group: 6, ..Account::default() })
}

#[test]
fn what_is_no_plain_file_is_refused_and_never_waited_for() {
    let Some((folder, root)) = root() else { return };
    let at = |name: &str| folder.path().join(name);
    nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let device = nix::sys::stat::makedev(1, 5); // zero has no end
    nix::sys::stat::mknod(
        &at("device"),
        nix::sys::stat::SFlag::S_IFCHR,
        nix::sys::stat::Mode::S_IRWXU,
        device,
    )
    .unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    for (name, what) in
        [("pipe", "a pipe"), ("socket", "a socket"), ("device", "a device"), ("folder", "a folder")]
    {
        let message = format!("/{name} in the instance is {what}, not a regular file");
        let path = format!("/{name}");
        assert_eq!(write(&root, &path).unwrap_err().message, message);
        assert_eq!(root.read(Path::new(&path)).unwrap_err().message, message);
        assert_eq!(write(&root, &format!("{path}/below")).is_ok(), name == "folder");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what an instance left was written by somebody else")]
fn a_link_is_replaced_and_leads_nowhere() {
    let Some((folder, root)) = root() else { return };
    let outside = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(outside.path().join("theirs"), "old").unwrap();
    symlink(outside.path().join("theirs"), at("link")).unwrap();
    write(&root, "/link").unwrap();
    assert_eq!(std::fs::read(outside.path().join("theirs")).unwrap(), b"old");
    let meta = at("link").symlink_metadata().unwrap();
    assert_eq!((meta.is_file(), meta.mode() & 0o7777, meta.uid(), meta.gid()), (true, 0o640, 5, 6));
    // As in images: links in root's own folders, absolute ones resolved from the instance's root.
    std::fs::create_dir_all(at("usr/lib")).unwrap();
    symlink("/usr/lib", at("lib")).unwrap();
    symlink("../../../../usr", at("up")).unwrap();
    write(&root, "/lib/a").unwrap();
    write(&root, "/up/lib/b/c").unwrap();
    assert!(at("usr/lib/a").is_file() && at("usr/lib/b/c").is_file());
    // Where another user could have created it.
    std::fs::create_dir(at("own")).unwrap();
    std::os::unix::fs::chown(at("own"), Some(1000), Some(1000)).unwrap();
    std::os::unix::fs::symlink("/usr", at("own/way")).unwrap();
    assert!(write(&root, "/own/way/x").unwrap_err().message.contains("symbolic link way"));
    std::fs::create_dir(at("tmp")).unwrap();
    std::fs::set_permissions(at("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
    symlink("/usr", at("tmp/way")).unwrap();
    assert!(write(&root, "/tmp/way/x").is_err() && !at("usr/x").exists());
    symlink("/round", at("round")).unwrap();
    assert!(write(&root, "/round/x").is_err());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what an instance left was written by somebody else")]
fn a_file_without_an_end_is_not_read_to_it() {
    let Some((folder, root)) = root() else { return };
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("etc")).unwrap();
    let sparse = File::create(at("etc/passwd")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert!(root.account("app", Alone::Root).unwrap_err().message.contains("larger than 4 MiB"));
    std::fs::write(at("etc/passwd"), "big:x:70000:0::/:\nodd:x:7:65536::/:\n").unwrap();
    for who in ["big", "odd", "65536", "1:70000", "4294967295"] {
        let failure = root.account(who, Alone::Same).unwrap_err();
        assert!(failure.message.contains("exceeds the 65536 ids"), "{who}: {failure}");
    }
    assert_eq!(root.account("65535", Alone::Same).unwrap().group, 65_535);
    let root = Root::open(folder.path(), Ids { first: 0, size: 70_001 }).unwrap();
    assert_eq!(root.account("big", Alone::Same).unwrap().user, 70_000);
    assert!(root.account("70001", Alone::Same).is_err());
    // A hard link to a file of another user is not written through.
    std::fs::write(at("theirs"), "old").unwrap();
    std::fs::hard_link(at("theirs"), at("mine")).unwrap();
    write(&root, "/mine").unwrap();
    assert_eq!(std::fs::read(at("theirs")).unwrap(), b"old");
}

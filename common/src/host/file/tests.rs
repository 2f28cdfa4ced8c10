//! Tests of files: whole or not at all, and never through a link.

use super::*;

#[test]
fn what_is_in_its_place_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("state");
    for target in ["/dev/null", "/dev/zero", "nowhere"] {
        std::os::unix::fs::symlink(target, &path).unwrap();
        assert!(write(&path, b"x", Mode::Private).unwrap(), "{target}");
        assert!(fs::symlink_metadata(&path).unwrap().is_file() && remove(&path).unwrap());
    }
    assert!(write(temp.path(), b"x", Mode::Private).unwrap_err().hint.unwrap().contains("remove it"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test makes its files the short way")]
fn a_read_keeps_to_its_limit_and_to_regular_files() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("it");
    assert_eq!(read_at_most(&path, 10).unwrap(), None);
    fs::write(&path, "0123456789").unwrap();
    assert_eq!(read_at_most(&path, 10).unwrap().unwrap(), b"0123456789");
    assert_eq!(read_at_most(&path, 9).unwrap_err().code, "host.limit");
    // A sparse file of three terabytes, which is never read.
    File::options().write(true).open(&path).unwrap().set_len(3 << 40).unwrap();
    assert_eq!(read(&path).unwrap_err().code, "host.limit");
    fs::write(&path, b"\xff").unwrap();
    assert_eq!(read(&path).unwrap_err().code, "host.file.damaged");
    let pipe = temp.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for other in [&pipe, Path::new("/dev/zero"), temp.path()] {
        assert!(read_at_most(other, 10).unwrap_err().message.contains("it is "), "{}", other.display());
    }
}

#[test]
fn only_trees_of_ours_are_removed() {
    for path in ["/", "/etc", "/run/lsx/", "/var/lib/lsx/../x", "/var/lib/lsxx/a"] {
        assert_eq!(remove_tree(Path::new(path)).unwrap_err().kind, Kind::Bug, "{path}");
    }
    remove_tree(Path::new("/run/lsx/none-of-that-name")).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "half a file is what write never makes")]
fn what_the_dead_were_writing_is_swept_and_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("small");
    let dead = format!("{TEMPORARY}{}-abc", u32::MAX);
    let mine = format!("{TEMPORARY}{}-abc", std::process::id());
    write(&folder.join("net.json"), b"{}", Mode::Private).unwrap();
    for name in [&dead, &mine, ".lsx-other"] {
        fs::write(folder.join(name), b"").unwrap();
    }
    sweep(&folder);
    let left = |name: &str| folder.join(name).exists();
    assert_eq!([left("net.json"), left(&mine), left(".lsx-other"), left(&dead)], [true, true, true, false]);
    for (name, inside) in [("all/empty", None), ("all/alone", Some(&dead)), ("all/small", Some(&mine))] {
        fs::create_dir_all(temp.path().join(name)).unwrap();
        inside.into_iter().for_each(|file| fs::write(temp.path().join(name).join(file), b"").unwrap());
    }
    let all = temp.path().join("all");
    sweep_all(&all);
    let left = |name: &str| all.join(name).exists();
    assert_eq!([left("empty"), left("alone"), left("small")], [false, false, true]);
    fs::remove_file(all.join("small").join(&mine)).unwrap();
    sweep_all(&all);
    assert!(!all.exists());
}

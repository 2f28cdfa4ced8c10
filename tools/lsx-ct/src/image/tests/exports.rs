//! Exported images can be imported again, and are the same.

use super::*;

/// Three layers with all difficult cases of merging.
fn layers() -> [Vec<u8>; 3] {
    let low = system()
        .folder("a/")
        .file("a/gone", "1")
        .file("a/old", "1")
        .folder("b/")
        .file("b/hidden", "1")
        .file("first", "linked")
        .link("second", "first")
        .link("third", "first")
        .folder("was/")
        .file("was/in", "1")
        .entry(EntryType::Char, "dev/null", "", b"");
    let middle = Tar::new()
        .file("a/.wh.gone", "")
        .file("a/old", "2")
        .file(".wh.first", "")
        .file("b/shown", "2")
        .file("b/.wh..wh..opq", "")
        .file("was", "a file now");
    let high = Tar::new().folder("c/").file("c/new", "3").file("second", "own");
    [low.bytes(), middle.bytes(), high.bytes()]
}

fn brought(place: &StoreFolder) -> Stored {
    let all = layers();
    place.layout("oci", &[&all[0], &all[1], &all[2]]);
    place.store.import(&place.source("oci:oci"), "app").unwrap()
}

#[test]
fn a_layout_and_a_docker_archive_are_the_same_image_again() {
    let place = StoreFolder::new();
    let stored = brought(&place);
    let out = |name: &str| place.folder.path().join(name);
    for _ in 0..2 {
        place.store.export(&stored.digest, Form::Oci, &out("layout")).unwrap();
    }
    let other = StoreFolder::new();
    let source = Source::Layout { folder: out("layout"), tag: Some("app".into()) };
    assert_eq!(other.store.bring(&source).unwrap().digest, stored.digest);
    place.store.export(&stored.digest, Form::Docker, &out("docker.tar")).unwrap();
    let again = other.store.bring(&Source::Archive(out("docker.tar"))).unwrap();
    assert_eq!(
        other.store.config(&again.digest).unwrap().rootfs().diff_ids(),
        place.store.config(&stored.digest).unwrap().rootfs().diff_ids()
    );
    assert_eq!(again.layers, 3);
}

#[test]
fn merged_files_are_those_an_overlay_shows() {
    let place = StoreFolder::new();
    let stored = brought(&place);
    for (form, prefix) in [(Form::Rootfs, ""), (Form::Lxd, "rootfs/")] {
        let out = place.folder.path().join(format!("{form:?}.tar"));
        place.store.export(&stored.digest, form, &out).unwrap();
        let mut archive = tar::Archive::new(std::fs::File::open(&out).unwrap());
        let mut names: Vec<String> = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            let link = entry.link_name_bytes().map(|l| format!(" -> {}", String::from_utf8_lossy(&l)));
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.strip_prefix(prefix).map(str::to_owned).unwrap_or(name);
            names.push(format!("{name}{}={}", link.unwrap_or_default(), text.trim()));
        }
        names.retain(|name| !name.starts_with("metadata.yaml"));
        names.sort();
        let wanted = [
            "./=",
            "a/=",
            "a/old=2",
            "b/=",
            "b/shown=2",
            "bin -> usr/bin=",
            "c/=",
            "c/new=3",
            "etc/=",
            "etc/hostname=one",
            "second=own",
            "third=linked",
            "was=a file now",
        ];
        assert_eq!(names, wanted, "{form:?}");
        let other = StoreFolder::new();
        let again = other.store.bring(&Source::Archive(out)).unwrap();
        assert_eq!(again.layers, 1);
        if root() {
            let tree = &other.store.trees(&again.digest).unwrap()[0];
            assert_eq!(std::fs::read(tree.join("third")).unwrap(), b"linked");
        }
    }
}

#[test]
fn a_full_disk_leaves_nothing_half_made() {
    if !root() {
        return;
    }
    let place = StoreFolder::new();
    let small = place.folder.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mount =
        common::host::Program::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).args([&small]);
    if let Err(failure) = mount.run(b"") {
        return eprintln!("SKIPPED: no file system can be mounted: {failure}");
    }
    let store = Store::open(&small.join("store")).unwrap();
    let noise = "0123456789abcdef".repeat(1 << 16);
    let path = place.write("big.tar", &Tar::new().file("big", &noise).bytes());
    let full = store.bring(&Source::Archive(path)).unwrap_err();
    let packed = place.write("big.tar.gz", &gzip(&Tar::new().file("a", &noise).file("b", &noise).bytes()));
    let stored = store.bring(&Source::Archive(packed)).unwrap();
    let unpacked = store.trees(&stored.digest).unwrap_err();
    let out = small.join("out.tar");
    let exported = store.export(&stored.digest, Form::Rootfs, &out).unwrap_err();
    let left: Vec<_> =
        std::fs::read_dir(small.join("store/trees")).unwrap().map(|e| e.unwrap().path()).collect();
    let parts = std::fs::read_dir(small.join("store/parts")).unwrap().count();
    let there = out.exists();
    common::host::Program::new("umount").args([&small]).run(b"").unwrap();
    for failure in [full, unpacked, exported] {
        assert!(failure.to_string().contains("free space"), "{failure}");
    }
    assert!(
        left.iter().all(|path| path.extension().is_some_and(|e| e == "lock")) && parts == 0 && !there,
        "{left:?}"
    );
}

//! Malicious or broken archives. Nothing outside the tree is changed, and no partial tree is left.

use super::*;

/// The result of unpacking a layer. A file beside the store must not change.
fn unpacked(layer: Tar) -> Result<PathBuf, Failure> {
    let place = StoreFolder::new();
    let outside = place.write("outside/file", b"mine");
    let bytes = layer.bytes();
    let digest = place.store.put(&bytes).unwrap();
    let tree = place.store.tree(&digest, &digest, limits::BOUNDS);
    assert_eq!(std::fs::read(&outside).unwrap(), b"mine");
    let around: Vec<_> =
        std::fs::read_dir(place.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(around.len(), 2, "{around:?}");
    assert_eq!(std::fs::read_dir(outside.parent().unwrap()).unwrap().count(), 1);
    for strange in ["/lsx-escape", "/tmp/lsx-escape"] {
        assert!(!std::path::Path::new(strange).exists(), "{strange}");
    }
    assert_eq!(
        tree.is_err(),
        std::fs::read_dir(place.store.path("trees"))
            .unwrap()
            .all(|e| { e.unwrap().file_name().to_str().unwrap().ends_with(".lock") })
    );
    tree
}

#[test]
fn no_name_leads_out_of_the_tree() {
    if !root() {
        return;
    }
    let up = "../../../outside/";
    let bad = [
        ("a name upwards", Tar::new().file("../../../outside/new", "")),
        ("a name upwards within", Tar::new().folder("a/").file("a/../../../../outside/new", "")),
        ("a folder upwards", Tar::new().folder("../lsx-escape/")),
        ("through a link upwards", Tar::new().symlink("a", up).file("a/new", "")),
        ("through a link to the top", Tar::new().symlink("a", "/tmp").file("a/lsx-escape", "")),
        ("through a link within", Tar::new().folder("b/").symlink("a", "b").file("a/lsx-escape", "")),
        ("through two links", Tar::new().symlink("a", "b").symlink("b", up).file("a/new", "")),
        (
            "through a link in the middle",
            Tar::new().folder("x/").symlink("x/a", "../../..").folder("x/a/store/y/"),
        ),
        ("a hard link upwards", Tar::new().link("a", "../../../outside/file")),
        ("a hard link through a link", Tar::new().symlink("l", up).link("a", "l/file")),
        ("a hard link to the system", Tar::new().link("a", "/etc/passwd")),
        ("a hard link to nothing", Tar::new().link("a", "b")),
        ("a hard link to a folder", Tar::new().folder("b/").link("a", "b")),
        ("a whiteout upwards", Tar::new().file("../.wh.outside", "")),
        ("a whiteout of ..", Tar::new().folder("a/").file("a/.wh...", "")),
        ("a whiteout through a link", Tar::new().symlink("a", up).file("a/.wh.file", "")),
        ("an opaque link", Tar::new().symlink("a", up).file("a/.wh..wh..opq", "")),
        ("a file over a full folder", Tar::new().folder("a/").file("a/b", "").file("a", "")),
        ("a file as the tree", Tar::new().file("./", "")),
        ("a disk", Tar::new().entry(EntryType::Block, "dev/sda", "", b"")),
        ("a device elsewhere", Tar::new().entry(EntryType::Char, "null", "", b"")),
    ];
    for (what, layer) in bad {
        let failure = unpacked(layer).expect_err(what);
        assert!(failure.code == "ct.image.escape" || failure.code == "ct.image.device", "{what}: {failure}");
        assert_eq!(failure.kind, Kind::Data, "{what}: {failure}");
    }
}

#[test]
fn what_only_looks_like_harm_stays_within() {
    if !root() {
        return;
    }
    let good = [
        ("an absolute name", Tar::new().file("/lsx-escape", "")),
        ("a link upwards that nothing goes through", Tar::new().symlink("a", "../../../outside/file")),
        ("a file in place of a link", Tar::new().symlink("a", "../../../outside/file").file("a", "new")),
        (
            "a folder in place of a link",
            Tar::new().symlink("a", "../../../outside").folder("a/").file("a/file", "new"),
        ),
        ("a link to itself", Tar::new().file("a", "x").link("a", "./a")),
        (
            "a link over a link",
            Tar::new().symlink("a", "../../../outside/file").file("b", "x").link("a", "b"),
        ),
    ];
    for (what, layer) in good {
        unpacked(layer).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
}

#[test]
fn overlayfs_is_told_nothing_by_an_archive() {
    if !root() {
        return;
    }
    let place = StoreFolder::new();
    let mut tar = Tar::new();
    let told = [("SCHILY.xattr.trusted.overlay.redirect", &b"/etc"[..]), ("SCHILY.xattr.user.mine", b"yes")];
    tar.0.append_pax_extensions(told).unwrap();
    let digest = place.store.put(&tar.folder("a/").bytes()).unwrap();
    let tree = place.store.tree(&digest, &digest, limits::BOUNDS).unwrap();
    let mut value = [0; 16];
    assert!(rustix::fs::getxattr(tree.join("a"), "trusted.overlay.redirect", &mut value).is_err());
    assert_eq!(rustix::fs::getxattr(tree.join("a"), "user.mine", &mut value), Ok(3));
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    if !root() {
        return;
    }
    let place = StoreFolder::new();
    let mut huge = Tar::new();
    huge.raw(EntryType::Regular, "huge", "", b"", |h| h.set_size(65 << 30));
    let many = (0..20).fold(Tar::new(), |tar, i| tar.file(&i.to_string(), ""));
    let mut names = Tar::new();
    names.raw(EntryType::GNULongName, "././@LongLink", "", b"", |h| h.set_size(1 << 30));
    for (what, layer, words) in [
        ("huge", huge, "bytes when unpacked"),
        ("many", many, "more than 10 entries"),
        ("names", names, "names and attributes"),
    ] {
        let digest = place.store.put(&layer.bytes()).unwrap();
        let failure =
            place.store.tree(&digest, &digest, Bounds { entries: 10, ..limits::BOUNDS }).unwrap_err();
        assert!(failure.to_string().contains(words), "{what}: {failure}");
        place.tidy();
    }
}

#[test]
fn what_is_cut_or_damaged_is_refused_wherever_it_is_cut() {
    let place = StoreFolder::new();
    let plain = system().file("data", &"0123456789".repeat(200)).bytes();
    let packed = gzip(&plain);
    let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
    let ends = plain.len() - 1024; // two empty blocks are its end mark
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 0x55;
    let mut renamed = plain.clone();
    renamed[520] ^= 1;
    let bad = [
        ("between two entries", plain[..ends].to_vec()),
        ("in a header", plain[..700].to_vec()),
        ("in data", plain[..ends - 600].to_vec()),
        ("gzip", packed[..packed.len() - 20].to_vec()),
        ("gzip's sum", packed[..packed.len() - 4].to_vec()),
        ("zstd", zstd[..zstd.len() - 5].to_vec()),
        ("a flipped bit", flipped),
        ("a changed header", renamed),
        ("nothing", Vec::new()),
        ("words", b"<html>404 not found</html>".repeat(100)),
    ];
    for (what, bytes) in bad {
        place.write("bad.tar", &bytes);
        let failure = place.bring("tar:bad.tar").expect_err(what);
        assert_eq!(
            (failure.kind, failure.code.as_str()),
            (Kind::Data, "ct.image.archive"),
            "{what}: {failure}"
        );
        assert_eq!(place.store.all_blobs().unwrap(), [], "{what}");
        place.tidy();
    }
}

#[test]
fn a_layer_that_is_not_what_its_image_says_is_refused() {
    if !root() {
        return;
    }
    let place = StoreFolder::new();
    let layer = system().bytes();
    let wrong = digest::of(b"wrong");
    let digest = place.store.put(&layer).unwrap();
    assert_eq!(place.store.tree(&digest, &wrong, limits::BOUNDS).unwrap_err().code, "ct.image.digest");
    place.layout("oci", &[&layer]);
    let stored = place.bring("oci:oci").unwrap();
    let blob = &place.store.blobs(&stored.digest).unwrap()[2].digest;
    // Other bytes that unpack to the same files: only the digest of the blob differs.
    place.write(&format!("store/blobs/sha256/{}", digest::hex(blob).unwrap()), &layer);
    assert_eq!(place.store.trees(&stored.digest).unwrap_err().code, "ct.image.digest");
    place.tidy();
}

//! Small archives that become big, deep or endless; invalid ones.

use super::*;

/// The result of importing and unpacking an archive, with small limits.
fn tree(bytes: &[u8], bounds: Bounds) -> Failure {
    let place = StoreFolder::new();
    let digest = place.store.put(bytes).unwrap();
    let failure = place.store.tree(&digest, &digest, bounds).unwrap_err();
    place.tidy();
    failure
}

/// An archive of one file of zeros.
fn zeros(size: u64) -> Vec<u8> {
    let mut tar = Tar::new();
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_path("zeros").unwrap();
    header.set_cksum();
    tar.0.append(&header, std::io::Read::take(std::io::repeat(0), size)).unwrap();
    tar.bytes()
}

#[test]
fn what_unpacks_to_too_much_is_stopped_on_the_way() {
    if !root() {
        return;
    }
    let plain = zeros(8 << 20);
    let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    xz.write_all(&plain).unwrap();
    for (what, bytes) in [("gzip", gzip(&plain)), ("zstd", zstd), ("xz", xz.finish().unwrap())] {
        assert!(bytes.len() < 1 << 19, "{what} is a bomb");
        let failure = tree(&bytes, Bounds { bytes: 4 << 20, ..limits::BOUNDS });
        assert!(failure.to_string().contains("more than 4194304 bytes when unpacked"), "{what}: {failure}");
    }
}

#[test]
fn packed_streams_that_want_much_memory_are_refused() {
    let place = StoreFolder::new();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    xz.write_all(&system().bytes()).unwrap();
    let mut xz = xz.finish().unwrap();
    // The first block's header: its size, flags, the filter LZMA2 (0x21), one byte of properties, the dictionary; then its sum.
    let at = 12;
    let length = (usize::from(xz[at]) + 1) * 4;
    let filter = xz[at..at + length].windows(2).position(|w| w == [0x21, 1]).unwrap();
    xz[at + filter + 2] = 38; // 2 GiB
    let mut sum = flate2::Crc::new();
    sum.update(&xz[at..at + length - 4]);
    xz[at + length - 4..at + length].copy_from_slice(&sum.sum().to_le_bytes());
    // A frame with a window of 2 TiB, and one with a stated size of 2^60.
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8][..], &[0; 64]].concat();
    let single = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1_u64 << 60).to_le_bytes(), &[0; 64]].concat();
    for (what, bytes, words) in
        [("xz", xz, "memory"), ("zstd", zstd, "indow"), ("one segment", single, "indow")]
    {
        place.write("bomb.tar", &bytes);
        let failure = place.bring("tar:bomb.tar").expect_err(what);
        assert!(
            matches!(failure.code.as_str(), "ct.image.archive" | "ct.image.limit")
                && failure.to_string().contains(words),
            "{what}: {failure}"
        );
        assert!(failure.message.contains("bomb.tar"), "{failure}");
        place.tidy();
    }
}

#[test]
fn names_that_are_deep_or_long_are_refused_and_nothing_of_them_stays() {
    if !root() {
        return;
    }
    let long = |path: &str| {
        let mut tar = Tar::new();
        tar.0.append_pax_extensions([("path", path.as_bytes())]).unwrap();
        tar.file("short", "x").bytes()
    };
    for (what, path) in [
        ("deep", "d/".repeat(300)),
        ("long", "n".repeat(200) + "/" + &"m/".repeat(2000)),
        ("one", "n".repeat(300)),
    ] {
        let failure = tree(&long(&path), limits::BOUNDS);
        assert_eq!(failure.kind, Kind::Data, "{what}: {failure}");
        assert!(failure.to_string().len() < 1000, "{what}: it is told shortly");
    }
    let place = StoreFolder::new();
    let deep = long(&format!("{}x", "d/".repeat(limits::DEPTH - 1)));
    let digest = place.store.put(&deep).unwrap();
    let made = place.store.tree(&digest, &digest, limits::BOUNDS).unwrap();
    crate::image::remove_tree(&made).unwrap();
    assert!(!made.exists(), "the deepest that may be can be removed");
}

#[test]
fn sparse_files_and_strange_sorts_are_refused() {
    if !root() {
        return;
    }
    let old = Tar::new().entry(EntryType::GNUSparse, "a", "", b"").bytes();
    let mut new = Tar::new();
    new.0.append_pax_extensions([("GNU.sparse.realsize", &b"1099511627776"[..])]).unwrap();
    let new = new.file("a", "").bytes();
    let strange = Tar::new().entry(EntryType::new(b'V'), "a", "", b"").bytes();
    let mut negative = Tar::new();
    negative.raw(EntryType::Regular, "a", "", b"", |header| {
        header.as_old_mut().size = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
    });
    let mut huge = Tar::new();
    huge.0.append_pax_extensions([("size", &b"18446744073709551615"[..])]).unwrap();
    for (what, bytes) in [
        ("old", old),
        ("new", new),
        ("strange", strange),
        ("negative", negative.bytes()),
        ("huge", huge.file("a", "").bytes()),
    ] {
        let failure = tree(&bytes, limits::BOUNDS);
        assert_eq!(failure.code, "ct.image.archive", "{what}: {failure}");
    }
}

#[test]
fn pipes_and_devices_are_no_images() {
    let place = StoreFolder::new();
    place.layout("oci", &[&system().bytes()]);
    let pipe = |name: &str| {
        let path = place.folder.path().join(name);
        common::host::file::remove(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    };
    pipe("pipe");
    for words in ["tar:pipe", "lxd:pipe,pipe", "tar:/dev/zero"] {
        let failure = place.bring(words).expect_err(words);
        assert!(failure.to_string().contains("not a regular file"), "{words}: {failure}");
    }
    let blobs: Vec<_> =
        std::fs::read_dir(place.folder.path().join("oci/blobs/sha256")).unwrap().flatten().collect();
    for blob in blobs {
        let name = blob.path().strip_prefix(place.folder.path()).unwrap().display().to_string();
        let bytes = std::fs::read(blob.path()).unwrap();
        pipe(&name);
        let other = StoreFolder::new();
        let folder = place.folder.path().join("oci");
        let failure = other.store.bring(&Source::Layout { folder, tag: None }).unwrap_err();
        assert!(failure.to_string().contains("not a regular file"), "{failure}");
        common::host::file::remove(&blob.path()).unwrap();
        place.write(&name, &bytes);
    }
    // A blob of a layout that is a link to a file of this machine is a file, whose digest must be right.
    pipe("oci/index.json");
    assert!(place.bring("oci:oci").unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn documents_in_archives_and_folders_have_a_limit() {
    let place = StoreFolder::new();
    place.layout("oci", &[&system().bytes()]);
    place.write("oci/index.json", &vec![b' '; limits::DOCUMENT as usize + 1]);
    assert!(place.bring("oci:oci").unwrap_err().to_string().contains("more than 4194304 bytes: index.json"));
    let deep = |name: &str| Tar::new().file("oci-layout", "{}").file(name, &"[".repeat(100_000)).bytes();
    place.write("index.tar", &deep("index.json"));
    place.write("saved.tar", &deep("manifest.json"));
    for archive in ["tar:index.tar", "tar:saved.tar"] {
        assert_eq!(place.bring(archive).unwrap_err().kind, Kind::Data, "{archive}");
    }
    // Nine levels of nine each: the "billion laughs" attack.
    let laughs = (1..9).fold("a0: &a0 [lol]\n".to_owned(), |text, i| {
        let before = vec![format!("*a{}", i - 1); 9].join(", ");
        text + &format!("a{i}: &a{i} [{before}]\n")
    });
    let yaml = ["architecture: ".to_owned() + &"[".repeat(100_000), laughs + "architecture: *a8\n"];
    for text in yaml {
        let tar = Tar::new().file("metadata.yaml", &text).folder("rootfs/").file("rootfs/x", "");
        place.write("lxd.tar", &tar.bytes());
        let failure = place.bring("tar:lxd.tar").unwrap_err();
        assert!(failure.message.contains("metadata.yaml cannot be read"), "{failure}");
    }
    let many =
        (0..=limits::BLOBS).fold(Tar::new().file("oci-layout", "{}").file("index.json", "{}"), |tar, i| {
            let text = i.to_string();
            tar.file(&format!("blobs/sha256/{}", digest::hex(&digest::of(text.as_bytes())).unwrap()), &text)
        });
    place.write("many.tar", &many.bytes());
    let failure = place.bring("tar:many.tar").unwrap_err();
    assert!(failure.code == "ct.image.limit" && failure.message.contains("many.tar"), "{failure}");
    place.tidy();
}

#[test]
fn names_kept_in_memory_have_an_end() {
    let mut kept = limits::Kept::default();
    let name = vec![b'n'; 1 << 20];
    let taken = (0..).take_while(|_| kept.name(&name).is_ok()).count();
    assert!((500..=512).contains(&taken), "{taken} MiB");
    let mut survey = Tar::new();
    for i in 0..1000 {
        survey = survey.symlink(&format!("l{i}"), "somewhere");
    }
    let place = StoreFolder::new();
    let path = place.write("links.tar", &survey.bytes());
    assert!(survey::of(&path).unwrap().links.len() <= limits::BLOBS);
}

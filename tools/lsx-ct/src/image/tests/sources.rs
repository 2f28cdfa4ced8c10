//! All formats of images.

use super::*;

#[test]
fn a_root_file_system_is_an_image_of_one_layer_however_it_is_packed() {
    let place = StoreFolder::new();
    let plain = system().bytes();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(&plain).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd].concat();
    let forms =
        [("plain", plain.clone()), ("gz", gzip(&plain)), ("zst", skipped), ("xz", xz.finish().unwrap())];
    for (name, bytes) in forms {
        place.write(name, &bytes);
        let stored = place.bring(&format!("tar:{name}")).unwrap();
        assert_eq!((stored.layers, stored.kept), (1, false), "{name}");
        assert_eq!(stored.architecture, manifest::architecture());
        let config = place.store.config(&stored.digest).unwrap();
        assert_eq!(config.rootfs().diff_ids(), &[digest::of(&plain)], "{name}");
        assert_eq!(place.bring(&format!("tar:{name}")).unwrap(), stored);
    }
    place.tidy();
}

#[test]
fn a_layout_comes_with_its_digest_and_shares_its_layers() {
    let place = StoreFolder::new();
    let (low, high) = (system().bytes(), Tar::new().file("app", "1").bytes());
    let digest = place.layout("oci", &[&low, &high]);
    let stored = place.bring("oci:oci:one").unwrap();
    assert_eq!((stored.digest.as_str(), stored.layers), (digest.as_str(), 2));
    let before = place.store.all_blobs().unwrap().len();
    let other = place.layout("two", &[&low, &Tar::new().file("app", "2").bytes()]);
    assert_eq!(place.bring("oci:two").unwrap().digest, other);
    assert_eq!(place.store.all_blobs().unwrap().len(), before + 3, "manifest, configuration and one layer");
    let failure = place.bring("oci:oci:two").unwrap_err();
    assert_eq!(failure.code, "ct.image.tag");
    assert_eq!(failure.hint.unwrap(), "there are one");
}

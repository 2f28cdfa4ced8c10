//! Images in archives of Docker, OCI and LXD; images for other architectures; malformed documents.

use super::*;

/// An entry of manifest.json.
fn saved(config: &str, tag: &str, layers: &[&str]) -> Value {
    json!({"Config": config, "RepoTags": [tag], "Layers": layers})
}

#[test]
fn what_docker_saved_becomes_oci() {
    let place = StoreFolder::new();
    let (low, high) = (system().bytes(), Tar::new().file("app", "1").bytes());
    let config =
        String::from_utf8(config(manifest::architecture(), &[&low, &high].map(|l| digest::of(l)))).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    // As by old versions of Docker: a folder per layer, a link for a shared one, the manifest last.
    let tar = Tar::new()
        .folder("a/")
        .file("a/VERSION", "1.0")
        .file("a/layer.tar", &text(&low))
        .folder("b/")
        .file("b/layer.tar", &text(&high))
        .symlink("c/layer.tar", "../b/layer.tar")
        .file("c.json", &config)
        .file(
            "manifest.json",
            &json!([saved("c.json", "app:1", &["a/layer.tar", "c/layer.tar"])]).to_string(),
        );
    place.write("saved.tar", &gzip(&tar.bytes()));
    let stored = place.bring("tar:saved.tar").unwrap();
    assert_eq!(stored.layers, 2);
    let manifest = place.store.manifest(&stored.digest).unwrap();
    assert_eq!(manifest.layers()[0].media_type().to_string(), manifest::LAYER);
    assert_eq!(manifest.layers()[1].digest().to_string(), digest::of(&high));
    assert_eq!(
        place.store.config(&stored.digest).unwrap().config().as_ref().unwrap().cmd().as_ref().unwrap(),
        &["/bin/true"]
    );
    place.tidy();

    let two = json!([saved("c.json", "app:1", &[]), saved("c.json", "app:2", &[])]).to_string();
    place.write("two.tar", &Tar::new().file("c.json", &config).file("manifest.json", &two).bytes());
    let failure = place.bring("tar:two.tar").unwrap_err();
    assert_eq!(failure.causes, ["it contains app:1, app:2"]);
    let lost = json!([saved("c.json", "app:1", &["lost/layer.tar"])]).to_string();
    place.write("lost.tar", &Tar::new().file("c.json", &config).file("manifest.json", &lost).bytes());
    assert!(place.bring("tar:lost.tar").unwrap_err().message.contains("lost/layer.tar is missing"));
}

#[test]
fn an_oci_layout_in_an_archive_is_the_same_image() {
    let place = StoreFolder::new();
    let digest = place.layout("oci", &[&system().bytes()]);
    let folder = place.folder.path().join("oci");
    let mut tar = Tar::new();
    tar.0.append_dir_all("blobs", folder.join("blobs")).unwrap();
    for name in ["oci-layout", "index.json"] {
        tar.0.append_path_with_name(folder.join(name), name).unwrap();
    }
    let bytes = tar.bytes();
    place.write("oci.tar", &bytes);
    assert_eq!(place.bring("tar:oci.tar").unwrap().digest, digest);
    // A blob that does not match its name.
    let other = StoreFolder::new();
    let at = bytes.windows(5).position(|w| w == b"sha25").unwrap() + 2000;
    let mut wrong = bytes;
    wrong[at] ^= 1;
    other.write("oci.tar", &wrong);
    assert!(other.bring("tar:oci.tar").is_err());
    other.tidy();
}

fn metadata(architecture: &str) -> String {
    format!("architecture: {architecture}\ncreation_date: 1700000000\nproperties: {{os: Debian}}\n")
}

#[test]
fn lxd_images_come_in_one_file_or_in_two() {
    let place = StoreFolder::new();
    let here = std::env::consts::ARCH;
    let unified = Tar::new()
        .file("metadata.yaml", &metadata(here))
        .folder("rootfs/")
        .folder("rootfs/sbin/")
        .file("rootfs/sbin/init", "init")
        .link("rootfs/sbin/halt", "rootfs/sbin/init")
        .file(&format!("rootfs/{}", "n".repeat(90)), "long")
        .folder("templates/")
        .file("templates/hostname.tpl", "x");
    place.write("unified.tar.gz", &gzip(&unified.bytes()));
    let stored = place.bring("tar:unified.tar.gz").unwrap();
    let config = place.store.config(&stored.digest).unwrap();
    assert_eq!(config.config().as_ref().unwrap().cmd().as_ref().unwrap(), &["/sbin/init"]);
    if root() {
        let tree = &place.store.trees(&stored.digest).unwrap()[0];
        let mut names: Vec<_> = std::fs::read_dir(tree).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["n".repeat(90).as_str(), "sbin"]);
        assert_eq!(std::fs::read(tree.join("sbin/halt")).unwrap(), b"init");
    }
    place.write("meta.tar", &Tar::new().file("metadata.yaml", &metadata(here)).bytes());
    place.write("rootfs.tar", &system().bytes());
    let split = place.bring("lxd:meta.tar,rootfs.tar").unwrap();
    place.write("rootfs2.tar", &system().bytes());
    assert_eq!(
        place.bring("tar:rootfs2.tar").unwrap().digest,
        split.digest,
        "the same files, the same image"
    );
    let half = place.bring("tar:meta.tar").unwrap_err();
    assert!(half.message.contains("only the metadata of an LXD image"), "{half}");
    place.tidy();
}

#[test]
fn lxd_images_may_be_squashfs() {
    let tools = ["mksquashfs", "unsquashfs"].map(|name| common::host::Program::new(name).there());
    if !root() || tools.iter().any(Result::is_err) {
        return eprintln!("SKIPPED: squashfs-tools is not installed");
    }
    let place = StoreFolder::new();
    place.write("files/etc/hostname", b"one\n");
    let (files, image) = (place.folder.path().join("files"), place.folder.path().join("rootfs.squashfs"));
    common::host::Program::new("mksquashfs")
        .args([files, image])
        .args(["-quiet", "-no-progress"])
        .run(b"")
        .unwrap();
    place.write("meta.tar", &Tar::new().file("metadata.yaml", &metadata(std::env::consts::ARCH)).bytes());
    let stored = place.bring("lxd:meta.tar,rootfs.squashfs").unwrap();
    let tree = &place.store.trees(&stored.digest).unwrap()[0];
    assert_eq!(std::fs::read(tree.join("etc/hostname")).unwrap(), b"one\n");
    place.tidy();
}

#[test]
fn an_image_of_another_machine_is_refused_with_both_names() {
    let place = StoreFolder::new();
    place.write("meta.tar", &Tar::new().file("metadata.yaml", &metadata("s390x")).bytes());
    place.write("rootfs.tar", &system().bytes());
    let failure = place.bring("lxd:meta.tar,rootfs.tar").unwrap_err();
    let words = format!("is for s390x, but this machine is {}", manifest::architecture());
    assert!(failure.code == "ct.image.architecture" && failure.message.ends_with(&words), "{failure}");

    let digest = place.layout("oci", &[&system().bytes()]);
    let size = place.store.all_blobs().unwrap().len();
    let entry = |architecture: &str| {
        json!({"mediaType": manifest::MANIFEST, "digest": digest, "size": size,
            "platform": {"os": "linux", "architecture": architecture}})
    };
    place.index("oci", &[entry("s390x"), entry("ppc64le")]);
    let failure = place.bring("oci:oci").unwrap_err();
    let words = format!("is for s390x, ppc64le, but this machine is {}", manifest::architecture());
    assert!(failure.message.ends_with(&words), "{failure}");
    place.index("oci", &[entry("s390x"), entry(manifest::architecture())]);
    assert_eq!(place.bring("oci:oci").unwrap().digest, digest);
}

#[test]
fn dockers_own_manifests_are_converted_and_the_oldest_refused() {
    let bytes = br#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}]}"#;
    let converted = String::from_utf8(manifest::converted("x", bytes.to_vec()).unwrap()).unwrap();
    let words =
        converted.replace("vnd.oci.image.layer.v1.tar+gzip", "").replace("vnd.oci.image.config.v1+json", "");
    assert!(words.contains(manifest::MANIFEST) && !words.contains("vnd.docker"), "{converted}");
    let again = manifest::converted("x", converted.clone().into_bytes()).unwrap();
    assert_eq!(again, converted.as_bytes());
    let old = br#"{"schemaVersion":1,"fsLayers":[]}"#.to_vec();
    assert!(manifest::converted("x", old).unwrap_err().message.contains("first manifest schema"));
    let chart =
        converted.replace("vnd.oci.image.layer.v1.tar+gzip", "vnd.cncf.helm.chart.content.v1.tar+gzip");
    assert!(manifest::converted("x", chart.into_bytes()).unwrap_err().message.contains("helm"));
    let path = converted.replace("sha256:44136", "sha256:../..");
    assert_eq!(manifest::converted("x", path.into_bytes()).unwrap_err().kind, Kind::Data);
}

//! The documents of an image: index, manifest and configuration, in OCI and Docker format.

use super::{digest, limits, refused};
use common::Failure;
use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Os};
use serde_json::{Value, json};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Docker's media types for them.
const DOCKER: [(&str, &str); 4] = [
    (DOCKER_MANIFEST, MANIFEST),
    ("application/vnd.docker.container.image.v1+json", CONFIG),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
    ("application/vnd.docker.image.rootfs.diff.tar", LAYER),
];

/// This machine's architecture, as named in images.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// Converts an architecture to its name in images.
pub(super) fn architecture_of(word: &str) -> &str {
    match word {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i686" | "i386" => "386",
        "armv7l" | "armhf" => "arm",
        other => other,
    }
}

pub(super) fn is_manifest(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{')
        && serde_json::from_slice::<ImageManifest>(bytes).is_ok_and(|m| m.schema_version() == 2)
}

pub(super) fn is_index(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Value>(bytes).is_ok_and(|document| document["manifests"].is_array())
}

pub(super) fn read(what: &str, bytes: &[u8]) -> Result<ImageManifest, Failure> {
    let wrong = |e: &dyn std::fmt::Display| {
        refused("manifest", format!("{what}: not the manifest of an image")).because(e)
    };
    let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(|e| wrong(&e))?;
    if manifest.schema_version() != 2 {
        return Err(wrong(&"its schemaVersion is not 2"));
    }
    let count = manifest.layers().len();
    if count > limits::LAYERS {
        return Err(limits::over(what, format!("{count} layers; {} at most", limits::LAYERS)));
    }
    let mut bytes: u64 = 0;
    for part in std::iter::once(manifest.config()).chain(manifest.layers()) {
        digest::hex(part.digest().as_ref())?;
        bytes = bytes.saturating_add(part.size());
    }
    if bytes > limits::BOUNDS.bytes {
        return Err(limits::over(what, format!("{bytes} bytes of layers; {} at most", limits::BOUNDS.bytes)));
    }
    Ok(manifest)
}

pub(super) fn config(what: &str, bytes: &[u8]) -> Result<ImageConfiguration, Failure> {
    serde_json::from_slice(bytes)
        .map_err(|e| refused("config", format!("{what}: not the configuration of an image")).because(e))
}

/// A manifest in OCI format. One in this format is unchanged, byte for byte, and keeps its digest.
pub(super) fn converted(what: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let mut document: Value = serde_json::from_slice(&bytes)
        .map_err(|e| refused("manifest", format!("{what}: not a manifest")).because(e))?;
    if document["schemaVersion"] == json!(1) {
        return Err(refused(
            "manifest",
            format!("{what} uses Docker's first manifest schema, which is not supported"),
        )
        .hint("push it again with a newer version of Docker"));
    }
    let mut changed = false;
    let mut put = |value: &mut Value| {
        let word = DOCKER.iter().find(|(docker, _)| value["mediaType"] == json!(docker));
        if let Some((_, oci)) = word {
            value["mediaType"] = json!(oci);
            changed = true;
        }
    };
    put(&mut document);
    // By `get_mut`: indexing for writing would panic if the document is not an object.
    document.get_mut("config").into_iter().for_each(&mut put);
    document.get_mut("layers").and_then(Value::as_array_mut).into_iter().flatten().for_each(&mut put);
    let bytes = if changed { bytes_of(&document)? } else { bytes };
    let manifest = read(what, &bytes)?;
    for layer in manifest.layers() {
        let known = matches!(
            layer.media_type(),
            MediaType::ImageLayer | MediaType::ImageLayerGzip | MediaType::ImageLayerZstd
        );
        if !known {
            return Err(refused("manifest", format!("{what}: a layer is {}", layer.media_type()))
                .hint("layers must be tar archives, plain or packed by gzip or zstd"));
        }
    }
    Ok(bytes)
}

/// The manifest for this machine in an index.
pub(super) fn choose(what: &str, bytes: &[u8]) -> Result<Descriptor, Failure> {
    let index: ImageIndex = serde_json::from_slice(bytes)
        .map_err(|e| refused("index", format!("{what}: not an index of images")).because(e))?;
    let wanted = Arch::from(architecture());
    let fits = |d: &&Descriptor| {
        d.platform().as_ref().is_some_and(|p| *p.os() == Os::Linux && *p.architecture() == wanted)
    };
    let platform = |d: &Descriptor| d.platform().as_ref().map(|p| p.architecture().to_string());
    if let Some(found) = index.manifests().iter().find(fits) {
        return Ok(found.clone());
    }
    // Without platforms there is nothing to choose by.
    if let [one] = &index.manifests()[..]
        && one.platform().is_none()
    {
        return Ok(one.clone());
    }
    let there: Vec<String> =
        index.manifests().iter().filter_map(platform).filter(|a| a != "unknown").collect();
    Err(other_machine(what, &there.join(", ")))
}

/// The failure for an image of another architecture.
pub(super) fn other_machine(what: &str, there: &str) -> Failure {
    let there = if there.is_empty() { "nothing for linux" } else { there };
    refused("architecture", format!("{what} is for {there}, but this machine is {}", architecture()))
        .hint("use an image for this machine's architecture")
}

/// Refuses an image of another architecture.
pub(super) fn fits(what: &str, config: &ImageConfiguration) -> Result<(), Failure> {
    let of = config.architecture().to_string();
    if of == architecture() { Ok(()) } else { Err(other_machine(what, &of)) }
}

/// An image of layers `(media type, digest, size)`: the caller provides the configuration, the manifest is created here.
pub(super) fn manifest(config: (&str, u64), layers: &[(String, String, u64)]) -> Result<Vec<u8>, Failure> {
    let layers: Vec<Value> = layers
        .iter()
        .map(|(kind, digest, size)| json!({"mediaType": kind, "digest": digest, "size": size}))
        .collect();
    bytes_of(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config.0, "size": config.1},
        "layers": layers,
    }))
}

pub(super) fn bytes_of(document: &Value) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(document)
        .map_err(|e| Failure::new(common::Kind::Bug, "ct.image.document", e.to_string()))
}

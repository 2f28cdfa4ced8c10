//! Volumes, files and folders of the operator's machine, and tmpfs.

use super::names::ours;
use super::{At, Import, There, each, items, limits, text, truth, under};
use serde_json::{Map, Value, json};

/// One entry of `volumes`.
struct Mounted {
    source: String,
    target: String,
    read_only: bool,
}

/// The result of a service's `volumes` and `configs`.
#[derive(Default)]
pub(super) struct Given {
    pub(super) volumes: Map<String, Value>,
    pub(super) files: Map<String, Value>,
    pub(super) tmpfs: Map<String, Value>,
}

impl Import<'_> {
    /// Volumes are defined by their use, so their section has little effect.
    pub(super) fn volume_section(&self, at: At<'_, '_>) {
        each(at, |name, at| {
            each(at, |key, at| match key {
                "name" | "labels" => {}
                "driver" if at.node.text() == Some("local") => {}
                "external" if truth(at) => {
                    let hint = "copy its content into an instance with `lsx-ct cp`";
                    self.differs(
                        at,
                        format!("volume `{name}` will be a new, empty volume of this stack"),
                        hint,
                    );
                }
                "external" => {}
                _ => self.lose(
                    at,
                    format!("`{key}` of volume `{name}` is not converted"),
                    "the volume is a folder on the host",
                ),
            });
        });
    }

    pub(super) fn volumes(&mut self, at: At<'_, '_>, instance: &str, given: &mut Given) {
        items(at, |at| {
            if at.node.entries().is_none() {
                if let Some(mounted) = text(at).map(|text| short(&text)) {
                    self.mounted(at, mounted, instance, given);
                }
                return;
            }
            let get = |key| under(at, key).unwrap_or_default();
            let mounted = Mounted {
                source: get("source"),
                target: get("target"),
                read_only: at.child("read_only").is_some_and(truth),
            };
            match get("type").as_str() {
                "tmpfs" => {
                    let size = at.child("tmpfs").and_then(|at| under(at, "size"));
                    given.tmpfs.insert(mounted.target, memory(size.as_deref(), None));
                }
                "volume" | "bind" | "" => self.mounted(at, mounted, instance, given),
                other => self.lose(at, format!("a mount of type {other} is not converted"), ""),
            }
        });
    }

    fn mounted(&mut self, at: At<'_, '_>, mounted: Mounted, instance: &str, given: &mut Given) {
        let Mounted { source, target, read_only } = mounted;
        if source.starts_with(['.', '/', '~']) {
            return self.bound(at, Mounted { source, target, read_only }, instance, given);
        }
        let name = if source.is_empty() { own_volume(instance, &target) } else { source };
        self.volume(at, name, target, read_only, given);
    }

    fn volume(&mut self, at: At<'_, '_>, name: String, target: String, read_only: bool, given: &mut Given) {
        if given.volumes.contains_key(&name) {
            let hint = "an instance can mount a volume at one path only; use a symbolic link in the image for the other";
            return self.lose(at, format!("volume `{name}` is mounted a second time, at {target}"), hint);
        }
        *self.writers.entry(name.clone()).or_default() += usize::from(!read_only);
        let mount = if read_only { json!({ "path": target, "read_only": true }) } else { json!(target) };
        given.volumes.insert(name, mount);
    }

    /// A file or folder of the operator's machine: a file is copied, and a folder with few files becomes its files.
    fn bound(&mut self, at: At<'_, '_>, mounted: Mounted, instance: &str, given: &mut Given) {
        let Mounted { source, target, read_only } = mounted;
        if HOSTS.iter().any(|own| source == *own || source.starts_with(&format!("{own}/"))) || source == "/" {
            let hint = "instances have no access to their host; run such programs on the host";
            return self.lose(at, format!("{source} of the host is not converted"), hint);
        }
        match (self.beside.there)(&source) {
            There::File => {
                if !read_only {
                    let message =
                        format!("{source} is copied by `up`; changes by the instance are not copied back");
                    self.differs(at, message, "");
                }
                given.files.insert(target, json!(source));
            }
            There::Folder(Some(files)) if !files.is_empty() => {
                let message = format!(
                    "the files in {source} ({}) are copied by `up`, each as a file of its own",
                    files.len()
                );
                self.differs(at, message, "add later files under `files`; use a volume for data");
                let (from, to) = (source.trim_end_matches('/'), target.trim_end_matches('/'));
                given.files.extend(
                    files.iter().map(|file| (format!("{to}/{file}"), json!(format!("{from}/{file}")))),
                );
            }
            There::Nothing | There::Folder(Some(_)) => {
                let name = own_volume(instance, &target);
                self.differs(at, format!("{source} is empty, so {target} becomes the volume `{name}`"), "");
                self.volume(at, name, target, read_only, given);
            }
            There::Folder(None) => {
                let name = own_volume(instance, &target);
                let hint = format!(
                    "when it runs: tar -C {source} -cf - . | lsx-ct exec -i {instance} -- tar -C {target} -xf -"
                );
                self.differs(
                    at,
                    format!("{source} has more than 100 files, or links: {target} becomes the empty volume `{name}`"),
                    &hint,
                );
                self.volume(at, name, target, read_only, given);
            }
            There::Special => self.lose(at, format!("{source} is neither a file nor a folder"), ""),
        }
    }

    /// `tmpfs: [/run, "/tmp:size=64m,mode=1777"]`.
    pub(super) fn memory(&self, at: At<'_, '_>, given: &mut Given) {
        items(at, |at| {
            let Some(text) = text(at) else { return };
            let (path, options) = text.split_once(':').unwrap_or((&text, ""));
            let (mut size, mut mode) = (None, None);
            for option in options.split(',').filter(|option| !option.is_empty()) {
                match option.split_once('=') {
                    Some(("size", value)) => size = Some(value),
                    Some(("mode", value)) => mode = Some(value),
                    _ if ["rw", "noexec", "nosuid", "nodev"].contains(&option) => {}
                    _ => self.lose(at, format!("`{option}` of a tmpfs is not converted"), ""),
                }
            }
            given.tmpfs.insert(path.to_owned(), memory(size, mode));
        });
    }

    /// Marks volumes as shared that more than one instance writes to.
    pub(super) fn share(&self, instances: &mut Map<String, Value>) {
        for instance in instances.values_mut() {
            let replicas = instance.get("count").and_then(Value::as_u64).unwrap_or(1);
            let volumes = instance.get_mut("volumes").and_then(Value::as_object_mut);
            for (name, mount) in volumes.into_iter().flatten() {
                let shared = self.writers.get(name).is_some_and(|&writers| writers > 1) || replicas > 1;
                if let (true, Some(path)) = (shared, mount.as_str()) {
                    *mount = json!({ "path": path, "shared": true });
                }
            }
        }
    }
}

/// Paths of the host itself.
const HOSTS: [&str; 7] = ["/dev", "/proc", "/sys", "/run", "/var/run", "/var/lib/docker", "/boot"];

/// `SOURCE:TARGET[:OPTIONS]`, or the target alone.
fn short(text: &str) -> Mounted {
    let parts: Vec<&str> = text.splitn(3, ':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => ("", *target, ""),
        [source, target] => (*source, *target, ""),
        [source, target, options, ..] => (*source, *target, *options),
        [] => ("", "", ""),
    };
    let read_only = options.split(',').any(|option| option == "ro");
    Mounted { source: source.to_owned(), target: target.to_owned(), read_only }
}

/// The name of an anonymous volume: that of the instance with the path.
fn own_volume(instance: &str, target: &str) -> String {
    let name = format!("{instance}-{}", ours(target));
    name.trim_end_matches('-').get(..63).unwrap_or(&name).to_owned()
}

fn memory(size: Option<&str>, mode: Option<&str>) -> Value {
    let mut map = Map::new();
    map.extend(size.and_then(limits::size).map(|size| ("size".to_owned(), json!(size))));
    map.extend(mode.map(|mode| ("mode".to_owned(), json!(mode.trim_start_matches('0')))));
    Value::Object(map)
}

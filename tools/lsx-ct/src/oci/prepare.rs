//! Prepares everything that a runtime needs for a container: the root, files in it, hosts and resolver files, secrets,
//! volumes, and the bundle.

use super::disk::{InstanceFolders, folder_with};
use super::mounts::{self, Layers};
use super::place::Root;
use super::{beside, closed, groups, layer, limits, volume};
use crate::accounts::{Account, Alone};
use crate::image::Store;
use crate::model::{Done, File, Ids, Instance};
use crate::paths;
use crate::render::bundle::{self, Stop};
use crate::render::mounts::MEMORY;
use crate::render::proxy::{self, Edit};
use crate::render::values::HostValues;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use oci_spec::image::ImageConfiguration;
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A mounted root and the configuration of its image.
pub(crate) struct Ready {
    store: Store,
    image: ImageConfiguration,
    system: bool,
    stop: Stop,
    ids: Option<Ids>,
    root: PathBuf,
    users: Option<OwnedFd>,
    /// The mounts of this process: a folder may be left of an earlier one, whose mounts are gone.
    mounted: BTreeSet<PathBuf>,
}

impl Ready {
    /// Mounts the root in this process's own mount namespace.
    pub(crate) fn new(
        place: &InstanceFolders,
        instance: &Instance,
        store: &Store,
        users: bool,
    ) -> Result<Ready, Failure> {
        let ids = if users { Some(place.ids(instance.ids())?) } else { None };
        closed::pass(&place.run, ids)?;
        let image = store.config(&instance.image.digest)?;
        let lower = store.trees(&instance.image.digest)?;
        let own = match instance.disk_bytes {
            Some(bytes) => layer::mount(place, bytes)?,
            None => place.disk.clone(),
        };
        let (root, users) = Layers { lower: &lower, own: &own, run: &place.run, ids }.mount()?;
        let argv = bundle::command(instance, &image);
        if argv.is_empty() {
            let failure = Failure::new(
                Kind::Data,
                "ct.command",
                format!("image {} has no command", instance.image.name),
            );
            return Err(failure.hint(format!("write instances.{}.command", instance.of)));
        }
        let own = place.run.join("init");
        let system = bundle::is_system(instance, &image);
        file::write(&own, b"-", Mode::Program)?;
        mounts::shifted(&beside::program(place)?, &own, users.as_ref(), true)?;
        let stop = stop(instance, &image, &root, &argv);
        Ok(Ready { store: store.clone(), image, system, stop, ids, root, users, mounted: BTreeSet::new() })
    }

    /// The first of its ids, if it is a whole system with its own ids.
    pub(crate) fn system(&self) -> Option<u32> {
        self.ids.filter(|_| self.system).map(|ids| ids.first)
    }

    /// Whether its first process is lsx's init, which starts the program of the document.
    pub(crate) fn application(&self) -> bool {
        !self.system
    }

    /// Its ids; without user namespaces those of the host.
    fn ids(&self, instance: &Instance) -> Ids {
        self.ids.unwrap_or(Ids { first: 0, size: instance.ids() })
    }

    /// Its stop signal.
    pub(crate) fn stop_signal(&self) -> Stop {
        self.stop
    }

    /// Writes everything, and config.json last.
    pub(crate) fn write(
        &mut self,
        stack: &str,
        place: &InstanceFolders,
        instance: &Instance,
    ) -> Result<(), Failure> {
        let root = Root::open(&self.root, self.ids(instance))?;
        self.files(&root, place, instance)?;
        proxied(&root, instance)?;
        for folder in &instance.tmpfs {
            root.mounted_over(Path::new(&folder.path), folder.mode.unwrap_or(MEMORY))?;
        }
        // Images with systemd-resolved have a link to its own file, which it never asks for name servers.
        NAMES.iter().try_for_each(|name| root.unlinked(&Path::new("/etc").join(name)))?;
        self.own_names(place, instance)?;
        let user = root.account(&bundle::user(instance, &self.image), Alone::Root)?;
        let values = HostValues {
            init: Some(text(&place.run.join("init"))),
            architecture: std::env::consts::ARCH.to_owned(),
            rootfs: text(&self.root),
            ids: self.ids,
            cgroup: groups::inner(stack, &instance.name),
            swap: limits::swap(),
            secrets: self.secrets(stack, place, instance, (&root, &user))?,
            volumes: self.volumes(stack, place, instance, &root)?,
            user: (user.user, user.group, user.further),
            files: text(&place.run.join("files")),
        };
        let config = bundle::config(instance, &self.image, &values).map_err(|e| {
            Failure::new(Kind::Bug, "ct.oci.config", format!("not a valid OCI specification: {e}"))
        })?;
        let config = serde_json::to_vec(&config)
            .map_err(|e| Failure::new(Kind::Bug, "ct.oci.config", e.to_string()))?;
        file::write(&place.run.join("config.json"), &config, Mode::Private).map(|_| ())
    }

    /// The document's files, if missing or changed in the document. Files that the instance changed itself are kept.
    fn files(&self, root: &Root, place: &InstanceFolders, instance: &Instance) -> Result<(), Failure> {
        let note = place.disk.join("files.json");
        let before: Vec<File> =
            file::read(&note).ok().flatten().and_then(|t| serde_json::from_str(&t).ok()).unwrap_or_default();
        for wanted in instance.files.iter().filter(|f| !before.contains(f)) {
            let owner = root.account(&wanted.owner, Alone::Same)?;
            root.write(Path::new(&wanted.path), &self.store.get(&wanted.digest)?, wanted.mode, &owner)?;
        }
        file::write(&note, &common::document::canonical(&instance.files)?, Mode::Private).map(|_| ())
    }

    /// Its hosts, hostname and resolv.conf, in a tmpfs that its root may write and that cannot grow.
    fn own_names(&mut self, place: &InstanceFolders, instance: &Instance) -> Result<(), Failure> {
        let (folder, ids) = (place.run.join("files"), self.ids(instance).first);
        if self.mounted.insert(folder.clone()) {
            folder_with(&folder, 0o755)?;
            mounts::memory(&folder, ids)?;
        }
        names(&folder, place, instance)?;
        let give = |name: &str| {
            let path = folder.join(name);
            std::os::unix::fs::chown(&path, Some(ids), Some(ids))
                .map_err(|e| file::failure(&path, "give", &e))
        };
        NAMES.iter().try_for_each(|name| give(name))
    }

    fn secrets(
        &mut self,
        stack: &str,
        place: &InstanceFolders,
        instance: &Instance,
        (root, user): (&Root, &Account),
    ) -> Result<Option<String>, Failure> {
        if instance.secrets.is_empty() {
            return Ok(None);
        }
        let (folder, ids) = (place.run.join("secrets"), self.ids(instance).first);
        if self.mounted.insert(folder.clone()) {
            folder_with(&folder, 0o755)?;
            mounts::memory(&folder, ids)?;
        }
        let inside = Root::open(&folder, self.ids(instance))?;
        for secret in &instance.secrets {
            let path = paths::secret(stack, &secret.name);
            let bytes = std::fs::read(&path).map_err(|e| file::failure(&path, "read", &e))?;
            let owner = match &secret.owner {
                Some(owner) => root.account(owner, Alone::Same)?,
                None => user.clone(),
            };
            inside.write(&Path::new("/").join(&secret.name), &bytes, secret.mode.unwrap_or(0o400), &owner)?;
        }
        Ok(Some(text(&folder)))
    }

    fn volumes(
        &mut self,
        stack: &str,
        place: &InstanceFolders,
        instance: &Instance,
        root: &Root,
    ) -> Result<std::collections::BTreeMap<String, String>, Failure> {
        let mut all = std::collections::BTreeMap::new();
        for volume in &instance.volumes {
            let (source, target) =
                (paths::volume(stack, &volume.name), place.run.join(format!("volume-{}", volume.name)));
            volume::ready(stack, &source, root, volume)?;
            if !self.mounted.contains(&target) {
                folder_with(&target, 0o755)?;
                mounts::shifted(&source, &target, self.users.as_ref(), volume.read_only)?;
                self.mounted.insert(target.clone());
            }
            all.insert(volume.name.clone(), text(&target));
        }
        Ok(all)
    }
}

/// Its stop signal; that of an unknown init depends on whether its path is a link to systemd.
fn stop(instance: &Instance, image: &ImageConfiguration, root: &Path, argv: &[String]) -> Stop {
    let program = argv.first().map_or("", String::as_str);
    let leads = || std::fs::read_link(root.join(program.trim_start_matches('/')));
    bundle::stop_signal(instance, image).unwrap_or_else(|| {
        match leads().is_ok_and(|to| to.ends_with("systemd/systemd")) {
            true => bundle::HALT_SYSTEMD,
            false => bundle::HALT,
        }
    })
}

/// Files and folders that are mounted into it.
const NAMES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// The same for a running instance: the folder is only visible in its supervisor's mounts.
pub(crate) fn rename(supervisor: i32, place: &InstanceFolders, instance: &Instance) -> Result<(), Failure> {
    let below = place.run.strip_prefix("/").unwrap_or(&place.run);
    let folder = Path::new("/proc").join(supervisor.to_string()).join("root").join(below).join("files");
    if folder.join(NAMES[0]).exists() { names(&folder, place, instance) } else { Ok(()) } // else it is not prepared yet
}

/// Written in place, since they are bind-mounted.
fn names(folder: &Path, place: &InstanceFolders, instance: &Instance) -> Result<(), Failure> {
    let mut resolver = "# lsx-ct\n".to_owned();
    for server in instance.nics.iter().flat_map(|n| &n.resolver) {
        let line = format!("nameserver {server}\n");
        if !resolver.contains(&line) {
            resolver += &line;
        }
    }
    let search: Vec<&str> = instance.nics.iter().flat_map(|n| &n.search).map(String::as_str).collect();
    if !search.is_empty() {
        resolver += &format!("search {}\n", search.join(" "));
    }
    let hosts = file::read(&place.disk.join("hosts")).ok().flatten().unwrap_or_default();
    for (name, text) in
        [("hosts", hosts), ("hostname", format!("{}\n", instance.hostname)), ("resolv.conf", resolver)]
    {
        let path = folder.join(name);
        file::write_in_place(&path, text.as_bytes(), Mode::Public)?;
    }
    Ok(())
}

/// Writes the proxy to files in the instance. Anything but a regular file of limited size is left unchanged.
fn proxied(root: &Root, instance: &Instance) -> Result<(), Failure> {
    for place in &proxy::FILES {
        let path = Path::new(place.path);
        let Ok(there) = root.read(path) else { continue };
        let folder = place.folder.map(|folder| root.folder_at(Path::new(folder)));
        let folder = matches!(folder, Some(Ok(Some(_))));
        match place.edit(there.as_deref(), folder, instance.proxy.as_ref()) {
            Edit::Leave => {}
            Edit::Write(text) => root.write(path, text.as_bytes(), 0o644, &Account::default())?,
            Edit::Remove => root.remove(path)?,
        }
    }
    Ok(())
}

/// Records the recipes that have been run.
pub(crate) fn did(place: &InstanceFolders, done: &[Done]) -> Result<(), Failure> {
    let note = place.disk.join("recipes.json");
    file::write(&note, &common::document::canonical(&done)?, Mode::Private).map(|_| ())
}

/// The recipes that have been run: they are not run again until the instance is recreated.
pub(crate) fn done(place: &InstanceFolders) -> Result<Vec<Done>, Failure> {
    let path = place.disk.join("recipes.json");
    let text = match file::read(&path) {
        Err(failure) if failure.code == "host.file.damaged" => Some(String::new()),
        text => text?,
    };
    let Some(text) = text else { return Ok(Vec::new()) };
    serde_json::from_str(&text).map_err(|e| {
        let message =
            format!("{} is damaged, so it is unknown which recipes have been run: {e}", path.display());
        Failure::new(Kind::Data, "ct.recipes", message)
            .hint(format!("to run all of them again: rm {}", path.display()))
    })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

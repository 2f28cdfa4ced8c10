//! From the resolved stack and the gathered files, images and secrets to what each host should run.

use super::Goals;
use super::ready::{TIMEOUT_MS, asked};
use crate::model::{
    File, Gathered, IDS, Image, Instance, Limits, Need, Probe, Proxy, Recipe, Rlimit, Secret, Tmpfs, Value,
    Volume, cloud, recipe_key,
};
use common::document;
use common::stack::resolved::{InstanceAt, NicAt, Selector};
use common::stack::{Granted, Instance as Written, Mount, RecipeValue, Resolved, Stack};
use common::tool::PlanInput;
use ipnet::Ipv4Net;
use std::collections::{BTreeMap, BTreeSet};

/// Every host's part of the selected instances; the texts of hosts files are added to `contents`.
pub fn cut(
    input: &PlanInput<Gathered>,
    stack: &Stack,
    resolved: &Resolved,
    contents: &mut BTreeMap<String, String>,
) -> Goals {
    let mut hosts = Hosts { resolved, texts: BTreeMap::new() };
    let mut goals = Goals::new();
    for at in resolved.instances.iter().filter(|at| input.only.instance(&at.of, &at.name)) {
        let Some(written) = stack.instances.get(&at.of) else { continue };
        let hosts_file = hosts.digest(at, contents);
        let instance = instance(input, stack, resolved, at, written, hosts_file);
        goals.entry(at.host.clone()).or_default().push(instance);
    }
    goals
}

fn tmpfs(written: &Written) -> Vec<Tmpfs> {
    let all = written.tmpfs.iter();
    all.map(|(path, t)| Tmpfs { path: path.clone(), size_bytes: t.size.map(|s| s.0), mode: t.mode }).collect()
}

fn rlimits(written: &Written) -> Vec<Rlimit> {
    let all = written.limits.rlimits.iter();
    all.map(|(name, limit)| Rlimit { name: name.clone(), soft: limit.soft, hard: limit.hard }).collect()
}

fn instance(
    input: &PlanInput<Gathered>,
    stack: &Stack,
    resolved: &Resolved,
    at: &InstanceAt,
    written: &Written,
    hosts: String,
) -> Instance {
    let name = written.image.clone().unwrap_or_default();
    let gathered = &input.gathered;
    let driver = stack.driver(written);
    let unknown = || Image { name: name.clone(), digest: String::new() };
    let secret = |granted: &Granted| {
        Some(Secret {
            name: granted.name.clone(),
            owner: granted.owner.clone(),
            mode: granted.mode,
            digest: gathered.secrets.get(&granted.name)?.0.clone(),
        })
    };
    Instance {
        name: at.name.clone(),
        of: at.of.clone(),
        driver,
        image: gathered.images.get(&(name.clone(), driver)).cloned().unwrap_or_else(unknown),
        hostname: written.hostname.clone().unwrap_or_else(|| at.name.clone()),
        nics: at.nics.clone(),
        command: written.command.clone(),
        args: written.args.clone(),
        system: written.system,
        stop_signal: written.stop_signal.map(|signal| signal.name()),
        stop_grace_ms: written.stop_grace.map(|grace| grace.0 * 1000),
        user: written.user.clone(),
        ids: written.ids.filter(|ids| *ids != IDS),
        workdir: written.workdir.clone(),
        env: stack.env(written),
        proxy: stack.proxy(written).map(|proxy| Proxy {
            http: proxy.http.clone(),
            https: proxy.https.clone(),
            env: proxy.env(),
        }),
        limits: Limits {
            memory_bytes: written.limits.memory.map(|s| s.0),
            cpus_milli: written.limits.cpus.map(|c| c.0),
            processes: written.limits.processes,
        },
        files: files(gathered, stack, at, written),
        volumes: written.volumes.iter().map(|(name, mount)| volume(stack, name, mount)).collect(),
        disk_bytes: written.limits.disk.map(|s| s.0),
        shm_bytes: written.shm_size.map(|s| s.0),
        tmpfs: tmpfs(written),
        rlimits: rlimits(written),
        secrets: written.secrets.iter().filter_map(secret).collect(),
        restart: stack.restart(written),
        profiles: written.profiles.clone(),
        recipes: recipes(gathered, stack, written),
        needs: written.needs.iter().flat_map(|need| needs(gathered, (stack, resolved), at, need)).collect(),
        ready: asked(gathered, written, &at.name),
        hosts,
        running: true,
    }
}

/// The recipes of an instance, with their values.
pub(crate) fn recipes(gathered: &Gathered, stack: &Stack, written: &Written) -> Vec<Recipe> {
    let value = |name: &String| {
        let value = match stack.defaults.values.get(name)? {
            RecipeValue::Text(text) => Value::Text(text.clone()),
            RecipeValue::Secret(secret) => {
                let (digest, _) = gathered.secrets.get(secret)?;
                Value::Secret { secret: secret.clone(), digest: digest.clone() }
            }
        };
        Some((name.clone(), value))
    };
    let recipe = |path: &String| {
        let key = recipe_key(path, written.image.as_deref());
        let (digest, mode) = gathered.files.get(&key)?.clone();
        let values = gathered.named.get(&key).into_iter().flatten().filter_map(value).collect();
        Some(Recipe { path: path.clone(), mode, digest, values })
    };
    written.recipes.iter().filter_map(recipe).collect()
}

fn file(gathered: &Gathered, source: &str, path: &str) -> Option<File> {
    let (digest, mode) = gathered.files.get(source)?;
    Some(File { path: path.to_owned(), mode: *mode, owner: String::new(), digest: digest.clone() })
}

/// The instance's own value, else that of `store.volumes`.
fn volume(stack: &Stack, name: &str, mount: &Mount) -> Volume {
    let (owner, mode) = stack.volume_owner(name);
    Volume {
        name: name.to_owned(),
        path: mount.path.clone(),
        read_only: mount.read_only,
        owner: mount.owner.clone().or(owner),
        mode: mount.mode.or(mode),
    }
}

/// Files of the document, ssh keys, and cloud-init data.
fn files(gathered: &Gathered, stack: &Stack, at: &InstanceAt, written: &Written) -> Vec<File> {
    let mut all: Vec<File> = written
        .files
        .iter()
        .filter_map(|(path, f)| {
            let found = file(gathered, &f.source, path)?;
            Some(File {
                mode: f.mode.unwrap_or(found.mode),
                owner: f.owner.clone().unwrap_or_default(),
                ..found
            })
        })
        .collect();
    let keys = file(gathered, &stack.ssh_keys(written).join("\n"), "/root/.ssh/authorized_keys");
    all.extend(keys.map(|f| File { mode: 0o600, ..f }));
    if let Some(seed) = &written.cloud_init {
        let own = ["meta-data", "network-config", "vendor-data"];
        let own =
            own.iter().filter_map(|name| file(gathered, &cloud::key(&at.name, name), &cloud::seed(name)));
        let user = file(gathered, seed, &cloud::seed("user-data"));
        let given: Vec<String> = all.iter().map(|file| file.path.clone()).collect();
        all.extend(
            user.into_iter()
                .chain(own)
                .filter(|f| !given.contains(&f.path))
                .map(|f| File { mode: 0o600, ..f }),
        );
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// All replicas of what is needed; from another host each is probed at an address that both can use.
fn needs(
    gathered: &Gathered,
    (stack, resolved): (&Stack, &Resolved),
    at: &InstanceAt,
    need: &str,
) -> Vec<Need> {
    let Some(written) = stack.instances.get(need) else { return Vec::new() };
    let replicas = resolved.instances.iter().filter(|other| other.of == need && other.name != at.name);
    replicas
        .map(|other| {
            let ready = asked(gathered, written, &other.name);
            Need {
                instance: other.name.clone(),
                here: other.host == at.host,
                address: address(at, other),
                timeout_ms: ready.as_ref().map_or(TIMEOUT_MS, |r| r.timeout_ms),
                probe: ready.map(|r| r.probe).filter(|p| !matches!(p, Probe::Command(_))),
            }
        })
        .collect()
}

/// On a common network, else its first network that an `allow` leads to.
fn address(from: &InstanceAt, to: &InstanceAt) -> Option<std::net::Ipv4Addr> {
    let shared = |nic: &&NicAt| from.nics.iter().any(|own| own.network == nic.network);
    let nic = to.nics.iter().find(shared).or_else(|| to.nics.first());
    nic.map(|nic| nic.address.addr())
}

/// Hosts files: the names of an instance's own networks, then those that an `allow` lets it reach. Instances with the same
/// list share one text.
struct Hosts<'a> {
    resolved: &'a Resolved,
    texts: BTreeMap<Reach<'a>, String>,
}

/// The networks of an instance, and the further addresses that it may reach.
type Reach<'a> = (BTreeSet<&'a str>, BTreeSet<Ipv4Net>);

impl<'a> Hosts<'a> {
    fn digest(&mut self, at: &'a InstanceAt, contents: &mut BTreeMap<String, String>) -> String {
        let reach = self.reach(at);
        if let Some(digest) = self.texts.get(&reach) {
            return digest.clone();
        }
        let text = self.text(&reach);
        let digest = document::digest(text.as_bytes());
        contents.insert(digest.clone(), text);
        self.texts.insert(reach, digest.clone());
        digest
    }

    fn reach(&self, at: &'a InstanceAt) -> Reach<'a> {
        let own: BTreeSet<&str> = at.nics.iter().map(|n| n.network.as_str()).collect();
        let begins = |from: &Selector| match from {
            Selector::Network(name) => own.contains(name.as_str()),
            Selector::Addresses(all) => {
                all.iter().any(|net| at.nics.iter().any(|nic| net.contains(&nic.address.addr())))
            }
            _ => false,
        };
        let cidr =
            |name: &String| self.resolved.networks.iter().find(|n| n.name == *name).and_then(|n| n.cidr);
        let mut beside = BTreeSet::new();
        for allow in self.resolved.allow.iter().filter(|allow| begins(&allow.from)) {
            match &allow.to {
                Selector::Network(name) if !own.contains(name.as_str()) => beside.extend(cidr(name)),
                Selector::Addresses(all) => beside.extend(all),
                _ => {}
            }
        }
        (own, beside)
    }

    fn text(&self, (own, beside): &Reach<'_>) -> String {
        let mut text = "# lsx-ct\n127.0.0.1\tlocalhost\n".to_owned();
        let mut taken = BTreeSet::new();
        for ours in [true, false] {
            for name in &self.resolved.names {
                let network = self.resolved.networks.iter().find(|n| n.contains(name.address));
                let Some(network) = network.filter(|n| own.contains(n.name.as_str()) == ours) else {
                    continue;
                };
                let reached = ours || beside.iter().any(|net| net.contains(&name.address));
                let short = name.name.strip_suffix(&network.domain).and_then(|n| n.strip_suffix('.'));
                let Some(short) = short.filter(|_| reached) else { continue };
                // A short name means the first match; two addresses of one network are listed together.
                if ours || !taken.contains(short) {
                    text += &format!("{}\t{} {short}\n", name.address, name.name);
                } else {
                    text += &format!("{}\t{}\n", name.address, name.name);
                }
                taken.extend(ours.then_some(short));
            }
        }
        text
    }
}

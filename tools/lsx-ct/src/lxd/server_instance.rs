//! Instances as reported by the server, and their meaning for lsx.

use super::marks::{ASIDE, NAME, NOTES, RECIPES, SPEC, STACK, WAS};
use crate::driver::Found;
use crate::model::{Condition, Done, Ids, Instance, State, Usage, engine_name};
use serde::Deserialize;
use std::collections::BTreeMap;

/// An instance in the server, of lsx or not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServerInstance {
    pub(super) name: String,
    pub(super) config: BTreeMap<String, String>,
    pub(super) devices: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) status_code: u32,
    pub(super) last_used_at: String,
    pub(super) state: Option<Now>,
    snapshots: Option<Vec<Snapshot>>,
}

/// A snapshot of one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Snapshot {
    name: String,
}

/// Its state.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Now {
    pid: i64,
    processes: i64,
    cpu: Cpu,
    memory: Memory,
    network: Option<BTreeMap<String, Interface>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Cpu {
    usage: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Memory {
    usage: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Interface {
    counters: Counters,
    r#type: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Counters {
    bytes_received: i64,
    bytes_sent: i64,
}

/// Status code of `Stopped`, the same in LXD and Incus.
const STOPPED: u32 = 102;
/// `Running`.
const RUNNING: u32 = 103;
/// It is frozen.
const FROZEN: u32 = 110;
/// What the server says meanwhile.
const FREEZING: u32 = 109;
const THAWED: u32 = 111;

impl ServerInstance {
    /// The stack and name in its mark. An instance with another name is a copy, or was renamed by somebody else, and is not
    /// lsx's.
    pub(super) fn mark(&self) -> Option<(&str, &str)> {
        let (stack, name) = (self.config.get(STACK)?, self.config.get(NAME)?);
        // A run killed between marking and renaming it: it was not put aside, or no longer is.
        let names = [Some(name.as_str()), name.strip_suffix(ASIDE)];
        let own = names.into_iter().flatten().find(|name| self.name == engine_name(stack, name))?;
        Some((stack, own))
    }

    /// Whether it is this instance of this stack.
    pub(super) fn is(&self, stack: &str, name: &str) -> bool {
        self.mark() == Some((stack, name))
    }

    /// Whether it is another one. Names of stacks and instances have dashes: `a-b-c` may be of stack a, or of a-b.
    pub(super) fn stranger(&self, stack: Option<&str>) -> bool {
        let ours = |stack| self.name.strip_prefix(stack).is_some_and(|rest: &str| rest.starts_with('-'));
        self.mark().is_none_or(|(of, _)| stack.is_some_and(|stack| of != stack && ours(stack)))
    }

    /// Whether it runs.
    pub(super) fn runs(&self) -> bool {
        [RUNNING, FREEZING, FROZEN, THAWED].contains(&self.status_code)
    }

    /// Whether it is frozen.
    pub(super) fn frozen(&self) -> bool {
        [FREEZING, FROZEN].contains(&self.status_code)
    }

    /// Whether it has ended, and the server has processed that.
    pub(super) fn stopped(&self) -> bool {
        self.status_code == STOPPED
    }

    /// Whether its first process records how it ended.
    pub(super) fn notes(&self) -> bool {
        self.config.get("raw.lxc").is_some_and(|lines| lines.contains(NOTES))
    }

    /// The host's number of its user 0.
    pub(super) fn root(&self) -> u32 {
        self.ids().map_or(0, |ids| ids.first)
    }

    /// Its ids on the host, as many as it has both users and groups of; none if it is privileged, with the ids of the host.
    pub(super) fn ids(&self) -> Option<Ids> {
        let map = self.config.get("volatile.idmap.next").map(String::as_str).unwrap_or_default();
        let mut map: Vec<Range> = serde_json::from_str(map).unwrap_or_default();
        map.sort_by_key(|range| range.nsid);
        // A server may divide a range in the middle.
        let size = |kind: &dyn Fn(&Range) -> bool| {
            let next = |end: u32, range: &Range| match range.nsid == end {
                true => end.saturating_add(range.maprange),
                false => end,
            };
            map.iter().filter(|range| kind(range)).fold(0, next)
        };
        let first = map.iter().find(|range| range.isuid && range.nsid == 0)?.hostid;
        Some(Ids { first, size: size(&|range| range.isuid).min(size(&|range| range.isgid)) })
    }

    /// The instance for the rest of lsx-ct, if it belongs to lsx.
    pub(super) fn found(&self) -> Option<Found> {
        let (stack, name) = self.mark()?;
        let spec = self.config.get(SPEC).or_else(|| self.config.get(WAS).filter(|_| !name.ends_with(ASIDE)));
        let instance: Option<Instance> = spec.and_then(|spec| serde_json::from_str(spec).ok());
        Some(Found {
            stack: stack.to_owned(),
            name: name.to_owned(),
            condition: self.condition(instance.as_ref()),
            damaged: None,
            instance,
            snapshots: self.snapshots.iter().flatten().map(|s| s.name.clone()).collect(),
            recipes: self.recipes(),
        })
    }

    /// The recipes that have been run.
    pub(super) fn recipes(&self) -> Vec<Done> {
        self.config.get(RECIPES).and_then(|done| serde_json::from_str(done).ok()).unwrap_or_default()
    }

    /// Its state; one with recipes left to run is still starting.
    fn condition(&self, instance: Option<&Instance>) -> Condition {
        let done = self.recipes();
        let left = instance.and_then(|i| i.recipes_left(&done).first().map(|r| r.path.clone()));
        let left = left.map(|name| format!("recipe {name} has not been run"));
        let frozen = || self.frozen().then(|| "it is frozen".to_owned());
        let pid = self.state.as_ref().and_then(|now| u32::try_from(now.pid).ok()).filter(|pid| *pid > 0);
        let runs = self.runs();
        Condition {
            state: match (runs, &left) {
                (false, _) => State::Stopped,
                (true, Some(_)) => State::Starting,
                (true, None) => State::Running,
            },
            pid: pid.filter(|_| runs),
            started_at: runs.then(|| self.last_used_at.clone()),
            why: left.filter(|_| runs).or_else(frozen),
            ..Condition::default()
        }
    }
}

impl Now {
    /// Its resource usage. The server reports unknown numbers as -1.
    pub(super) fn usage(&self) -> Usage {
        let known = |n: i64| u64::try_from(n).unwrap_or(0);
        let interfaces = || self.network.iter().flatten().filter(|(_, i)| i.r#type != "loopback");
        Usage {
            cpu_ms: known(self.cpu.usage) / 1_000_000,
            memory_bytes: known(self.memory.usage),
            processes: known(self.processes),
            received_bytes: interfaces().map(|(_, i)| known(i.counters.bytes_received)).sum(),
            sent_bytes: interfaces().map(|(_, i)| known(i.counters.bytes_sent)).sum(),
        }
    }
}

/// A range of users, in LXD's format.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Range {
    isuid: bool,
    isgid: bool,
    maprange: u32,
    nsid: u32,
    hostid: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn held(config: serde_json::Value) -> ServerInstance {
        serde_json::from_value(json!({
            "name": "s-a", "config": config, "status_code": 103,
            "last_used_at": "2026-11-21T10:00:00Z",
            "state": {"pid": 7, "processes": -1, "cpu": {"usage": 5_000_000}, "memory": {"usage": 9},
                      "network": {"lo": {"type": "loopback", "counters": {"bytes_received": 5, "bytes_sent": 5}},
                                  "eth0": {"type": "broadcast", "counters": {"bytes_received": 3, "bytes_sent": 4}}}}
        }))
        .unwrap()
    }

    #[test]
    fn what_carries_no_mark_is_a_strangers() {
        assert_eq!(held(json!({})).found(), None);
        assert_eq!(held(json!({"user.lsx.stack": "s"})).found(), None);
        let mut copy = held(json!({"user.lsx.stack": "s", "user.lsx.instance": "a"}));
        assert_eq!(copy.mark(), Some(("s", "a")));
        copy.name = "s-a-copy".to_owned();
        assert_eq!((copy.found(), copy.stranger(Some("s"))), (None, true));
    }

    #[test]
    fn one_that_was_put_aside_is_half_made_until_it_is_back() {
        let spec = json!({
            "name": "a", "of": "a", "driver": "lxd", "image": {"name": "i", "digest": "d"}, "hostname": "a",
            "nics": [], "restart": "always", "hosts": "x", "running": true,
        });
        let mut aside = held(json!({"user.lsx.stack": "s", "user.lsx.instance": "a-ASIDE",
                                    "user.lsx.was": spec.to_string()}));
        let of = |held: &ServerInstance| held.found().map(|found| (found.name, found.instance.is_some()));
        assert_eq!(of(&aside), Some(("a".to_owned(), true)), "not renamed yet, or again");
        aside.name = "s-a-ASIDE".to_owned();
        assert_eq!(of(&aside), Some(("a-ASIDE".to_owned(), false)));
    }

    #[test]
    fn another_stack_may_hold_a_name_of_ours() {
        let mut other = held(json!({"user.lsx.stack": "a-b", "user.lsx.instance": "c"}));
        other.name = "a-b-c".to_owned();
        let of = |stack| other.stranger(stack);
        assert_eq!((of(Some("a")), of(Some("a-b")), of(Some("x")), of(None)), (true, false, false, false));
        assert!(held(json!({})).stranger(None));
    }

    #[test]
    fn what_has_no_spec_is_not_whole() {
        let found = held(json!({"user.lsx.stack": "s", "user.lsx.instance": "a"})).found().unwrap();
        assert_eq!((found.instance, found.condition.pid), (None, Some(7)));
    }

    #[test]
    fn one_whose_recipes_were_not_all_run_still_starts() {
        let file = |path: &str| json!({"path": path, "mode": 0, "digest": "d"});
        let spec = json!({
            "name": "a", "of": "a", "driver": "lxd", "image": {"name": "i", "digest": "d"}, "hostname": "a",
            "nics": [], "restart": "always", "hosts": "x", "running": true, "recipes": [file("one"), file("two")],
        });
        let of = |done: Value| {
            let config = json!({"user.lsx.stack": "s", "user.lsx.instance": "a", "user.lsx.spec": spec.to_string(),
                                "user.lsx.recipes": done.to_string()});
            let condition = held(config).found().unwrap().condition;
            (condition.state, condition.why)
        };
        let why = Some("recipe two has not been run".to_owned());
        assert_eq!(of(json!([file("one")])), (State::Starting, why));
        assert_eq!(of(json!([file("one"), file("two")])), (State::Running, None));
    }

    #[test]
    fn what_the_server_does_not_know_is_zero() {
        let usage = held(json!({})).state.unwrap().usage();
        assert_eq!((usage.processes, usage.cpu_ms, usage.received_bytes, usage.sent_bytes), (0, 5, 3, 4));
    }

    #[test]
    fn users_of_a_privileged_one_are_the_hosts() {
        assert_eq!(held(json!({})).root(), 0);
        let map = r#"[{"Isuid":true,"Isgid":false,"Hostid":100000,"Nsid":0,"Maprange":65536}]"#;
        assert_eq!(held(json!({"volatile.idmap.next": map})).root(), 100_000);
        let map = r#"[{"Isuid":true,"Isgid":true,"Hostid":100000,"Nsid":0,"Maprange":1000},
                      {"Isuid":true,"Isgid":false,"Hostid":1000,"Nsid":1000,"Maprange":1},
                      {"Isuid":false,"Isgid":true,"Hostid":101000,"Nsid":1000,"Maprange":64536},
                      {"Isuid":true,"Isgid":false,"Hostid":101001,"Nsid":1001,"Maprange":64535}]"#;
        let ids = Ids { first: 100_000, size: 65_536 };
        assert_eq!(held(json!({"volatile.idmap.next": map})).ids(), Some(ids));
    }
}

//! lsx-store without hosts: golden cases with the program.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use common::document;
use common::plan::Kept;
use common::stack::{Only, ReadOptions, Resolved, Stack, read, resolve};
use common::tool::{Goal, ObservedOf, PlanInput, Tool as _};
use lsx_store::Store;
use lsx_store::model::{Disk, Facts, Intent, Own, State, Volume};
use lsx_tests::golden;
use lsx_tests::{Tool, blessing};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PROGRAM: &str = "/var/lib/lsx/bin/0123456789abcdef/lsx-store";

fn tool() -> Tool {
    Tool { name: lsx_store::PROGRAM.to_owned(), path: PathBuf::from(env!("CARGO_BIN_EXE_lsx-store")) }
}

fn resolved(text: &str) -> (Stack, Resolved) {
    let (stack, _) = read(text, "stack.yaml", &ReadOptions::default()).unwrap_or_else(|f| panic!("{f}"));
    let resolved = resolve(&stack).unwrap_or_else(|f| panic!("{f}"));
    (stack, resolved)
}

#[test]
fn every_case_gives_what_it_gave() {
    golden::run(&tool(), |case| case.remade(|text, up| left(text, up, &case.folder)));
}

/// The observed documents of the hosts of a stack.
fn left(text: &str, up: bool, folder: &Path) -> Vec<Value> {
    let (_, all) = resolved(text);
    let documents = all.hosts.iter().map(|host| {
        let mut seen = bare(&all.stack, &host.name);
        if up {
            raise(text, &mut seen, folder);
        }
        serde_json::to_value(seen).unwrap()
    });
    documents.collect()
}

fn bare(stack: &str, host: &str) -> ObservedOf<Store> {
    let disk = |at: &str, kind: &str| Disk { at: at.to_owned(), kind: kind.to_owned(), projects: false };
    let disks = vec![disk("/", "ext4"), disk("/data", "btrfs")];
    let seen = Facts { program: PROGRAM.to_owned(), disks, ..Facts::default() };
    ObservedOf::<Store> {
        schema: document::schema("store", "observed"),
        stack: Some(stack.to_owned()),
        only: None,
        host: host.to_owned(),
        base: lsx_store::plan::base(&[], &seen),
        stack_hosts: Vec::new(),
        warnings: Vec::new(),
        objects: Vec::new(),
        seen,
    }
}

/// The objects of a host on which a stack is up.
fn raise(text: &str, seen: &mut ObservedOf<Store>, folder: &Path) {
    let (stack, all) = resolved(text);
    let volumes = lsx_store::plan::wanted(&stack, &all, &seen.host, &seen.seen, &BTreeMap::new()).unwrap();
    if volumes.is_empty() {
        return;
    }
    let objects = lsx_store::plan::objects::of(&stack, &all, &seen.host);
    let beside = |path: &str| folder.join(path);
    let digest = |name: &String| (name.clone(), common::secret::find(&stack, name, &beside).unwrap().digest);
    let secrets: BTreeMap<String, String> =
        objects.iter().flat_map(|objects| objects.users.values()).map(digest).collect();
    let schema = document::schema("store", "intent");
    let (stack, served) = (stack.name, objects.clone().map(|objects| (objects, secrets.clone())));
    let intent = Intent { schema, stack, volumes: volumes.clone(), objects, secrets };
    let digest = Store::intent_key(&intent);
    // In the order in which a host is observed.
    let mut kept: Vec<Kept> = Kept::of(digest, PROGRAM, &seen.host, false).into_iter().rev().collect();
    kept.extend(served.map(|(objects, secrets)| {
        let definition = lsx_store::plan::objects::definition(&objects, &secrets).unwrap();
        Kept::service("s3".to_owned(), document::digest_of(&definition).unwrap(), &definition)
    }));
    seen.objects = lsx_store::plan::haves(volumes, kept);
    seen.base = lsx_store::plan::base(&seen.objects, &seen.seen);
}

fn boot(kept: Value) -> PlanInput<BTreeMap<String, lsx_store::model::Key>> {
    PlanInput {
        stack: "office".to_owned(),
        goal: Goal::Boot(kept),
        only: Only::default(),
        prune: false,
        yes: false,
        accepted: Vec::new(),
        destroy_data: false,
        gathered: BTreeMap::new(),
        hosts: Vec::new(),
    }
}

/// One that has arrived before a crash, and one that was taken down alone, are not in the intent.
#[test]
fn a_boot_removes_no_volume() {
    let text = "stack: office\nhosts: { h1: 198.18.0.11 }\nstore: { root: /srv, volumes: { db: { host: h1 }, \
        down: { host: h1 }, came: { host: h1 }, lost: { host: h1 } } }\n";
    let mut seen = bare("office", "h1");
    raise(text, &mut seen, Path::new("."));
    let (stack, all) = resolved(text);
    let mut volumes = lsx_store::plan::wanted(&stack, &all, "h1", &seen.seen, &BTreeMap::new()).unwrap();
    volumes.retain(|volume| volume.name == "db");
    let schema = document::schema("store", "intent");
    let (stack, secrets) = (stack.name, BTreeMap::new());
    let intent = Intent { schema, stack, volumes, objects: None, secrets };
    let digest = Store::intent_key(&intent);
    let kept: Vec<Kept> = Kept::of(digest, PROGRAM, "h1", false).into_iter().rev().collect();
    let states = |Own::Volume(volume): &Own| {
        let state = match volume.name.as_str() {
            "down" => State::Unmounted,
            "lost" => State::Missing,
            _ => State::Ready,
        };
        Volume { state, ..volume.clone() }
    };
    let there = seen.objects.iter().filter_map(|have| have.object.own()).map(states).collect();
    seen.objects = lsx_store::plan::haves(there, kept);
    let input = boot(serde_json::to_value(intent).unwrap());
    let draft = Store.plan(&input, &BTreeMap::from([("h1".to_owned(), seen)])).unwrap();
    assert!(draft.steps.is_empty(), "{:?}", draft.steps);
}

fn goal_up(text: &str) -> PlanInput<BTreeMap<String, lsx_store::model::Key>> {
    let (stack, all) = resolved(text);
    PlanInput {
        stack: "office".to_owned(),
        goal: Goal::Up(Box::new(stack), Box::new(all)),
        ..boot(Value::Null)
    }
}

/// What `down --only` has unmounted is not mounted by a later run for another volume, and not by the boot after it.
#[test]
fn what_is_down_stays_down_while_others_are_changed() {
    let text = "stack: office\nhosts: { h1: 198.18.0.11 }\n\
        store: { root: /srv, volumes: { db: { host: h1 }, down: { host: h1 } } }\n";
    let mut seen = bare("office", "h1");
    raise(text, &mut seen, Path::new("."));
    let state = |Own::Volume(volume): &Own| {
        let state = if volume.name == "down" { State::Unmounted } else { State::Ready };
        Volume { state, ..volume.clone() }
    };
    let there: Vec<Volume> = seen.objects.iter().filter_map(|have| have.object.own()).map(state).collect();
    seen.objects = lsx_store::plan::haves(there, Vec::new());
    let kept = |goal: Goal| {
        let input = PlanInput { goal, only: Only::parse("store.db").unwrap(), ..boot(Value::Null) };
        let draft = Store.plan(&input, &BTreeMap::from([("h1".to_owned(), seen.clone())])).unwrap();
        let intents = draft.contents.values().map(|text| serde_json::from_str::<Intent>(text).unwrap());
        intents.flat_map(|intent| intent.volumes).map(|volume| volume.name).collect::<Vec<_>>()
    };
    let (stack, all) = resolved(text);
    assert_eq!(kept(Goal::Up(Box::new(stack), Box::new(all))), ["db"]);
    assert_eq!(kept(Goal::Down), [""; 0]);
}

/// A host that was not asked may have what begins empty on another.
#[test]
fn an_empty_volume_is_told_while_a_host_is_not_asked() {
    let text = "stack: office\nhosts: { h1: 198.18.0.11, h2: 198.18.0.12 }\n\
        store: { root: /srv, volumes: { db: { host: h2 } } }\n";
    let told = |hosts: &[&str]| {
        let observed = hosts.iter().map(|host| ((*host).to_owned(), bare("office", host))).collect();
        let draft = Store.plan(&goal_up(text), &observed).unwrap();
        draft.warnings.iter().filter(|warning| warning.code == "store.unasked").count()
    };
    assert_eq!((told(&["h1", "h2"]), told(&["h2"])), (0, 1));
}

/// Both hosts may have a volume of that name without one being the copy of the other.
#[test]
fn a_move_is_over_by_its_name() {
    let text = |host: &str| {
        format!(
            "stack: office\nhosts: {{ h1: 198.18.0.11, h2: 198.18.0.12 }}\n\
             store: {{ root: /srv, volumes: {{ db: {{ host: {host} }} }} }}\n"
        )
    };
    let (stack, all) = resolved(&text("h2"));
    let facts = bare("office", "h2").seen;
    let ready = lsx_store::plan::wanted(&stack, &all, "h2", &facts, &BTreeMap::new()).unwrap().remove(0);
    let with = |state: State, peer: Option<&str>, id: Option<&str>| Volume {
        state,
        peer: peer.map(str::to_owned),
        move_id: id.map(str::to_owned),
        ..ready.clone()
    };
    let seen = |host: &str, volume: Option<&Volume>| {
        let mut seen = bare("office", host);
        seen.objects = lsx_store::plan::haves(volume.cloned().into_iter().collect(), Vec::new());
        (host.to_owned(), seen)
    };
    let plan = |host: &str, seen: Vec<(String, ObservedOf<Store>)>| {
        let draft = Store.plan(&goal_up(&text(host)), &seen.into_iter().collect());
        draft
            .map(|draft| {
                draft.steps.iter().map(|s| format!("{} {}", s.host, s.id)).collect::<Vec<_>>().join(",")
            })
            .map_err(|failures| failures.to_string())
    };
    let leaving = with(State::Leaving, Some("h2"), Some("a"));
    let gone =
        |id| plan("h2", vec![seen("h1", Some(&leaving)), seen("h2", Some(&with(State::Ready, None, id)))]);
    assert!(gone(Some("a")).unwrap().contains("h1 volume.remove:db"));
    for other in [None, Some("b")] {
        assert!(!gone(other).unwrap().contains("volume."), "{other:?}");
    }
    // While the host that it comes from is not asked, nothing is removed.
    let copy = with(State::Arriving, Some("h1"), Some("a"));
    let alone = plan("h2", vec![seen("h2", Some(&copy))]).unwrap_err();
    assert!(alone.contains("h1 was not asked") && !alone.contains("down"), "{alone}");
    // It has moved to a host that is not asked, or that has it; or that has nothing any more.
    let moved = with(State::Moved, Some("h2"), None);
    let here = |more: Vec<_>| plan("h1", [vec![seen("h1", Some(&moved))], more].concat());
    assert!(here(vec![]).unwrap_err().contains("has moved from h1 to h2"));
    assert!(here(vec![seen("h2", Some(&ready))]).unwrap_err().contains("volume move db h1"));
    assert!(here(vec![seen("h2", None)]).unwrap().contains("h1 volume.change:db"));
    let told = plan("h2", vec![seen("h1", Some(&moved)), seen("h2", Some(&ready))]).unwrap();
    assert!(told.contains("h1 volume.remove:db"), "{told}");
}

#[test]
fn the_cases_cover_what_a_plan_can_say() {
    if blessing() {
        return; // The folders are being written.
    }
    let cases = golden::cases("store");
    let all: String = cases.iter().filter_map(|c| c.read("plan.json")).collect();
    for step in [
        "volume.create:",
        "volume.change:",
        "volume.remove:",
        "intent.create:",
        "boot.remove:",
        "service.create:",
        "service.change:",
        "service.remove:",
    ] {
        assert!(all.contains(&format!("\"{step}")), "no case has a step {step}");
    }
    for words in [
        "is not enforced",
        "its content is taken over",
        "state ready becomes unmounted",
        "\"driver\": \"btrfs\"",
        "stays, read-only, in /data/.lsx-removed",
        "h1: volume db",
        "h1: something else than volume db is at /data/db and stays",
        "h2: volume logs is not at /srv/lsx/logs",
        "nobody may use bucket alone",
    ] {
        assert!(all.contains(words), "no plan has {words}");
    }
    let refused: String = cases.iter().filter_map(|c| c.read("error.txt")).collect();
    for words in [
        "volume db is on h1; on h2 it would begin without its content",
        "volume db is not at /data/db",
        "is no longer what is at /data/db",
        "volume db is at /data/db, and would be at /srv/db",
        "the driver zfs is not supported yet",
        "the driver lvm is not supported yet",
        "/srv/lsx is on ext4, not on btrfs",
        "the host has no program btrfs",
        "S3 with TLS is not supported yet",
        "quotas of buckets are not supported yet",
        "objects that expire are not supported yet",
        "bucket policies are not supported yet",
        "the volume web is not one of store.volumes",
        "hint:",
    ] {
        assert!(refused.contains(words), "no case is refused with: {words}");
    }
}

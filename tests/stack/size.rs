//! A stack of 100 hosts, 200 networks and 20,000 instances: time grows with the document, not with its square.

use crate::load;
use common::stack::{ReadOptions, read};
use std::fmt::Write as _;
use std::time::Instant;

/// A stack of a given size, as YAML from a generator.
fn stack(hosts: usize, networks: usize, instances: usize) -> String {
    let mut text = String::from("stack: large\nhosts:\n");
    for i in 0..hosts {
        writeln!(
            text,
            "  h{i}: {{ address: 198.18.{}.{}, ssh: root@198.18.{}.{} }}",
            i / 250,
            i % 250 + 1,
            i / 250,
            i % 250 + 1
        )
        .unwrap();
    }
    text.push_str("networks:\n");
    for i in 0..networks {
        writeln!(text, "  n{i}: {{ cidr: 10.{i}.0.0/16, gateway: h{} }}", i % 10).unwrap();
    }
    text.push_str("allow:\n  - { from: n0, to: n10, ports: [443/tcp] }\ninstances:\n");
    for i in 0..instances {
        writeln!(
            text,
            "  web-of-{i}:\n    image: debian-12\n    host: h{}\n    networks: [n{}, n{}]\n    env: {{ A: b, C: 10.100 }}\n    limits: {{ memory: 512M }}\n    ready: {{ tcp: 80 }}",
            i % hosts, i % networks, (i + 1) % networks,
        )
        .unwrap();
    }
    text
}

/// Peak memory of this process in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

/// A document with mistakes in every line is answered, too, in reasonable time.
#[test]
fn many_mistakes_are_told_in_time() {
    let count = if cfg!(debug_assertions) { 1000 } else { 20_000 };
    let text = stack(10, 20, count).replace("networks: [n", "networks: [m");
    let begin = Instant::now();
    let failures = read(&text, "wrong", &ReadOptions::default()).unwrap_err();
    eprintln!("{} failures in {} ms", failures.0.len(), begin.elapsed().as_millis());
    assert!(failures.0.len() >= count && begin.elapsed().as_secs() < 30);
}

/// Limits are for a release build; without optimisation the stack is a tenth of the size and only has to pass.
#[test]
fn large_stacks_are_quick() {
    let release = !cfg!(debug_assertions);
    let text = if release { stack(100, 200, 20_000) } else { stack(10, 20, 2000) };
    let begin = Instant::now();
    // A flag without `=` ends the reading right after the text was parsed.
    read(&text, "large", &ReadOptions { set: vec!["stop".to_owned()], ..ReadOptions::default() })
        .unwrap_err();
    eprintln!("parse {} ms, {} KiB", begin.elapsed().as_millis(), peak().unwrap_or_default());
    let begin = Instant::now();
    let (parsed, _) = read(&text, "large", &ReadOptions::default()).unwrap();
    let (read_ms, read_kib) = (begin.elapsed().as_millis(), peak().unwrap_or_default());
    drop(parsed);
    let begin = Instant::now();
    let (stack, _, resolved) = load(&text, &ReadOptions::default()).unwrap();
    let (all_ms, all_kib) = (begin.elapsed().as_millis(), peak().unwrap_or_default());
    eprintln!(
        "{} bytes: read {read_ms} ms, {read_kib} KiB; read and resolve {all_ms} ms, {all_kib} KiB",
        text.len()
    );
    assert_eq!(resolved.instances.len(), if release { 20_000 } else { 2000 });
    // The document as `resolve` pipes it: one line of JSON, with its lock.
    let json = serde_json::to_string(&common::stack::resolved_document(&stack, &resolved)).unwrap();
    drop((stack, resolved));
    let begin = Instant::now();
    let (_, _, again) = load(&json, &ReadOptions::default()).unwrap();
    let (json_ms, json_kib) = (begin.elapsed().as_millis(), peak().unwrap_or_default());
    eprintln!("{} bytes of JSON with lock: {json_ms} ms, {json_kib} KiB", json.len());
    assert!(!again.instances.is_empty());
    if release {
        assert!(all_ms < 3000, "{all_ms} ms");
    }
}

//! Lines of dnsmasq's leases, which have what clients call themselves.

use super::*;
use lsx_tests::{Dice, soak};

#[test]
fn soak_leases() {
    let lines = [
        "1900000000 02:00:00:00:00:01 10.0.0.20 laptop 01:02:00:00:00:00:01",
        "1900000000 02:00:00:00:00:02 10.0.0.21 * *",
        "1900000000 06-02:00:00:00:00:03 10.0.0.22 Printer *",
        "1000000000 02:00:00:00:00:04 10.0.0.23 old *",
        "1900000000 02:00:00:00:00:05 192.0.2.9 elsewhere ff:56:50:4d",
        "duid 00:01:00:01:2b:6f:5f:0a:02:00:00:00:00:01",
    ];
    let config: Dhcp = serde_json::from_str(
        r#"{"stack": "t", "networks": [{"name": "lan", "link": "b0", "cidr": "10.0.0.0/24", "range": ["10.0.0.20", "10.0.0.90"],
            "domain": "lan.internal", "lease": 60, "options": {}, "reserved": [{"mac": "02:00:00:00:00:01", "address": "10.0.0.20", "name": "a"}]}]}"#,
    )
    .unwrap();
    let make = |dice: &mut Dice| {
        let line = lines[dice.below(lines.len())];
        (if dice.below(3) > 0 { dice.broken(line) } else { line.to_owned() }).into_bytes()
    };
    soak("dns-lease", 5_000, 20, make, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let text = text.lines().next().map(|line| format!("{line}\n")).unwrap_or_default();
        let Some(line) = database::lines(&text, 1_800_000_000).next() else { return false };
        let lease = lease(&config, line);
        let shown = lease.name.iter().chain(&lease.network).chain([&lease.mac, &lease.until_at]);
        shown.for_each(|text| {
            let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b':' | b'.'));
            assert!(plain && text.len() < 300, "{text:?}");
        });
        assert_eq!(lease.network.is_some(), config.networks[0].cidr.contains(&lease.address));
        true
    });
}

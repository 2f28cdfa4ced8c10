//! What the document says about a name.

use crate::tool;
use lsx_tests::top;
use serde_json::Value;

const STACK: &str = "tests/fixtures/dns/up/stack.yaml";

fn explained(words: &[&str]) -> Value {
    let file = top(STACK).display().to_string();
    let args = [&["explain", "--stack", &file], words].concat();
    tool().run(args).end().with(0).document()
}

#[test]
fn a_name_is_explained() {
    let told = explained(&["db.storage.internal", "--from", "production"]);
    assert_eq!(told["schema"], "lsx.dns.explain/1");
    assert_eq!((&told["network"], &told["type"]), (&"production".into(), &"A".into()), "{told}");
    assert_eq!((&told["server"], &told["zone"]), (&"10.104.0.1:53".into(), &"internal".into()), "{told}");
    assert_eq!(told["view"], serde_json::json!(["production"]), "{told}");
    let record = &told["expected"]["records"][0];
    assert_eq!((&record["type"], &record["data"]), (&"A".into(), &"10.105.0.144".into()), "{told}");
    assert!(told.get("answer").is_none() && told.get("same").is_none(), "{told}");
    // From where it may not be reached, it is missing; from elsewhere another server is asked.
    let hidden = explained(&["db.storage.internal", "--from", "db"]);
    assert_eq!(hidden["server"], "10.105.0.1:53", "{hidden}");
    let hidden = explained(&["web-1.production.internal", "--from", "storage"]);
    assert_eq!(
        (&hidden["expected"]["code"], hidden["expected"]["records"][0].clone()),
        (&"NXDOMAIN".into(), Value::Null)
    );
}

#[test]
fn addresses_types_and_names_of_others() {
    let reverse = explained(&["10.105.0.144"]);
    assert_eq!(reverse["name"], "144.0.105.10.in-addr.arpa", "{reverse}");
    assert_eq!(
        reverse["expected"]["records"][0]["data"].as_str().unwrap().trim_end_matches('.'),
        "db.storage.internal"
    );
    let service = explained(&["_http._tcp.internal", "srv", "--from", "web-2"]);
    assert_eq!(service["expected"]["records"].as_array().unwrap().len(), 2, "{service}");
    let other = explained(&["www.example.org", "MX"]);
    assert_eq!(other["forward"], serde_json::json!(["those of the host"]), "{other}");
    assert!(other.get("zone").is_none(), "{other}");
    let refused = explained(&["internal", "ANY"]);
    assert_eq!(
        (&refused["expected"]["code"], &refused["expected"]["why"]),
        (&"REFUSED".into(), &"Not Supported".into()),
        "{refused}"
    );
}

#[test]
fn mistakes_are_told() {
    let file = top(STACK).display().to_string();
    for (words, code, said) in [
        (&["a..b"][..], 64, "is not a name"),
        (&["a.b", "NONE"], 64, "is not a type"),
        (&["a.b", "--from", "prodution"], 64, "production"),
        (&["a.b", "--from", "far"], 64, "no instance of far"),
    ] {
        let args = [&["explain", "--stack", &file], words].concat();
        let ended = tool().run(args).end().refused(code);
        assert!(ended.stderr.contains(said), "{words:?}: {}", ended.stderr);
    }
}

/// What machines boot, by architecture, and the lines that say so.
#[test]
fn boot_files_are_explained() {
    let file = top("tests/fixtures/dns/boot-once/stack.yaml").display().to_string();
    let told = tool().run(["explain", "--stack", &file, "02:00:5e:00:53:07"]).end().with(0).document();
    let boot = told["boot"].as_array().unwrap();
    let of = |number: u64| {
        boot.iter().find(|one| one["architecture"] == number).unwrap_or_else(|| panic!("{told}"))
    };
    assert_eq!((&of(7)["by"], &of(7)["file"]), (&"tftp".into(), &"ipxe.efi".into()));
    assert_eq!((&of(16)["by"], &of(16)["file"]), (&"http".into(), &"http://10.104.0.1:8080/ipxe.efi".into()));
    assert!(boot.iter().all(|one| one["architecture"] != 11), "{told}");
    let menu = boot.iter().find(|one| one["kind"] == "ipxe").unwrap();
    assert_eq!((&menu["file"], menu.get("architecture")), (&"menus/boot.ipxe".into(), None));
    let sources = told["sources"].as_array().unwrap();
    let source = sources.iter().find(|at| at["record"] == "boot file of architecture 7: ipxe.efi").unwrap();
    let line = 1 + std::fs::read_to_string(&file)
        .unwrap()
        .lines()
        .position(|line| line.contains("boot: { volume"))
        .unwrap();
    assert_eq!(source["path"], "dns.boot.files.uefi");
    assert!(source["at"].as_str().unwrap().starts_with(&format!("{file}:{line}:")), "{source}");
}

/// What a client of DHCP gets, with the line that gives it; told without root and without a host.
#[test]
fn a_client_of_dhcp_is_explained() {
    let file = top("tests/fixtures/dns/dhcp/stack.yaml").display().to_string();
    let told = |words: &[&str]| {
        let args = [&["explain", "--stack", &file], words].concat();
        tool().run(args).end().with(0).document()
    };
    let source = |told: &Value, record: &str| {
        let all = told["sources"].as_array().unwrap();
        let found = all.iter().find(|at| at["record"].as_str().unwrap().starts_with(record));
        found.unwrap_or_else(|| panic!("{record}: {told}")).clone()
    };
    let lines = std::fs::read_to_string(&file).unwrap();
    let line = |word: &str| 1 + lines.lines().position(|line| line.trim_start().starts_with(word)).unwrap();
    let printer = told(&["02-00-5E-00-53-01"]);
    assert_eq!(printer["schema"], "lsx.dns.offer/1");
    assert_eq!((&printer["network"], &printer["host"]), (&"front".into(), &"h1".into()), "{printer}");
    assert_eq!((&printer["address"], &printer["name"]), (&"10.104.0.210".into(), &"printer".into()));
    assert_eq!((&printer["lease"], printer.get("range")), (&3600.into(), None), "{printer}");
    for (record, path, word) in [
        ("address 10.104.0.210", "dns.dhcp.front.reserve.printer", "printer:"),
        ("name printer", "dns.dhcp.front.reserve.printer", "printer:"),
        ("lease of 3600 seconds", "dns.dhcp.front.lease", "lease:"),
        ("option 42, ntp-server: 192.0.2.1,192.0.2.2", "dns.dhcp.front.options.ntp", "options:"),
        ("option 252: http://wpad/a,b", "dns.dhcp.front.options.wpad", "options:"),
        ("option 3, router: 10.104.0.1", "networks.front", "front:"),
    ] {
        let source = source(&printer, record);
        assert_eq!(source["path"], path, "{source}");
        assert!(source["at"].as_str().unwrap().starts_with(&format!("{file}:{}:", line(word))), "{source}");
    }
    // They are what dnsmasq is given.
    let lab = tool().run(["plan", "--observed", "observed.json", "stack.yaml"]);
    let plan = lab.within(&top("tests/fixtures/dns/dhcp")).end().with(0).stdout;
    assert!(plan.contains("02:00:5e:00:53:01,10.104.0.210,printer"), "{plan}");
    let plan = plan.replace(['\\', '"'], ""); // Texts are in quotation marks.
    for (number, values) in printer["options"].as_object().unwrap() {
        let values: Vec<&str> = values.as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect();
        assert!(plan.contains(&format!(",{}", values.join(","))), "{number} {values:?}");
    }
    // An instance, and somebody unknown.
    let resolved = tool().run(["resolve", &file]).end().with(0).document();
    let instances = resolved["resolved"]["instances"].as_array().unwrap();
    let nic = &instances.iter().find(|at| at["name"] == "web-1").unwrap()["nics"][0];
    let web = told(&[nic["mac"].as_str().unwrap(), "--from", "front"]);
    assert_eq!((&source(&web, "address")["path"], &web["name"]), (&"instances.web".into(), &"web-1".into()));
    assert!(nic["address"].as_str().unwrap().starts_with(web["address"].as_str().unwrap()), "{web}");
    let unknown = told(&["02:00:00:00:00:99"]);
    assert_eq!(unknown["range"], serde_json::json!(["10.104.0.200", "10.104.0.250"]), "{unknown}");
    assert!(unknown.get("address").is_none() && unknown.get("name").is_none(), "{unknown}");
    assert_eq!(source(&unknown, "an address from")["path"], "networks.front.dhcp_range");
    let table =
        tool().run(["explain", "--stack", &file, "02:00:00:00:00:99", "--table"]).end().with(0).stdout;
    assert!(table.contains("RECORD") && table.contains("follows from the"), "{table}");
}

#[test]
fn mistakes_about_clients_of_dhcp_are_told() {
    let (with, without) = (top("tests/fixtures/dns/dhcp/stack.yaml"), top(STACK));
    for (file, words, code, said) in [
        (&with, &["02:00:00:00:00:0g"][..], 64, "02:00:00:00:00:0g is not a hardware address"),
        (&with, &["02:00:00:00:00:+1"], 64, "is not a hardware address"),
        (&with, &["02:00:00:00:00:01", "A"], 64, "no records of the type A"),
        (&with, &["02:00:00:00:00:01", "--from", "back"], 64, "no DHCP in a network back"),
        (&with, &["02:00:00:00:00:01", "--from", "\u{1b}[2J"], 64, "no DHCP in a network"),
        (&without, &["02:00:00:00:00:01"], 1, "has no network with DHCP"),
    ] {
        let file = file.display().to_string();
        let args = [&["explain", "--stack", &file], words].concat();
        let ended = tool().run(args).end().refused(code);
        assert!(ended.stderr.contains(said), "{words:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    }
}

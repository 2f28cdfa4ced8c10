//! Debian's cloud-init in whole systems of all three engines: it gets its user data, the name and the network of the
//! instance, and `up` waits for its result.

use crate::cloud::Cloud;
use crate::shop::{ct, made};
use lsx_tests::lab::Ran;
use serde_json::Value;

pub(crate) const CASES: &[crate::Case] =
    &[("debians_cloud_init_runs_in_every_engine", debians_cloud_init_runs_in_every_engine)];

/// With a DHCP client, so that a configuration of the network by cloud-init would start it.
const IMAGE: &str =
    "mmdebstrap:bookworm?include=systemd-sysv,cloud-init,ifupdown,isc-dhcp-client,iproute2&slim=yes";
const ENGINES: [&str; 3] = ["oci", "lxd", "incus"];

/// Without a locale, since generating one would need further packages; the last command takes a while.
const GOOD: &str = "#cloud-config
locale: false
write_files: [{ path: /srv/told, content: \"by cloud-init\" }]
runcmd: [hostname >/srv/name, sleep 3, touch /srv/done]
";
const BAD: &str = "#cloud-config
locale: false
runcmd: [exit 7]
";

fn instances(word: &str) -> String {
    let one = |engine: &str| {
        format!(
            "  {word}-{engine}: {{ image: cloud-init, driver: {engine}, host: h1, networks: [lan], hostname: {word}-host-{engine}, \
             cloud_init: {word}, system: true, command: [/sbin/init] }}\n"
        )
    };
    ENGINES.map(one).concat()
}

/// Runs a script in an instance without lsx.
fn inside(cloud: &Cloud, engine: &str, script: &str) -> String {
    let name = format!("seeded-good-{engine}");
    let ran: Ran = match engine {
        "oci" => cloud.inside("h1", "seeded/good-oci", script),
        "lxd" => cloud.lab.exec("h1", &["lxc", "exec", &name, "--", "sh", "-ec", script]),
        _ => cloud.lab.exec("h1", &["incus", "exec", &name, "--", "sh", "-ec", script]),
    };
    ran.ok().stdout
}

fn debians_cloud_init_runs_in_every_engine(cloud: &Cloud) {
    if !made(cloud, "cloud-init", IMAGE) {
        return;
    }
    cloud.lab.file("good", GOOD);
    cloud.lab.file("bad", BAD);
    let file = cloud.stack("seeded", &instances("good"));
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    ct(cloud, &["up", &file]);
    let wanted: Value = cloud.lab.net(&["resolve", &file]).ok().json();
    for engine in ENGINES {
        let read = |path: &str| inside(cloud, engine, &format!("cat {path}")).trim().to_owned();
        assert_eq!(read("/srv/told"), "by cloud-init", "{engine}");
        assert_eq!(
            inside(cloud, engine, "ls /srv/done"),
            "/srv/done\n",
            "{engine}: `up` waited for the last command"
        );
        let name = format!("good-host-{engine}");
        assert_eq!([read("/srv/name"), read("/etc/hostname")], [&name, &name].map(String::clone));
        let addresses: Value =
            serde_json::from_str(&inside(cloud, engine, "ip -j -4 address show eth0")).unwrap();
        let all = wanted["resolved"]["instances"].as_array().unwrap();
        let own = all.iter().find(|i| i["name"] == format!("good-{engine}")).unwrap();
        let own = own["nics"][0]["address"].as_str().unwrap().split('/').next().unwrap();
        assert_eq!(addresses[0]["addr_info"][0]["local"], own);
        let dhcp = "ls /var/lib/dhcp/*.leases /etc/network/interfaces.d/* 2>/dev/null || true; pgrep dhclient || true";
        assert_eq!(inside(cloud, engine, dhcp), "", "{engine}: the network is lsx's");
    }
    fails_by_name(cloud);
    // systemd gets the signal that it understands, although the document names it by a link.
    let begin = std::time::Instant::now();
    let names = ENGINES.map(|engine| format!("good-{engine}"));
    let [oci, lxd, incus] = names.each_ref().map(String::as_str);
    ct(cloud, &["stop", oci, lxd, incus, "--grace", "4m", "--stack", &file]);
    assert!(begin.elapsed().as_secs() < 200, "{:?}", begin.elapsed());
    cloud.end(&file);
}

/// A result that will not change ends the wait at once: other instances are kept.
fn fails_by_name(cloud: &Cloud) {
    let file = cloud.stack("seeded", &[instances("good"), instances("bad")].concat());
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    let ran = cloud.ct(&["up", &file, "--deadline", "30m", "--log", "json"]).exits(1);
    for engine in ENGINES {
        let name = format!("bad-{engine} is not ready");
        let failure = ran.stderr.lines().find(|line| line.contains(&name) && line.contains("failed"));
        let failure = failure.unwrap_or_else(|| panic!("{name}: {}", ran.stderr));
        assert!(failure.contains("cloud-init failed: status: error"), "{failure}");
    }
    let changed: Value = cloud.ct(&["plan", &file]).ok().json();
    let steps: Vec<&str> =
        changed["steps"].as_array().unwrap().iter().filter_map(|s| s["id"].as_str()).collect();
    assert!(steps.iter().all(|step| !step.contains("good")), "{steps:?}");
}

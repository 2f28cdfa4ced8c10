//! A new instance, compared with the tool's output and with the kernel.

use crate::cloud::Cloud;
use serde_json::Value;
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] = &[
    ("an_instance_has_what_the_document_says", an_instance_has_what_the_document_says),
    ("it_has_the_rights_that_docker_gives_and_no_more", it_has_the_rights_that_docker_gives_and_no_more),
    ("its_limits_are_in_the_control_groups", its_limits_are_in_the_control_groups),
    ("a_secret_is_in_memory_and_nowhere_else", a_secret_is_in_memory_and_nowhere_else),
    ("files_and_recipes_and_volumes", files_and_recipes_and_volumes),
    ("down_leaves_nothing_but_data", down_leaves_nothing_but_data),
];

const INSTANCES: &str = "
  web:
    image: bb
    host: h1
    networks: [lan]
    hostname: shop
    resolver: [9.9.9.9]
    command: [httpd, -f, -p, \"80\", -h, /srv]
    workdir: /srv
    env: { COLOUR: blue, EMPTY: \"\" }
    limits: { memory: 64M, cpus: 0.5, processes: 50 }
    files: { /srv/index.html: { source: page.html, mode: \"0640\", owner: app }, /etc/deep/er/plain: page.html, /etc/lone: { source: page.html, owner: \"7\" } }
    volumes: { data: /data, kept: { path: /kept, read_only: true } }
    secrets: [word]
    recipes: [first.sh]
    ready: { http: \":80/\", timeout: 60s }
  other: { image: bb, host: h2, networks: [lan], user: app, command: [sleep, \"1000\"] }
secrets: { word: \"file:word.txt\" }";
const SECRET: &str = "open-sesame-4711";

fn whole(cloud: &Cloud) -> String {
    let lab = &cloud.lab;
    lab.file("page.html", "hello\n");
    lab.file("word.txt", SECRET);
    std::fs::create_dir_all(lab.folder.path().join("recipes")).unwrap();
    lab.file("recipes/first.sh", "echo again >>/srv/recipes\n");
    let file = cloud.stack("whole", INSTANCES);
    if cloud.said("h1", "whole/web")["state"] != "running" {
        cloud.start(&file);
    }
    file
}

fn an_instance_has_what_the_document_says(cloud: &Cloud) {
    let before = ["h1", "h2"].map(|h| cloud.snapshot(h));
    let file = whole(cloud);
    let resolved = cloud.ct(&["resolve", &file]).ok().json()["resolved"].clone();
    let nic =
        &resolved["instances"].as_array().unwrap().iter().find(|i| i["name"] == "web").unwrap()["nics"][0];
    let links: Value =
        cloud.inside("h1", "whole/web", "ip -j addr 2>/dev/null || true").stdout.parse().unwrap_or_default();
    let pid = cloud.pid("h1", "whole/web").to_string();
    let links = if links.is_array() {
        links
    } else {
        cloud.lab.json("h1", &format!("nsenter -t {pid} -n ip -j addr"))
    };
    let eth0 = links.as_array().unwrap().iter().find(|l| l["ifname"] == "eth0").unwrap();
    let address =
        format!("{}/{}", eth0["addr_info"][0]["local"].as_str().unwrap(), eth0["addr_info"][0]["prefixlen"]);
    assert_eq!((&eth0["mtu"], &eth0["address"]), (&nic["mtu"], &nic["mac"]), "{eth0}");
    assert_eq!(address, nic["address"].as_str().unwrap());
    let route = cloud.lab.json("h1", &format!("nsenter -t {pid} -n ip -j route show default"));
    assert_eq!(route[0]["gateway"], nic["gateway"], "{route}");

    let read = |script: &str| cloud.inside("h1", "whole/web", script).ok().stdout;
    assert_eq!(read("hostname; cat /etc/hostname"), "shop\nshop\n");
    assert!(read("cat /etc/resolv.conf").contains("nameserver 9.9.9.9\n"));
    let hosts = read("cat /etc/hosts");
    let own = nic["address"].as_str().unwrap().split('/').next().unwrap().to_owned();
    assert!(hosts.lines().any(|l| l.starts_with(&own)) && hosts.contains("127.0.0.1"), "{hosts}");
    let environment = read(
        "tr '\\0' '\\n' </proc/1/environ; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; readlink $p/cwd; done",
    );
    assert!(environment.contains("COLOUR=blue\n") && environment.contains("EMPTY=\n"), "{environment}");
    assert!(
        environment.contains("HOSTNAME=shop\n") && environment.contains("httpd -f -p 80 -h /srv /srv\n"),
        "{environment}"
    );
    // Traffic: the other host's instance reads the page.
    let page = cloud.inside("h2", "whole/other", &format!("wget -q -O - http://{own}/")).ok();
    assert_eq!(page.stdout, "hello\n");
    // The tool's output agrees.
    let seen = cloud.seen(&file, "web");
    assert_eq!((&seen["state"], &seen["addresses"][0]), (&"running".into(), &own.into()), "{seen}");
    assert!(seen["pid"].is_u64() && seen["memory_bytes"].as_u64() > Some(0), "{seen}");
    assert!(cloud.runtime("h1").iter().any(|c| c.ends_with(" running")), "{:?}", cloud.runtime("h1"));
    BEFORE.get_or_init(|| before);
}

static BEFORE: std::sync::OnceLock<[BTreeSet<String>; 2]> = std::sync::OnceLock::new();

fn it_has_the_rights_that_docker_gives_and_no_more(cloud: &Cloud) {
    whole(cloud);
    let pid = cloud.pid("h1", "whole/web");
    let status = cloud.lab.script("h1", &format!("cat /proc/{pid}/status")).ok().stdout;
    let line = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
    // Docker's fourteen: chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot
    // mknod audit_write setfcap (capability.h).
    assert_eq!(line("CapBnd:"), "00000000a80425fb");
    assert_eq!(line("CapInh:"), "0000000000000000");
    assert_eq!(line("Seccomp:"), "2");
    let said = |argv: &[&str]| {
        let tool = cloud.tool_on("h1");
        let words = [&[&tool, "exec", "--on", "whole/web", "--"], argv].concat();
        cloud.lab.exec("h1", &words).stdout.parse::<Value>().unwrap_or_default()
    };
    for (argv, words) in [
        (&["unshare", "-r", "true"][..], "not permitted"),
        (&["mount", "-t", "tmpfs", "none", "/tmp"], "denied"),
        (&["sh", "-c", "echo 1 >/proc/sys/kernel/hostname"], ""),
        (&["sh", "-c", "echo b >/proc/sysrq-trigger"], ""),
        (&["sh", "-c", "echo 1 >/sys/fs/cgroup/pids/x"], ""),
        (&["mknod", "/tmp/sda", "b", "8", "0"], ""),
        (&["ip", "link", "add", "dummy9", "type", "dummy"], ""),
    ] {
        let ran = said(argv);
        let complaint = ran["stderr"].as_str().unwrap_or_default().to_lowercase();
        assert!(ran["ok"] == false && complaint.contains(words), "{argv:?}: {ran}");
    }
    let kcore =
        said(&["sh", "-c", "head -c 1 /proc/kcore | wc -c; ls /proc/acpi /sys/firmware /proc/scsi | wc -l"]);
    assert!(kcore["stdout"].as_str().unwrap().starts_with("0\n"), "{kcore}");
    let maps = [("h1", "whole/web"), ("h2", "whole/other")].map(|(host, of)| {
        let map = cloud.lab.script(host, &format!("cat /proc/{}/uid_map", cloud.pid(host, of))).ok().stdout;
        map.split_whitespace().map(|n| n.parse::<u64>().unwrap()).collect::<Vec<_>>()
    });
    for map in &maps {
        assert!(map[0] == 0 && map[1] >= 0x4000_0000 && map[2] == 65536, "{map:?}");
    }
    let who = cloud.lab.script("h2", "ps -eo uid,args | grep '[s]leep 1000'").ok().stdout;
    let uid: u64 = who.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(uid, maps[1][1] + 1000, "its user is one of its own");
}

fn its_limits_are_in_the_control_groups(cloud: &Cloud) {
    whole(cloud);
    let script = "cd /sys/fs/cgroup; if test -e cgroup.controllers
        then cd lsx/whole/web/in; cat memory.max pids.max; cut -d' ' -f1 cpu.max
        else cat memory/lsx/whole/web/in/memory.limit_in_bytes pids/lsx/whole/web/in/pids.max cpu/lsx/whole/web/in/cpu.cfs_quota_us; fi";
    let said = cloud.lab.script("h1", script).ok().stdout;
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["67108864", "50", "50000"]);
}

fn a_secret_is_in_memory_and_nowhere_else(cloud: &Cloud) {
    let file = whole(cloud);
    let read = |script: &str| cloud.inside("h1", "whole/web", script).ok().stdout;
    assert_eq!(read("cat /run/secrets/word"), SECRET);
    assert_eq!(read("stat -c '%a %u %g' /run/secrets/word"), "400 0 0\n");
    assert_eq!(read("grep ' /run/secrets ' /proc/self/mountinfo | grep -c ' - tmpfs '"), "1\n");
    read("! sh -c 'echo x >/run/secrets/word' 2>/dev/null");
    for args in [&["plan", &file][..], &["observe", &file], &["resolve", &file]] {
        let ran = cloud.ct(args).ok();
        assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{args:?}");
    }
    // On the host: in root's own folder, and nowhere else; not in an argument, a state or a log.
    let found = cloud.lab.script("h1", &format!("grep -rl {SECRET} /run /etc/lsx /var/lib/lsx /var/log 2>/dev/null; grep -al {SECRET} /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | grep -v self; true"));
    let found: Vec<&str> = found.stdout.lines().filter(|l| !l.starts_with("/proc/")).collect();
    assert_eq!(found, ["/var/lib/lsx/secrets/whole/ct/word"]);
    let modes = cloud
        .lab
        .script("h1", "stat -c %a /var/lib/lsx/secrets/whole/ct/word; grep -c . /proc/mounts")
        .ok()
        .stdout;
    assert!(modes.starts_with("600\n"), "{modes}");
}

fn files_and_recipes_and_volumes(cloud: &Cloud) {
    let file = whole(cloud);
    let read = |script: &str| cloud.inside("h1", "whole/web", script).ok().stdout;
    assert_eq!(
        read("stat -c '%a %u %g' /srv/index.html /etc/deep /etc/deep/er/plain /etc/lone"),
        "640 1000 1000\n755 0 0\n644 0 0\n644 7 7\n"
    );
    assert_eq!(read("cat /srv/recipes"), "again\n");
    read("echo mine >/data/note; ! touch /kept/x 2>/dev/null; echo changed >>/srv/index.html");
    cloud.ct(&["restart", "web", "--stack", &file]).ok();
    assert_eq!(read("cat /srv/recipes"), "again\n", "once, not at each start");
    assert_eq!(read("cat /data/note; tail -n 1 /srv/index.html"), "mine\nchanged\n", "what it wrote stays");
    let owner = cloud.lab.script("h1", "stat -c %u /var/lib/lsx/volumes/whole/data/note").ok().stdout;
    assert_eq!(owner, "0\n", "as the instance sees it, so that it can move to another range of ids");
    assert_eq!(cloud.changed(&file), 0);
}

fn down_leaves_nothing_but_data(cloud: &Cloud) {
    let file = whole(cloud);
    cloud.inside("h1", "whole/web", "echo mine >/data/note").ok();
    let down = cloud.ct(&["down", &file]).ok();
    assert!(down.stderr.contains("volume data"), "{}", down.stderr);
    cloud.lab.script("h1", "test -e /var/lib/lsx/volumes/whole/data/note").ok();
    cloud.ct(&["up", &file]).ok();
    assert_eq!(cloud.inside("h1", "whole/web", "cat /data/note").ok().stdout, "mine\n");
    cloud.ct(&["down", &file, "--destroy-data", "wrong"]).exits(64);
    cloud.end(&file);
    if let Some(before) = BEFORE.get() {
        cloud.same("h1", &before[0], "after down");
        cloud.same("h2", &before[1], "after down");
    }
}

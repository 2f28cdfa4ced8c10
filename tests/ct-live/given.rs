//! What an instance gets in addition to its image: volumes, secrets, memory, limits, by the document or the image.

use crate::cloud::Cloud;
use lsx_tests::image;
use std::process::Command;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_new_volume_is_what_the_image_has_at_its_place", a_new_volume_is_what_the_image_has_at_its_place),
    ("secrets_belong_to_the_user_of_their_instance", secrets_belong_to_the_user_of_their_instance),
    ("a_program_may_open_its_own_output", a_program_may_open_its_own_output),
    (
        "encrypted_and_derived_secrets_reach_their_instance",
        encrypted_and_derived_secrets_reach_their_instance,
    ),
    ("memory_and_limits_are_as_the_document_says", memory_and_limits_are_as_the_document_says),
    ("system_calls_are_dockers", system_calls_are_dockers),
    ("a_disk_has_an_end_and_the_host_a_reserve", a_disk_has_an_end_and_the_host_a_reserve),
];

/// An image with a folder of data owned by another user.
fn with_data(cloud: &Cloud) {
    let folder = cloud.lab.folder.path();
    image::busybox(folder, "db", "third");
    let script = "mkdir -p data/var/db/deep; echo seed >data/var/db/deep/file; ln -s deep/file data/var/db/link; chmod 700 data/var/db
        chmod 640 data/var/db/deep/file; tar -C data --owner=1000 --group=2000 -rf db.tar ./var/db";
    assert!(Command::new("sh").args(["-ec", script]).current_dir(folder).status().unwrap().success());
}

fn a_new_volume_is_what_the_image_has_at_its_place(cloud: &Cloud) {
    with_data(cloud);
    let before = cloud.snapshot("h1");
    let it = |more: &str| {
        let text = format!(
            "\n  it: {{ image: \"tar:db.tar\", host: h1, networks: [lan], user: app, volumes: {{ data: /var/db{more} }} }}\nstore: {{ volumes: {{ kept: {{ owner: \"3:4\", mode: \"0710\" }} }} }}"
        );
        cloud.stack("fill", &text.replace("store: { volumes: {", "store: { volumes: { data: {}, plain: {},"))
    };
    let file = it(", kept: /var/kept, plain: /srv/none, mine: { path: /mine, owner: app, mode: \"0750\" }");
    let file = {
        let text = std::fs::read_to_string(&file).unwrap().replace("plain: {},", "plain: {}, mine: {},");
        cloud.lab.file("fill.yaml", &text)
    };
    cloud.start(&file);
    let read = |script: &str| cloud.inside("h1", "fill/it", script).ok().stdout;
    assert_eq!(
        read(
            "stat -c '%n %a %u %g' /var/db /var/db/deep/file /var/kept /srv/none /mine; readlink /var/db/link; cat /var/db/link"
        ),
        "/var/db 700 1000 2000\n/var/db/deep/file 640 1000 2000\n/var/kept 710 3 4\n/srv/none 755 0 0\n/mine 750 1000 1000\ndeep/file\nseed\n"
    );
    // On disk, by its numbers in the instance: it can be used with another range of ids.
    let disk = cloud
        .lab
        .script("h1", "cd /var/lib/lsx/volumes/fill; stat -c '%a %u %g' data data/deep/file mine; ls -A")
        .ok()
        .stdout;
    assert_eq!(disk, "700 1000 2000\n640 1000 2000\n750 1000 1000\ndata\nkept\nmine\nplain\n");
    // It writes as its own user; created and removed files stay so.
    let tool = cloud.tool_on("h1");
    let run = |script: &str| {
        cloud.lab.exec("h1", &[&tool, "exec", "--on", "fill/it", "--", "sh", "-ec", script]).ok()
    };
    run("id -u | grep -x 1000; echo own >/var/db/own; rm /var/db/link");
    cloud.ct(&["restart", "it", "--stack", &file]).ok();
    assert_eq!(read("cat /var/db/own; ls -A /var/db"), "own\ndeep\nown\n");
    assert_eq!(cloud.changed(&file), 0);
    cloud.end(&file);
    cloud.same("h1", &before, "after volumes");
}

fn secrets_belong_to_the_user_of_their_instance(cloud: &Cloud) {
    cloud.lab.file("word.txt", "sesame");
    let text = "\n  it: { image: bb, host: h1, networks: [lan], user: app, secrets: [word, { name: shared, owner: \"root:extra\", mode: \"0440\" }] }\n  other: { image: bb, host: h1, networks: [lan], user: \"7:9\", secrets: word }\nsecrets: { word: \"file:word.txt\", shared: \"file:word.txt\" }";
    let file = cloud.stack("owners", text);
    cloud.start(&file);
    let read = |of: &str, script: &str| cloud.inside("h1", of, script).ok().stdout;
    let stat = "cd /run/secrets; stat -c '%n %a %u %g' *";
    assert_eq!(read("owners/it", stat), "shared 440 0 2000\nword 400 1000 1000\n");
    assert_eq!(read("owners/other", stat), "word 400 7 9\n");
    let tool = cloud.tool_on("h1");
    let run =
        ["exec", "--on", "owners/it", "--", "sh", "-c", "cat /run/secrets/word; ! touch /run/secrets/x"];
    let ran = cloud.lab.exec("h1", &[&[tool.as_str()], &run[..]].concat()).ok().json();
    assert_eq!((&ran["stdout"], &ran["code"]), (&"sesame".into(), &0.into()), "{ran}");
    cloud.end(&file);
}

/// The operator's age and openssl give the same values; no document contains one.
fn encrypted_and_derived_secrets_reach_their_instance(cloud: &Cloud) {
    let folder = cloud.lab.folder.path();
    let script = r#"printf 'a seed of more than sixteen bytes' >seed; age-keygen -o identity 2>/dev/null
        printf sesame | age -r "$(age-keygen -y identity)" -o word.age
        hex() { od -An -v -tx1 | tr -d ' \n'; }
        openssl kdf -binary -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:"$(hex <seed)" \
            -kdfopt hexsalt:"$(printf lsx.secret/1 | hex)" -kdfopt hexinfo:"$(printf 'sealed\0own\0001' | hex)" HKDF |
            base64 | tr '+/' '-_' | tr -d '='"#;
    let ran =
        Command::new("bash").args(["-euo", "pipefail", "-c", script]).current_dir(folder).output().unwrap();
    let derived = String::from_utf8(ran.stdout).unwrap().trim().to_owned();
    assert_eq!((ran.status.success(), derived.len()), (true, 43), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = "\n  it: { image: bb, host: h1, networks: [lan], secrets: [word, own] }\n\
                secrets: { seed: \"file:seed\", word: \"age:word.age\", own: derive }";
    let file = cloud.stack("sealed", text);
    cloud.lab.net(&["up", "--quiet", &file]).ok();
    cloud.ct(&["up", &file]).exits(65).says("--age-identity");
    let identity = folder.join("identity").display().to_string();
    let told = cloud.ct(&["up", &file, "--age-identity", &identity]).ok();
    assert!(!told.stdout.contains("sesame") && !told.stdout.contains(&derived), "{}", told.stdout);
    let inside =
        cloud.inside("h1", "sealed/it", "cat /run/secrets/word; echo; cat /run/secrets/own").ok().stdout;
    assert_eq!(inside, format!("sesame\n{derived}"));
    cloud.lab.script("h1", &format!("! grep -rlE 'sesame|{derived}' /etc/lsx /run/lsx")).ok();
    // Earlier versions kept them in the folder of the stack: `up` moves them, `down` removes them.
    let earlier = "cd /var/lib/lsx/secrets/sealed; mv ct/word .; echo old >other; ls ct";
    assert_eq!(cloud.lab.script("h1", earlier).ok().stdout, "own\n");
    let set = ["up", &file, "--age-identity", &identity, "--set", "instances.it.env.A=1"];
    cloud.ct(&set).ok();
    let listed = "cd /var/lib/lsx/secrets/sealed; ls; ls ct; cat ct/word; echo older >late";
    assert_eq!(cloud.lab.script("h1", listed).ok().stdout, "ct\nother\nown\nword\nsesame");
    cloud.end(&file);
    cloud.lab.script("h1", "! test -e /var/lib/lsx/secrets/sealed").ok();
}

/// As servers do that log to /dev/stdout: they open it again, as their own user.
fn a_program_may_open_its_own_output(cloud: &Cloud) {
    let command = r#"command: [sh, -c, "echo told >/dev/stdout; echo warned >/dev/stderr; exec sleep 1000"]"#;
    let file = cloud.stack(
        "output",
        &format!("\n  root: {{ image: bb, host: h1, networks: [lan], {command} }}\n  it: {{ image: bb, host: h1, networks: [lan], user: app, {command} }}"),
    );
    cloud.start(&file);
    for name in ["root", "it"] {
        let log = || cloud.ct(&["logs", name, "--plain", "--stack", &file]).ok().stdout;
        assert!(lsx_tests::lab::until(30, || log().contains("warned")), "{}", log());
        assert!(log().contains("told") && !log().contains("ermission"), "{}", log());
        let script = "echo said >/dev/stdout; echo sighed >/dev/stderr";
        let ran = cloud.ct(&["exec", "--stack", &file, "--on", name, "--", "sh", "-c", script]).ok().json();
        assert_eq!((&ran["stdout"], &ran["stderr"]), (&"said\n".into(), &"sighed\n".into()), "{ran}");
    }
    cloud.end(&file);
}

fn memory_and_limits_are_as_the_document_says(cloud: &Cloud) {
    let text = "\n  it: { image: bb, host: h1, networks: [lan], shm_size: 16M, tmpfs: { /cache: 8M, /var/own: { size: 4M, mode: \"0750\" } }, limits: { nofile: \"1234:4321\", core: 0, memlock: \"8K:16K\", stack: 4M } }";
    let file = cloud.stack("amounts", text);
    cloud.start(&file);
    let read = |script: &str| cloud.inside("h1", "amounts/it", script).ok().stdout;
    assert_eq!(
        read("df -k /dev/shm /cache /var/own | tail -n 3 | tr -s ' ' | cut -d' ' -f1,2,6"),
        "tmpfs 16384 /dev/shm\ntmpfs 8192 /cache\ntmpfs 4096 /var/own\n"
    );
    assert_eq!(read("stat -c %a /cache /var/own"), "1777\n750\n");
    let pid = cloud.pid("h1", "amounts/it");
    let limits = cloud.lab.script("h1", &format!("cat /proc/{pid}/limits")).ok().stdout;
    let limit = |name: &str| {
        let line = limits.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("{limits}"));
        line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(limit("Max open files"), "1234 4321");
    assert_eq!(limit("Max core file size"), "0 0");
    assert_eq!(limit("Max locked memory"), "8192 16384");
    assert_eq!(limit("Max stack size"), "4194304 4194304");
    // Its root writes its hosts file, as everywhere, and the host's is not changed.
    read("echo 192.0.2.1 there >>/etc/hosts; grep -q there /etc/hosts; chmod 4755 /etc/hosts");
    cloud.lab.script("h1", "! test -e /run/lsx/ct/amounts/it/files/hosts").ok();
    read("! dd if=/dev/zero of=/etc/hosts bs=1M count=64 2>/dev/null");
    cloud.ct(&["restart", "it", "--stack", &file]).ok();
    assert!(read("cat /etc/hosts").contains("it.lan.internal"), "lsx's own words are there again");
    // Now the folders exist below the mounts, and runc would use their modes.
    assert_eq!(read("stat -c %a /cache /var/own"), "1777\n750\n");
    assert_eq!(cloud.changed(&file), 0);
    cloud.end(&file);
}

/// System calls by number, with harmless arguments: the filter answers EPERM, the kernel something else.
const CALLS: &str = "#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
int main(void) {
    int calls[] = {SYS_bpf, SYS_kexec_load, SYS_add_key, SYS_userfaultfd, SYS_perf_event_open, SYS_unshare, 425, 451, 452, 454, 455, 456, 457, 458, 462, 464, 465};
    for (unsigned n = 0; n < sizeof calls / sizeof *calls; n++) {
        errno = 0;
        syscall(calls[n], -1, -1, -1, -1, -1, -1);
        printf(\"%d %s\\n\", calls[n], errno == EPERM ? \"refused\" : \"passed\");
    }
    int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, 38, 40, 12};
    for (unsigned n = 0; n < sizeof families / sizeof *families; n++) {
        errno = 0;
        int fd = socket(families[n], SOCK_DGRAM, 0);
        printf(\"family %d %s\\n\", families[n], fd < 0 && errno == EPERM ? \"refused\" : \"passed\");
    }
    return 0;
}
";

fn system_calls_are_dockers(cloud: &Cloud) {
    let source = cloud.lab.file("calls.c", CALLS);
    let target = cloud.lab.folder.path().join("calls");
    assert!(Command::new("cc").args(["-static", "-o"]).arg(&target).arg(source).status().unwrap().success());
    let file = cloud.stack("calls", "\n  it: { image: bb, host: h1, networks: [lan], command: [sleep, \"1000\"], files: { /bin/calls: { source: calls, mode: \"0755\" } } }");
    cloud.start(&file);
    let tool = cloud.tool_on("h1");
    let ran = cloud.lab.exec("h1", &[&tool, "exec", "--on", "calls/it", "--", "calls"]).ok().json();
    let said = ran["stdout"].as_str().unwrap();
    let of = |verdict: &str| {
        let lines = said.lines().filter_map(|line| line.strip_suffix(verdict));
        lines.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    // bpf, kexec_load, add_key, userfaultfd, perf_event_open, unshare, io_uring_setup.
    assert_eq!(
        of("refused"),
        ["321", "246", "248", "323", "298", "272", "425", "family 38", "family 40", "family 12"],
        "{said}"
    );
    // cachestat, fchmodat2, futex_wake, futex_wait, futex_requeue, statmount, listmount, mseal, getxattrat, listxattrat.
    assert_eq!(
        of("passed")[..10],
        ["451", "452", "454", "455", "456", "457", "458", "462", "464", "465"],
        "{said}"
    );
    cloud.end(&file);
}

fn a_disk_has_an_end_and_the_host_a_reserve(cloud: &Cloud) {
    let before = cloud.snapshot("h1");
    let it = |size: &str| {
        cloud.stack(
            "bounded",
            &format!("\n  it: {{ image: bb, host: h1, networks: [lan], limits: {{ disk: {size} }} }}"),
        )
    };
    let file = it("32M");
    cloud.start(&file);
    let read = |script: &str| cloud.inside("h1", "bounded/it", script).ok().stdout;
    let room = || read("df -k / | tail -n 1 | tr -s ' ' | cut -d' ' -f2").trim().parse::<u32>().unwrap();
    assert!((20_000..32_768).contains(&room()), "{}", room());
    read(
        "echo mine >/srv/mine; ! dd if=/dev/zero of=/srv/big bs=1M count=40 2>/srv/why; grep -q 'No space' /srv/why || test ! -s /srv/why; rm -f /srv/big /srv/why",
    );
    let taken =
        cloud.lab.script("h1", "stat -c '%s %b %B %a' /var/lib/lsx/ct/bounded/it/layer.img").ok().stdout;
    let numbers: Vec<u64> = taken.split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert!(
        numbers[0] == 32 << 20 && numbers[1] * numbers[2] >= 31 << 20 && numbers[3] == 600,
        "{taken}: all of it is there"
    );
    // After a killed supervisor, a restart and a larger limit the files are still there.
    cloud.lab.script("h1", "kill -9 $(jq .supervisor /run/lsx/ct/bounded/it/state.json)").ok();
    cloud.ct(&["up", &file]).ok();
    assert_eq!(read("cat /srv/mine"), "mine\n");
    let file = it("64M");
    cloud.ct(&["up", &file]).ok();
    assert!(room() > 45_000 && read("cat /srv/mine") == "mine\n", "{}", room());
    assert_eq!(cloud.changed(&file), 0);
    cloud.ct(&["up", &it("32M")]).exits(1).says("limits.disk is less than the current 64 MiB");
    cloud.ct(&["up", &it("900T")]).exits(1).says("the host lacks space for");
    cloud.ct(&["up", &it("64M")]).ok();
    assert_eq!(read("cat /srv/mine"), "mine\n");
    cloud.end(&file);
    cloud.same("h1", &before, "after a limited disk");
    cloud.lab.script("h1", "! losetup -a | grep bounded").ok();
}

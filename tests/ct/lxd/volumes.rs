//! The initial content of a volume: the image's folder, with owners and modes; and output of programs, passed on while they run.

use crate::host::Host;
use serde_json::{Value, json};

pub(crate) const CASES: &[crate::Case] = &[
    ("a_new_volume_is_what_the_image_has_there", a_new_volume_is_what_the_image_has_there),
    ("what_is_no_folder_of_the_image_fills_nothing", what_is_no_folder_of_the_image_fills_nothing),
    ("what_a_program_writes_is_told_while_it_runs", what_a_program_writes_is_told_while_it_runs),
];

fn with(host: &Host, name: &str, volumes: Value) -> Value {
    let mut wanted = host.instance(name);
    wanted["volumes"] = volumes;
    wanted
}

/// As seen in the instance: on disk LXD 5.0 uses other ids if the kernel cannot shift them.
fn within(host: &Host, name: &str, what: &[&str]) -> String {
    host.exec(name, &[&["stat", "-c", "%n %a %u %g"], what].concat())
}

fn a_new_volume_is_what_the_image_has_there(host: &Host) {
    let wanted = with(
        host,
        "filled",
        json!([
            {"name": "data", "path": "/srv/db"},
            {"name": "mine", "path": "/mine", "owner": "app", "mode": 0o750},
        ]),
    );
    host.run(&wanted);
    let there = ["/srv/db", "/srv/db/deep", "/srv/db/deep/file", "/srv/db/link", "/mine"];
    assert_eq!(
        within(host, "filled", &there),
        "/srv/db 750 1000 1001\n/srv/db/deep 755 1000 1001\n/srv/db/deep/file 640 7 4\n/srv/db/link 777 1000 1001\n/mine 750 1000 1001"
    );
    // Links are copied as links, and never followed.
    let disk =
        "cd /var/lib/lsx/volumes/s/data; ls -A; readlink link; readlink out; cat link; test ! -s empty";
    assert_eq!(host.script(disk), "deep\nempty\nlink\nout\ndeep/file\n/etc/passwd\nseed\n");
    // Files that the instance removed or changed are not restored: only a new volume is filled.
    let change = "rm -r /srv/db/deep /srv/db/link /srv/db/out /srv/db/empty; echo own >/srv/db/own";
    host.exec("filled", &["sh", "-c", change]);
    host.ok(&json!({"verb": "remove", "name": "filled"}));
    host.run(&wanted);
    assert_eq!(host.exec("filled", &["ls", "-A", "/srv/db"]), "own");
    assert_eq!(within(host, "filled", &["/srv/db", "/mine"]), "/srv/db 750 1000 1001\n/mine 750 1000 1001");
    host.ok(&json!({"verb": "remove", "name": "filled"}));
    // A new owner in the document also applies to an existing volume.
    let other = json!([{"name": "data", "path": "/srv/db", "owner": "3:4", "mode": 0o711}]);
    host.run(&with(host, "filled", other));
    assert_eq!(within(host, "filled", &["/srv/db", "/srv/db/own"]), "/srv/db 711 3 4\n/srv/db/own 644 0 0");
    host.clean("filled");
    host.script("rm -r /var/lib/lsx/volumes/s");
}

fn what_is_no_folder_of_the_image_fills_nothing(host: &Host) {
    host.run(&with(host, "plain", json!([{"name": "new", "path": "/not/there"}])));
    assert_eq!(within(host, "plain", &["/not/there"]), "/not/there 755 0 0");
    assert_eq!(host.exec("plain", &["ls", "-A", "/not/there"]), "");
    host.clean("plain");
    // Opening a pipe blocks. Incus reports a size of zero; LXD 5.0 reports no size.
    if host.engine.driver == "incus" {
        host.run(&with(host, "plain", json!([{"name": "pipes", "path": "/srv/pipes"}])));
        assert_eq!(host.script("cd /var/lib/lsx/volumes/s/pipes; ls -A; test ! -p pipe"), "pipe\n");
        host.clean("plain");
    }
    // A volume at a symbolic link could be anywhere: nothing is copied, and the server does not mount it.
    let wanted = with(host, "plain", json!([{"name": "by", "path": "/srv/by"}]));
    host.ok(&json!({"verb": "create", "instance": wanted}));
    assert_eq!(host.script("ls -A /var/lib/lsx/volumes/s/by"), "");
    host.fails(&json!({"verb": "start", "instance": wanted}), "ct.lxd.refused");
    host.clean("plain");
    let nobody = with(host, "plain", json!([{"name": "data", "path": "/srv/db", "owner": "nobody-here"}]));
    host.fails(&json!({"verb": "create", "instance": nobody}), "ct.lxd.owner");
    host.clean("plain");
    host.script("rm -r /var/lib/lsx/volumes/s");
}

/// The program waits for a file that is created only after its first output has been read.
fn what_a_program_writes_is_told_while_it_runs(host: &Host) {
    host.run(&host.instance("told"));
    let script = "echo first; echo aside >&2; while ! test -e /go; do sleep 0.1; done; echo last; exit 3";
    let order = json!({"verb": "hear", "name": "told", "argv": ["/bin/sh", "-c", script], "until": "first",
        "then": ["/bin/touch", "/go"], "deadline_ms": 60_000});
    let said = host.ok(&order);
    assert_eq!(said, json!({"code": 3, "stdout": "first\nlast\n", "stderr": "aside\n"}));
    let late = json!({"verb": "hear", "name": "told", "argv": ["/bin/sh", "-c", "echo x; sleep 5000"], "deadline_ms": 700});
    assert_eq!(host.ok(&late), json!({"code": 124, "stdout": "x\n", "stderr": ""}));
    assert!(!host.exec("told", &["ps", "-o", "args"]).contains("5000"), "it has ended with its time");
    host.clean("told");
}

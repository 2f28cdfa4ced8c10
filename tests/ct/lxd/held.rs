//! Programs in instances end with those who started them, and files are copied, as with the driver oci.

use crate::host::Host;
use lsx_tests::lab::until;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_program_ends_with_its_caller_however_that_ends", a_program_ends_with_its_caller_however_that_ends),
    ("files_are_copied_into_and_out_of_a_whole_system", files_are_copied_into_and_out_of_a_whole_system),
];

/// How `exec` is called, and the program: each has another time to sleep.
const CALLS: [(&str, &str); 5] = [
    // The server records the output.
    ("exec --on s/held --", "sh -c 'sleep 4771; true'"),
    // Without the variable that marks it, and by another process.
    ("exec --on s/held --", "sh -c 'env -i sh -c \"sleep 4772; true\"; true'"),
    // The server's own client passes it on.
    ("exec --plain --on s/held --", "sh -c 'sleep 4773; true'"),
    ("exec --plain --on s/held --", "env -i sleep 4774"),
    // With standard input.
    ("exec -i --on s/held --", "sh -c 'cat; sleep 4775; true'"),
];

fn a_program_ends_with_its_caller_however_that_ends(host: &Host) {
    host.run(&host.instance("held"));
    let gone = |what: &str| {
        let script = format!("! pgrep -fx '{what}'");
        assert!(until(60, || host.lab.script("h1", &script).code == 0), "{what} still runs");
    };
    for signal in ["KILL", "TERM"] {
        for (call, program) in CALLS {
            let time: String = program.split("sleep ").nth(1).unwrap().chars().take(4).collect();
            let sleep = format!("sleep {time}");
            let script = format!(
                "echo in | /opt/lsx/lsx-ct {call} {program} >/dev/null 2>&1 & i=0
                 until pgrep -fx '{sleep}'; do sleep 0.1; i=$((i + 1)); test $i -lt 600; done; kill -{signal} $!; wait || true"
            );
            host.lab.script("h1", &format!("set +e; {script}")).ok();
            gone(&sleep);
        }
    }
    // What others run there goes on, and nobody of lsx waits.
    host.lab.script("h1", "/opt/lsx/lsx-ct exec s/held -- sh -c 'sleep 4776 >/dev/null 2>&1 &'").ok();
    assert_eq!(host.exec("held", &["sh", "-c", "ps -o args | grep -c '[s]leep 4776'"]), "1");
    assert!(until(60, || host.lab.script("h1", "! pgrep -f '[/]proc/self/exe guard'").code == 0));
    assert_eq!(host.exec("held", &["sh", "-c", "ps -o args | grep -c '[s]leep 4776'"]), "1");
    host.clean("held");
}

/// A whole system has lsx's own program for it, too.
fn files_are_copied_into_and_out_of_a_whole_system(host: &Host) {
    host.run(&host.instance("boots"));
    let cp = |words: &str| host.lab.script("h1", &format!("/opt/lsx/lsx-ct cp {words}"));
    host.script("mkdir -p /tmp/tree/deep; echo inner >/tmp/tree/deep/file; head -c 9000000 /dev/urandom >/tmp/tree/big");
    cp("/tmp/tree s/boots:/srv/tree").ok();
    assert_eq!(host.script("$CLI exec s-boots -- cat /srv/tree/deep/file"), "inner\n");
    cp("s/boots:/srv/tree /tmp/back").ok();
    host.script("diff -r /tmp/tree /tmp/back; rm -r /tmp/tree /tmp/back");
    assert_eq!(host.script("$CLI exec s-boots -- cat /proc/1/comm"), "init\n", "it is a system");
    host.clean("boots");
}

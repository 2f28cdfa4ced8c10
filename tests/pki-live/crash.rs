//! Whatever is killed at any time: the next `up` repairs it, with the same root once there is one, and `down` leaves nothing.

use crate::office::{AUTHORITY, Office, TEXT, WWW};

pub(crate) const CASES: &[crate::Case] = &[(
    "a_run_killed_before_any_step_is_finished_by_the_next",
    a_run_killed_before_any_step_is_finished_by_the_next,
)];

fn a_run_killed_before_any_step_is_finished_by_the_next(office: &Office) {
    // No balancer, so that a run takes a second.
    let (text, rest) = TEXT.split_once("balance:").unwrap();
    let pki =
        rest.split_once("\n\n").unwrap().1.replace("names: [internal]", "names: [internal], for: host/h1");
    let file = office.lab.file("crash.yaml", &format!("{text}{pki}"));
    let destroy = ["down", "-q", &file, "--destroy-data", "office"];
    let mut most = 0;
    for n in 0..12 {
        let point = n.to_string();
        let ran = office.pki(&["up", "-q", &file, "--failpoint", &point]);
        if ran.code == 0 {
            most = n;
            break;
        }
        let root = office.on("h2", &format!("cat {AUTHORITY}/root.pem 2>/dev/null || true"));
        // What a step was making that ran beside the killed one.
        office.on("h2", &format!("test ! -d {AUTHORITY} || touch {AUTHORITY}/../../.lsx-4294967295-abc; mkdir -p -m 700 {AUTHORITY}.new; echo half >{AUTHORITY}.new/root-key.pem"));
        office.pki(&["up", "-q", &file]).ok();
        let now = office.on("h2", &format!("cat {AUTHORITY}/root.pem"));
        assert!(root.is_empty() || root == now, "{n}: another root");
        office.root(&file);
        let verify = format!(
            "cd {WWW}; openssl verify -x509_strict -CAfile /root/root.pem -untrusted chain.pem cert.pem"
        );
        assert_eq!(office.on("h1", &verify), "cert.pem: OK\n", "{n}");
        // A key without a certificate, as a kill between both leaves it.
        office.on("h1", &format!("cd {WWW}; rm cert.pem chain.pem fullchain.pem; touch .lsx-4294967295-abc"));
        if n == 0 {
            assert_eq!(office.changes(&file), 1, "{n}");
            assert_eq!(office.on("h1", &verify), "cert.pem: OK\n", "{n}");
        }
        let _ = office.pki(&[&destroy[..], &["--failpoint", &point]].concat());
        office.pki(&destroy).ok();
        for host in ["h1", "h2"] {
            assert_eq!(office.there(host), "", "{n}: {host}");
        }
    }
    assert!(most > 3, "{most}");
    office.pki(&destroy).ok();
}

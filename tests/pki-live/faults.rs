//! Certificates that are not what they should be: `check` finds them, and `up` repairs them; an authority that is damaged is left alone.

use crate::office::{AUTHORITY, Office, TEXT, WWW};

pub(crate) const CASES: &[crate::Case] =
    &[("what_is_wrong_is_found_and_repaired", what_is_wrong_is_found_and_repaired)];

fn what_is_wrong_is_found_and_repaired(office: &Office) {
    let file = office.file();
    let server = office.start();
    // Its time is over.
    office.aged(100);
    office.served();
    let found = office.findings(&file);
    for wanted in ["state expired becomes valid", "pki.served", "its time ended at "] {
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
    assert_eq!(office.changes(&file), 1);
    assert_eq!(office.serial(), office.on_disk());
    of_others(office, &file);
    of_the_socket(office, &file);
    of_the_key(office, &file);
    of_the_authority(office, &file);
    office.pki(&["check", &file]).ok();
    office.end(server);
}

/// Another authority, and a certificate for another key.
fn of_others(office: &Office, file: &str) {
    let own = format!(
        "cd {WWW}; openssl req -x509 -key key.pem -subj /CN=www.internal -addext subjectAltName=DNS:www.internal -addext extendedKeyUsage=serverAuth \
         -days 90 >cert.pem; cat cert.pem chain.pem >fullchain.pem"
    );
    office.on("h1", &own);
    office.served();
    let found = office.findings(file);
    for wanted in ["state foreign becomes valid", "certificate www", "198.18.0.11:443", "lsx-pki up"] {
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
    let why = office.pki(&["observe", file]).ok().lines();
    let why = why[0]["certificates"][0]["why"].as_str().unwrap().to_owned();
    assert!(why.starts_with("it does not lead to the root of the stack"), "{why}");
    assert_eq!(office.changes(file), 1);
    assert_eq!(office.serial(), office.on_disk());
    office.on("h1", &format!("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {WWW}/key.pem; chmod 600 {WWW}/key.pem"));
    let found = office.findings(file);
    assert!(found.contains("state damaged becomes valid"), "{found}");
    assert_eq!(office.changes(file), 1);
    assert_eq!(office.serial(), office.on_disk());
    // Another name in the document.
    let more =
        office.lab.file("more.yaml", &TEXT.replace("names: [internal]", "names: [internal, shop.internal]"));
    assert_eq!(office.changes(&more), 1);
    let names = office.on("h2", "openssl s_client -connect 198.18.0.11:443 -servername www.internal </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName");
    assert!(names.contains("DNS:internal, DNS:shop.internal, DNS:www.internal"), "{names}");
    assert_eq!(office.changes(file), 1, "and back");
    // A name that the authority does not permit: nothing is done.
    let before = office.on_disk();
    let wrong = office.lab.file("wrong.yaml", &TEXT.replace("names: [internal]", "names: [www.example.org]"));
    office.pki(&["up", &wrong]).exits(65).says("may not issue certificates for www.example.org");
    assert_eq!(office.on_disk(), before);
}

/// The disk is right, and the socket is not.
fn of_the_socket(office: &Office, file: &str) {
    let supervisor = "$(jq .supervisor /run/lsx/office/net/balance.state.json)";
    office.on("h1", &format!("kill -STOP {supervisor}"));
    office.aged(1);
    let found = office.findings(file);
    for wanted in [
        "it shows another certificate than the one on disk: for internal",
        "\"host\":\"h1\"",
        "balance/www",
        "lsx-net up",
    ] {
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
    office.on("h1", &format!("kill -CONT {supervisor}"));
    office.served();
    // It has another lifetime than the document says.
    assert_eq!(office.changes(file), 1);
    office.pki(&["check", file]).ok();
}

/// A key that others could read is not used any more.
fn of_the_key(office: &Office, file: &str) {
    let before = office.on("h1", &format!("chmod 644 {WWW}/key.pem; sha256sum {WWW}/key.pem"));
    let found = office.findings(file);
    assert!(found.contains("state open becomes valid"), "{found}");
    assert_eq!(office.changes(file), 1);
    assert_ne!(office.on("h1", &format!("sha256sum {WWW}/key.pem")), before);
    assert_eq!(office.on("h1", &format!("stat -c %a {WWW}/key.pem")), "600\n");
    assert_eq!(office.serial(), office.on_disk());
}

/// It is never made anew, and what it has issued goes on.
fn of_the_authority(office: &Office, file: &str) {
    office.on("h2", &format!("mv {AUTHORITY}/issuer.pem /root/kept.pem"));
    office
        .pki(&["up", file])
        .exits(1)
        .says("the authority of stack office cannot be used")
        .says("put its files back");
    office.on("h2", &format!("test ! -e {AUTHORITY}/issuer.pem; mv /root/kept.pem {AUTHORITY}/issuer.pem; chmod 640 {AUTHORITY}/root-key.pem"));
    office.pki(&["up", file]).exits(1).says("others than root can use").says("chmod 600");
    office.on("h2", &format!("chmod 600 {AUTHORITY}/root-key.pem"));
    let moved = office.lab.file("moved.yaml", &TEXT.replace("host: h2, cert", "host: h1, cert"));
    office.pki(&["up", &moved]).exits(65).says("is on h2, not on h1");
    assert_eq!(office.curl("h2", "", "--cacert /root/root.pem"), "200");
    // Without its host what is there is used, and nothing is issued.
    let alone = office.pki(&["up", "--offline", "h2", file]).ok();
    assert_eq!(alone.json()["status"]["pki"]["changed"], 0);
    office.on("h1", &format!("rm {WWW}/cert.pem"));
    office.pki(&["up", "--offline", "h2", file]).exits(69).says("certificate www has to come from h2");
    assert_eq!(office.changes(file), 1);
}

//! Readiness by TLS: an instance is ready only by a certificate that is trusted and has its name.

use crate::cloud::Cloud;
use lsx_tests::lab::{Ran, until};
use std::path::Path;

pub(crate) const CASES: &[crate::Case] =
    &[("https_is_ready_only_by_the_right_certificate", https_is_ready_only_by_the_right_certificate)];

/// Runs openssl in the folder of the documents.
pub(crate) fn openssl(folder: &Path, words: &str) {
    let mut program = std::process::Command::new("openssl");
    let done = program.current_dir(folder).args(words.split(' ')).output().unwrap();
    assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
}

/// openssl of this machine with its libraries, as files of an instance.
fn server(folder: &Path) -> String {
    let which = ["/usr/bin/openssl"];
    let said = std::process::Command::new("ldd").args(which).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let libraries = said.split_whitespace().filter(|word| word.starts_with('/'));
    let mut files = String::new();
    for path in libraries.chain(which) {
        let name = path.rsplit('/').next().unwrap();
        std::fs::copy(path, folder.join(name)).unwrap();
        files.push_str(&format!("{path}: {{ source: {name}, mode: 0755 }}, "));
    }
    files
}

/// Two authorities, and a certificate for `web` by the first.
fn certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for name in ["ca", "strange"] {
        openssl(
            folder,
            &format!("req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN={name} -days 30"),
        );
    }
    openssl(
        folder,
        &format!("req {key} -keyout web.key -out web.csr -subj /CN=x -addext subjectAltName=DNS:web"),
    );
    openssl(
        folder,
        "x509 -req -in web.csr -CA ca.pem -CAkey ca.key -days 20 -copy_extensions copy -out web.pem",
    );
    openssl(
        folder,
        "x509 -req -in web.csr -CA ca.pem -CAkey ca.key -days 3 -copy_extensions copy -out soon.pem",
    );
    std::fs::write(folder.join("index"), "").unwrap();
    let conf = "[ca]\ndefault_ca = x\n[x]\ndatabase = index\nrand_serial = yes\nnew_certs_dir = .\ndefault_md = sha256\n\
                policy = p\ncopy_extensions = copy\n[p]\ncommonName = supplied\n";
    std::fs::write(folder.join("conf"), conf).unwrap();
    let dates = "-startdate 20200101000000Z -enddate 20210228120000Z";
    openssl(
        folder,
        &format!(
            "ca -batch -notext -config conf -cert ca.pem -keyfile ca.key {dates} -in web.csr -out old.pem"
        ),
    );
}

fn https_is_ready_only_by_the_right_certificate(cloud: &Cloud) {
    let folder = cloud.lab.folder.path();
    certificates(folder);
    // A private key beside the authority's certificate stays here.
    let parts = ["ca.key", "ca.pem"].map(|name| std::fs::read_to_string(folder.join(name)).unwrap());
    cloud.lab.file("both.pem", &parts.concat());
    cloud.lab.file("health", "fine\n");
    let files = server(folder);
    let text = |ready: &str| {
        format!(
            "
  web: {{ image: bb, host: h1, networks: [lan], workdir: /srv, ready: {{ {ready} }},
         files: {{ {files} /srv/health: health, /srv/web.pem: web.pem, /srv/web.key: web.key }},
         command: [sh, -c, \"while :; do /usr/bin/openssl s_server -accept 443 -cert /srv/web.pem -key /srv/web.key -WWW; done\"] }}
  after: {{ image: bb, host: h2, networks: [lan], needs: [web], command: [sleep, \"1000\"] }}"
        )
    };
    let good = "https: \":443/health\", ca: both.pem";
    let file = cloud.stack("tls", &text(good));
    let up = cloud.start(&file);
    assert!(!up.to_string().contains("PRIVATE KEY"), "{up}");
    let plan = cloud.ct(&["plan", &file]).ok();
    assert!(!plan.stdout.contains("PRIVATE KEY"), "{}", plan.stdout);
    for host in ["h1", "h2"] {
        cloud.lab.script(host, "grep -q 'BEGIN CERTIFICATE' /etc/lsx/tls/ct.json").ok();
        cloud.lab.script(host, "! grep -rq 'PRIVATE KEY' /etc/lsx/tls").ok();
    }
    // Another client on the same host, by the instance's own address.
    let pid = cloud.pid("h1", "tls/web");
    let address =
        up["resolved"]["instances"].as_array().unwrap().iter().find(|i| i["name"] == "web").unwrap();
    let address = address["nics"][0]["address"].as_str().unwrap().split('/').next().unwrap().to_owned();
    let ca = std::fs::read_to_string(folder.join("ca.pem")).unwrap();
    let page = format!(
        "cat >/tmp/ca.pem <<'END'\n{ca}END\n\
         nsenter -t {pid} -n curl -sS --cacert /tmp/ca.pem --resolve web:443:{address} https://web/health"
    );
    assert_eq!(cloud.lab.script("h1", &page).ok().stdout, "fine\n");
    certificates_that_end(cloud, &file);
    for (name, ready, why) in [
        ("strange", "https: \":443/health\", timeout: 2s, ca: strange.pem", "not issued by an authority"),
        (
            "named",
            "https: \":443/health\", timeout: 2s, ca: ca.pem, server_name: db",
            "is not for db: it has web",
        ),
    ] {
        let file = cloud.stack(name, &text(ready));
        cloud.lab.net(&["up", "--quiet", &file]).ok();
        let ran = cloud.ct(&["up", &file]).exits(1);
        assert!(ran.stderr.contains("web is not ready"), "{}", ran.stderr);
        assert!(ran.stderr.contains(why), "{name}: {}", ran.stderr);
        let after = cloud.said("h2", &format!("{name}/after"));
        assert_eq!(after["state"], "waiting", "{name}: {after}");
        cloud.end(&file);
    }
    let none = cloud.stack("none", &text("https: \":443/health\", ca: none.pem"));
    let ran = cloud.ct(&["plan", &none]).exits(65);
    assert!(ran.stderr.contains("none.pem") && ran.stderr.contains("ready.ca"), "{}", ran.stderr);
    cloud.end(&file);
}

/// The server gets other certificates while it runs: `check` counts their days, and finds one that has expired.
fn certificates_that_end(cloud: &Cloud, file: &str) {
    let checked = |name: &str| {
        let pem = std::fs::read_to_string(cloud.lab.folder.path().join(name)).unwrap();
        cloud.inside("h1", "tls/web", &format!("cat >/srv/web.pem <<'END'\n{pem}END\nkillall openssl")).ok();
        let mut ran = cloud.ct(&["check", file]);
        // It may not listen again yet.
        let listens = || {
            ran = cloud.ct(&["check", file]);
            !ran.stdout.contains("refused")
        };
        assert!(until(30, listens), "{}", ran.stdout);
        ran
    };
    let days = |ran: &Ran| {
        let rows = ran.json()["rows"].as_array().unwrap().clone();
        rows.iter().find(|row| row["instance"] == "web").unwrap()["days_left"].as_i64()
    };
    let long = checked("web.pem").ok();
    assert!(matches!(days(&long), Some(19 | 20)) && !long.stderr.contains("warning"), "{}", long.stderr);
    let soon = checked("soon.pem").ok().says("web on h1: its certificate expires in ");
    assert!(matches!(days(&soon), Some(2 | 3)), "{}", soon.stdout);
    let old = checked("old.pem").exits(2);
    assert!(old.stdout.contains("has expired at 2021-02-28T12:00:00Z"), "{}", old.stdout);
    assert!(days(&old).unwrap() < -2000, "{}", old.stdout);
    checked("web.pem").ok();
}

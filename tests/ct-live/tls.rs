//! Readiness by TLS: an instance is ready only by a certificate that is trusted and has its name.

use crate::cloud::Cloud;
use std::path::Path;

pub(crate) const CASES: &[crate::Case] =
    &[("https_is_ready_only_by_the_right_certificate", https_is_ready_only_by_the_right_certificate)];

/// Runs openssl in the folder of the documents.
fn openssl(folder: &Path, words: &str) {
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
        "x509 -req -in web.csr -CA ca.pem -CAkey ca.key -days 10 -copy_extensions copy -out web.pem",
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
         command: [/usr/bin/openssl, s_server, -accept, \"443\", -cert, /srv/web.pem, -key, /srv/web.key, -WWW] }}
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
    cloud.ct(&["check", &file]).ok();
    for (name, ready, why) in [
        ("strange", "https: \":443/health\", timeout: 2s, ca: strange.pem", "of no authority"),
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

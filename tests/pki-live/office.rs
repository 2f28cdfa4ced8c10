//! A lab with two hosts: an authority, and a load balancer with a real server behind it; and helpers of the tests.

use crate::TOOL;
use lsx_tests::lab::{Lab, Ran, finish, until};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Child;

/// Networks, certificates: the tools in their order.
const NET: usize = 0;
const PKI: usize = 1;
/// The stack.
pub(crate) const TEXT: &str = include_str!("office.yaml");
/// Its files on hosts.
pub(crate) const HOME: &str = "/var/lib/lsx/pki/office";
pub(crate) const WWW: &str = "/var/lib/lsx/pki/office/certs/www";
pub(crate) const AUTHORITY: &str = "/var/lib/lsx/pki/office/data/authority";
/// The namespace of the instance.
pub(crate) const SPACE: &str = "office.web";

/// Two hosts.
pub(crate) struct Office {
    pub(crate) lab: Lab,
}

impl Office {
    pub(crate) fn up() -> Office {
        let net = Path::new(TOOL).with_file_name("lsx-net");
        assert!(net.exists(), "lsx-net is not built: cargo build --workspace --bins");
        Office { lab: Lab::with("pki", 2, &[], &[net.to_str().unwrap(), TOOL]) }
    }

    /// lsx-net on the operator's machine.
    pub(crate) fn net(&self, args: &[&str]) -> Ran {
        finish(&mut self.lab.tool(NET, args), b"")
    }

    /// The same of lsx-pki.
    pub(crate) fn pki(&self, args: &[&str]) -> Ran {
        finish(&mut self.lab.tool(PKI, args), b"")
    }

    /// The document.
    pub(crate) fn file(&self) -> String {
        self.lab.file("office.yaml", TEXT)
    }

    /// A script on a host, which must succeed.
    #[track_caller]
    pub(crate) fn on(&self, host: &str, script: &str) -> String {
        self.lab.script(host, script).ok().stdout
    }

    /// The number of changes of a run that must succeed.
    #[track_caller]
    pub(crate) fn changes(&self, file: &str) -> u64 {
        self.pki(&["up", file]).ok().json()["status"]["pki"]["changed"].as_u64().unwrap()
    }

    /// Networks, the instance with a server, certificates, and the root's certificate on both hosts. Ends with the server.
    pub(crate) fn start(&self) -> Child {
        let file = self.file();
        let up = self.net(&["up", "-q", &file]).ok().json();
        let mut nic = up["resolved"]["instances"][0]["nics"][0].clone();
        nic["stack"] = json!("office");
        nic["instance"] = json!("web");
        nic["netns"] = json!(SPACE);
        self.on("h1", &format!("ip netns add {SPACE}; ip -n {SPACE} link set lo up"));
        let tool = self.on("h1", "ls -t /var/lib/lsx/bin/*/lsx-net | head -1").trim().to_owned();
        self.lab.exec_with("h1", &[&tool, "attach"], format!("{nic}\n").as_bytes()).ok();
        let serve = "mkdir -p /root/pages; echo hello >/root/pages/index.html; cd /root/pages
            python3 -m http.server 8000 >/dev/null 2>&1 & cat; kill $!";
        let server = self.lab.start("h1", &["ip", "netns", "exec", SPACE, "sh", "-c", serve]);
        self.pki(&["up", "-q", &file]).ok();
        self.root(&file);
        server
    }

    /// Gives the root's certificate to both hosts and to the operator.
    pub(crate) fn root(&self, file: &str) -> Value {
        let trusted = self.pki(&["trust", file]).ok().json();
        let pem = trusted["pem"].as_str().unwrap();
        self.lab.file("root.pem", pem);
        for host in ["h1", "h2"] {
            self.lab.exec_with(host, &["sh", "-c", "cat >/root/root.pem"], pem.as_bytes()).ok();
        }
        trusted
    }

    /// Takes everything down.
    #[track_caller]
    pub(crate) fn end(&self, server: Child) {
        let file = self.file();
        drop(server);
        self.pki(&["down", "-q", &file, "--destroy-data", "office"]).ok();
        self.on("h1", &format!("for p in $(ip netns pids {SPACE}); do kill $p; done; ip netns del {SPACE}"));
        self.net(&["down", "-q", &file]).ok();
        for host in ["h1", "h2"] {
            assert_eq!(self.there(host), "", "{host}");
        }
    }

    /// What lsx-pki has on a host.
    pub(crate) fn there(&self, host: &str) -> String {
        self.on(host, "find /etc/lsx /var/lib/lsx /run/lsx -path '*/lsx/bin' -prune -o -print 2>/dev/null | grep -w pki || true")
    }

    /// What curl gets on a host or, with the words in front, in a namespace: the status; or its exit code.
    pub(crate) fn curl(&self, host: &str, within: &str, more: &str) -> String {
        let script = format!(
            "{within} curl -sS --max-time 10 -o /dev/null -w '%{{http_code}}' --resolve www.internal:443:198.18.0.11 {more} https://www.internal/ || echo \" exit $?\""
        );
        self.lab.script(host, &script).stdout.trim().to_owned()
    }

    /// The serial number of the certificate on the socket.
    pub(crate) fn serial(&self) -> String {
        self.on("h2", "openssl s_client -connect 198.18.0.11:443 -servername www.internal </dev/null 2>/dev/null | openssl x509 -noout -serial || true")
    }

    /// That of the certificate on disk.
    pub(crate) fn on_disk(&self) -> String {
        self.on("h1", &format!("openssl x509 -noout -serial -in {WWW}/fullchain.pem"))
    }

    /// The findings of `check`, which must have some.
    #[track_caller]
    pub(crate) fn findings(&self, file: &str) -> String {
        let ran = self.pki(&["check", file]).exits(2);
        ran.json()["findings"].as_array().unwrap().iter().map(|one| format!("{one}\n")).collect()
    }

    /// Puts a certificate for the key of h1 in its place, which the authority has issued at another time: `days` ago, for 90 days.
    pub(crate) fn aged(&self, days: u32) {
        let request = self.on("h1", &format!("openssl req -new -key {WWW}/key.pem -subj /CN=internal"));
        let sign = format!(
            "printf 'subjectAltName=DNS:internal,DNS:www.internal,IP:198.18.0.11\\nextendedKeyUsage=serverAuth\\n' >/root/ext
            cat >/root/csr; faketime -f -{days}d openssl x509 -req -in /root/csr -CA {AUTHORITY}/issuer.pem -CAkey {AUTHORITY}/issuer-key.pem \
            -days 90 -extfile /root/ext 2>/dev/null; rm /root/ext /root/csr"
        );
        let leaf = self.lab.exec_with("h2", &["sh", "-ec", &sign], request.as_bytes()).ok().stdout;
        let put = format!(
            "cat >{WWW}/cert.pem; cat {WWW}/cert.pem {WWW}/chain.pem >{WWW}/full; mv {WWW}/full {WWW}/fullchain.pem"
        );
        self.lab.exec_with("h1", &["sh", "-ec", &put], leaf.as_bytes()).ok();
    }

    /// Waits until the balancer serves what is on disk.
    #[track_caller]
    pub(crate) fn served(&self) {
        let disk = self.on_disk();
        assert!(until(30, || self.serial() == disk), "{} is served instead of {disk}", self.serial());
    }
}

//! What is issued is what openssl and curl accept, and nothing else; keys are root's; a renewal ends no connection.

use crate::office::{AUTHORITY, HOME, Office, SPACE, WWW};
use lsx_tests::lab::until;
use lsx_tests::load::Load;

pub(crate) const CASES: &[crate::Case] = &[(
    "a_balancer_serves_what_clients_of_the_stack_trust",
    a_balancer_serves_what_clients_of_the_stack_trust,
)];

/// Requests by TLS on one connection as long as it lasts; for each line it is given, it says how many there were and how many failed.
const CLIENT: &str = r#"
import http.client, json, socket, ssl, sys, threading
done, failed = [0], {}
context = ssl.create_default_context(cafile="/root/root.pem")
class To(http.client.HTTPSConnection):
    def connect(self):
        self.sock = context.wrap_socket(socket.create_connection(("198.18.0.11", 443), 20), server_hostname="www.internal")
def work():
    while True:
        to = To("www.internal", timeout=20, context=context)
        try:
            for _ in range(100):
                to.request("GET", "/")
                answer = to.getresponse()
                answer.read()
                if answer.status != 200:
                    raise OSError(answer.status)
                done[0] += 1
                if to.sock is None:
                    break
        except (OSError, http.client.HTTPException) as why:
            failed[repr(why)] = failed.get(repr(why), 0) + 1
        to.close()
threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
for _ in sys.stdin:
    print(json.dumps({"done": done[0], "failed": failed}), flush=True)
"#;

fn a_balancer_serves_what_clients_of_the_stack_trust(office: &Office) {
    let file = office.file();
    let server = office.start();
    clients(office, &file);
    by_openssl(office);
    keys_are_at_their_place(office);
    renewed_without_a_loss(office, &file);
    office.pki(&["down", "-q", &file]).ok().says("");
    // Nothing but data, and with it the same root.
    assert_eq!(office.there("h1"), "");
    let left = office.there("h2");
    assert!(
        left.lines().all(|line| format!("{line}/").starts_with(&format!("{HOME}/data/"))
            || [HOME, "/var/lib/lsx/pki"].contains(&line)),
        "{left}"
    );
    assert_eq!(office.pki(&["observe", &file]).ok().lines().len(), 2);
    office.pki(&["trust", &file]).ok();
    let before = office.on("h2", &format!("sha256sum {AUTHORITY}/*"));
    office.pki(&["up", "-q", &file]).ok();
    assert_eq!(office.on("h2", &format!("sha256sum {AUTHORITY}/*")), before);
    assert_eq!(office.curl("h2", "", "--cacert /root/root.pem"), "200", "the root is the same");
    office.end(server);
}

fn clients(office: &Office, file: &str) {
    assert_eq!(office.changes(file), 0, "twice changes nothing");
    let within = format!("ip netns exec {SPACE}");
    let good = || office.curl("h1", &within, "--cacert /root/root.pem") == "200";
    assert!(until(30, good), "in an instance: {}", office.curl("h1", &within, "--cacert /root/root.pem"));
    assert_eq!(office.curl("h2", "", "--cacert /root/root.pem"), "200", "on a host");
    let stranger = office.curl("h2", "", "");
    assert!(stranger.ends_with("exit 60"), "who does not trust the root: {stranger}");
    // By its address, too, which is that of the balancer.
    let by_address = "curl -sS -o /dev/null -w '%{http_code}' --cacert /root/root.pem https://198.18.0.11/";
    assert_eq!(office.on("h2", by_address), "404", "no balancer answers for that name");
    let check = office.pki(&["check", file]).ok().json();
    let row = &check["rows"][0];
    assert_eq!(
        (row["balancer"].as_str(), row["at"].as_str(), row["ok"].as_bool()),
        (Some("www"), Some("198.18.0.11:443"), Some(true)),
        "{check}"
    );
    assert_eq!(row["days_left"], 89, "{check}");
    let serial = office.serial().trim().trim_start_matches("serial=").to_lowercase();
    assert_eq!(row["serial"].as_str().unwrap(), serial, "{check}");
    let trusted = office.root(file);
    let known = office
        .on("h2", &format!("openssl x509 -in {AUTHORITY}/root.pem -outform DER | sha256sum | cut -d' ' -f1"));
    assert_eq!(trusted["sha256"], known.trim());
    assert_eq!(trusted["host"], "h2");
}

/// openssl reads what is written, and refuses what the root does not permit, although the authority's own key has signed it.
fn by_openssl(office: &Office) {
    let strict = "openssl verify -x509_strict -purpose sslserver -CAfile /root/root.pem";
    let verify = format!(
        "cd {WWW}; {strict} -untrusted chain.pem -verify_hostname www.internal cert.pem; {strict} -untrusted chain.pem -verify_ip 198.18.0.11 cert.pem; cat cert.pem chain.pem | cmp - fullchain.pem"
    );
    assert_eq!(office.on("h1", &verify), "cert.pem: OK\ncert.pem: OK\n");
    let other = office.lab.script(
        "h1",
        &format!("cd {WWW}; {strict} -untrusted chain.pem -verify_hostname other.internal cert.pem 2>&1"),
    );
    assert!(other.code != 0 && other.stdout.contains("ostname mismatch"), "{}", other.stdout);
    constrained(office);
}

/// What the certificates of the authority say, and what openssl makes of it.
fn constrained(office: &Office) {
    for (name, length) in [("root", 1), ("issuer", 0)] {
        let text = office.on("h2", &format!("openssl x509 -noout -text -in {AUTHORITY}/{name}.pem"));
        for wanted in [
            "X509v3 Name Constraints: critical",
            "DNS:internal",
            "IP:10.140.0.0/255.255.255.0",
            "IP:198.18.0.11/255.255.255.255",
            "IP:198.18.0.12/255.255.255.255",
            "ASN1 OID: prime256v1",
            "X509v3 Basic Constraints: critical",
            "X509v3 Key Usage: critical",
            "Certificate Sign, CRL Sign",
        ] {
            assert!(text.contains(wanted), "{name}: {wanted} is not in\n{text}");
        }
        let excluded = text.split_once("Excluded:").unwrap().1.split_once("X509v3").unwrap().0.trim();
        assert_eq!(excluded, "IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0", "{name}");
        assert!(text.contains(&format!("CA:TRUE, pathlen:{length}")), "{text}");
    }
    let text = office.on("h1", &format!("openssl x509 -noout -text -in {WWW}/cert.pem"));
    for wanted in [
        "CA:FALSE",
        "TLS Web Server Authentication",
        "DNS:internal, DNS:www.internal, IP Address:198.18.0.11",
        "Digital Signature\n",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert!(!text.contains("Client Authentication"), "{text}");
    let foreign = |names: &str| {
        let script = format!(
            "cd /root; openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout f.key -subj /CN=f 2>/dev/null >f.csr
            printf 'subjectAltName={names}\\n' >f.ext
            openssl x509 -req -in f.csr -CA {AUTHORITY}/issuer.pem -CAkey {AUTHORITY}/issuer-key.pem -days 9 -extfile f.ext >f.pem 2>/dev/null
            openssl verify -x509_strict -CAfile root.pem -untrusted {AUTHORITY}/issuer.pem f.pem 2>&1 || true; rm f.*"
        );
        office.on("h2", &script)
    };
    assert_eq!(foreign("DNS:a.b.internal,IP:10.140.0.9"), "f.pem: OK\n");
    for names in [
        "DNS:www.example.org",
        "DNS:a.internal,DNS:www.example.org",
        "IP:192.0.2.1",
        "IP:10.141.0.1",
        "email:a@example.org",
    ] {
        let said = foreign(names);
        assert!(said.contains("permitted subtree violation"), "{names}: {said}");
    }
    let said = foreign("IP:2001:db8::1");
    assert!(said.contains("subtree violation"), "{said}");
}

/// Each key is on one host, in one file, which root alone can read.
fn keys_are_at_their_place(office: &Office) {
    let all = "cd /; find etc/lsx var/lib/lsx run/lsx root tmp -type f -size -64k 2>/dev/null | xargs -r grep -l 'PRIVATE KEY' | xargs -r stat -c '%a %u %n' | sort";
    assert_eq!(
        office.on("h1", all),
        format!("600 0 run/lsx/office/balance/certificates/www.pem\n600 0 {}/key.pem\n", &WWW[1..])
    );
    assert_eq!(
        office.on("h2", all),
        format!("600 0 {0}/issuer-key.pem\n600 0 {0}/root-key.pem\n", &AUTHORITY[1..])
    );
    let folders = format!("stat -c '%a %u' {HOME} {WWW} 2>/dev/null; find {HOME} -type f ! -perm 600");
    assert_eq!(office.on("h1", &folders), "700 0\n700 0\n");
    let folders = format!("stat -c '%a %u' {HOME}/data {AUTHORITY}; find {HOME} -type f ! -perm 600");
    assert_eq!(office.on("h2", &folders), "700 0\n700 0\n");
    // What was issued is recorded, and is what is used.
    let issued = office.on("h2", &format!("cat {HOME}/data/issued/*.pem"));
    assert_eq!(issued, office.on("h1", &format!("cat {WWW}/fullchain.pem")));
    let secret = office.on(
        "h1",
        &format!("openssl pkey -in {WWW}/key.pem -pubout; openssl x509 -in {WWW}/cert.pem -noout -pubkey"),
    );
    let (key, certified) = secret.split_at(secret.len() / 2);
    assert_eq!(key, certified);
}

fn renewed_without_a_loss(office: &Office, file: &str) {
    office.aged(80);
    office.served();
    let due = office.findings(file);
    assert!(due.contains("state due becomes valid"), "{due}");
    let mut client = Load::ready(office.lab.start("h2", &["python3", "-c", CLIENT]));
    assert!(until(30, || client.done() > 50), "{}", client.done());
    let key = office.on("h1", &format!("sha256sum {WWW}/key.pem"));
    assert_eq!(office.changes(file), 1);
    // `up` has waited: now, and not later.
    assert_eq!(office.serial(), office.on_disk());
    assert_eq!(office.on("h1", &format!("sha256sum {WWW}/key.pem")), key, "a renewal keeps the key");
    let done = client.done();
    assert!(until(30, || client.done() > done + 150), "{}", client.done());
    client.all_good("during the renewal");
    office.pki(&["check", file]).ok();
}

//! A certificate of a load balancer that is a secret of the stack: it comes from the operator's machine and is nowhere else.

use crate::authority::{AUTHORITY, here, sign_into};
use crate::certificates::{curl, shown};
use crate::peer;
use crate::stack::Stack;
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] =
    &[("a_secret_is_sent_renewed_repaired_and_removed", a_secret_is_sent_renewed_repaired_and_removed)];

const STACK: &str = "stack: shop
hosts: { h1: { address: 198.18.0.11, ssh: root@198.18.0.11 } }
networks: { lan: { cidr: 10.130.0.0/24, gateway: h1 } }
instances: { web: { image: none, host: h1, networks: [lan] } }
balance: { www: { host: h1, listen: 443, hostname: www.internal, to: web, port: 8000, tls: secret/www } }
secrets: { www: 'file:www.pem' }
";
/// Its file on the host, and the copy that HAProxy reads.
const FILES: &str = "/run/lsx/shop/balance/certificates\n/var/lib/lsx/secrets/shop/net\n";

fn changes(lab: &Lab, file: &str) -> u64 {
    lab.net(&["up", file]).ok().json()["status"]["net"]["changed"].as_u64().unwrap()
}

fn a_secret_is_sent_renewed_repaired_and_removed(lab: &Lab) {
    peer::install(lab, &["h1"]);
    here(lab, &format!("rm -f www.pem\n{AUTHORITY}")).ok();
    let file = lab.file("secret.yaml", STACK);
    // Nothing is changed before everything has been found.
    lab.net(&["up", &file]).exits(65).says("balance.www.tls").says("www.pem");
    lab.script("h1", "! test -e /etc/lsx/shop && ! test -e /run/netns/lsx-shop").ok();
    sign_into(lab, "www.internal", "www.pem");
    let stack = Stack::up(lab, &file, &[]);
    stack.attach(lab);
    let server = peer::http_in(lab, "h1", &stack.space("web"), "web", "8000");
    let serves = || curl(lab, "https://www.internal/", &[]).starts_with("200 2 web");
    assert!(until(30, serves), "{}", curl(lab, "https://www.internal/", &[]));
    assert_eq!(changes(lab, &file), 0);
    lab.net(&["check", &file]).ok();
    only_where_it_is_used(lab);
    let serial = || shown(lab, "www.internal", "-serial");
    let first = serial();
    sign_into(lab, "www.internal", "www.pem");
    lab.net(&["plan", "--exit-code", &file]).exits(2);
    assert!(changes(lab, &file) > 0);
    assert!(until(30, || ![String::new(), first.clone()].contains(&serial())), "renewed");
    // A host that has lost it goes on with its copy, and gets it again.
    lab.script("h1", "rm /var/lib/lsx/secrets/shop/net/www").ok();
    let lost = "is not used, the previous one is: /var/lib/lsx/secrets/shop/net/www is missing";
    assert!(until(30, || lab.net(&["check", &file]).stderr.contains(lost)));
    assert!(changes(lab, &file) > 0 && changes(lab, &file) == 0);
    assert!(until(30, || lab.net(&["check", &file]).code == 0), "{}", lab.net(&["check", &file]).stderr);
    // What is no certificate is told, and does not replace the one before.
    let good = serial();
    lab.file("www.pem", "nothing\n");
    lab.net(&["up", &file]).ok();
    let told = "HAProxy does not accept certificate and key";
    assert!(until(30, || lab.net(&["check", &file]).stderr.contains(told)));
    lab.net(&["check", &file]).exits(2).says("secrets.www must be the chain and the key in PEM");
    assert_eq!(serial(), good);
    assert!(serves());
    // Without the balancer that uses it, nothing of it is left.
    let plain = STACK.replace("listen: 443", "listen: 80").replace(", tls: secret/www", "");
    assert!(changes(lab, &lab.file("secret.yaml", &plain)) > 0);
    lab.script("h1", "! test -e /var/lib/lsx/secrets").ok();
    assert!(until(30, || lab
        .script("h1", "ls -A /run/lsx/shop/balance/certificates")
        .ok()
        .stdout
        .is_empty()));
    sign_into(lab, "www.internal", "www.pem");
    assert!(changes(lab, &lab.file("secret.yaml", STACK)) > 0);
    drop(server);
    // At boot there is no operator's machine.
    assert!(until(30, || !serial().is_empty()));
    let last = serial();
    lab.verb(&["kill", "h1"]);
    lab.verb(&["boot", "h1", "--wait"]);
    assert!(until(30, || serial() == last), "{last}");
    stack.down(lab, &[]);
    lab.script("h1", "! test -e /run/lsx && ! test -e /var/lib/lsx/net && ! test -e /var/lib/lsx/secrets")
        .ok();
}

/// The key is readable by root alone, in two files, and in no document, argument or log.
fn only_where_it_is_used(lab: &Lab) {
    let key = here(lab, "sed -n '/BEGIN PRIVATE/{n;p}' www.pem").ok().stdout.trim().to_owned();
    assert!(key.len() > 40, "{key}");
    let find = "read -r key
        if printf %s \"$key\" | grep -alF -f - /proc/[0-9]*/cmdline; then exit 1; fi
        printf %s \"$key\" | grep -rlF -f - /etc/lsx /run/lsx /var/lib/lsx | sort | xargs -n 1 dirname";
    let found = lab.exec_with("h1", &["sh", "-c", find], format!("{key}\n").as_bytes());
    assert_eq!(found.ok().stdout, FILES);
    let closed = "stat -c '%a %u' /var/lib/lsx/secrets/shop/net /var/lib/lsx/secrets/shop/net/www";
    assert_eq!(lab.script("h1", closed).ok().stdout, "700 0\n600 0\n");
    // A plan that would send it again.
    let other = here(lab, "cp www.pem other.pem").ok();
    assert_eq!(other.code, 0);
    let text = STACK.replace("www.pem", "other.pem").replace("listen: 443", "listen: [443, 8443]");
    let plan = lab.net(&["plan", &lab.file("other.yaml", &text)]).ok();
    assert!(plan.stdout.contains("service.change") && plan.stdout.contains("other.pem"), "{}", plan.stdout);
    assert!(!plan.stdout.contains(&key) && !plan.stderr.contains(&key));
}

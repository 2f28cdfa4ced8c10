//! TLS that ends at load balancers: their certificates are waited for, used, renewed under load, and kept if a new one is bad.

use crate::authority::{AUTHORITY, here, sign};
use crate::peer::{self, Server};
use crate::stack::Stack;
use lsx_tests::lab::{Lab, until};
use lsx_tests::load::Load;
use std::collections::BTreeSet;

pub(crate) const CASES: &[crate::Case] = &[
    ("tls_ends_at_the_balancer_as_soon_as_there_is_a_certificate", tls_ends_at_the_balancer),
    ("a_new_certificate_loses_no_connection_and_a_bad_one_changes_nothing", a_new_certificate_loses_nothing),
];

const WWW: &str = "/var/lib/lsx/pki/shop/certs/www";
const OTHER: &str = "/root/other";

/// Requests by TLS on connections that stay; for each line it is given, it says how many there were and how many failed.
const CLIENTS: &str = r#"
import http.client, json, socket, ssl, sys, threading
done, failed = [0], {}
context = ssl.create_default_context(cafile=sys.argv[1])
class To(http.client.HTTPSConnection):
    def connect(self):
        plain = socket.create_connection(("198.18.0.11", 443), 10)
        self.sock = context.wrap_socket(plain, server_hostname="www.internal")
def work():
    while True:
        to = To("www.internal", timeout=10, context=context)
        try:
            for _ in range(50):
                to.request("GET", "/load")
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
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
for _ in sys.stdin:
    print(json.dumps({"done": done[0], "failed": failed}), flush=True)
"#;

fn shop(lab: &Lab) -> (Stack, Vec<Server>, String) {
    peer::install(lab, &["h1", "h2"]);
    here(lab, AUTHORITY).ok();
    lab.script("h1", &format!("rm -rf {WWW} {OTHER}")).ok();
    let file = lab.file("shop.yaml", include_str!("certificates.yaml"));
    let up = lab.net(&["up", &file]).ok();
    let stack = Stack::of(&file, &up.json());
    stack.attach(lab);
    let serve = |name: &str| {
        let (host, space) = (stack.host_of(name), stack.space(name));
        peer::http_in(lab, &host, &space, name, "8000")
    };
    let servers = ["web-1", "web-2"].into_iter().map(serve).collect();
    (stack, servers, up.stderr)
}

fn end(lab: &Lab, stack: &Stack, servers: Vec<Server>) {
    drop(servers);
    stack.detach(lab);
    stack.down(lab, &[]);
    lab.script("h1", "! pgrep -f '[h]aproxy -W' && ! test -e /run/lsx && ! test -e /var/lib/lsx/net").ok();
    lab.script("h1", &format!("rm -r /var/lib/lsx/pki {OTHER}")).ok();
}

/// What `curl` gets from a name: status, version, redirect, and the first word of the body; or its exit code.
pub(crate) fn curl(lab: &Lab, url: &str, more: &[&str]) -> String {
    let folder = lab.folder.path().join("ca.pem");
    let names = ["www.internal", "x.other.internal", "third.internal"];
    let resolve: Vec<String> = names
        .iter()
        .flat_map(|name| [80, 443, 8443].map(|port| format!("{name}:{port}:198.18.0.11")))
        .collect();
    let mut argv = vec!["curl", "-sS", "--max-time", "10", "--cacert", folder.to_str().unwrap()];
    argv.extend(resolve.iter().flat_map(|one| ["--resolve", one.as_str()]));
    argv.extend(["-w", "\n%{http_code} %{http_version} %{redirect_url}", url]);
    argv.extend(more);
    let ran = lab.run(&argv);
    if ran.code != 0 {
        return format!("exit {}", ran.code);
    }
    let (body, said) = ran.stdout.rsplit_once('\n').unwrap();
    let words: Vec<&str> = said.split_whitespace().chain(body.split(' ').take(1)).collect();
    words.join(" ")
}

/// A field of the certificate that is shown for a name.
pub(crate) fn shown(lab: &Lab, name: &str, field: &str) -> String {
    let ask = format!(
        "openssl s_client -connect 198.18.0.11:443 -servername {name} </dev/null 2>/dev/null | openssl x509 -noout {field} || true"
    );
    here(lab, &ask).stdout.trim().to_owned()
}

fn tls_ends_at_the_balancer(lab: &Lab) {
    let (stack, servers, said) = shop(lab);
    // Without certificates everything else works, and everybody says what is missing.
    let missing = format!("until {WWW} has a certificate: {WWW}/fullchain.pem is missing");
    assert!(said.contains("ports with TLS are closed") && said.contains(&missing), "{said}");
    let plan = lab.net(&["plan", "--exit-code", &stack.file]).ok();
    assert!(
        plan.stdout.contains(&missing) && plan.stdout.contains("/root/other/fullchain.pem"),
        "{}",
        plan.stdout
    );
    lab.net(&["check", &stack.file]).exits(2).says(&missing);
    assert_eq!(curl(lab, "https://www.internal/", &[]), "exit 7", "closed");
    let redirected =
        || curl(lab, "http://www.internal/a?b", &[]).trim_end() == "301 1.1 https://www.internal/a?b";
    assert!(until(20, redirected), "{}", curl(lab, "http://www.internal/a?b", &[]));
    sign(lab, "*.other.internal", "privkey.pem", 5, OTHER);
    let other = || curl(lab, "https://x.other.internal/", &[]).starts_with("200 2 web-");
    assert!(until(30, other), "{}", curl(lab, "https://x.other.internal/", &[]));
    sign(lab, "www.internal", "key.pem", 29, WWW);
    let www = || curl(lab, "https://www.internal/", &[]).starts_with("200 2 web-");
    assert!(until(30, www), "{}", curl(lab, "https://www.internal/", &[]));
    what_clients_see(lab);
    what_check_says(lab, &stack);
    assert_eq!(lab.net(&["up", &stack.file]).ok().json()["status"]["net"]["changed"], 0);
    end(lab, &stack, servers);
}

fn what_clients_see(lab: &Lab) {
    // Each name has its certificate, and what nobody answers for is no page.
    let names = |name: &str| shown(lab, name, "-ext subjectAltName").contains(&format!("DNS:{name}"));
    assert!(
        names("www.internal") && shown(lab, "x.other.internal", "-ext subjectAltName").contains("*.other")
    );
    assert_eq!(curl(lab, "https://third.internal/", &["-k"]).split(' ').next(), Some("404"));
    assert!(curl(lab, "https://www.internal/", &["--http1.1"]).starts_with("200 1.1 web-"));
    let both = || (0..6).map(|_| curl(lab, "https://www.internal/", &[])).collect::<BTreeSet<_>>().len() == 2;
    assert!(until(30, both), "both replicas");
    let api: BTreeSet<String> = (0..6).map(|_| curl(lab, "https://www.internal/api/x", &[])).collect();
    assert_eq!(api, ["200 2 web-1".to_owned()].into(), "by path");
    assert!(curl(lab, "https://www.internal:8443/", &[]).starts_with("200 1.1 web-"), "TCP in TLS");
    let page =
        here(lab, "curl -sS -i --cacert ca.pem --resolve www.internal:443:198.18.0.11 https://www.internal/");
    let page = page.ok().stdout.to_lowercase();
    assert!(
        page.contains("x-forwarded-proto: https") && page.contains("x-forwarded-for: 198.18.0.1"),
        "{page}"
    );
    assert!(page.contains("set-cookie: lsx-www=") && page.contains("; httponly; secure"), "{page}");
    let version = |flag: &str| {
        let ask = format!(
            "openssl s_client -connect 198.18.0.11:443 -servername www.internal -cipher ALL:@SECLEVEL=0 {flag} </dev/null 2>&1 || true"
        );
        here(lab, &ask).ok().stdout
    };
    assert!(
        version("-tls1_2").contains("New, TLSv1.2, Cipher is")
            && version("-tls1_3").contains("New, TLSv1.3, Cipher is")
    );
    let old = version("-tls1_1");
    assert!(old.contains("alert protocol version"), "{old}");
    // Keys are root's alone.
    let keys = lab
        .script("h1", "cd /run/lsx/shop/balance; stat -c '%a %u' . certificates/*.pem certificates/.*.pem");
    assert_eq!(keys.ok().stdout, "700 0\n600 0\n600 0\n");
}

fn what_check_says(lab: &Lab, stack: &Stack) {
    // A certificate that ends soon is told, and the days of the others.
    let check = lab
        .net(&["check", &stack.file])
        .exits(2)
        .says("balance/other:443 asked by host/h1: its certificate expires in 4 days");
    let wrong = check.json()["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| !f["message"].to_string().contains("other:443"))
        .count();
    assert_eq!(wrong, 0, "{}", check.stderr);
    let rows = check.json()["rows"].as_array().unwrap().clone();
    let answers =
        rows.iter().find(|row| row["from"] == "host/h2").unwrap()["answers"].as_array().unwrap().clone();
    let answer =
        |name: &str, port: u16| answers.iter().find(|a| a["balancer"] == name && a["port"] == port).unwrap();
    let secure = answer("www", 443);
    assert_eq!((&secure["status"], &secure["days_left"]), (&200.into(), &28.into()), "{answers:?}");
    assert_eq!(answer("www", 80)["location"], "https://www.internal/");
    assert!(answer("line", 8443)["not_after"].is_string());
}

fn a_new_certificate_loses_nothing(lab: &Lab) {
    let (stack, servers, _) = shop(lab);
    let serial = || shown(lab, "www.internal", "-serial");
    sign(lab, "www.internal", "key.pem", 29, WWW);
    sign(lab, "*.other.internal", "key.pem", 29, OTHER);
    assert!(until(30, || curl(lab, "https://www.internal/", &[]).starts_with("200")));
    let ca = lab.folder.path().join("ca.pem");
    let mut clients = Load::ready(lab.start_here(&["python3", "-c", CLIENTS, ca.to_str().unwrap()]));
    for _ in 0..3 {
        let (before, done) = (serial(), clients.done());
        assert!(until(30, || clients.done() > done + 50));
        sign(lab, "www.internal", "key.pem", 29, WWW);
        assert!(until(30, || ![String::new(), before.clone()].contains(&serial())), "{before}");
    }
    let done = clients.done();
    assert!(until(30, || clients.done() > done + 50));
    let done = clients.all_good("while the certificate changed three times");
    println!("{done} requests by TLS while the certificate changed three times");
    drop(clients);
    // A key of another certificate: the one before stays, and is told.
    let good = serial();
    let state = |wanted: &str| {
        let wanted = format!(
            "jq -e '.counts[] | select(.folder == \"{WWW}\" and .state == \"{wanted}\")' /run/lsx/shop/net/balance.state.json"
        );
        until(30, || lab.script("h1", &wanted).code == 0)
    };
    lab.script("h1", &format!("cp -p {WWW}/key.pem /root/good.pem; cp {OTHER}/key.pem {WWW}/key.pem")).ok();
    assert!(state("kept"), "{}", lab.script("h1", "cat /run/lsx/shop/net/balance.state.json").stdout);
    assert_eq!(serial(), good);
    let told = "is not used, the previous one is: HAProxy does not accept certificate and key";
    let plan = lab.net(&["plan", "--exit-code", &stack.file]).ok();
    assert!(plan.stdout.contains(told), "{}", plan.stdout);
    lab.net(&["check", &stack.file]).exits(2).says(told);
    lab.script("h1", &format!("cp /root/good.pem {WWW}/key.pem; chmod 644 {WWW}/key.pem")).ok();
    let open = || lab.net(&["plan", &stack.file]).ok().stdout.contains(&format!("chmod 600 {WWW}/key.pem"));
    assert!(until(30, open), "a key that everybody can read");
    lab.script("h1", &format!("chmod 600 {WWW}/key.pem")).ok();
    assert!(state("used"));
    // Another certificate on disk than on the socket, since nobody has told HAProxy.
    lab.script("h1", "kill -STOP $(jq .supervisor /run/lsx/shop/net/balance.state.json)").ok();
    sign(lab, "www.internal", "key.pem", 29, WWW);
    lab.net(&["check", &stack.file]).exits(2).says("it shows another certificate than that of www on disk");
    lab.script("h1", "kill -CONT $(jq .supervisor /run/lsx/shop/net/balance.state.json)").ok();
    assert!(until(30, || ![String::new(), good.clone()].contains(&serial())));
    // Nothing but a file is missing: it goes on with what it has.
    lab.script("h1", &format!("rm {WWW}/fullchain.pem")).ok();
    assert!(state("kept"));
    assert!(curl(lab, "https://www.internal/", &[]).starts_with("200"));
    end(lab, &stack, servers);
}

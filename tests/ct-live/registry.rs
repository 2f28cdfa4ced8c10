//! Registries as the stack describes them: with an authority of their own, a login, and as a mirror.

use crate::cloud::Cloud;
use crate::tls::openssl;
use lsx_tests::lab::until;
use std::path::Path;

pub(crate) const CASES: &[crate::Case] =
    &[("a_registry_with_its_own_authority_and_a_login", a_registry_with_its_own_authority_and_a_login)];

const PORT: &str = "198.18.0.1:5000";
const PASSWORD: &str = "kept:to-itself";
/// `lsx` with this password, as `htpasswd -B` writes it.
const HTPASSWD: &str = "lsx:$2b$05$abcdefghijklmnopqrstuuSsURn4NCUGYSrloHxOWk6OFN2W191nS";

/// Two authorities, and a certificate for the registry by the first.
fn certificates(folder: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for name in ["office", "other"] {
        let words = format!("req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN={name} -days 30");
        openssl(folder, &words);
    }
    let ask =
        format!("req {key} -keyout hub.key -out hub.csr -subj /CN=x -addext subjectAltName=IP:198.18.0.1");
    openssl(folder, &ask);
    let sign =
        "x509 -req -in hub.csr -CA office.pem -CAkey office.key -days 20 -copy_extensions copy -out hub.pem";
    openssl(folder, sign);
}

/// Debian's registry on the operator's machine. It ends with its standard input.
fn registry(cloud: &Cloud) -> std::process::Child {
    let folder = cloud.lab.folder.path().display();
    cloud.lab.file("htpasswd", HTPASSWD);
    let config = cloud.lab.file(
        "registry.yml",
        &format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n\
             http: {{addr: '{PORT}', secret: any, tls: {{certificate: {folder}/hub.pem, key: {folder}/hub.key}}}}\n\
             auth: {{htpasswd: {{realm: lsx, path: {folder}/htpasswd}}}}\n"
        ),
    );
    let script = format!("docker-registry serve {config} >{folder}/registry.log 2>&1 & cat; kill $!; wait");
    let child = cloud.lab.start_here(&["sh", "-c", &script]);
    let listens = || cloud.lab.run(&["sh", "-c", "ss -Htln 'sport = :5000' | grep -q ."]).code == 0;
    assert!(until(60, listens), "{:?}", std::fs::read_to_string(format!("{folder}/registry.log")));
    child
}

/// Everything but the first line of a document's head: one instance whose image comes by the mirror `PORT`.
fn text(registry: &str) -> String {
    format!(
        "registries:\n  registry.invalid: {PORT}\n  \"{PORT}\": {{ {registry} }}\n\
         secrets: {{ login: \"file:login\" }}\n\
         instances:\n  \
           web: {{ image: \"docker://registry.invalid/team/app:1\", host: h2, networks: [lan], command: [sleep, \"1000\"] }}\n  \
           plain: {{ image: bb, host: h2, networks: [lan], command: [sleep, \"1000\"] }}\n"
    )
}

fn a_registry_with_its_own_authority_and_a_login(cloud: &Cloud) {
    let folder = cloud.lab.folder.path();
    certificates(folder);
    cloud.lab.file("login", &format!("lsx:{PASSWORD}\n"));
    cloud.lab.file("broken.pem", "\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let mut server = registry(cloud);
    push(cloud);

    // Each mistake is found before anything is done, and named with its line.
    let refused = |name: &str, registry: &str, code: i32, words: &[&str]| {
        let file = cloud.document(name, &text(registry));
        let ran = cloud.ct(&["plan", &file]).exits(code);
        assert!(words.iter().all(|word| ran.stderr.contains(word)), "{words:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("to-itself") && ran.stdout.is_empty(), "{}", ran.stderr);
        // Who does not need that registry is not held up by it.
        let other = cloud.ct(&["plan", &file, "--only", "instances.plain"]).ok();
        assert!(other.stdout.contains("instance.create:plain"), "{}", other.stdout);
    };
    let hint = "name the certificate of its authority by ca in `registries`";
    refused(
        "other",
        "ca: other.pem, login: login",
        69,
        &["the mirror 198.18.0.1:5000 is skipped: ", "UnknownIssuer", hint],
    );
    let place = |name: &str| format!("{name}.yaml:12:28: ");
    refused(
        "damaged",
        "ca: broken.pem",
        65,
        &["broken.pem:2: the certificate is damaged", &place("damaged"), ".ca"],
    );
    refused("missing", "ca: none.pem", 65, &["none.pem: no such file", &place("missing"), ".ca"]);
    refused("loginless", "ca: office.pem", 77, &["it requires a login", "login in `registries`"]);

    // With both it comes up; certificate and password stay on the operator's machine.
    let file = cloud.document("office", &text("ca: \"file:office.pem\", login: login"));
    let up = cloud.start(&file);
    let plan = cloud.ct(&["plan", &file, "-v"]).ok();
    for said in [&up.to_string(), &plan.stdout, &plan.stderr] {
        assert!(!said.contains("to-itself") && !said.contains("BEGIN CERTIFICATE"), "{said}");
    }
    let mark = cloud.inside("h2", "office/web", "cat /etc/mark").ok();
    assert_eq!(mark.stdout, "second");
    cloud
        .lab
        .script("h2", "! grep -rqs -e to-itself -e 'BEGIN CERTIFICATE' /etc/lsx /var/lib/lsx/secrets")
        .ok();
    let log = std::fs::read_to_string(folder.join("registry.log")).unwrap();
    assert!(log.contains("auth.user.name=lsx"), "the login was used");
    cloud.end(&file);
    drop(server.stdin.take());
    server.wait().unwrap();
}

/// The image `other`, pushed with the flags of `images`, into another store than the one that the stacks use.
fn push(cloud: &Cloud) {
    let path = |name: &str| cloud.lab.folder.path().join(name).display().to_string();
    let login = cloud.lab.run(&["sh", "-c", &format!("printf %s 'lsx:{PASSWORD}' | base64")]).ok();
    let login = login.stdout.trim();
    let logins =
        cloud.lab.file("logins.json", &format!("{{\"auths\": {{\"{PORT}\": {{\"auth\": \"{login}\"}}}}}}"));
    let (store, other, office) =
        (path("elsewhere"), format!("tar:{}", path("other.tar")), path("office.pem"));
    let images = |args: &[&str]| {
        let all = [&["--store", &store, "images"], args].concat();
        lsx_tests::lab::finish(&mut cloud.lab.tool(1, &all), b"").ok()
    };
    images(&["import", &other, "--name", "app"]);
    images(&["push", "app", &format!("{PORT}/team/app:1"), "--ca", &office, "--logins", &logins]);
}

//! Access to registries: credential helpers, certificates, mirrors, digests in addition to tags.

use super::registries::Registry;
use super::*;
use std::os::unix::fs::PermissionsExt;

/// A registry that has one image, and the image's digest.
fn furnished(
    auth: &str,
    access: impl Fn(&Registry, &StoreFolder) -> Access,
) -> Option<(Registry, StoreFolder, String)> {
    let registry = Registry::start(auth)?;
    let place = StoreFolder::new();
    let digest = place.layout("one", &[&system().bytes()]);
    place.bring("oci:one").unwrap();
    let store = place.store.clone().access(access(&registry, &place));
    store.push(&digest, &registry.reference("hub/team/app:1")).unwrap();
    Some((registry, place, digest))
}

/// A helper with this script, on a path of the test.
fn helper(place: &StoreFolder, script: &str) -> PathBuf {
    let path = place.write("bin/docker-credential-lsx-test", format!("#!/bin/sh\n{script}\n").as_bytes());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.parent().unwrap().to_owned()
}

#[test]
fn a_helper_is_asked_for_the_login_and_what_it_says_is_not_shown() {
    let auth = "auth: {htpasswd: {realm: lsx, path: FOLDER/htpasswd}}";
    let words = |port: u16, script: &str| {
        let place = StoreFolder::new();
        let folder = helper(&place, script);
        let config = json!({"credHelpers": {format!("127.0.0.1:{port}"): "lsx-test"}}).to_string();
        let config = Some(place.write("config.json", config.as_bytes()));
        (place, Access { config, helpers: Some(folder), ..Access::default() })
    };
    let good = "test \"$1\" = get; read host; printf '{\"ServerURL\":\"%s\",\"Username\":\"a\",\"Secret\":\"b\"}' \"$host\"";
    let mut kept = Vec::new();
    let access = std::cell::RefCell::new(&mut kept);
    let Some((registry, _place, digest)) = furnished(auth, |registry, _| {
        let (place, given) = words(registry.port, good);
        access.borrow_mut().push(place);
        given
    }) else {
        return;
    };
    let pull = |script: &str| {
        let (place, access) = words(registry.port, script);
        place.store.clone().access(access).bring(&registry.source("hub/team/app:1"))
    };
    assert_eq!(pull(good).unwrap().digest, digest);
    let none = pull("echo credentials not found in native keychain; exit 1").unwrap_err();
    assert_eq!(none.kind, Kind::Denied, "{none}");
    for (script, why) in [
        ("echo no keyring; exit 2", "exited with 2: no keyring"),
        ("echo '{\"Secret\": \"hidden\"'", "malformed"),
        ("echo '{\"Username\": \"<token>\", \"Secret\": \"hidden\"}'", "identity token"),
        ("exec sleep 1000", "longer than"),
    ] {
        let failure = pull(script).unwrap_err();
        let text = failure.to_string();
        assert!(
            failure.code == "ct.image.helper" && text.contains(why) && !text.contains("hidden"),
            "{text}"
        );
    }
}

#[test]
fn a_registry_that_signs_for_itself_is_trusted_by_its_certificate_and_in_no_other_way() {
    let certs = tempfile::tempdir().unwrap();
    let path = |name: &str| certs.path().join(name).display().to_string();
    for name in ["own", "other"] {
        let made = common::host::Program::new("openssl").args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=lsx test",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &path(&format!("{name}.key")),
            "-out",
            &path(&format!("{name}.crt")),
        ]);
        made.run(b"").unwrap();
    }
    let tls = format!(", tls: {{certificate: {}, key: {}}}", path("own.crt"), path("own.key"));
    let Some(registry) = Registry::with("", &tls) else { return };
    let place = StoreFolder::new();
    let digest = place.layout("one", &[&system().bytes()]);
    place.bring("oci:one").unwrap();
    let push =
        |access: Access| place.store.clone().access(access).push(&digest, &registry.reference("app:1"));
    let with = |name: &str| Access { ca: Some(certs.path().join(name)), ..Access::default() };
    let other = push(with("other.crt")).unwrap_err();
    assert!(other.kind == Kind::Unreachable && other.hint.unwrap().contains("--ca"), "another's does not do");
    assert!(push(with("own.key")).unwrap_err().message.contains("it contains no certificate"));
    assert!(push(with("none.crt")).unwrap_err().message.contains("no such file"));
    push(with("own.crt")).unwrap();
    // As Docker has it: a folder named as the registry is.
    let folder = certs.path().join(format!("certs.d/127.0.0.1:{}", registry.port));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(certs.path().join("own.crt"), folder.join("ca.crt")).unwrap();
    let there = StoreFolder::new();
    let access = Access { certificates: vec![certs.path().join("certs.d")], ..Access::default() };
    assert_eq!(there.store.clone().access(access).bring(&registry.source("app:1")).unwrap().digest, digest);
}

#[test]
fn mirrors_are_asked_first_and_passed_by_when_they_have_nothing() {
    let Some((registry, _place, digest)) = furnished("", |_, _| Access::default()) else { return };
    let pull = |mirrors: &[&str], reference: &str| {
        let place = StoreFolder::new();
        let mirrors = mirrors.iter().map(|m| (*m).to_owned()).collect();
        let access =
            Access { mirrors: [("registry.invalid".to_owned(), mirrors)].into(), ..Access::default() };
        place.store.clone().access(access).bring(&Source::Registry(reference.to_owned()))
    };
    let hub = registry.reference("hub");
    let gone = "127.0.0.1:1";
    assert_eq!(pull(&[gone, &hub], "registry.invalid/team/app:1").unwrap().digest, digest);
    let empty = pull(&[gone, &hub], "registry.invalid/team/app:2").unwrap_err();
    assert!(
        empty.message.contains("registry.invalid cannot be reached"),
        "the registry itself comes last: {empty}"
    );
    assert!(pull(&["no such"], "registry.invalid/team/app:1").is_err());
    // A digest takes precedence over a tag; a mirror with another image under the tag is detected.
    let both = format!("registry.invalid/team/app:moved@{digest}");
    assert_eq!(pull(&[&hub], &both).unwrap().digest, digest);
    let wrong = format!("registry.invalid/team/app:1@{}", digest::of(b"another"));
    assert!(pull(&[&hub], &wrong).is_err());
}

/// The key `registries` of a stack as `up` uses it: a mirror without the image, one that is down, one with it; then the registry.
#[test]
fn a_stack_names_mirrors() {
    let Some((registry, _place, digest)) = furnished("", |_, _| Access::default()) else { return };
    let Some(empty) = Registry::start("") else { return };
    let gathered = |mirrors: &str, image: &str| {
        let place = StoreFolder::new();
        let text = format!(
            "stack: s\nhosts: {{ h1: 192.0.2.1 }}\nregistries: {{ {mirrors} }}\nimages: {{ app: {{ oci: \"docker://{image}\" }} }}\n\
             instances: {{ a: {{ image: app }} }}\n"
        );
        let (stack, _) = common::stack::read(&text, "stack.yaml", &Default::default()).unwrap();
        let resolved = common::stack::resolve(&stack).unwrap();
        let store = place.folder.path().join("store");
        let beside = |path: &str| place.folder.path().join(path);
        let all = crate::gather::gather(&store, &stack, &resolved, &|_| true, &beside)?;
        Ok::<_, common::Failures>(all.images.into_values().next().unwrap().digest)
    };
    let list = [empty.reference("hub"), "127.0.0.1:1".to_owned(), registry.reference("hub")]
        .map(|m| format!("{m:?}"))
        .join(", ");
    assert_eq!(
        gathered(&format!("registry.invalid: [{list}]"), "registry.invalid/team/app:1").unwrap(),
        digest
    );
    assert_eq!(empty.asked(&["GET", "/v2/hub/team/app/manifests/1"]), 1, "in the order of the document");
    // Images that no mirror has come from the registry itself.
    let own = registry.reference("hub/team/app:1");
    let host = own.split('/').next().unwrap();
    let mirror = empty.reference("hub");
    assert_eq!(gathered(&format!("\"{host}\": \"{mirror}\""), &own).unwrap(), digest);
    let nowhere =
        gathered(&format!("registry.invalid: \"{mirror}\""), "registry.invalid/team/app:1").unwrap_err();
    assert!(nowhere.to_string().contains("registry.invalid cannot be reached"), "{nowhere}");
}

/// A login is only sent to the host that it names, never to a mirror of that host.
#[test]
fn a_mirror_is_not_told_the_login_of_its_registry() {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let mut all = String::new();
        while let Ok((mut client, _)) = server.accept() {
            let mut bytes = [0; 4096];
            let read = client.read(&mut bytes).unwrap_or(0);
            if read == 0 || bytes.starts_with(b"end") {
                return all;
            }
            all += &String::from_utf8_lossy(&bytes[..read]);
            let answer = "HTTP/1.1 401 no\r\nWww-Authenticate: Basic realm=\"m\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = client.write_all(answer.as_bytes());
        }
        all
    });
    let place = StoreFolder::new();
    let config = json!({"auths": {"registry.invalid": {"auth": "YTpi"}}}).to_string();
    let config = Some(place.write("config.json", config.as_bytes()));
    let mirrors = [("registry.invalid".to_owned(), vec![format!("127.0.0.1:{port}")])].into();
    let access = Access { config, mirrors, ..Access::default() };
    let source = Source::Registry("registry.invalid/team/app:1".to_owned());
    assert!(place.store.clone().access(access).bring(&source).is_err());
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap().write_all(b"end").unwrap();
    let heard = heard.join().unwrap();
    assert!(heard.contains("/v2/team/app/manifests/1"), "{heard}");
    assert!(!heard.to_lowercase().contains("authorization") && !heard.contains("YTpi"), "{heard}");
}

//! With a real registry: Debian's docker-registry, on a free port of this machine.

use super::*;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A registry, and the folder it keeps everything in.
pub(super) struct Registry {
    child: Child,
    pub(super) port: u16,
    pub(super) folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// None where there is no such program.
    pub(super) fn start(auth: &str) -> Option<Registry> {
        Self::with(auth, "")
    }

    /// The same with other settings of access.
    #[expect(clippy::disallowed_methods, reason = "it runs while the test does; Program waits for an end")]
    pub(super) fn with(auth: &str, http: &str) -> Option<Registry> {
        if common::host::Program::new("docker-registry").there().is_err() {
            eprintln!("SKIPPED: docker-registry is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let data = folder.path().join("data");
        let auth = auth.replace("FOLDER", folder.path().to_str().unwrap());
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:{port}', secret: any{http}}}\n{auth}\n",
            data.display()
        );
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        // a:b, by htpasswd -B
        let login = "a:$2b$05$7P8xxvk8LKxcZe0mkPsECe3OhwvqLcMbxyGXRL7qYI7rCT52NQLq2";
        std::fs::write(folder.path().join("htpasswd"), login).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new("docker-registry");
        command.args(["serve"]).arg(&path).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let registry = Registry { child, port, folder };
        let up = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        let up = common::host::wait::until(Duration::from_secs(20), Duration::from_millis(20), up);
        assert!(up, "{}", registry.log());
        Some(registry)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Requests so far whose log line holds the words.
    pub(super) fn asked(&self, words: &[&str]) -> usize {
        // A request is logged when it is answered, which may be after the answer arrived.
        common::host::wait::until(Duration::from_millis(200), Duration::from_millis(200), || false);
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains("response completed"));
        lines.filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    pub(super) fn reference(&self, rest: &str) -> String {
        format!("127.0.0.1:{}/{rest}", self.port)
    }

    pub(super) fn source(&self, rest: &str) -> Source {
        Source::Registry(self.reference(rest))
    }
}

#[test]
fn an_image_is_pushed_and_pulled_and_only_what_is_missing_travels() {
    let Some(registry) = Registry::start("") else { return };
    let (here, there) = (StoreFolder::new(), StoreFolder::new());
    // Bigger than what is sent at a time.
    let noise: String =
        (0..300_000_u64).map(|i| format!("{:x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let low = Tar::new().file("noise", &noise).bytes();
    let first = here.layout("one", &[&low, &Tar::new().file("app", "1").bytes()]);
    let second = here.layout("two", &[&low, &Tar::new().file("app", "2").bytes()]);
    here.bring("oci:one").unwrap();
    here.bring("oci:two").unwrap();
    assert!(here.store.blobs(&first).unwrap()[2].size_bytes > 2 << 20, "three parts");
    here.store.push(&first, &registry.reference("team/app:1")).unwrap();
    assert!(registry.asked(&["http.request.method=PATCH"]) >= 2);
    let puts = registry.asked(&["http.request.method=PUT", "blobs/uploads"]);
    here.store.push(&second, &registry.reference("team/app:2")).unwrap();
    assert_eq!(
        registry.asked(&["http.request.method=PUT", "blobs/uploads"]) - puts,
        2,
        "configuration and layer"
    );

    let pulled = there.store.bring(&registry.source("team/app:1")).unwrap();
    assert_eq!((pulled.digest.as_str(), pulled.layers), (first.as_str(), 2));
    let gets = registry.asked(&["http.request.method=GET", "/blobs/sha256"]);
    assert_eq!(gets, 3);
    assert_eq!(there.store.bring(&registry.source("team/app:2")).unwrap().digest, second);
    assert_eq!(registry.asked(&["http.request.method=GET", "/blobs/sha256"]), gets + 2);
    let by_digest = registry.source(&format!("team/app@{second}"));
    assert_eq!(there.store.bring(&by_digest).unwrap().digest, second);
    let all = registry.asked(&["http.request.method"]);
    assert_eq!(there.store.bring(&by_digest).unwrap().digest, second);
    assert_eq!(registry.asked(&["http.request.method"]), all, "what a digest means is known");

    let failure = there.store.bring(&registry.source("team/app:3")).unwrap_err();
    assert_eq!(
        failure.message,
        format!("127.0.0.1:{} has no docker://{}", registry.port, registry.reference("team/app:3"))
    );
    there.tidy();
}

#[test]
fn a_registry_that_serves_something_else_is_not_believed() {
    let Some(registry) = Registry::start("") else { return };
    let (here, there) = (StoreFolder::new(), StoreFolder::new());
    let digest = here.layout("one", &[&system().bytes()]);
    here.bring("oci:one").unwrap();
    here.store.push(&digest, &registry.reference("app:1")).unwrap();
    let layer = here.store.blobs(&digest).unwrap().pop().unwrap().digest;
    let digits = digest::hex(&layer).unwrap();
    let path = format!("data/docker/registry/v2/blobs/sha256/{}/{digits}/data", &digits[..2]);
    let path = registry.folder.path().join(path);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[30] ^= 1;
    here.write(path.to_str().unwrap(), &bytes);
    let failure = there.store.bring(&registry.source("app:1")).unwrap_err();
    assert_eq!(failure.code, "ct.image.digest");
    assert_eq!(there.store.missing(std::slice::from_ref(&layer)), [layer]);
    there.tidy();
}

#[test]
fn logins_come_from_dockers_own_file() {
    let auth = "auth: {htpasswd: {realm: lsx, path: FOLDER/htpasswd}}";
    let Some(registry) = Registry::start(auth) else { return };
    let place = StoreFolder::new();
    let digest = place.layout("one", &[&system().bytes()]);
    place.bring("oci:one").unwrap();
    let with = |config: Option<PathBuf>| place.store.clone().access(Access { config, ..Access::default() });
    let push = |store: Store| store.push(&digest, &registry.reference("app:1"));
    let failure = push(with(None)).unwrap_err();
    assert_eq!(failure.kind, Kind::Denied);
    assert!(failure.hint.unwrap().contains("docker login 127.0.0.1"));
    let login = |auth: &str| {
        let text =
            json!({"auths": {registry.reference("").trim_end_matches('/'): {"auth": auth}}}).to_string();
        Some(place.write(&format!("{}.json", auth.len()), text.as_bytes()))
    };
    assert_eq!(push(with(login("YTpjYw=="))).unwrap_err().kind, Kind::Denied); // a:cc
    let damaged = push(with(login("a b"))).unwrap_err();
    assert!(damaged.code == "ct.image.login" && !damaged.to_string().contains("a b"), "{damaged}");
    push(with(login("YTpi"))).unwrap(); // a:b
}

#[test]
fn a_registry_that_is_not_there_is_unreachable() {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let failure =
        StoreFolder::new().store.bring(&Source::Registry(format!("127.0.0.1:{port}/app"))).unwrap_err();
    assert_eq!((failure.kind, failure.retry), (Kind::Unreachable, true));
}

/// Answers each request by its first line and its header of authorization, and keeps both.
fn server(
    answer: impl Fn(u16, &str, &str) -> String + Send + 'static,
) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stream.try_clone().unwrap()));
            let head: Vec<String> =
                lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let pass = head.iter().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
            let request = head.first().cloned().unwrap_or_default();
            let _ = stream.write_all(answer(port, &request, pass).as_bytes());
            let _ = tell.send(format!("{request} {pass}"));
        }
    });
    (port, told)
}

fn said(status: &str, header: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

#[test]
fn a_token_is_fetched_where_the_registry_says_and_goes_nowhere_else() {
    let (other, elsewhere) = server(|_, _, _| said("404 Not Found", "", ""));
    let (port, told) = server(move |port, request, pass| match (request, pass) {
        (r, "Basic YTpi") if r.starts_with("GET /token") => {
            said("200 OK", "", r#"{"token": "t1", "access_token": "t1"}"#)
        }
        (r, "Bearer t1") if r.starts_with("GET /v2/") => {
            said("307 Temporary Redirect", &format!("location: http://127.0.0.1:{other}/blob\r\n"), "")
        }
        _ => {
            let realm = format!("http://127.0.0.1:{port}/token");
            let wants = format!(r#"Bearer realm="{realm}",service="r",scope="repository:app:pull""#);
            said("401 Unauthorized", &format!("www-authenticate: {wants}\r\n"), "{}")
        }
    });
    let place = StoreFolder::new();
    let login = json!({"auths": {format!("127.0.0.1:{port}"): {"auth": "YTpi"}}}).to_string();
    let access = Access { config: Some(place.write("logins.json", login.as_bytes())), ..Access::default() };
    let store = place.store.clone().access(access);
    let failure = store.bring(&Source::Registry(format!("127.0.0.1:{port}/app:1"))).unwrap_err();
    assert!(failure.message.contains("has no docker://"), "{failure}");
    let all: Vec<String> = told.iter().take(3).collect();
    assert_eq!(all[0], "GET /v2/app/manifests/1 HTTP/1.1 ");
    assert!(all[1].starts_with("GET /token?scope=repository%3Aapp%3Apull&service=r"), "{all:?}");
    assert_eq!(all[2], "GET /v2/app/manifests/1 HTTP/1.1 Bearer t1");
    assert_eq!(elsewhere.recv().unwrap(), "GET /blob HTTP/1.1 ", "another host gets no token");
}

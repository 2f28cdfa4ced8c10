//! Debian's PostgreSQL, Redis and nginx, as in `scripts/stacks/shop.yaml`: with their own users, volumes, secrets, readiness checks
//! and dependencies, without start scripts. Tested with their own clients, from the networks of their dependents.

use crate::cloud::Cloud;
use lsx_tests::lab::until;
use lsx_tests::top;
use std::process::Command;

pub(crate) const CASES: &[crate::Case] =
    &[("debians_services_run_as_their_own_users", debians_services_run_as_their_own_users)];
pub(crate) const ENGINES: &[crate::Case] =
    &[("redis_of_debian_runs_in_lxd_and_incus", redis_of_debian_runs_in_lxd_and_incus)];

const FILE: &str = "scripts/stacks/shop.yaml";
/// Two hosts get and unpack half a gigabyte, on a busy machine.
const TIME: [&str; 2] = ["--deadline", "30m"];

/// Two hosts with disks large enough for the image, packed and unpacked.
pub(crate) fn cloud() -> Cloud {
    stored(Cloud::with(2, &["--disk", "3G"]))
}

/// One host with LXD and Incus.
pub(crate) fn engines() -> Cloud {
    stored(Cloud::with(1, &["--disk", "6G", "--with", "lxd,incus"]))
}

/// The image is built once a day, outside the lab, which cannot reach Debian's packages.
fn stored(mut cloud: Cloud) -> Cloud {
    cloud.store = top("target/images/store").display().to_string();
    cloud
}

/// Whether an image exists or can be built; otherwise prints why not.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
pub(crate) fn made(cloud: &Cloud, name: &str, source: &str) -> bool {
    let tools = lsx_tests::tools();
    let tool = tools.iter().find(|tool| tool.name == "lsx-ct").unwrap();
    let import = ["images", "import", source, "--name", name, "--store", &cloud.store];
    let made = Command::new(&tool.path).args(import).output().unwrap();
    if !made.status.success() {
        eprintln!("SKIPPED: {name}: {}", String::from_utf8_lossy(&made.stderr));
    }
    made.status.success()
}

/// The same for the image of the stack.
fn shop(cloud: &Cloud) -> bool {
    let stack = std::fs::read_to_string(top(FILE)).unwrap();
    let source = stack.lines().find_map(|l| l.split_once("oci: \"")).unwrap().1.split('"').next().unwrap();
    made(cloud, "shop", source)
}

/// Runs a verb with a long time limit.
#[track_caller]
pub(crate) fn ct(cloud: &Cloud, args: &[&str]) -> String {
    let ran = cloud.command(&[args, &TIME].concat()).output().unwrap();
    assert!(ran.status.success(), "{args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

fn secret(name: &str) -> String {
    std::fs::read_to_string(top("target/shop").join(name)).unwrap()
}

fn debians_services_run_as_their_own_users(cloud: &Cloud) {
    if !shop(cloud) {
        return;
    }
    let folder = top("target/shop").display().to_string();
    assert!(Command::new(top("scripts/stacks/shop/secrets")).arg(folder).status().unwrap().success());
    let file = top(FILE).display().to_string();
    let before = ["h1", "h2"].map(|host| cloud.snapshot(host));
    the_commands_at_its_beginning_run(cloud);
    they_are_whose_they_should_be(cloud);
    they_serve(cloud);
    sql(cloud, "CREATE TABLE stock (thing text); INSERT INTO stock VALUES ('chair')");
    redis(cloud, "set visits 7");
    assert_eq!(put(cloud, &format!("shop:{}", secret("web_password"))), "201");
    kept(cloud);
    ct(cloud, &["restart", "db", "cache", "web", "--stack", &file]);
    kept(cloud);
    let again: serde_json::Value = ct(cloud, &["up", &file]).parse().unwrap();
    assert_eq!(again["status"]["ct"]["changed"], 0, "{}", again["status"]);
    for host in ["h1", "h2"] {
        cloud.lab.verb(&["kill", host]);
    }
    for host in ["h2", "h1"] {
        cloud.lab.verb(&["boot", host]);
    }
    assert!(until(300, || page(cloud, "/").contains("nginx")), "web is back, and what it needs");
    kept(cloud);
    they_are_whose_they_should_be(cloud);
    ct(cloud, &["down", &file, "--destroy-data", "shop"]);
    cloud.lab.net(&["down", "--quiet", &file]).ok();
    for (host, before) in ["h1", "h2"].iter().zip(before) {
        // A restarted host has another link to the lab's switch, and its disk is mounted with other options.
        let of_lab = |line: &&String| line.contains("eth0@if") || line.starts_with("mount: / / ");
        let after = cloud.snapshot(host);
        let come: Vec<_> = after.difference(&before).filter(|line| !of_lab(line)).collect();
        let gone: Vec<_> = before.difference(&after).filter(|line| !of_lab(line)).collect();
        assert!(come.is_empty() && gone.is_empty(), "{host}: {come:?} {gone:?}");
    }
}

/// Those that the file shows to a person, on the operator's machine, with `lsx` on PATH; the first brings everything up.
fn the_commands_at_its_beginning_run(cloud: &Cloud) {
    let text = std::fs::read_to_string(top(FILE)).unwrap();
    let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
    assert!(commands.len() == 4 && commands[1].starts_with("lsx up "), "{commands:?}");
    let (own, scripts) = (cloud.lab.folder.path().display(), top("scripts").display().to_string());
    for command in commands {
        let command = command.replace("lsx up ", "lsx up --deadline 30m ");
        let script = format!(
            "cd {}; export PATH={own}:{scripts}:$PATH LSX_STORE={} CARGO_TARGET_DIR={own}/none; {command}",
            top("").display(),
            cloud.store
        );
        let said = cloud.lab.run(&["bash", "-c", &script]).ok().stdout;
        let wanted = match command.split(' ').next() {
            Some("curl") => "Welcome to nginx",
            Some("lsx") if command.contains("psql") => "PostgreSQL 15",
            _ => "",
        };
        assert!(said.contains(wanted), "{command}: {said}");
    }
}

/// The owners of every process of a service and of the files in its volume, as the kernel numbers them.
fn they_are_whose_they_should_be(cloud: &Cloud) {
    for (host, name, program, user, volume) in [
        ("h2", "db", "postgres", "postgres", "db 755\ndb/15/main 700"),
        ("h2", "cache", "redis-server", "redis", "cache 750"),
        ("h1", "web", "nginx", "www-data", "www 755"),
    ] {
        let of = format!("shop/{name}");
        let id = |what: &str| -> u32 {
            cloud.inside(host, &of, &format!("id {what} {user}")).ok().stdout.trim().parse().unwrap()
        };
        let (user, group) = (id("-u"), id("-g"));
        assert_ne!(user, 0);
        let script = format!(
            "first=$(cat /var/lib/lsx/ct/{of}/ids); for pid in $(pgrep -x {program}); do
             echo $(($(sed -n 's/^Uid:[[:space:]]*\\([0-9]*\\).*/\\1/p' /proc/$pid/status) - first)); done | sort -u"
        );
        assert_eq!(cloud.lab.script(host, &script).ok().stdout, format!("{user}\n"), "{program}");
        let volumes = "cd /var/lib/lsx/volumes/shop; stat -c '%n %a %u %g'";
        for line in volume.lines() {
            let path = line.split(' ').next().unwrap();
            let group = if name == "web" { 33 } else { group };
            let said = cloud.lab.script(host, &format!("{volumes} {path}")).ok().stdout;
            assert_eq!(said, format!("{line} {user} {group}\n"));
        }
        let mode = cloud.inside(host, &of, "stat -c '%a %u' /run/secrets/*").ok().stdout;
        assert_eq!(mode, format!("400 {user}\n"), "the secret of {name}");
    }
}

fn sql(cloud: &Cloud, text: &str) -> String {
    let password = secret("db_password");
    let script = format!("PGPASSWORD={password} psql -h db.back.internal -U shop -At -c \"{text}\" shop");
    cloud.inside("h1", "shop/web", &script).ok().stdout
}

fn redis(cloud: &Cloud, words: &str) -> String {
    let password = secret("cache_password");
    let script = format!("REDISCLI_AUTH={password} redis-cli -h cache.back.internal {words}");
    cloud.inside("h1", "shop/web", &script).ok().stdout
}

fn page(cloud: &Cloud, path: &str) -> String {
    cloud.lab.run(&["curl", "-s", "-m", "5", &format!("http://198.18.0.11:8080{path}")]).stdout
}

/// Uploads a file to the web server as a user; returns the HTTP status.
fn put(cloud: &Cloud, login: &str) -> String {
    let source = cloud.lab.file("price", "twelve");
    let url = "http://198.18.0.11:8080/files/price";
    let words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-u", login, "-T", &source, url];
    cloud.lab.run(&words).ok().stdout
}

/// Each service answers its own client on other hosts with the password, and refuses it without; nginx's output is in its log.
fn they_serve(cloud: &Cloud) {
    assert_eq!(sql(cloud, "SELECT current_user"), "shop\n");
    let ask = "PGPASSWORD=wrong psql -h db.back.internal -U shop -c 'SELECT 1' shop 2>&1 || true";
    let refused = cloud.inside("h1", "shop/web", ask).ok().stdout;
    assert!(refused.contains("password authentication failed"), "{refused}");
    assert_eq!(redis(cloud, "ping"), "PONG\n");
    let refused = cloud.inside("h1", "shop/web", "redis-cli -h cache.back.internal ping").stdout;
    assert!(refused.contains("NOAUTH"), "{refused}");
    assert!(page(cloud, "/").contains("Welcome to nginx"));
    assert_eq!(put(cloud, "shop:wrong"), "401");
    let log = cloud.ct(&["logs", "web", "--plain", "--stack", &top(FILE).display().to_string()]).ok().stdout;
    assert!(log.contains("\"GET / HTTP/1.1\" 200"), "{log}");
}

fn kept(cloud: &Cloud) {
    assert!(until(60, || page(cloud, "/files/price") == "twelve"));
    assert_eq!(sql(cloud, "SELECT thing FROM stock"), "chair\n");
    assert_eq!(redis(cloud, "get visits"), "7\n");
    let owner = cloud.lab.script("h1", "stat -c %u /var/lib/lsx/volumes/shop/www/files/price").ok().stdout;
    assert_eq!(owner, "33\n");
}

/// The same with LXD and Incus: as its own user, with a volume filled from the image.
fn redis_of_debian_runs_in_lxd_and_incus(cloud: &Cloud) {
    if !shop(cloud) {
        return;
    }
    cloud.lab.file("users", "user default on >sesame ~* &* +@all");
    for driver in ["lxd", "incus"] {
        let name = format!("cache-{driver}");
        let file = cloud.document(&name, &REDIS.replace("DRIVER", driver));
        cloud.lab.net(&["up", "--quiet", &file]).ok();
        ct(cloud, &["up", &file]);
        let inside = |script: &str| {
            let pid = cloud.lab.script("h1", "pgrep -x redis-server").ok().stdout.trim().to_owned();
            let enter = ["nsenter", "-t", &pid, "-a", "-S", "0", "-G", "0", "/bin/sh", "-ec", script];
            cloud.lab.exec("h1", &enter).ok().stdout
        };
        assert_eq!(
            inside("for p in /proc/[0-9]*; do ! grep -qx redis-server $p/comm || stat -c %U $p; done"),
            "redis\n"
        );
        assert_eq!(inside("stat -c '%a %U %G' /var/lib/redis"), "750 redis redis\n");
        let ask = |words: &str| inside(&format!("REDISCLI_AUTH=sesame redis-cli {words}"));
        assert_eq!(ask("set visits 7"), "OK\n");
        ct(cloud, &["restart", "it", "--stack", &file]);
        assert_eq!(ask("get visits"), "7\n");
        ct(cloud, &["down", &file, "--destroy-data", &name]);
        cloud.lab.net(&["down", "--quiet", &file]).ok();
    }
}

const REDIS: &str = "
instances:
  it:
    image: shop
    driver: DRIVER
    host: h1
    networks: [lan]
    user: redis
    command: [redis-server, /etc/redis/redis.conf, --daemonize, \"no\", --bind, 0.0.0.0, --logfile, /dev/stdout, --pidfile, \"\"]
    args: [--appendonly, \"yes\", --aclfile, /run/secrets/users]
    volumes: { cache: /var/lib/redis }
    secrets: users
    ready: { tcp: 6379, timeout: 2m }
secrets: { users: \"file:users\" }
";

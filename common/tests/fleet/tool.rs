//! The tool under test: the answers of its `agent`, and a replacement of sudo.

use common::{Failure, Failures, Kind};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The name of its copy.
pub(crate) const NAME: &str = "lsx-test";

/// `agent` on a host.
pub(crate) fn agent() -> ExitCode {
    match common::fleet::agent(NAME, std::io::stdin(), std::io::stdout(), &handle) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// `agent` in this process.
pub(crate) fn local(stream: UnixStream) {
    let input = stream.try_clone().unwrap();
    let _ = common::fleet::agent(NAME, input, stream, &handle);
}

fn handle(
    request: Value,
    event: &mut (dyn FnMut(Value) + Send),
    cancel: &AtomicBool,
) -> Result<Value, Failures> {
    match request["op"].as_str().unwrap_or_default() {
        "echo" => Ok(request["value"].clone()),
        "who" => Ok(json!({
            "pid": std::process::id(),
            "exe": std::env::current_exe().unwrap(),
            "uid": nix::unistd::geteuid().as_raw(),
        })),
        "events" => {
            (0..request["count"].as_u64().unwrap()).for_each(|n| event(json!({"n": n})));
            Ok(json!("done"))
        }
        "fail" => Err(Failures(vec![
            Failure::new(Kind::Denied, "x.a", "first"),
            Failure::new(Kind::Denied, "x.b", "second"),
        ])),
        "big" => Ok(json!("y".repeat(request["size"].as_u64().unwrap() as usize))),
        "wait" => {
            event(json!("waiting"));
            let start = Instant::now();
            while !cancel.load(Ordering::SeqCst) && start.elapsed() < Duration::from_secs(300) {
                pause();
            }
            if let Some(path) = request["mark"].as_str() {
                put(path, "undone");
            }
            Ok(json!({"undone": cancel.load(Ordering::SeqCst)}))
        }
        "hang" => {
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(60) {
                pause();
            }
            Ok(Value::Null)
        }
        "die" => std::process::abort(),
        "many" => Ok(Value::Array(vec![request["one"].clone(); request["times"].as_u64().unwrap() as usize])),
        "lie" => lie(request["how"].as_str().unwrap_or_default()),
        other => Err(Failure::new(Kind::Usage, "x.op", other).into()),
    }
}

/// The output of a host taken over by an attacker.
fn lie(how: &str) -> Result<Value, Failures> {
    let mut to = std::io::stdout().lock();
    let mut say = |bytes: &[u8]| to.write_all(bytes).and_then(|()| to.flush()).is_ok();
    match how {
        "endless line" => while say(&[b'x'; 65_536]) {},
        "endless events" => while say(&b"{\"event\":1}\n".repeat(5000)) {},
        "deep" => drop(say(&["{\"ok\":".as_bytes(), &[b'['; 1_000_000], b"\n"].concat())),
        "many values" => drop(say(many("0,", 16_000_000).as_bytes())),
        "many lists" => drop(say(many("[],", 12_000_000).as_bytes())),
        "many objects" => drop(say(many("{\"\":0},", 7_000_000).as_bytes())),
        "rubbish" => drop(say(b"\x1b[2J\xff\xfe not JSON\n")),
        "twice" => drop(say(b"{\"ok\":1}\n{\"ok\":\"of another request\"}\n")),
        "errors" => (0..2000).for_each(|_| _ = std::io::stderr().write_all(&[b'e'; 65_536])),
        _ => {}
    }
    Ok(json!("told"))
}

/// A reply with so many of these.
pub(crate) fn many(one: &str, times: usize) -> String {
    format!("{{\"ok\":[{}0]}}\n", one.repeat(times))
}

pub(crate) fn put(path: impl AsRef<std::path::Path>, text: impl AsRef<[u8]>) {
    std::fs::write(path, text).unwrap();
}

pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// `sudo -n PROGRAM ARGS...`, set-uid root. It asks for a password while the file `password` is beside it.
pub(crate) fn sudo(args: &[String]) -> ExitCode {
    if std::path::Path::new("/usr/local/bin/password").exists() {
        eprintln!("sudo: a password is required");
        return ExitCode::FAILURE;
    }
    let (Some("-n"), Some(program)) = (args.first().map(String::as_str), args.get(1)) else {
        eprintln!("sudo: usage");
        return ExitCode::FAILURE;
    };
    if let Err(error) = nix::unistd::setuid(nix::unistd::Uid::from_raw(0)) {
        eprintln!("sudo: {error}");
        return ExitCode::FAILURE;
    }
    let error = std::process::Command::new(program).args(&args[2..]).exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        eprintln!("sudo: {program}: command not found");
    } else {
        eprintln!("sudo: unable to execute {program}: {error}");
    }
    ExitCode::FAILURE
}

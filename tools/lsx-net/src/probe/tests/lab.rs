//! A network namespace for one test, and services on loopback that behave in one given way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Uid, gettid};

/// Runs a test on a thread with a network namespace of its own, loopback up; nothing to clean up,
/// the namespace ends with the thread. Without root there is none, and the test says so.
pub(super) fn in_namespace<T: Send>(test: impl FnOnce() -> T + Send) -> Option<T> {
    if !Uid::effective().is_root() {
        eprintln!("not root: this test needs a network namespace and is left out");
        return None;
    }
    thread::scope(|scope| {
        let body = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            sh("ip link set lo up");
            test()
        });
        Some(body.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// The thread's id, by which `ip link set ... netns` finds its namespace.
pub(super) fn thread_id() -> String {
    gettid().to_string()
}

/// Runs a line of words as a program in this thread's namespace.
pub(super) fn sh(line: &str) -> String {
    let mut words = line.split_whitespace();
    #[expect(clippy::disallowed_methods, reason = "a test sets the stage with ip and nft")]
    let output = std::process::Command::new(words.next().unwrap()).args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs an ignored test of this binary as a program, by a program that removes some of its permissions.
/// something away from it.
pub(super) fn run_behind(program: &str, test: &str) {
    let me = std::env::current_exe().unwrap();
    let said = sh(&format!("{program} {} --exact probe::tests::{test} --ignored", me.display()));
    assert!(said.contains("1 passed"), "{said}");
}

/// Writes a setting of this thread's namespace.
pub(super) fn sysctl(path: &str, value: &str) {
    let mut file = std::fs::OpenOptions::new().write(true).open(format!("/proc/sys/net/{path}")).unwrap();
    file.write_all(value.as_bytes()).unwrap();
}

/// A service that handles each connection as given, until the test process ends.
pub(super) fn service(handle: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            handle(stream);
        }
    });
    address
}

/// A service that reads a request head and hands it to a function that answers it.
pub(super) fn http_service(answer: impl Fn(&str) -> String + Send + 'static) -> SocketAddr {
    service(move |mut stream| {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let _ = stream.write_all(answer(&head).as_bytes());
    })
}

/// A port on which nothing listens.
pub(super) fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

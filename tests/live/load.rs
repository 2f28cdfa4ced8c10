//! A server and clients of HTTP and TCP that count what fails, in place of instances and their users.

use lsx_tests::lab::Lab;
use lsx_tests::load::{Count, Load};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Time limit of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients of each kind.
const CLIENTS: usize = 4;

/// Listens, with a higher number than connections will have. When a process is killed the kernel closes what has the highest
/// number first; a socket that still listens then takes connections that it ends a moment later, and a client would need a second
/// retry.
pub(crate) fn listen(port: &str) -> TcpListener {
    let lower: Vec<File> = (0..500).map(|_| File::open("/dev/null").unwrap()).collect();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port.parse().unwrap())).unwrap();
    drop(lower);
    listener
}

/// `NAME PORT`: HTTP/1.1 that keeps connections and says its name, the path and the headers it was asked with.
pub(crate) fn http(name: &str, port: &str) {
    let listener = listen(port);
    let name = name.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let name = name.clone();
            std::thread::spawn(move || answer(&name, &stream));
        }
    });
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
}

fn answer(name: &str, stream: &TcpStream) -> Option<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let asked = head(&mut lines)?;
        let body = format!("{name} {}", asked.join("\n"));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        { stream }.write_all((head + &body).as_bytes()).ok()?;
    }
}

/// The lines of a head, without the empty one that ends it.
pub(crate) fn head(from: &mut impl BufRead) -> Option<Vec<String>> {
    let mut all = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => return Some(all),
            line => all.push(line.to_owned()),
        }
    }
}

/// `HTTP TCP`: asks both addresses without a pause. For each line it is given it tells how many exchanges there were, and how
/// many failed.
pub(crate) fn load(http: &str, tcp: &str) {
    let (http, tcp): (SocketAddr, SocketAddr) = (http.parse().unwrap(), tcp.parse().unwrap());
    let count: Arc<Count> = Arc::default();
    let start = |work: fn(SocketAddr, &Count), to: SocketAddr| {
        let count = Arc::clone(&count);
        std::thread::spawn(move || {
            loop {
                work(to, &count);
            }
        })
    };
    for _ in 0..CLIENTS {
        start(requests, http);
        start(exchange, tcp);
    }
    count.tell();
}

/// Requests on one connection, until it is closed as HTTP says.
fn requests(to: SocketAddr, count: &Count) {
    let stream = match TcpStream::connect_timeout(&to, PATIENCE) {
        Ok(stream) => stream,
        Err(error) => return count.bad(format!("http connect: {error}")),
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut from = BufReader::new(&stream);
    loop {
        let asked = { &stream }.write_all(b"GET /load HTTP/1.1\r\nHost: www.internal\r\n\r\n").ok();
        let Some(head) = asked.and_then(|()| head(&mut from)) else {
            return count.bad("http: no answer".to_owned());
        };
        if !head.first().is_some_and(|line| line.contains(" 200 ")) {
            return count.bad(format!("http: {:?}", head.first()));
        }
        let value =
            |key: &str| head.iter().find_map(|line| line.to_lowercase().strip_prefix(key).map(str::to_owned));
        let mut body = vec![0; value("content-length: ").unwrap().parse().unwrap()];
        if from.read_exact(&mut body).is_err() {
            return count.bad("http: half an answer".to_owned());
        }
        count.good();
        if value("connection: ").is_some_and(|how| how == "close") {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A connection that says something a few times.
fn exchange(to: SocketAddr, count: &Count) {
    let mut stream = match TcpStream::connect_timeout(&to, PATIENCE) {
        Ok(stream) => stream,
        Err(error) => return count.bad(format!("tcp connect: {error}")),
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..20 {
        let mut answer = [0; 4];
        let came = stream.write_all(b"echo").and_then(|()| stream.read_exact(&mut answer));
        match came {
            Ok(()) if &answer == b"echo" => count.good(),
            Ok(()) => return count.bad("tcp: another answer".to_owned()),
            Err(error) => return count.bad(format!("tcp answer: {error}")),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// From the operator's machine.
pub(crate) fn start(lab: &Lab, http: &str, tcp: &str) -> Load {
    let exe = std::env::current_exe().unwrap();
    Load::ready(lab.start_here(&[exe.to_str().unwrap(), "peer", "load", http, tcp]))
}

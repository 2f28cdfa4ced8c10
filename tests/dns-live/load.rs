//! A client that asks by UDP and TCP without a pause and counts what is not answered.

use lsx_tests::lab::Lab;
use lsx_tests::load::{Count, Load};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, ExitCode};
use std::sync::Arc;
use std::time::Duration;

const PLACE: &str = "/usr/local/bin/dns-load";
/// Time limit of an answer; one that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(15);
/// Clients of each kind.
const CLIENTS: usize = 3;

/// `SERVER NAME`.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let server: SocketAddr = format!("{}:53", args[0]).parse().unwrap();
    let count: Arc<Count> = Arc::default();
    for client in 0..CLIENTS * 2 {
        let (count, name) = (Arc::clone(&count), args[1].clone());
        std::thread::spawn(move || {
            for number in 1u16.. {
                let asked = query(number, &name);
                let answered = if client % 2 == 0 { by_udp(server, &asked) } else { by_tcp(server, &asked) };
                match answered {
                    Ok(reply) if reply[..2] == asked[..2] && reply[3] & 15 == 0 && reply[7] > 0 => {
                        count.good()
                    }
                    Ok(reply) => count.bad(format!("answer {:?}", &reply[..12])),
                    Err(error) => count.bad(error.to_string()),
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
    }
    count.tell();
    ExitCode::SUCCESS
}

/// `ADDRESS`: a server on the operator's machine that has one address for every name, and none for names that begin with
/// `missing`; it adds records of a name that was not asked for. It prints the names.
pub(crate) fn upstream(args: &[String]) -> ExitCode {
    let socket = UdpSocket::bind(format!("{}:53", args[0])).unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let question = &query[12..length];
            let end = question.iter().position(|byte| *byte == 0).unwrap() + 5;
            let mut labels = Vec::new();
            let mut at = 0;
            while question[at] > 0 {
                let next = at + 1 + usize::from(question[at]);
                labels.push(String::from_utf8_lossy(&question[at + 1..next]).into_owned());
                at = next;
            }
            println!("{}", labels.join("."));
            let reply = upstream_reply(&query[..2], &question[..end], &labels[0]);
            let _ = socket.send_to(&reply, from);
        }
    });
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    ExitCode::SUCCESS
}

fn upstream_reply(number: &[u8], question: &[u8], label: &str) -> Vec<u8> {
    let record = |owner: &[u8], kind: u8, ttl: u8, data: &[u8]| {
        let length = u8::try_from(data.len()).unwrap();
        [owner, &[0, kind, 0, 1, 0, 0, 0, ttl, 0, length], data].concat()
    };
    if label == "missing" {
        // The SOA of the root: names, serial, and five times of a minute.
        let soa = [&[0, 0][..], &[0, 0, 0, 60].repeat(5)].concat();
        let head = [number, &[0x81, 0x83, 0, 1, 0, 0, 0, 1, 0, 0]].concat();
        return [&head[..], question, &record(&[0], 6, 60, &soa)].concat();
    }
    let ttl = if label == "short" { 1 } else { 90 };
    let head = [number, &[0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0]].concat();
    let made_up = record(b"\x04bank\x07example\x00", 1, 90, &[203, 0, 113, 66]);
    [&head[..], question, &made_up, &record(&[0xc0, 12], 1, ttl, &[203, 0, 113, 7])].concat()
}

/// `ADDRESS`: accepts connections on port 80 until its standard input ends.
pub(crate) fn listen(args: &[String]) -> ExitCode {
    let listener = std::net::TcpListener::bind(format!("{}:80", args[0])).unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
    ExitCode::SUCCESS
}

fn query(number: u16, name: &str) -> Vec<u8> {
    let mut bytes = [&number.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

fn by_udp(server: SocketAddr, asked: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(asked)?;
    let mut reply = vec![0; 4096];
    let length = socket.recv(&mut reply)?;
    reply.truncate(length.max(12));
    Ok(reply)
}

fn by_tcp(server: SocketAddr, asked: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(&[&u16::try_from(asked.len()).unwrap().to_be_bytes(), asked].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length)).max(12)];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

/// The server of [`upstream`], until it is asked what it was asked.
pub(crate) struct Upstream(Child);

impl Upstream {
    pub(crate) fn start(lab: &Lab, address: &str) -> Upstream {
        let exe = std::env::current_exe().unwrap();
        Upstream::ready(lab.start_here(&[exe.to_str().unwrap(), "upstream", address]))
    }

    /// The same in a namespace of a host.
    pub(crate) fn inside(lab: &Lab, host: &str, space: &str, address: &str) -> Upstream {
        install(lab, host);
        Upstream::ready(lab.start(host, &["ip", "netns", "exec", space, PLACE, "upstream", address]))
    }

    fn ready(mut child: Child) -> Upstream {
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        Upstream(child)
    }

    /// Ends it; returns the names that it was asked for.
    pub(crate) fn asked(mut self) -> Vec<String> {
        drop(self.0.stdin.take());
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.0.wait().unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// This program on a host.
fn install(lab: &Lab, host: &str) {
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let script = format!("test -x {PLACE} || {{ cat > {PLACE}; chmod 755 {PLACE}; }}");
    lab.exec_with(host, &["sh", "-ec", &script], &bytes).ok();
}

/// In an instance's place.
pub(crate) fn start(lab: &Lab, host: &str, space: &str, server: &str, name: &str) -> Load {
    program(lab, host, space, &["load", server, name])
}

/// A server on port 80 in an instance's place.
pub(crate) fn accepting(lab: &Lab, host: &str, space: &str, address: &str) -> Load {
    program(lab, host, space, &["listen", address])
}

fn program(lab: &Lab, host: &str, space: &str, words: &[&str]) -> Load {
    install(lab, host);
    Load::ready(lab.start(host, &[&["ip", "netns", "exec", space, PLACE], words].concat()))
}

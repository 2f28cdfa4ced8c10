//! Runs in place of an instance: a server that reports itself and its client, and a client of many targets at once.

use crate::load;
use lsx_tests::lab::{Lab, Ran};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Time limit of a client, after which a packet counts as dropped.
const TIMEOUT: Duration = Duration::from_millis(1200);
/// Mark of a target that must answer. Its client waits as long as a busy machine may take, and repeats what gets lost.
const MUST: char = '+';
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn main(args: &[String]) -> ExitCode {
    match args[0].as_str() {
        "serve" => serve(&args[1], &args[2..]),
        "ask" => ask(&args[1..]),
        "tunnel" => tunnel(&args[1..]),
        "hold" => hold(&args[1]),
        "http" => load::http(&args[1], &args[2]),
        "load" => load::load(&args[1], &args[2]),
        "clients" => crate::dying::clients(&args[1], &args[2]),
        other => panic!("peer {other}?"),
    }
    ExitCode::SUCCESS
}

/// `NAME PORT...`, a port as `80`, `53/udp`, or `82/echo` for one that answers what it is told as long as it is told. Ends with its standard input.
fn serve(name: &str, ports: &[String]) {
    for port in ports {
        let name = name.to_owned();
        if let Some(port) = port.strip_suffix("/echo") {
            let listener = load::listen(port);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    std::thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
                }
            });
        } else if let Some(port) = port.strip_suffix("/udp") {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port.parse().unwrap())).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 2000];
                while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(format!("{name} {}", from.ip()).as_bytes(), from);
                }
            });
        } else {
            let listener = load::listen(port);
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    // A load balancer's question whether the port is open ends before it is accepted.
                    let Ok(from) = stream.peer_addr().map(|from| from.ip()) else { continue };
                    let _ = { stream }.write_all(format!("{name} {from}").as_bytes());
                }
            });
        }
    }
    println!("ready");
    let _ = std::io::stdin().read(&mut [0]);
}

/// `ADDRESS:PORT`, `ADDRESS:PORT/udp`, the same with `@PORT` for a source port, or `ADDRESS/icmp`, all at once, those that must
/// answer behind a `+`; prints who answered each, or nothing.
fn ask(targets: &[String]) {
    let one = |target: &str| {
        let (target, limit) = target.strip_prefix(MUST).map_or((target, TIMEOUT), |rest| (rest, PATIENCE));
        if let Some(address) = target.strip_suffix("/icmp") {
            icmp(address, limit)
        } else if let Some((address, source)) = target.split_once("/udp") {
            let source = source.strip_prefix('@').map_or(0, |port| port.parse().unwrap());
            udp(address.parse().unwrap(), source, limit)
        } else {
            tcp(target.parse().unwrap(), limit)
        }
    };
    let answers: Vec<Option<String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = targets.iter().map(|t| scope.spawn(move || one(t))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let answers: BTreeMap<&str, String> = targets
        .iter()
        .zip(answers)
        .map(|(t, a)| (t.trim_start_matches(MUST), a.unwrap_or_default()))
        .collect();
    println!("{}", json!(answers));
}

/// One echo; ping repeats it each second until the limit.
fn icmp(address: &str, limit: Duration) -> Option<String> {
    let limit = limit.as_secs().to_string();
    let mut ping = Command::new("ping");
    ping.args(["-n", "-q", "-c1", "-w", &limit, address]).stdout(Stdio::null()).stderr(Stdio::null());
    ping.status().unwrap().success().then(|| "echo".to_owned())
}

fn tcp(target: SocketAddr, limit: Duration) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&target, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn udp(target: SocketAddr, source: u16, limit: Duration) -> Option<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, source)).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    let begin = Instant::now();
    let mut buffer = [0; 2000];
    loop {
        socket.send_to(b"who", target).ok()?;
        match socket.recv_from(&mut buffer) {
            Ok((n, _)) => return Some(String::from_utf8_lossy(&buffer[..n]).into_owned()),
            Err(_) if begin.elapsed() < limit => {}
            Err(_) => return None,
        }
    }
}

/// `ADDRESS:PORT`: a connection that stays. For each line it is given, it says something, and tells what came back; for the
/// line `+` something must.
fn hold(target: &str) {
    let mut stream = TcpStream::connect_timeout(&target.parse().unwrap(), PATIENCE).unwrap();
    println!("ready");
    for line in std::io::stdin().lines() {
        let limit = if line.unwrap().starts_with(MUST) { PATIENCE } else { TIMEOUT * 2 };
        stream.set_read_timeout(Some(limit)).unwrap();
        let mut answer = [0; 4];
        let came = stream.write_all(b"echo").and_then(|()| stream.read_exact(&mut answer));
        println!("{}", if came.is_ok() { String::from_utf8_lossy(&answer) } else { "".into() });
    }
}

/// `HOST:PORT VNI MAC ADDRESS [SOURCE]`: one VXLAN packet (RFC 7348) by hand, with a UDP datagram to port 9999 of an instance in it.
fn tunnel(args: &[String]) {
    let [host, vni, mac, to, source @ ..] = args else {
        panic!("peer tunnel HOST:PORT VNI MAC ADDRESS [SOURCE]")
    };
    let source = source.first().map_or("0.0.0.0:0", String::as_str);
    let to: Ipv4Addr = to.parse().unwrap();
    let mut packet = vec![8, 0, 0, 0];
    packet.extend(&(vni.parse::<u32>().unwrap() << 8).to_be_bytes());
    packet.extend(mac.split(':').map(|b| u8::from_str_radix(b, 16).unwrap()));
    packet.extend([2, 0, 0, 0, 0, 0x99, 8, 0]);
    let mut ip = vec![0x45, 0, 0, 28 + 4, 0, 0, 0, 0, 64, 17, 0, 0];
    ip.extend(Ipv4Addr::from(u32::from(to) ^ 0xff).octets());
    ip.extend(to.octets());
    let sum: u32 = ip.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(ip);
    packet.extend([0x27, 0x0f, 0x27, 0x0f, 0, 12, 0, 0]);
    packet.extend(b"evil");
    // A packet dropped by the own host's rules is refused here, which is equivalent.
    let _ = UdpSocket::bind(source).unwrap().send_to(&packet, host);
}

/// Where this program lies on a host.
const PLACE: &str = "/usr/local/bin/live-peer";

/// Copies this program to the hosts, which may not see the folder it was built in.
pub(crate) fn install(lab: &Lab, hosts: &[&str]) {
    let own = lab.folder.path().join("live-peer");
    if !own.exists() {
        let exe = std::env::current_exe().unwrap();
        let stripped = Command::new("strip").arg("-o").arg(&own).arg(&exe).status();
        if !stripped.is_ok_and(|s| s.success()) {
            std::fs::copy(&exe, &own).unwrap();
        }
    }
    let bytes = std::fs::read(&own).unwrap();
    for host in hosts {
        let script = format!("test -x {PLACE} || {{ cat > {PLACE}; chmod 755 {PLACE}; }}");
        lab.exec_with(host, &["sh", "-ec", &script], &bytes);
    }
}

/// A server that ends when it is dropped.
pub(crate) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn ready(mut child: Child) -> Server {
    let mut line = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    Server(child)
}

/// A connection that stays open, and ends when it is dropped.
pub(crate) struct OpenConnection(Server, BufReader<ChildStdout>);

impl OpenConnection {
    pub(crate) fn open(lab: &Lab, host: &str, space: &str, target: &str) -> OpenConnection {
        let mut argv = enter(space);
        argv.extend([PLACE, "peer", "hold", target]);
        let mut server = ready(lab.start(host, &argv));
        let out = server.0.stdout.take().unwrap();
        OpenConnection(server, BufReader::new(out))
    }

    /// What comes back of a word that is said now: soon, or for `+` as late as a busy machine may be.
    pub(crate) fn says(&mut self, how: &str) -> String {
        writeln!(self.0.0.stdin.as_mut().unwrap(), "{how}").unwrap();
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

/// Serves in a namespace of a host; `""` is the host's own.
pub(crate) fn serve_in(lab: &Lab, host: &str, space: &str, name: &str, ports: &[&str]) -> Server {
    let mut argv = enter(space);
    argv.extend([PLACE, "peer", "serve", name]);
    argv.extend(ports);
    ready(lab.start(host, &argv))
}

/// Serves HTTP in a namespace of a host.
pub(crate) fn http_in(lab: &Lab, host: &str, space: &str, name: &str, port: &str) -> Server {
    let mut argv = enter(space);
    argv.extend([PLACE, "peer", "http", name, port]);
    ready(lab.start(host, &argv))
}

/// Serves on the operator's machine.
pub(crate) fn serve_here(lab: &Lab, name: &str, ports: &[&str]) -> Server {
    let exe = std::env::current_exe().unwrap();
    let mut argv = vec![exe.to_str().unwrap(), "peer", "serve", name];
    argv.extend(ports);
    ready(lab.start_here(&argv))
}

fn enter(space: &str) -> Vec<&str> {
    if space.is_empty() { Vec::new() } else { vec!["ip", "netns", "exec", space] }
}

fn answers(ran: Ran) -> BTreeMap<String, String> {
    serde_json::from_value::<BTreeMap<String, String>>(ran.ok().json()).unwrap()
}

/// Tries targets from a namespace of a host; the host `""` is the operator's machine. They must answer as wanted; `""` means
/// that nobody may.
#[track_caller]
pub(crate) fn tries(lab: &Lab, from: (&str, &str), wanted: &[(&str, &str)]) {
    let mark = |(target, answer): &(&str, &str)| {
        if answer.is_empty() { (*target).to_owned() } else { format!("{MUST}{target}") }
    };
    let got = asked(lab, from, &wanted.iter().map(mark).collect::<Vec<_>>());
    let wanted = wanted.iter().map(|(t, a)| ((*t).to_owned(), (*a).to_owned())).collect();
    let show = |m: &BTreeMap<String, String>| serde_json::to_string_pretty(m).unwrap();
    assert!(got == wanted, "wanted {}\ngot {}", show(&wanted), show(&got));
}

/// Who answers a target that must answer.
pub(crate) fn answer(lab: &Lab, from: (&str, &str), target: &str) -> String {
    asked(lab, from, &[format!("{MUST}{target}")]).remove(target).unwrap()
}

fn asked(lab: &Lab, (host, space): (&str, &str), targets: &[String]) -> BTreeMap<String, String> {
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    if host.is_empty() { ask_here(lab, &targets) } else { ask_from(lab, host, space, &targets) }
}

/// Tries targets from a namespace of a host; returns who answered soon, `""` if nobody.
pub(crate) fn ask_from(lab: &Lab, host: &str, space: &str, targets: &[&str]) -> BTreeMap<String, String> {
    let mut argv = enter(space);
    argv.extend([PLACE, "peer", "ask"]);
    argv.extend(targets);
    answers(lab.exec(host, &argv))
}

/// The same from the operator's machine.
pub(crate) fn ask_here(lab: &Lab, targets: &[&str]) -> BTreeMap<String, String> {
    let exe = std::env::current_exe().unwrap();
    let mut argv = vec![exe.to_str().unwrap(), "peer", "ask"];
    argv.extend(targets);
    answers(lab.run(&argv))
}

/// Sends one VXLAN packet by hand from a host, behind words that lead to a namespace or another user there; or from the
/// operator's machine, which `""` is.
pub(crate) fn tunnel_from(lab: &Lab, (host, before): (&str, &str), args: &[&str]) {
    let exe = std::env::current_exe().unwrap();
    let mut argv: Vec<&str> = before.split_whitespace().collect();
    argv.extend([if host.is_empty() { exe.to_str().unwrap() } else { PLACE }, "peer", "tunnel"]);
    argv.extend(args);
    if host.is_empty() {
        lab.run(&argv).ok()
    } else {
        lab.exec(host, &argv).ok()
    };
}

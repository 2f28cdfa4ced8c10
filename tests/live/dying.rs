//! A replica that is killed, or whose host vanishes, costs each client at most one retry: requests by HTTP on connections
//! that stay, and TCP.

use crate::balance::{answers, end, shop, shop_of};
use crate::load::head;
use crate::peer::{self, Server, ask_here};
use crate::stack::{Stack, replica_is, tool_on};
use lsx_tests::lab::{Lab, until};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const CASES: &[crate::Case] = &[
    ("a_killed_replica_costs_a_client_one_retry", a_killed_replica_costs_a_client_one_retry),
    ("a_vanished_host_costs_a_client_one_retry", a_vanished_host_costs_a_client_one_retry),
];

/// Time limit of an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Clients of each kind.
const CLIENTS: usize = 3;

/// Exchanges by how often a client had to try them again: never, once, more often.
#[derive(Default)]
struct Tries([AtomicU64; 3]);

/// `HTTP TCP`: clients of both addresses, each with a connection that stays. For each line it is given, it tells how many
/// exchanges needed how many retries.
pub(crate) fn clients(http: &str, tcp: &str) {
    let tries = Arc::new(Tries::default());
    let start = |to: &str, ask: fn(&mut BufReader<TcpStream>) -> Option<bool>| {
        let (to, tries) = (to.parse::<SocketAddr>().unwrap(), Arc::clone(&tries));
        std::thread::spawn(move || client(to, ask, &tries));
    };
    for _ in 0..CLIENTS {
        start(http, |line| request(line, "GET"));
        start(http, |line| request(line, "POST"));
        start(tcp, echo);
    }
    println!("ready");
    for _ in std::io::stdin().lines() {
        let [never, once, more] = tries.0.each_ref().map(|n| n.load(Ordering::Relaxed));
        println!("{}", json!({"never": never, "once": once, "more": more}));
    }
}

fn client(to: SocketAddr, ask: fn(&mut BufReader<TcpStream>) -> Option<bool>, tries: &Tries) {
    let mut line = None;
    loop {
        let mut retries = 0;
        // The answer says whether the connection stays.
        while match line.take().or_else(|| connect(to)) {
            Some(mut open) => match ask(&mut open) {
                Some(stays) => {
                    line = Some(open).filter(|_| stays);
                    false
                }
                None => true,
            },
            None => true,
        } && retries < 10
        {
            retries += 1;
        }
        tries.0[retries.min(2)].fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn connect(to: SocketAddr) -> Option<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    Some(BufReader::new(stream))
}

fn request(line: &mut BufReader<TcpStream>, method: &str) -> Option<bool> {
    let asked = format!("{method} /load HTTP/1.1\r\nHost: www.internal\r\nContent-Length: 0\r\n\r\n");
    line.get_mut().write_all(asked.as_bytes()).ok()?;
    let head: Vec<String> = head(line)?.iter().map(|line| line.to_lowercase()).collect();
    let value = |key: &str| head.iter().find_map(|line| line.strip_prefix(key));
    let mut body = vec![0; value("content-length: ")?.parse().ok()?];
    line.read_exact(&mut body).ok()?;
    head.first()?.contains(" 200 ").then(|| value("connection: ") != Some("close"))
}

fn echo(line: &mut BufReader<TcpStream>) -> Option<bool> {
    line.get_mut().write_all(b"echo").ok()?;
    let mut answer = [0; 4];
    line.read_exact(&mut answer).ok()?;
    (&answer == b"echo").then_some(true)
}

struct Clients(Child, BufReader<std::process::ChildStdout>);

impl Clients {
    fn start(lab: &Lab) -> Clients {
        let exe = std::env::current_exe().unwrap();
        let argv = [exe.to_str().unwrap(), "peer", "clients", "198.18.0.11:8080", "198.18.0.11:7"];
        let mut child = lab.start_here(&argv);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        Clients(child, out)
    }

    fn count(&mut self) -> [u64; 3] {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        ["never", "once", "more"].map(|key| told[key].as_u64().unwrap())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(lab: &Lab, stack: &Stack, name: &str) -> Vec<Server> {
    let (host, space) = (stack.host_of(name), stack.space(name));
    let plain = peer::serve_in(lab, &host, &space, name, &["80", "81", "82/echo"]);
    vec![plain, peer::http_in(lab, &host, &space, name, "8000")]
}

fn a_killed_replica_costs_a_client_one_retry(lab: &Lab) {
    let (stack, mut servers) = shop(lab);
    let mut clients = Clients::start(lab);
    for name in ["web-1", "web-2", "web-1", "web-2"] {
        let before = clients.count();
        assert!(until(60, || clients.count()[0] > before[0] + 200), "{:?}", clients.count());
        let kill = format!("kill -9 $(pgrep -f '[l]ive-peer peer (http|serve) {name} ')");
        lab.script(&stack.host_of(name), &kill).ok();
        let before = clients.count();
        // Before HAProxy knows it, and after.
        assert!(until(60, || replica_is(lab, name, "down") && clients.count()[0] > before[0] + 200));
        servers.extend(serve(lab, &stack, name));
        assert!(until(60, || replica_is(lab, name, "up")));
    }
    let [never, once, more] = clients.count();
    println!("4 replicas killed: {never} exchanges without a retry, {once} with one, {more} with more");
    assert_eq!(more, 0, "of {never}, and {once} with one retry");
    // Each client had at most one exchange under way when a replica died.
    assert!(once <= 4 * 3 * CLIENTS as u64, "{once}");
    drop(clients);
    end(lab, &stack, servers);
}

/// Nobody closes the connections to it: packets get no answer.
fn a_vanished_host_costs_a_client_one_retry(lab: &Lab) {
    // What ends the connections is not the time limit of the balancer.
    let text = include_str!("balance.yaml").replace("to: web,", "to: web, timeout: 1h,");
    let (stack, servers) = shop_of(lab, &text);
    assert_eq!(stack.host_of("web-2"), "h2");
    let mut clients = Clients::start(lab);
    assert!(until(60, || clients.count()[0] > 200), "{:?}", clients.count());
    lab.verb(&["cut", "h2"]);
    assert!(until(60, || replica_is(lab, "web-2", "down")));
    let before = clients.count();
    assert!(until(60, || clients.count()[0] > before[0] + 200), "{:?}", clients.count());
    let who = || answers(|| ask_here(lab, &["198.18.0.11:80"]));
    assert_eq!(who(), ["web-1".to_owned()].into());
    let seen = lab.exec("h1", &[&tool_on(lab, "h1"), "observe"]).ok().json();
    let gone = |r: &&Value| r["balancer"] == "echo" && r["instance"] == "web-2";
    let gone = seen["replicas"].as_array().unwrap().iter().find(gone).unwrap().clone();
    assert_eq!(gone["why"], "nothing answers at its address");
    let told = "balance/www: web-2 is down: nothing answers at its address (on h2)";
    lab.net(&["check", "--offline", "h2", &stack.file]).exits(2).says(told);
    let waits = "ip netns exec lsx-shop ss -Htno state synchronized exclude time-wait '( dport = 82 or dport = 8000 )' | grep \"$1\" || true";
    let address = stack.address("web-2", "lan");
    let left = || lab.exec("h1", &["sh", "-ec", waits, "sh", &address]).ok().stdout.trim().to_owned();
    assert!(until(60, || left().is_empty()), "{}", left());
    lab.verb(&["heal", "h2"]);
    assert!(until(60, || replica_is(lab, "web-2", "up")));
    assert!(until(60, || who().len() == 2), "{:?}", who());
    let before = clients.count();
    assert!(until(60, || clients.count()[0] > before[0] + 200));
    let [never, once, more] = clients.count();
    println!("a host cut off: {never} exchanges without a retry, {once} with one, {more} with more");
    assert_eq!(more, 0, "of {never}, and {once} with one retry");
    assert!(once <= 3 * CLIENTS as u64, "{once}");
    lab.net(&["check", &stack.file]).ok();
    drop(clients);
    end(lab, &stack, servers);
}

//! What HAProxy reports on its socket (HAProxy's management guide, 9.3).

use common::host::limit;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Time limit of one question.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most of an answer that is read.
const MOST: u64 = 16 * 1024 * 1024;

/// Asks the server.
fn ask(socket: &Path, question: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("{question}\n").as_bytes()).ok()?;
    // Else the master process waits for another question.
    stream.shutdown(Shutdown::Write).ok()?;
    let answer = limit::take(stream, MOST).ok()??;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// The digest of the loaded configuration.
pub(super) fn loaded(socket: &Path) -> Option<String> {
    info(socket, "description: lsx:")
}

/// How many loads of a configuration have failed since the last good one, as the master process reports (9.4).
pub(super) fn failed(master: &Path) -> Option<u64> {
    let text = ask(master, "show proc")?;
    text.split_once("[failed: ")?.1.split_once(']')?.0.parse().ok()
}

/// The process that answers.
pub(super) fn pid(socket: &Path) -> Option<i32> {
    info(socket, "Pid: ")?.parse().ok()
}

/// The servers of all backends: backend, server, state, weight, result of the last test (9.1: one line of CSV each, with a
/// head).
pub(super) fn servers(socket: &Path) -> Vec<[String; 5]> {
    let text = ask(socket, "show stat -1 4 -1").unwrap_or_default();
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let place = |name: &str| head.iter().position(|column| *column == name);
    let places = ["pxname", "svname", "status", "weight", "check_status"].map(place);
    let server = |line: &str| {
        let words: Vec<&str> = line.split(',').collect();
        let [backend, server, state, weight, tested] =
            places.map(|at| words.get(at?).map(|word| (*word).to_owned()));
        Some([backend?, server?, state?, weight?, tested?])
    };
    lines.filter_map(server).collect()
}

/// The states of all servers, in the format that it reads at its start (9.3).
pub(super) fn states(socket: &Path) -> String {
    ask(socket, "show servers state").unwrap_or_default()
}

/// What the result of a test means.
pub(super) fn meaning(tested: &str) -> Option<&'static str> {
    // `* ` is in front while the next test runs.
    Some(match tested.trim_start_matches("* ") {
        "L4TOUT" => "nothing answers at its address",
        "L4CON" => "its port refuses connections, or there is no route to it",
        "L6TOUT" | "L6RSP" => "it does not speak TLS",
        "L7TOUT" => "it accepts connections and does not answer",
        "L7RSP" => "its answer is not what `ready` names",
        "L7STS" => "it answers with another status than `ready` needs",
        _ => return None,
    })
}

fn info(socket: &Path, key: &str) -> Option<String> {
    let text = ask(socket, "show info")?;
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
}

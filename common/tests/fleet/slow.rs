//! A transfer by a slow connection, and by one that stops: ssh's ProxyCommand is this program, which forwards at a rate.

use crate::lab::{Lab, ask, code, fleet, program, run};
use crate::tool::{pause, put};
use common::fleet::Options;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Bytes forwarded at a time, and the pause after them once the connection is slow: about 1 MB a second.
const PART: usize = 16 * 1024;
const PAUSE: Duration = Duration::from_millis(16);
const DEADLINE: Duration = Duration::from_secs(6);

/// Forwards standard input to a port and back: as fast as possible, slowly if the file `slow` exists, not at all if `stop`
/// does. Arguments: the port, and their folder.
pub(crate) fn forward(args: &[String]) -> ExitCode {
    let mut to = TcpStream::connect(("127.0.0.1", args[0].parse().unwrap())).unwrap();
    let mut back = to.try_clone().unwrap();
    let folder = Path::new(&args[1]).to_owned();
    std::thread::spawn(move || {
        let (mut out, mut part) = (std::io::stdout(), [0; PART]);
        while let Ok(read @ 1..) = back.read(&mut part) {
            if out.write_all(&part[..read]).and(out.flush()).is_err() {
                break;
            }
        }
        #[expect(clippy::exit, reason = "ssh waits for the end of its proxy, whose other half still reads")]
        std::process::exit(0);
    });
    let mut part = [0; PART];
    while let Ok(read @ 1..) = std::io::stdin().read(&mut part) {
        while folder.join("stop").exists() {
            pause();
        }
        if to.write_all(&part[..read]).is_err() {
            break;
        }
        if folder.join("slow").exists() {
            std::thread::sleep(PAUSE);
        }
    }
    ExitCode::SUCCESS
}

/// More than passes within the deadline.
fn large() -> String {
    "x".repeat(8 * 1024 * 1024)
}

fn lab() -> Lab {
    let lab = Lab::new();
    let config = std::fs::read_to_string(lab.path("ssh_config")).unwrap();
    let own = std::env::current_exe().unwrap();
    let proxy = format!(" ProxyCommand {} slow {} {}\n", own.display(), lab.port, lab.path("").display());
    put(lab.path("ssh_config"), config + &proxy);
    // The tool gets there at full speed.
    let mut first = fleet(&[lab.target("h1")], lab.options());
    ask(&mut first, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    first.close();
    lab
}

pub(crate) fn a_slow_transfer_is_not_ended() {
    let lab = lab();
    put(lab.path("slow"), "");
    let mut fleet = fleet(&[lab.target("h1")], Options { deadline: DEADLINE, ..lab.options() });
    let begin = std::time::Instant::now();
    let who = ask(&mut fleet, &["h1"], json!({"op": "who", "load": large()}))["h1"].clone().unwrap();
    assert!(begin.elapsed() > DEADLINE, "it was not slow: {:?}", begin.elapsed());
    // Then the deadline holds again.
    assert_eq!(code(&ask(&mut fleet, &["h1"], json!({"op": "hang"}))["h1"]), "fleet.deadline");
    run(program("kill").args(["-9", &who["pid"].to_string()]));
}

pub(crate) fn a_transfer_that_stops_is_ended() {
    let lab = lab();
    let mut fleet = fleet(&[lab.target("h1")], Options { deadline: DEADLINE, ..lab.options() });
    ask(&mut fleet, &["h1"], json!({"op": "who"}))["h1"].clone().unwrap();
    put(lab.path("stop"), "");
    let request = json!({"op": "who", "load": large()});
    assert_eq!(code(&ask(&mut fleet, &["h1"], request)["h1"]), "fleet.deadline");
    std::fs::remove_file(lab.path("stop")).unwrap(); // otherwise ssh's master would wait until it finds out by itself
}

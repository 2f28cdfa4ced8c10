//! The clock of a host jumps, as it does on a machine that boots without the time: waits go on as if it had not, and nothing is
//! lost.

use crate::Case;
use crate::host::Host;
use lsx_tests::lab::until;
use serde_json::Value;

/// Longer than anything takes on an emulated processor that others use, too.
const LONG: u64 = 300;

pub(crate) const CASES: &[Case] =
    &[("a_clock_that_jumps_delays_and_removes_nothing", a_clock_that_jumps_delays_and_removes_nothing)];

const INSTANCES: &str = "instances:
  still: { image: bb, host: h1, command: [sleep, \"1000\"] }
  ends: { image: bb, host: h1, restart: always, command: [sh, -c, \"sleep 1; exit 3\"] }
";

/// What the supervisor of an instance recorded.
fn said(name: &str) -> Value {
    let text = std::fs::read_to_string(format!("/run/lsx/ct/clock/{name}/state.json")).unwrap_or_default();
    text.parse().unwrap_or_default()
}

fn a_clock_that_jumps_delays_and_removes_nothing(host: &Host) {
    let file = host.stack("clock", INSTANCES);
    // One that ends may have done so before it counts as ready.
    host.ct(&["up", "-q", &file]);
    let pid = said("still")["pid"].clone();
    assert!(pid.is_u64(), "{}", said("still"));
    let restarts = || said("ends")["restarts"].as_u64().unwrap_or_default();
    let clock = || host.run("date", &["+%s"]).ok().stdout.trim().parse::<i64>().unwrap();
    let day = 86_400;
    for jump in [day, -2 * day, -20_000 * day, 20_001 * day] {
        let (before, now) = (restarts(), clock());
        host.run("date", &["-s", &format!("@{}", (now + jump).max(1000))]).ok();
        // The pause in which the clock jumped ends in time, and so does one that begins after it. It is half a minute at
        // most; SIGHUP ends it, and the next ones are short again.
        assert!(until(LONG, || restarts() > before), "{jump}: {before}, {}", said("ends"));
        host.run("pkill", &["-HUP", "-f", "supervise clock ends"]).ok();
        assert!(until(LONG, || restarts() > before + 2), "{jump}: {before}, {}", said("ends"));
        host.ct(&["plan", "--exit-code", "--only", "instances.still", &file]).ok();
        // All that is used is older than an hour, or newer than now.
        host.ct(&["images", "gc"]).ok();
        host.ct(&["restart", "-q", "still", "--stack", &file]).ok();
        host.ct(&["logs", "ends", "--stack", &file, "--since", "1h"]).ok();
        assert_eq!(said("still")["state"], "running", "{jump}");
        let up = host.ct(&["up", "--only", "instances.still", &file]).ok().json();
        assert_eq!(up["status"]["ct"]["changed"], 0, "{jump}: {up}");
    }
    assert_ne!(said("still")["pid"], pid, "it was restarted");
    host.ct(&["down", "-q", &file]).ok();
}

//! One readiness check by network, made by `lsx-net probe`.

use super::Why;
use crate::model::Probe;
use crate::net;
use common::Failure;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Time limit of one network probe.
const TRY: Duration = Duration::from_secs(1);

/// Checks once by network, from the network namespace of the process `pid`.
///
/// # Errors
/// If no check was possible.
pub(crate) fn tried(probe: &Probe, address: Ipv4Addr, pid: u32) -> Result<Why, Failure> {
    Ok(probed(probe, address, pid)?.0)
}

/// The same, and the number of days that the certificate is still valid, if the server has shown one.
///
/// # Errors
/// If no check was possible.
pub(crate) fn probed(probe: &Probe, address: Ipv4Addr, pid: u32) -> Result<(Why, Option<i64>), Failure> {
    let target = match probe {
        Probe::Tcp(port) => json!({"probe": "tcp", "port": port}),
        Probe::Banner { port, holds } => {
            json!({"probe": "banner", "port": port, "expect": {"banner": [holds]}})
        }
        Probe::Http { port, path } => {
            json!({"probe": "http", "port": port, "path": path, "expect": {"status": ["2xx", "3xx"]}})
        }
        Probe::Https { port, path, server_name, ca } => json!({
            "probe": "http", "tls": true, "port": port, "path": path, "server_name": server_name, "ca": ca,
            "expect": {"status": ["2xx", "3xx"]},
        }),
        Probe::Command(_) => return Ok((None, None)),
    };
    let mut target = target;
    target["address"] = json!(address);
    target["timeout_ms"] = json!(TRY.as_millis());
    let net = net::program("probe").args(["--netns", &format!("/proc/{pid}/ns/net")]);
    let (code, said, complaint) = net.ended(target.to_string().as_bytes())?;
    let outcome: Value = serde_json::from_slice(&said).unwrap_or_default();
    let days = outcome["days_left"].as_i64();
    if code == 0 {
        return Ok((None, days));
    }
    let complaint = String::from_utf8_lossy(&complaint).into_owned();
    let why = outcome["error"]["message"].as_str().map_or(complaint, str::to_owned);
    Ok((Some(format!("{}: {}", words(probe, address), why.trim())), days))
}

/// A probe in the format of `lsx-net probe`.
fn words(probe: &Probe, address: Ipv4Addr) -> String {
    match probe {
        Probe::Tcp(port) => format!("tcp:{address}:{port}"),
        Probe::Banner { port, .. } => format!("banner:{address}:{port}"),
        Probe::Http { port, path } => format!("http://{address}:{port}{path}"),
        Probe::Https { port, path, .. } => format!("https://{address}:{port}{path}"),
        Probe::Command(argv) => argv.join(" "),
    }
}

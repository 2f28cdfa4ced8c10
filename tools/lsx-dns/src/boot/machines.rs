//! The verb `boot`: which machines have booted by the network, and letting them boot again.

use super::Tickets;
use crate::dhcp::mac;
use crate::model::{Dhcp, Stage, Turns};
use crate::{Dns, plan, render};
use common::cli::Global;
use common::host::service::kept::KeptService;
use common::host::{file, wait};
use common::stack::Stack;
use common::tool::Tool as _;
use common::verb::{self, ScopeArgs, StackArgs};
use common::{Failure, Failures, Kind, document, fleet};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long the DHCP server may need to read who boots again, and the interval of checks.
const READ: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(50);

/// Machines that boot by the network once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Machines {
    /// `lsx.dns.machines/1`.
    schema: String,
    /// The stack.
    stack: String,
    /// Those that have a name in the document, have booted, or were asked for; by host and hardware address.
    machines: Vec<Machine>,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Machine {
    /// The host whose server gives it its boot files.
    #[serde(default)]
    host: String,
    /// Hardware address.
    mac: String,
    /// Its name, if the document reserves an address for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether its firmware is told a boot file the next time.
    boots: bool,
    /// When it got the file of its firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    firmware_at: Option<String>,
    /// When it got that of iPXE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ipxe_at: Option<String>,
    /// When it was asked to boot again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asked_at: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Ask {
    dhcp: Dhcp,
    /// Names of machines by hardware address.
    names: BTreeMap<String, String>,
    /// Those that boot again.
    macs: Vec<String>,
}

/// Lets machines boot again, given by hardware address or by their name in `reserve`; without any it only shows them.
///
/// # Errors
/// Mistakes of the document, an unknown machine, or a host that does not answer.
pub(crate) fn asked(
    machines: &[String],
    from: &StackArgs,
    scope: &ScopeArgs,
    global: &Global,
) -> Result<Machines, Failures> {
    let (stack, resolved, _, mut hosts) = verb::host_set_of(&Dns, from, scope, global)?;
    if !stack.dns.as_ref().and_then(|dns| dns.boot.as_ref()).is_some_and(|boot| boot.once) {
        let message = format!("machines of stack {} boot by the network as often as they like", stack.name);
        return Err(Failure::new(Kind::Usage, "dns.booted", message)
            .hint("write dns.boot.once: true")
            .into());
    }
    let macs = machines.iter().map(|text| known(&stack, text)).collect::<Result<Vec<_>, _>>()?;
    let ask = |host: &str| {
        let dhcp = plan::dhcp::of(&stack, &resolved, host)?;
        let here = dhcp.networks.iter().filter_map(|network| stack.dns.as_ref()?.dhcp.get(&network.name));
        let names = here.flat_map(|dhcp| &dhcp.reserve);
        let names = names.map(|(name, machine)| (machine.mac.to_lowercase(), name.clone())).collect();
        Some((host.to_owned(), json!(Ask { dhcp, names, macs: macs.clone() })))
    };
    let asks: BTreeMap<String, Value> = resolved.hosts.iter().filter_map(|at| ask(&at.name)).collect();
    let mut all = Vec::new();
    for (host, answer) in hosts.call("boot", asks) {
        let told = fleet::shape::<Vec<Machine>>(answer?)?;
        all.extend(told.into_iter().map(|machine| Machine { host: host.clone(), ..machine }));
    }
    all.sort();
    Ok(Machines { schema: document::schema("dns", "machines"), stack: stack.name.clone(), machines: all })
}

/// The hardware address of a machine.
fn known(stack: &Stack, text: &str) -> Result<String, Failure> {
    if let Some(mac) = mac(text)? {
        return Ok(mac);
    }
    let reserved = || stack.dns.iter().flat_map(|dns| dns.dhcp.values()).flat_map(|dhcp| &dhcp.reserve);
    let found = reserved().find(|(name, _)| *name == text).map(|(_, machine)| machine.mac.to_lowercase());
    found.ok_or_else(|| {
        let message = format!("{text} is no hardware address, and no name of dns.dhcp.*.reserve");
        let names = reserved().map(|(name, _)| name.as_str());
        Failure::new(Kind::Usage, "usage.mac", message).hint(common::stack::hint(text, names))
    })
}

/// The same on this host.
///
/// # Errors
/// A server that has not been started, or errors of the disk.
pub(crate) fn answered(input: Value) -> Result<Value, Failures> {
    let wrong = |e: serde_json::Error| Failures::from(Failure::new(Kind::Bug, "dns.call", e.to_string()));
    let Ask { dhcp, names, macs } = serde_json::from_value(input).map_err(wrong)?;
    let tickets = Tickets::on_disk(&dhcp.stack)?;
    if let Some(tickets) = &tickets {
        tickets.ask(&macs)?;
        read_by(&dhcp, &macs)?;
    }
    let all = tickets.map(|tickets| tickets.all()).transpose()?.unwrap_or_default();
    let named = names.keys().chain(all.keys()).chain(&macs);
    let macs: BTreeSet<&str> = named.map(String::as_str).collect();
    let none = Turns::default();
    let one = |mac: &&str| machine(mac, names.get(*mac).map(String::as_str), all.get(*mac).unwrap_or(&none));
    Ok(json!(macs.iter().map(one).collect::<Vec<_>>()))
}

fn machine(mac: &str, name: Option<&str>, turns: &Turns) -> Machine {
    Machine {
        host: String::new(),
        mac: mac.to_owned(),
        name: name.map(str::to_owned),
        boots: !turns.booted.contains_key(&Stage::Firmware),
        firmware_at: turns.booted.get(&Stage::Firmware).cloned(),
        ipxe_at: turns.booted.get(&Stage::Ipxe).cloned(),
        asked_at: turns.asked.as_ref().map(|(_, at)| at.clone()),
    }
}

/// Waits until the DHCP server is told nothing of these machines, if it runs.
fn read_by(dhcp: &Dhcp, macs: &[String]) -> Result<(), Failure> {
    let service =
        KeptService { tool: Dns::NAME, stack: dhcp.stack.clone(), name: crate::model::DHCP.to_owned() };
    let path = service.files().join(render::HOSTS);
    let told = || file::read(&path).ok().flatten().unwrap_or_default();
    let read = wait::until(READ, STEP, || !macs.iter().any(|mac| render::is_told(&told(), mac)));
    if read || !service.runs() {
        return Ok(());
    }
    let message = "the DHCP server has not read yet that these machines boot again";
    Err(Failure::new(Kind::Again, "dns.booted", message).hint("look into its log, and ask again"))
}

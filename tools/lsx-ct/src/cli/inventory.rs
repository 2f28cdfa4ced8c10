//! The verb `inventory`: hosts and instances for Ansible, Prometheus and Checkmk. Reads only the stack.

use crate::render::inventory::{self, Entry, EntryKind};
use clap::{Args, ValueEnum};
use common::stdio::Output;
use common::verb::{self, StackArgs};
use common::{Failure, Failures, Kind, log};

/// Flags of `inventory`.
#[derive(Debug, Args)]
pub(super) struct InventoryArgs {
    #[command(flatten)]
    stack: StackArgs,
    /// Format: lsx's own documents, an Ansible inventory, Prometheus file_sd_configs, Checkmk REST bulk-create, or hosts.mk of OMD
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "json")]
    format: Format,
    /// The port Prometheus scrapes; default: `monitoring.port` of the stack
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Ansible,
    Prometheus,
    Checkmk,
    #[value(name = "hosts.mk")]
    HostsMk,
}

pub(super) fn run(args: &InventoryArgs, output: &Output) -> Result<(), Failures> {
    let (stack, resolved) = verb::read_stack(&args.stack)?;
    let all = inventory::entries(&stack, &resolved);
    let monitoring = stack.monitoring.as_ref();
    let watched = || watched(&all, monitoring.and_then(|m| m.network.as_deref()));
    match args.format {
        Format::Json => output.emit(&all),
        Format::Ansible => output.emit(&[inventory::ansible(&all)]),
        Format::Prometheus => {
            let port = args.port.or_else(|| monitoring.and_then(|m| m.port)).ok_or_else(|| {
                Failure::new(Kind::Usage, "usage.port", "the port that Prometheus scrapes is not set")
                    .hint("write monitoring.port in the stack, or give --port, such as --port 9100")
            })?;
            output.emit(&[inventory::prometheus(&watched(), port)])
        }
        Format::Checkmk => {
            output.emit(&[inventory::checkmk(&watched(), monitoring.and_then(|m| m.site.as_deref()))])
        }
        Format::HostsMk => output.text(&inventory::hosts_mk(&watched())),
    }
    .map_err(Failures::from)
}

/// Monitored entries: hosts, and instances on the monitoring network. Instances that are not on it are reported.
fn watched(all: &[Entry], network: Option<&str>) -> Vec<Entry> {
    let on = |entry: &Entry| {
        entry.kind == EntryKind::Host || network.is_none_or(|n| entry.network.as_deref() == Some(n))
    };
    for entry in all.iter().filter(|entry| !on(entry)) {
        log::note(&format!(
            "{} is left out: it is not on network {}",
            entry.name,
            network.unwrap_or_default()
        ));
    }
    all.iter().filter(|entry| on(entry)).cloned().collect()
}

//! The flags of lsx-pki, and which function each verb is.

use crate::verbs::{self, TrustArgs};
use crate::{PROGRAM, Pki};
use clap::{CommandFactory, Parser, Subcommand};
use common::Failures;
use common::cli::Global;
use common::verb;
use std::process::ExitCode;

/// The certificate authority of a stack
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, about, long_about = description(), after_long_help = common::manual::ending(AFTER), subcommand_required = true, arg_required_else_help = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(flatten)]
    Shared(Box<verb::Verb<Pki>>),
    /// Print the certificate of the root, which clients of the stack must trust
    Trust(Box<TrustArgs>),
}

/// What the library says of itself at its head.
fn description() -> String {
    common::manual::description(include_str!("lib.rs"))
}

const AFTER: &str = "  stack.*           the stack file is invalid, at the place that is named: 65
  pki.authority     the authority of a host is missing or damaged: 1
  pki.clock         the clock of the authority is before its beginning: 1
  pki.key           the key of a certificate has changed while it was issued: 75
  pki.none          the stack has no authority: 65
  pki.plan.authority  the authority is damaged, or others can read its keys: 1
  pki.plan.kept     a warning: the authority is not as the document says, since it is never changed
  pki.plan.moved    the authority is on another host than the document says: 65
  pki.plan.permit   the authority may not issue certificates for a name or address: 65
  pki.plan.signer   something must be issued, and the host of the authority does not take part: 69
  pki.plan.unbuilt  the document has something for certificates that is not supported yet: 65
  pki.plan.unused   a warning: nobody uses a certificate
  pki.refused       the authority does not issue a certificate: 1
  pki.served        a load balancer serves another certificate, or none: 1, or 2 with `check`

Files:
  /etc/lsx/STACK/pki.json                   on each host: what it has
  /etc/lsx/boot.d/30-STACK-pki              on each host: the entry that is run after a reboot
  /var/lib/lsx/pki/STACK/root.pem           on each host: the root's certificate
  /var/lib/lsx/pki/STACK/certs/NAME/        on hosts that use it: cert.pem, chain.pem, fullchain.pem, key.pem
  /var/lib/lsx/pki/STACK/data/authority/    on the host of the authority: its keys and certificates; `down` keeps them
  /var/lib/lsx/pki/STACK/data/issued/       on the host of the authority: all certificates that it has issued

Examples:
  lsx-pki plan office.yaml --table
  lsx-pki up office.yaml >/dev/null
  lsx-pki trust office.yaml | jq -r .pem >root.pem
  curl --cacert root.pem https://www.internal/
  lsx-pki check office.yaml --table
  openssl verify -x509_strict -CAfile root.pem -untrusted chain.pem cert.pem

See also:
  lsx(7), lsx-net(1), lsx-stack(5), lsx-json(5), openssl-verify(1ssl)";

/// Verbs as help shows them.
const GROUPS: common::help::Groups = &[
    ("Verbs for a stack", &["resolve", "plan", "up", "check", "down", "apply", "observe"]),
    ("Verbs for certificates", &["trust"]),
    ("Other verbs", &["schema", "completions", "help"]),
];

/// Runs the tool.
pub fn main() -> ExitCode {
    common::cli::main::<Cli>(PROGRAM, GROUPS, |cli| &cli.global, run)
}

fn run(cli: &Cli) -> Result<(), Failures> {
    match &cli.verb {
        Verb::Shared(verb) => verb::run(&Pki, verb, &cli.global, Cli::command()),
        Verb::Trust(args) => verbs::trust(args, &cli.global),
    }
}

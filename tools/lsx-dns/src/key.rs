//! The verb `key`: the key of a client of the document, for programs that need it in a file.

use crate::model::TRANSFER;
use crate::update::keys;
use common::stack::{Stack, hint};
use common::verb::StackArgs;
use common::{Failure, Failures, Kind, secret};
use std::path::PathBuf;

/// The key of a client, or of the servers that transfer zones.
///
/// # Errors
/// Mistakes of the document; a client that it does not name; a secret that is no key.
pub(crate) fn of(name: &str, stack: &Stack, args: &StackArgs) -> Result<keys::Written, Failures> {
    let dns = stack.dns.clone().unwrap_or_default();
    let clients = dns.update.iter().map(|(client, update)| (client.as_str(), update.key.as_str()));
    let servers = dns.transfer.iter().filter_map(|transfer| Some((TRANSFER, transfer.key.as_deref()?)));
    let all: Vec<(&str, &str)> = clients.chain(servers).collect();
    let Some((_, secret)) = all.iter().find(|(client, _)| *client == name) else {
        let message = format!("dns.update of the stack has no client {name}");
        let failure = Failure::new(Kind::Usage, "usage.client", message);
        let hint = match all.is_empty() {
            true => "define it in dns.update, with a key and the names that it may change".to_owned(),
            false => hint(name, all.iter().map(|(client, _)| *client)),
        };
        return Err(failure.hint(hint).into());
    };
    let beside = |path: &str| PathBuf::from(args.beside(path));
    let place = secret::place(&stack.secrets, secret, &beside)?;
    let value = secret::value(&stack.name, secret, &place)?;
    let wrong = |why: String| {
        let message = format!("secret {secret} is no key for {name}: {why}");
        Failure::new(Kind::Data, "dns.key", message)
    };
    Ok(keys::read(name, &value).map_err(wrong)?)
}

//! What a worker makes of its configuration before it serves.

use super::Server;
use super::changes::{self, Changes, Work};
use super::leased::Leases;
use crate::model::{self, Config};
use crate::update::keys::Keys;
use crate::zone::Tables;
use common::host::service::worker::Worker;
use common::log;
use std::io;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How long queries wait for the journal of a former worker; then they are answered from what it has said so far.
const TAKE: Duration = Duration::from_millis(250);

/// What a server has of a configuration: what it follows besides questions, and what carries out updates.
pub(super) type Made = (Server, (Option<model::Health>, Option<Leases>), Option<(Changes, Work)>);

/// Makes it.
///
/// # Errors
/// A configuration that cannot be used, a secret that is missing, or a damaged journal.
pub(super) fn server(worker: &mut Worker, drained: &watch::Receiver<bool>) -> Result<Made, String> {
    let config: Config = worker.config()?;
    // The serial of the zones: it rises with every load.
    let now = log::since("1970-01-01T00:00:00Z").unwrap_or_default().as_secs();
    let now = u32::try_from(now).unwrap_or_default();
    let tables = Arc::new(RwLock::new(Tables::new(&config, now)?));
    let keys = Keys::new(&config, &worker.secrets)?;
    let changes = match worker.folder.take() {
        Some(folder) => Some(changes::prepare(&config, folder, &tables, drained.clone())?),
        None => None,
    };
    let leases = worker.reads.pop().map(|file| Leases::new(file, config.leased.clone(), Arc::clone(&tables)));
    let server = Server::new(&config, tables, keys, now)?;
    Ok((server, (config.health, leases), changes))
}

/// Begins to carry out updates. The former worker lets go of the journal at once, unless connections are open.
pub(super) async fn begin(changes: Option<(Changes, Work)>) -> io::Result<Option<Changes>> {
    let Some((changes, work)) = changes else { return Ok(None) };
    let _ = tokio::time::timeout(TAKE, work.start()?).await;
    Ok(Some(changes))
}

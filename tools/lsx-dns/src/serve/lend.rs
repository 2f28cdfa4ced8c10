//! Names of this host's leases in the journal that all servers of the stack have, so that other gateways answer them and transfers have
//! them: whenever something has changed, what differs is asked for by updates. What is refused, or lost, is asked for again.

use super::changes::{self, Changes};
use super::follow::Keeper;
use crate::edit::{self, Part};
use crate::update::keys::Who;
use crate::update::leased::{self, Batch};
use crate::update::message::{Asked, Asks};
use crate::update::replay::Signed;
use crate::zone::Tables;
use common::{document, log};
use domain::base::iana::{Class, Rcode, Rtype};
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How often it looks for what has changed.
const LOOK: Duration = Duration::from_secs(1);
/// The names in one update.
const TOGETHER: usize = 200;

/// What is needed for that.
pub(super) struct Lender {
    pub(super) changes: Changes,
    pub(super) tables: Arc<RwLock<Tables>>,
    /// The server that keeps the names, if it is another one.
    pub(super) keeper: Option<Arc<Keeper>>,
}

impl Lender {
    /// Runs until another worker has taken over.
    pub(super) async fn run(self, mut drained: watch::Receiver<bool>) {
        let (mut done, mut failed) = (None, false);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = drained.wait_for(|drained| *drained) => return,
            }
            let version = self.tables().version();
            if done == Some(version) {
                continue;
            }
            let told = tokio::select! {
                told = self.tell() => told,
                _ = drained.wait_for(|drained| *drained) => return,
            };
            done = told.is_ok().then_some(version);
            if let Err(e) = &told
                && !failed
            {
                log::warning(&format!("names of clients of DHCP here are not told to other servers: {e}"));
            }
            failed = told.is_err();
        }
    }

    fn tables(&self) -> std::sync::RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self) -> io::Result<()> {
        let lost = || io::Error::other("this worker ends");
        let journal = self.changes.lent().await.ok_or_else(lost)?;
        let leases = self.tables().lent();
        for (zone, asks) in leased::changes(&journal, &leases, (&self.changes.zones(), TOGETHER)) {
            let code = match &self.keeper {
                Some(keeper) => pass(keeper, &(zone, asks)).await?,
                None => {
                    let who = Who { serves: true, ..Who::default() };
                    let asked = Asked { zone, prerequisites: Vec::new(), changes: asks };
                    let mac = document::hex(&random::<16>()?);
                    let signed = Signed { at: changes::now(), mac };
                    self.changes.carry_out(who, asked, signed).await.ok_or_else(lost)?
                }
            };
            if code != Rcode::NOERROR {
                return Err(io::Error::other(format!("the answer is {code}")));
            }
        }
        Ok(())
    }
}

/// Sends changes to the server that keeps the names; its answer must have the right signature.
async fn pass(keeper: &Keeper, (zone, asks): &Batch) -> io::Result<Rcode> {
    let id = random::<2>()?;
    let (key, at) = (Arc::clone(&keeper.key), (u16::from_be_bytes(id), changes::now()));
    let parts: Vec<Part> = asks.iter().map(part).collect();
    let message = edit::compose(zone, (&[], &parts), key, at).map_err(io::Error::other)?;
    let mut reply = keeper.pass(&message.bytes).await?;
    // It was sent with another number.
    reply.get_mut(..2).ok_or(io::ErrorKind::InvalidData)?.copy_from_slice(&id);
    let said = message.read(reply, changes::now()).filter(|said| said.sure);
    Ok(said.ok_or_else(|| io::Error::other("the answer is not signed rightly"))?.code)
}

fn part(ask: &Asks) -> Part {
    match ask {
        Asks::Add(record) => Part::Whole(record.clone()),
        Asks::Delete(name, data) => Part::Data(name.clone(), data.clone()),
        Asks::Clear(name, kind) => Part::Bare(name.clone(), kind.unwrap_or(Rtype::ANY), Class::ANY),
    }
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

//! The metadata service: what an instance is told about itself, by HTTP at 169.254.169.254, in the shapes of EC2, NoCloud and LXD. Who asks
//! is known by its source address, which the bridges check.

mod answer;
mod ask;
mod lxd;
mod nocloud;
mod own;
mod request;
mod talk;
mod tokens;
mod tree;

pub(crate) use ask::{answered, check};

use crate::model::Meta;
use common::host::service::worker::Worker;
use common::{Failure, Kind};
use own::Server;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How often the loop shows that it works.
const TICK: Duration = Duration::from_millis(500);
/// How long replies that are under way may take when another worker has taken over.
const DRAIN: Duration = Duration::from_secs(15);

/// Serves until the supervisor says that another worker has taken over.
///
/// # Errors
/// A configuration that cannot be used, or errors of the kernel.
pub(crate) fn work(mut worker: Worker) -> Result<(), Failure> {
    let read = worker.config::<Meta>();
    let server = match read.and_then(|config| Server::new(&config, &mut worker.secrets)) {
        Ok(server) => Arc::new(server),
        Err(why) => {
            worker.refuse(&why);
            return Err(Failure::new(Kind::Data, "dns.serve", why));
        }
    };
    let failed = |e: io::Error| Failure::new(Kind::Failed, "dns.serve", format!("cannot serve: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (drain, drained) = watch::channel(false);
    let (ticks, seen) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(u64::MAX));
    let ticked = Arc::clone(&ticks);
    let alive = move || {
        let now = ticked.load(Ordering::Relaxed);
        (seen.swap(now, Ordering::Relaxed) != now).then(|| "{}".to_owned())
    };
    let sockets = worker.follow(alive, move || _ = drain.send(true)).map_err(failed)?;
    let serving = async {
        let mut tasks = tokio::task::JoinSet::new();
        for (_, tcp) in sockets {
            let tcp = tokio::net::TcpListener::from_std(tcp)?;
            tasks.spawn(talk::accept(Arc::clone(&server), tcp, drained.clone()));
        }
        let (mut tick, mut drained) = (tokio::time::interval(TICK), drained.clone());
        while !*drained.borrow() {
            tokio::select! {
                _ = tick.tick() => { ticks.fetch_add(1, Ordering::Relaxed); }
                changed = drained.changed() => if changed.is_err() { break },
            }
        }
        let _ = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
        Ok(())
    };
    runtime.block_on(serving).map_err(failed)
}

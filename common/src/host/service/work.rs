//! What the workers of all services share: the loop that shows that it works, connections, and lines of the log.

use super::places::{Place, Places};
use super::worker::Worker;
use crate::failure::{Failure, Kind};
use crate::stdio;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often the loop shows that it works.
const TICK: Duration = Duration::from_millis(500);
/// How long answers that are under way may take when another worker has taken over.
const DRAIN: Duration = Duration::from_secs(15);
/// The pause after an error of the kernel, such as no more descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// The number of lines that wait for a slow disk; further ones are lost.
const WAITING: usize = 1000;

/// Whether another worker has taken over.
pub type Drained = watch::Receiver<bool>;
/// The sockets of each address.
pub type Sockets = Vec<(UdpSocket, TcpListener)>;

/// Refuses a configuration. `code` is that of the failure: `dns.serve`.
pub fn refuse(mut worker: Worker, code: &str, why: String) -> Failure {
    worker.refuse(&why);
    Failure::new(Kind::Data, code, why)
}

/// Serves until the supervisor says that another worker has taken over. `code` is that of a failure, `counts` is what was counted, as
/// JSON; `begin` spawns the tasks that answer.
///
/// # Errors
/// Errors of the kernel.
pub fn run(
    worker: Worker,
    code: &str,
    (drain, mut drained): (watch::Sender<bool>, Drained),
    counts: impl Fn() -> String + Send + 'static,
    begin: impl AsyncFnOnce(Sockets, &mut JoinSet<()>) -> io::Result<()>,
) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::new(Kind::Failed, code, format!("cannot serve: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (ticks, seen) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(u64::MAX));
    let ticked = Arc::clone(&ticks);
    let alive = move || {
        let now = ticked.load(Ordering::Relaxed);
        (seen.swap(now, Ordering::Relaxed) != now).then(&counts)
    };
    let sockets = worker.follow(alive, move || _ = drain.send(true)).map_err(failed)?;
    let serving = async {
        let mut tasks = JoinSet::new();
        begin(sockets, &mut tasks).await?;
        let mut tick = tokio::time::interval(TICK);
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

/// Accepts connections until another worker has taken over, each with a place while there is one; then waits for their ends.
pub async fn accept<F: Future<Output = io::Result<()>> + Send + 'static>(
    listener: tokio::net::TcpListener,
    places: Arc<Places>,
    mut drained: Drained,
    talk: impl Fn(TcpStream, SocketAddr) -> F,
) {
    let mut open = JoinSet::new();
    while !*drained.borrow() {
        let got = tokio::select! {
            got = listener.accept() => got,
            _ = drained.changed() => break,
        };
        while open.try_join_next().is_some() {}
        match got {
            Ok((stream, from)) => {
                // Without a place it is closed at once.
                let Some(place) = places.take(from.ip()) else { continue };
                open.spawn(held(place, talk(stream, from)));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    drop((listener, talk));
    while open.join_next().await.is_some() {}
}

async fn held(_place: Place, talk: impl Future<Output = io::Result<()>>) {
    let _ = talk.await;
}

/// Until another worker has taken over.
pub async fn taken_over(drained: &mut Drained) {
    let _ = drained.wait_for(|drained| *drained).await;
}

/// Writes lines to the log in a thread of its own, since the pipe to the supervisor may be full.
///
/// # Errors
/// The kernel gives no thread.
pub fn lines() -> io::Result<SyncSender<String>> {
    let (sender, lines) = sync_channel::<String>(WAITING);
    let write = move || lines.iter().for_each(|line| _ = stdio::program_errors(line.as_bytes(), true));
    std::thread::Builder::new().name("log".to_owned()).spawn(write)?;
    Ok(sender)
}

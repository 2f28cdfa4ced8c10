//! Probes replicas from the router, so that answers leave out those that are not ready.

use crate::model::{self, Replica};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The time for one probe, and the number of probes at once.
const PROBE: Duration = Duration::from_secs(2);
const ONCE: usize = 50;
/// A replica is left out when so many probes in a row have failed; of a new worker the first one counts.
const FAILED: u32 = 2;
/// The bytes of a status line that are read: `HTTP/1.1 200`.
const STATUS: usize = 12;

#[derive(Debug, Default)]
pub(super) struct Health {
    down: Mutex<Arc<HashSet<Ipv4Addr>>>,
}

impl Health {
    /// The addresses that are left out.
    pub(super) fn down(&self) -> Arc<HashSet<Ipv4Addr>> {
        Arc::clone(&self.down.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[cfg(test)]
    pub(super) fn set(&self, down: &[Ipv4Addr]) {
        *self.down.lock().unwrap() = Arc::new(down.iter().copied().collect());
    }

    /// Probes until another worker has taken over.
    pub(super) async fn watch(self: Arc<Self>, what: model::Health, mut drained: watch::Receiver<bool>) {
        let mut failed: BTreeMap<Ipv4Addr, u32> = BTreeMap::new();
        let mut round = tokio::time::interval(Duration::from_secs(what.interval.max(1).into()));
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut most = 1;
        loop {
            tokio::select! {
                _ = round.tick() => {}
                _ = drained.wait_for(|drained| *drained) => return,
            }
            for (address, ready) in probe_all(&what.replicas).await {
                let times = failed.entry(address).or_default();
                *times = if ready { 0 } else { times.saturating_add(1) };
            }
            let down = failed.iter().filter(|(_, times)| **times >= most).map(|(address, _)| *address);
            let down = down.collect();
            let mut before = self.down.lock().unwrap_or_else(PoisonError::into_inner);
            if **before != down {
                *before = Arc::new(down); // Replies that were written before are forgotten.
            }
            most = FAILED;
        }
    }
}

async fn probe_all(replicas: &[Replica]) -> Vec<(Ipv4Addr, bool)> {
    let (places, mut tasks) = (Arc::new(Semaphore::new(ONCE)), JoinSet::new());
    for replica in replicas.iter().cloned() {
        let places = Arc::clone(&places);
        tasks.spawn(async move {
            let _place = places.acquire().await;
            let ready = timeout(PROBE, probe(&replica)).await;
            (replica.address, matches!(ready, Ok(Ok(true))))
        });
    }
    tasks.join_all().await
}

/// Whether the port accepts, and the path answers with a status from 200 to 399.
async fn probe(replica: &Replica) -> io::Result<bool> {
    let mut stream = TcpStream::connect((replica.address, replica.port)).await?;
    let Some(path) = &replica.path else { return Ok(true) };
    let host = replica.address;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lsx-dns\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; STATUS];
    stream.read_exact(&mut status).await?;
    Ok(status.starts_with(b"HTTP/1.") && matches!(status[9], b'2' | b'3'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server with one answer, and whether it is ready.
    fn asked(answer: Option<&'static [u8]>, path: Option<&str>) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let server = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let port = server.local_addr().unwrap().port();
            let replica = Replica { address: Ipv4Addr::LOCALHOST, port, path: path.map(str::to_owned) };
            match answer {
                None => drop(server),
                Some(answer) => {
                    tokio::spawn(async move {
                        let (mut stream, _) = server.accept().await.unwrap();
                        let _ = stream.read(&mut [0; 500]).await;
                        let _ = stream.write_all(answer).await;
                    });
                }
            }
            probe(&replica).await.unwrap_or(false)
        })
    }

    #[test]
    fn a_replica_is_ready_by_port_or_status() {
        assert!(asked(Some(b""), None) && !asked(None, None));
        for (answer, ready) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], true),
            (b"HTTP/1.0 302 Found\r\n", true),
            (b"HTTP/1.1 404 Not Found\r\n", false),
            (b"HTTP/1.1 503 Wait\r\n", false),
            (b"SSH-2.0-x\r\n2222222", false),
            (b"HTTP", false),
            (b"", false),
        ] {
            assert_eq!(asked(Some(answer), Some("/health")), ready, "{answer:?}");
        }
        assert!(!asked(None, Some("/")));
    }
}

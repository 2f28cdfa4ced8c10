//! Boot files for machines of networks with DHCP, by TFTP and HTTP: the files of one folder, read-only.

mod answer;
pub(crate) mod ask;
mod machines;
mod packet;
mod tftp;
mod tickets;
mod transfer;
mod volume;

pub(crate) use machines::{Machines, answered, asked};
pub(crate) use tickets::Tickets;

use crate::http::{self, Sent};
use crate::model::{Boot, Served};
use crate::plan::TFTP;
use common::host::service::places::Places;
use common::host::service::work::{self, Drained};
use common::host::service::worker::Worker;
use common::{Failure, log, printable};
use serde_json::json;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use tickets::Ticket;
use tokio::net::TcpStream;
use tokio::sync::watch;
use volume::{Refused, Volume};

/// The number of transfers by TFTP.
const MOST: usize = 256;

/// What all connections and transfers share.
struct Server {
    volume: Volume,
    config: Boot,
    /// Who has booted, with `boot.once`.
    tickets: Option<Tickets>,
    log: SyncSender<String>,
}

/// Serves until the supervisor says that another worker has taken over.
///
/// # Errors
/// A configuration that cannot be used, or errors of the kernel.
pub(crate) fn work(mut worker: Worker) -> Result<(), Failure> {
    let server = match Server::new(&mut worker) {
        Ok(server) => Arc::new(server),
        Err(why) => return Err(work::refuse(worker, crate::SERVE, why)),
    };
    let (drain, drained) = watch::channel(false);
    let told = drained.clone();
    work::run(
        worker,
        crate::SERVE,
        (drain, drained),
        || "{}".to_owned(),
        async |sockets, tasks| {
            let transfers = Places::new(MOST);
            for (udp, tcp) in sockets {
                // Each address has both; lsx-net lets through what is named in `resolved.services`.
                if udp.local_addr()?.port() == TFTP {
                    let udp = tokio::net::UdpSocket::from_std(udp)?;
                    tasks.spawn(tftp::answer(Arc::clone(&server), udp, Arc::clone(&transfers), told.clone()));
                    continue;
                }
                let tcp = tokio::net::TcpListener::from_std(tcp)?;
                let (server, drained) = (Arc::clone(&server), told.clone());
                let talk = move |stream, from| talk(Arc::clone(&server), stream, from, drained.clone());
                tasks.spawn(work::accept(tcp, Places::new(http::MOST), told.clone(), talk));
            }
            Ok(())
        },
    )
}

async fn talk(server: Arc<Server>, stream: TcpStream, from: SocketAddr, drained: Drained) -> io::Result<()> {
    let IpAddr::V4(source) = from.ip() else { return Ok(()) };
    http::talk(&server, stream, source, drained).await
}

impl Server {
    fn new(worker: &mut Worker) -> Result<Server, String> {
        let config: Boot = worker.config()?;
        let folder = worker.seen.take().ok_or("the folder of boot files is missing")?;
        let log = work::lines().map_err(|e| e.to_string())?;
        let tickets = worker.folder.take().filter(|_| config.once).map(Tickets::new);
        // A damaged journal would refuse everybody.
        tickets.iter().try_for_each(|tickets| tickets.all().map(drop).map_err(|e| e.to_string()))?;
        Ok(Server { volume: Volume(folder), config, tickets, log })
    }

    /// The network of a client.
    fn network(&self, client: Ipv4Addr) -> Option<&Served> {
        self.config.networks.iter().find(|network| network.cidr.contains(&client))
    }

    /// The turn that a file takes, if it takes one. A machine that has booted gets no boot file.
    fn turn(&self, client: Ipv4Addr, file: &str) -> Result<Option<Ticket>, Refused> {
        let stages = self.config.stages(file);
        let Some(tickets) = self.tickets.as_ref().filter(|_| !stages.is_empty()) else { return Ok(None) };
        let ticket = tickets.of(client, &stages).unwrap_or_else(|failure| {
            log::warning(&failure.to_string());
            None
        });
        ticket.map(Some).ok_or(Refused::Booted)
    }
}

/// A file on its way to a client. Its end is a line of the log.
struct Delivery {
    server: Arc<Server>,
    to: Ipv4Addr,
    by: &'static str,
    file: String,
    passed: u64,
    whole: bool,
    /// The turn that its last bytes take.
    ticket: Option<Ticket>,
}

impl Delivery {
    fn new(
        server: &Arc<Server>,
        (to, by): (Ipv4Addr, &'static str),
        file: &str,
        ticket: Option<Ticket>,
    ) -> Delivery {
        let file = printable::text(file).into_owned();
        Delivery { server: Arc::clone(server), to, by, file, passed: 0, whole: false, ticket }
    }
}

impl Sent for Delivery {
    fn last(&mut self) -> bool {
        let taken = match (self.ticket.take(), &self.server.tickets) {
            (Some(ticket), Some(tickets)) => tickets.take(&ticket).unwrap_or_else(|failure| {
                log::warning(&failure.to_string());
                false
            }),
            _ => true,
        };
        self.whole |= taken;
        taken
    }

    fn passed(&mut self, bytes: u64) {
        self.passed += bytes;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let line = json!({"to": self.to, "by": self.by, "file": self.file, "bytes": self.passed, "whole": self.whole});
        // A disk that is too slow for the log stops nobody.
        let _ = self.server.log.try_send(format!("{line}\n"));
    }
}

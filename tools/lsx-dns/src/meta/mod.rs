//! The metadata service: what an instance is told about itself, by HTTP at 169.254.169.254, in the shapes of EC2, NoCloud and LXD. Who asks
//! is known by its source address, which the bridges check.

mod answer;
mod ask;
mod lxd;
mod nocloud;
mod own;
mod tokens;
mod tree;

pub(crate) use ask::{answered, check};

use crate::http::{self, Answer, Reply, Request};
use crate::model::Meta;
use common::Failure;
use common::host::service::places::Places;
use common::host::service::work::{self, Drained};
use common::host::service::worker::Worker;
use own::Server;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Serves until the supervisor says that another worker has taken over.
///
/// # Errors
/// A configuration that cannot be used, or errors of the kernel.
pub(crate) fn work(mut worker: Worker) -> Result<(), Failure> {
    let read = worker.config::<Meta>();
    let server = match read.and_then(|config| Server::new(&config, &mut worker.secrets)) {
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
            for (_, tcp) in sockets {
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
    http::talk(&*server, stream, source, drained).await
}

impl Answer for Server {
    fn answer(&self, source: Ipv4Addr, request: &Request) -> Reply {
        answer::to(self, source, request, self.began.elapsed().as_secs())
    }
}

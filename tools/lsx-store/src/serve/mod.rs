//! The S3 server: a worker on the sockets of its supervisor, with the folders of its buckets.

mod access;
mod api;
mod body;
mod front;
mod get;
mod lists;
mod parts;
mod put;
mod sums;
mod tags;
mod versions;

use crate::model::{Objects, ServedBucket};
use crate::object::{Bucket, Seen, Versions, given_up};
use common::host::service::places::Places;
use common::host::service::work::{self, Drained, taken_over};
use common::host::service::worker::Worker;
use common::{Failure, log};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::{S3Service, S3ServiceBuilder};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// The code of a server that cannot serve.
const CODE: &str = "store.serve";
/// The number of connections.
const MOST: usize = 1024;
/// How long a client may take for the head of a request, and between two pieces of its body.
const SLOW: Duration = Duration::from_secs(60);
/// Uploads in parts to which nothing was added for a week were given up; none is in the first day of a worker. They are looked for so often.
const OLD: i64 = 7 * 24 * 3600;
const OFTEN: Duration = Duration::from_secs(3600);

/// What all requests share.
struct Server {
    region: String,
    /// Secret keys by access keys.
    keys: BTreeMap<String, String>,
    buckets: BTreeMap<String, (ServedBucket, Arc<Bucket>)>,
}

/// Serves until the supervisor says that another worker has taken over.
///
/// # Errors
/// A configuration that cannot be used, or errors of the kernel.
pub(crate) fn work(mut worker: Worker) -> Result<(), Failure> {
    let server = match Server::new(&mut worker) {
        Ok(server) => Arc::new(server),
        Err(why) => return Err(work::refuse(worker, CODE, why)),
    };
    let mut builder = S3ServiceBuilder::new(api::Api(Arc::clone(&server)));
    builder.set_auth(access::Keys(Arc::clone(&server)));
    builder.set_access(access::Rights(Arc::clone(&server)));
    let service = builder.build();
    let (drain, drained) = watch::channel(false);
    let told = drained.clone();
    work::run(
        worker,
        CODE,
        (drain, drained),
        || "{}".to_owned(),
        async |sockets, tasks| {
            tasks.spawn(tidied(server, told.clone()));
            for (_, tcp) in sockets {
                let tcp = tokio::net::TcpListener::from_std(tcp)?;
                let (service, drained) = (service.clone(), told.clone());
                let talk = move |stream, _| talk(service.clone(), stream, drained.clone());
                tasks.spawn(work::accept(tcp, Places::new(MOST), told.clone(), talk));
            }
            Ok(())
        },
    )
}

/// Ends uploads that were given up, from time to time.
async fn tidied(server: Arc<Server>, mut drained: Drained) {
    let begin = Instant::now();
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    loop {
        let now = common::log::clock().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let before = i64::try_from(now.as_secs()).unwrap_or_default() - OLD;
        for (name, (_, bucket)) in &server.buckets {
            let (bucket, mut known) = (Arc::clone(bucket), seen.remove(name).unwrap_or_default());
            let round = move || {
                let (times, unread) = bucket.times()?;
                let (ended, left) =
                    bucket.end_uploads(&given_up(&mut known, &times, before, begin.elapsed()));
                Ok((known, ended, unread.or(left)))
            };
            match body::blocking(round).await {
                Ok((known, ended, wrong)) => {
                    seen.insert(name.clone(), known);
                    told(name, ended, wrong);
                }
                Err(e) => told(name, 0, Some(e)),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(OFTEN) => {}
            () = taken_over(&mut drained) => return,
        }
    }
}

fn told(bucket: &str, ended: usize, wrong: Option<impl fmt::Display>) {
    if ended > 0 {
        log::note(&format!("bucket {bucket}: {ended} uploads were given up, and are removed"));
    }
    if let Some(e) = wrong {
        log::warning(&format!("bucket {bucket}: an old upload cannot be removed: {e}"));
    }
}

/// Answers the requests of a connection.
async fn talk(service: S3Service, stream: TcpStream, mut drained: Drained) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // The kernel ends it when a client takes nothing of an answer for so long.
    let slow = u32::try_from(SLOW.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(&stream, slow)?;
    let answer = service_fn(move |request| front::answer(service.clone(), request));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SLOW);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), answer));
    tokio::select! {
        done = connection.as_mut() => return done.map_err(io::Error::other),
        () = taken_over(&mut drained) => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(io::Error::other)
}

impl Server {
    fn new(worker: &mut Worker) -> Result<Server, String> {
        let config: Objects = worker.config()?;
        let mut keys = BTreeMap::new();
        for (user, secret) in &config.users {
            let value =
                worker.secrets.get(secret).ok_or_else(|| format!("the secret {secret} is missing"))?;
            let key = crate::secrets::key(value).map_err(|why| format!("secret {secret}: {why}"))?;
            keys.insert(user.clone(), key);
        }
        let mut folders = std::mem::take(&mut worker.folders).into_iter();
        let mut buckets = BTreeMap::new();
        for (name, bucket) in config.buckets {
            let folder = folders.next().ok_or_else(|| format!("the folder of bucket {name} is missing"))?;
            let opened = Bucket::open(folder).and_then(|opened| {
                if bucket.versioning && opened.versions()? != Versions::Enabled {
                    opened.set_versions(true)?;
                }
                Ok(opened)
            });
            let opened = opened.map_err(|e| format!("bucket {name}: {e}"))?;
            buckets.insert(name, (bucket, Arc::new(opened)));
        }
        Ok(Server { region: config.region, keys, buckets })
    }
}

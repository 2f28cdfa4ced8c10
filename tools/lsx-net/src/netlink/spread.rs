//! Requests over several sockets at once.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;

use super::{NetlinkError, Request, Socket};

/// Sends the requests over `threads` sockets in parallel, in the calling thread's namespace; results in the requests'
/// order.
///
/// Useful for deleting links without a common group: each waits for readers of the device (`synchronize_net`), and the
/// waits overlap. With 16 sockets veths and VXLAN devices are deleted about eight times as fast, bridges by only a third;
/// one [`delete_group`](super::link::delete_group) is faster than both, and is what `down` uses. Creations are serial in the kernel and gain
/// nothing. The order of execution is undefined.
///
/// # Errors
/// If a socket cannot be opened; then it has sent nothing, and the others have finished.
pub fn spread(requests: &[Request<'_>], threads: usize) -> io::Result<Vec<Result<(), NetlinkError>>> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(vec![None; requests.len()]);
    let sockets = (0..threads.clamp(1, requests.len().max(1)))
        .map(|_| Socket::open())
        .collect::<io::Result<Vec<_>>>()?;
    std::thread::scope(|scope| {
        for mut socket in sockets {
            let (next, verdicts) = (&next, &verdicts);
            scope.spawn(move || {
                while let Some((place, request)) = take(requests, next) {
                    let verdict = socket.request(request);
                    let mut all = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
                    all[place] = Some(verdict);
                }
            });
        }
    });
    let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let unsent = |request: &Request<'_>| Err(NetlinkError::new(request.op(), Errno::ECANCELED, "not sent"));
    Ok(verdicts
        .into_iter()
        .zip(requests)
        .map(|(verdict, request)| verdict.unwrap_or_else(|| unsent(request)))
        .collect())
}

fn take<'r, 'a>(requests: &'r [Request<'a>], next: &AtomicUsize) -> Option<(usize, &'r Request<'a>)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    requests.get(place).map(|request| (place, request))
}

//! Requests by TFTP. Each file is given from a port of its own, as RFC 1350 says.

use super::packet::{self, Asked, First, code};
use super::volume::{self, Refused};
use super::{Delivery, Server, transfer};
use common::host::service::places::{Place, Places};
use common::host::service::work::Drained;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// The longest request in bytes (RFC 2347).
const REQUEST: usize = 512;
/// The pause after an error of the kernel.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers requests until another worker has taken over; then waits for transfers that are under way.
pub(super) async fn answer(
    server: Arc<Server>,
    socket: UdpSocket,
    places: Arc<Places>,
    mut drained: Drained,
) {
    let mut open = JoinSet::new();
    let mut bytes = [0; REQUEST];
    while !*drained.borrow() {
        let got = tokio::select! {
            got = socket.recv_from(&mut bytes) => got,
            _ = drained.changed() => break,
        };
        while open.try_join_next().is_some() {}
        let Ok((length, from)) = got else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        match asked(&server, &bytes[..length], from, &places) {
            Ok(None) => {}
            Ok(Some((asked, place))) => {
                let at = socket.local_addr().map(|at| at.ip());
                open.spawn(give(Arc::clone(&server), at, from, asked, place));
            }
            Err((code, why)) => _ = socket.try_send_to(&packet::error(code, why), from),
        }
    }
    drop(socket);
    while open.join_next().await.is_some() {}
}

type Wrong = (u16, &'static str);

/// A request that is carried out; none if nobody is answered.
fn asked(
    server: &Server,
    bytes: &[u8],
    from: SocketAddr,
    places: &Arc<Places>,
) -> Result<Option<(Asked, Place)>, Wrong> {
    let IpAddr::V4(client) = from.ip() else { return Ok(None) };
    if server.network(client).is_none() {
        return Ok(None);
    }
    match packet::first(bytes) {
        First::Garbage => Ok(None),
        First::Wrong(code, why) => Err((code, why)),
        First::Read(asked) => match places.take(from.ip()) {
            Some(place) => Ok(Some((asked, place))),
            None => Err((code::BUSY, "too many transfers, ask again later")),
        },
    }
}

/// Gives one file.
async fn give(server: Arc<Server>, at: io::Result<IpAddr>, to: SocketAddr, asked: Asked, _place: Place) {
    let (Ok(at), IpAddr::V4(client)) = (at, to.ip()) else { return };
    let Ok(socket) = UdpSocket::bind((at, 0)).await else { return };
    if socket.connect(to).await.is_err() {
        return;
    }
    let found = volume::plain(&asked.file).and_then(|name| {
        let opened = server.volume.open(&name)?;
        Ok((opened, server.turn(client, &name)?, name))
    });
    let ((file, size), ticket, name) = match found {
        Ok(found) => found,
        Err(refused) => {
            let code = if refused == Refused::Missing { code::MISSING } else { code::DENIED };
            let _ = socket.send(&packet::error(code, refused.why())).await;
            return;
        }
    };
    let mtu = server.network(client).map_or(0, |network| network.mtu);
    let terms = packet::terms(&asked, size, mtu);
    let mut delivery = Delivery::new(&server, (client, "tftp"), &name, ticket);
    let _ = transfer::give(&socket, &terms, (&file, size), &mut delivery).await;
}

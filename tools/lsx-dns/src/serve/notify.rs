//! Tells other servers that zones have changed (RFC 1996), so that they transfer them at once.

use super::Server;
use super::changes::{self, Changes};
use crate::model::Transfer;
use crate::zone::Owner;
use domain::base::iana::{Class, Opcode, Rtype};
use domain::base::{Message, MessageBuilder};
use domain::rdata::tsig::Time48;
use domain::tsig::{ClientTransaction, Key};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The time for a reply, how often a message is sent, and the least time between two of them.
const REPLY: Duration = Duration::from_secs(2);
const TIMES: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// The port of DNS.
const PORT: u16 = 53;

/// Whom it tells what.
pub(super) struct Notify {
    pub(super) transfer: Transfer,
    pub(super) zones: Vec<Owner>,
    pub(super) key: Option<Arc<Key>>,
}

impl Server {
    /// What tells other servers of changes.
    pub(super) fn notify(&self, changes: &Changes) -> Option<Notify> {
        let (transfer, key) = (self.transfer.clone()?, self.keys.transfer.clone());
        Some(Notify { transfer, zones: changes.zones(), key })
    }
}

impl Notify {
    /// Tells of each new serial, until another worker has taken over.
    pub(super) async fn run(self, mut serial: watch::Receiver<u32>, mut drained: watch::Receiver<bool>) {
        let me = Arc::new(self);
        loop {
            tokio::select! {
                changed = serial.changed() => if changed.is_err() { return },
                _ = drained.wait_for(|drained| *drained) => return,
            }
            if *serial.borrow_and_update() == 0 {
                continue; // It follows another server, which has not told it anything yet.
            }
            let mut tasks = JoinSet::new();
            for to in me.transfer.to.iter().copied() {
                let me = Arc::clone(&me);
                tasks.spawn(async move {
                    for zone in &me.zones {
                        let _ = me.tell(to, zone).await;
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
            sleep(PAUSE).await;
        }
    }

    async fn tell(&self, to: Ipv4Addr, zone: &Owner) -> io::Result<()> {
        let message = self.message(zone).ok_or(io::ErrorKind::InvalidData)?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect((to, PORT)).await?;
        for _ in 0..TIMES {
            socket.send(&message).await?;
            let mut reply = [0; 512];
            if let Ok(Ok(length)) = timeout(REPLY, socket.recv(&mut reply)).await
                && Message::from_octets(&reply[..length]).is_ok_and(|reply| reply.header().qr())
            {
                return Ok(());
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn message(&self, zone: &Owner) -> Option<Vec<u8>> {
        let mut id = [0; 2];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()).ok()?;
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(u16::from_be_bytes(id));
        builder.header_mut().set_opcode(Opcode::NOTIFY);
        builder.header_mut().set_aa(true);
        let mut builder = builder.question();
        builder.push((zone, Rtype::SOA, Class::IN)).ok()?;
        let mut builder = builder.additional();
        if let Some(key) = &self.key {
            let now = Time48::from_u64(changes::now());
            ClientTransaction::request(Arc::clone(key), &mut builder, now).ok()?;
        }
        Some(builder.finish())
    }
}

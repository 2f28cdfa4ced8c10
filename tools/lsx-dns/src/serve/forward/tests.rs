//! Questions to a server on the loopback, and what is given when there is none.

use super::*;
use crate::serve::reply::Question;
use crate::zone::{Owner, Rr};
use domain::base::iana::{Class, Rtype};
use domain::base::{Message, MessageBuilder, Name, Record, Ttl};
use domain::rdata::A;
use tokio::net::UdpSocket;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
/// Long enough for any machine: nothing here is meant to time out.
const LONG: Duration = Duration::from_secs(60);

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

async fn server() -> (UdpSocket, Arc<Forwarder>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut forwarder = Forwarder::new(10, Arc::new(Counter::new(false).unwrap()));
    forwarder.start = Instant::now().checked_sub(LONG).unwrap();
    (forwarder.all, forwarder.upstream.patience) = (LONG, LONG);
    forwarder.upstream.port = socket.local_addr().unwrap().port();
    (socket, Arc::new(forwarder))
}

fn question() -> Question {
    Question::read(&asked(), false).unwrap()
}

fn asked() -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((name(), Rtype::A)).unwrap();
    let mut builder = builder.additional();
    let extended = builder.opt(|opt| {
        opt.set_udp_payload_size(1232);
        Ok(())
    });
    extended.unwrap();
    builder.finish()
}

fn name() -> Owner {
    Name::vec_from_str("www.example.org").unwrap()
}

fn ask() -> Ask {
    Ask { before: Vec::new(), name: name(), servers: vec![Ipv4Addr::LOCALHOST], old: None }
}

/// One question that came to the server, answered with an address.
async fn answer(socket: &UdpSocket) {
    let mut bytes = [0; 1232];
    let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
    let query = Message::from_octets(bytes[..length].to_vec()).unwrap();
    let mut builder = MessageBuilder::new_vec().start_answer(&query, Rcode::NOERROR).unwrap();
    builder.push((name(), 60, A::new(Ipv4Addr::new(203, 0, 113, 7)))).unwrap();
    socket.send_to(&builder.finish(), from).await.unwrap();
}

/// The code, the number of records, the TTL of the first, and why.
fn read(reply: &[u8]) -> (Rcode, u16, Option<u32>, Option<ExtendedErrorCode>) {
    let reply = Message::from_octets(reply.to_vec()).unwrap();
    let ttl = reply.answer().unwrap().next().map(|record| record.unwrap().ttl().as_secs());
    let why = reply.opt().and_then(|opt| opt.opt().extended_error()).map(|why| why.code());
    (reply.header().rcode(), reply.header_counts().ancount(), ttl, why)
}

#[test]
fn the_same_question_is_asked_once() {
    run(async {
        let (socket, forwarder) = server().await;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let forwarder = Arc::clone(&forwarder);
            clients.spawn(async move { forwarder.ask(&question(), &ask(), CLIENT).await });
        }
        answer(&socket).await;
        while let Some(reply) = clients.join_next().await {
            assert_eq!(read(&reply.unwrap()), (Rcode::NOERROR, 1, Some(60), None));
        }
        assert!(socket.try_recv(&mut [0; 9]).is_err(), "it was asked again");
        let kept = forwarder.at_once(&question(), &mut ask()).unwrap();
        assert_eq!(read(&kept).0, Rcode::NOERROR);
        assert!(forwarder.under_way().is_empty());
    });
}

#[test]
fn an_old_answer_is_given_when_no_server_answers() {
    run(async {
        let (socket, forwarder) = server().await;
        let address = A::new(Ipv4Addr::new(203, 0, 113, 8));
        let record: Rr = Record::new(name(), Class::IN, Ttl::from_secs(1), address.into());
        let old = Said {
            code: Rcode::NOERROR,
            records: vec![record],
            authority: Vec::new(),
            ttl: 1,
            written: Default::default(),
        };
        forwarder.cache().keep(&question().key(&ask()), Arc::new(old), Duration::ZERO);
        drop(socket); // From now on the kernel says that nobody is there.
        let stale = (Rcode::NOERROR, 1, Some(30), Some(ExtendedErrorCode::STALE_ANSWER));
        let mut again = ask();
        assert_eq!(forwarder.at_once(&question(), &mut again), None, "a server is asked first");
        assert_eq!(read(&forwarder.ask(&question(), &again, CLIENT).await), stale);
        assert_eq!(read(&forwarder.at_once(&question(), &mut ask()).unwrap()), stale);
    });
}

#[test]
fn a_failure_is_not_asked_again_at_once() {
    run(async {
        let (socket, forwarder) = server().await;
        drop(socket);
        let failed = |why| (Rcode::SERVFAIL, 0, None, Some(why));
        let reply = forwarder.ask(&question(), &ask(), CLIENT).await;
        assert_eq!(read(&reply), failed(ExtendedErrorCode::NO_REACHABLE_AUTHORITY));
        let reply = forwarder.at_once(&question(), &mut ask()).unwrap();
        assert_eq!(read(&reply), failed(ExtendedErrorCode::CACHED_ERROR));
    });
}

#[test]
fn a_client_that_has_too_many_questions_gets_an_error() {
    run(async {
        let (_socket, forwarder) = server().await;
        let mut taken = Vec::new();
        while let Some(place) = forwarder.places.take(CLIENT) {
            taken.push(place);
        }
        assert_eq!(taken.len(), QUESTIONS / 2);
        let reply = forwarder.ask(&question(), &ask(), CLIENT).await;
        assert_eq!(read(&reply), (Rcode::SERVFAIL, 0, None, Some(ExtendedErrorCode::OVER_QUOTA)));
    });
}

#[test]
fn a_server_without_edns_is_asked_without() {
    run(async {
        let (socket, forwarder) = server().await;
        let asks = tokio::spawn(async move { forwarder.ask(&question(), &ask(), CLIENT).await });
        let mut bytes = [0; 1232];
        let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
        let query = Message::from_octets(bytes[..length].to_vec()).unwrap();
        assert!(query.opt().is_some());
        let refusal = MessageBuilder::new_vec().start_answer(&query, Rcode::FORMERR).unwrap();
        socket.send_to(&refusal.finish(), from).await.unwrap();
        answer(&socket).await;
        assert_eq!(read(&asks.await.unwrap()), (Rcode::NOERROR, 1, Some(60), None));
    });
}

/// A kept answer is the same by a copy, whatever the client takes and how old it is.
#[test]
fn a_kept_answer_that_was_written_before_is_the_same() {
    run(async {
        let (_, forwarder) = server().await;
        let address = |ttl| -> Rr {
            let data = A::new(Ipv4Addr::new(203, 0, 113, 7)).into();
            Record::new(name(), Class::IN, Ttl::from_secs(ttl), data)
        };
        let queries =
            [(0, 1232), (0x10, 1232), (0x20, 512), (0x30, 65535), (0, 0)].map(|(flags, size): (u8, u16)| {
                let mut query = asked();
                query[3] = flags;
                query[13] = b'W';
                let at = query.len() - 8;
                query[at..at + 2].copy_from_slice(&size.to_be_bytes());
                if size == 0 {
                    query.truncate(query.len() - 11);
                    query[11] = 0;
                }
                query
            });
        for (seconds, records) in [(0, 1), (7, 2), (50, 40)] {
            for query in &queries {
                let question = Question::read(query, false).unwrap();
                let key = question.key(&ask());
                let said = Said {
                    code: Rcode::NOERROR,
                    records: (0..records).map(|n| address(60 + n)).collect(),
                    authority: Vec::new(),
                    ttl: 60,
                    written: Default::default(),
                };
                let since = forwarder.start.elapsed().saturating_sub(Duration::from_secs(seconds));
                forwarder.cache().keep(&key, Arc::new(said), since);
                let quick = Quick::read(query).unwrap();
                let (mut first, mut out) = (Vec::new(), Vec::new());
                assert!(!forwarder.quick(&quick, &mut first));
                let slow = || forwarder.at_once(&question, &mut ask()).unwrap();
                let cut = slow()[2] & 2 != 0;
                // A second may begin in between.
                let same = (0..3).any(|_| {
                    out.clear();
                    assert_eq!(forwarder.quick(&quick, &mut out), !cut);
                    cut || out == slow()
                });
                assert!(same, "{query:?}\n{out:?}\n{:?}", slow());
            }
        }
        assert!(forwarder.counter.counts().kept > 15);
    });
}

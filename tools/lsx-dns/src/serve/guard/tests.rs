//! Cookies that are given, shown, forged and old.

use super::*;
use crate::serve::reply::Reply;
use crate::zone::Tables;
use domain::base::iana::{OptRcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use std::collections::HashSet;

const SOURCE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

fn query(name: Option<&str>, cookie: &[u8]) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec().question();
    if let Some(name) = name {
        builder.push((Name::<Vec<u8>>::vec_from_str(name).unwrap(), Rtype::A)).unwrap();
    }
    let mut builder = builder.additional();
    let code = domain::base::iana::OptionCode::COOKIE;
    builder
        .opt(|opt| opt.push_raw_option(code, u16::try_from(cookie.len()).unwrap(), |to| octseq(to, cookie)))
        .unwrap();
    builder.finish()
}

fn octseq<T: domain::dep::octseq::OctetsBuilder + ?Sized>(
    to: &mut T,
    bytes: &[u8],
) -> Result<(), T::AppendError> {
    to.append_slice(bytes)
}

fn guard() -> Guard {
    Guard { secret: [9; 16], start: Instant::now(), epoch: 1_000_000, limit: Mutex::new(Limit::new(1)) }
}

/// The verdict, and the cookie that the client gets.
fn asked(guard: &Guard, cookie: &[u8], source: Ipv4Addr) -> (Verdict, Vec<u8>) {
    let mut question = Question::read(&query(Some("www.example.org"), cookie), false).unwrap();
    let verdict = guard.at(Duration::ZERO, &mut question, source, false);
    (verdict, given(&question.error(OptRcode::REFUSED, None)))
}

fn given(reply: &[u8]) -> Vec<u8> {
    let reply = Message::from_octets(reply.to_vec()).unwrap();
    let cookie = reply.opt().and_then(|opt| opt.opt().cookie()).unwrap();
    let mut bytes = cookie.client().into_octets().to_vec();
    if let Some(server) = cookie.server() {
        bytes.extend_from_slice(server.as_ref());
    }
    bytes
}

#[test]
fn a_client_with_a_cookie_is_not_limited() {
    let guard = guard();
    let (first, cookie) = asked(&guard, b"client 1", SOURCE);
    assert_eq!((first, cookie.len(), &cookie[..9]), (Verdict::Pass, 24, &b"client 1\x01"[..]));
    for _ in 0..100 {
        assert_eq!(asked(&guard, &cookie, SOURCE), (Verdict::Pass, cookie.clone()));
    }
    // Of another source, of another client, and made up, it is none.
    let mut forged = cookie.clone();
    forged[20] ^= 1;
    let mut other = cookie.clone();
    other[0] ^= 1;
    for wrong in [&forged, &other, &b"client 1".to_vec(), &b"client 1another server".to_vec()] {
        assert_ne!(asked(&guard, wrong, SOURCE).0, Verdict::Pass, "{wrong:?}");
    }
    let near = Ipv4Addr::new(198, 51, 100, 8);
    assert_ne!(asked(&guard, &cookie, near).0, Verdict::Pass);
}

#[test]
fn old_cookies_are_replaced() {
    let mut guard = guard();
    let (_, cookie) = asked(&guard, b"client 1", SOURCE);
    for (later, verdict, same) in [
        (1800, Verdict::Pass, true),
        (1802, Verdict::Pass, false),
        (3600, Verdict::Pass, false),
        (4000, Verdict::Again, false),
        (-200, Verdict::Pass, false),
        (-400, Verdict::Again, false),
    ] {
        guard.epoch = 1_000_000u32.wrapping_add_signed(later);
        let (got, next) = asked(&guard, &cookie, SOURCE);
        let got = if got == Verdict::Silence { Verdict::Again } else { got };
        assert_eq!((got, next == cookie), (verdict, same), "{later}");
    }
}

#[test]
fn a_cookie_of_a_wrong_length_is_an_error() {
    for (length, wrong) in
        [(0, true), (7, true), (8, false), (12, true), (16, false), (40, false), (41, true)]
    {
        let query = query(Some("www.example.org"), &vec![1; length]);
        let question = Question::read(&query, false).unwrap();
        let tables = Tables::new(&serde_json::from_str(EMPTY).unwrap(), 1).unwrap();
        let Reply::Now(reply) = question.reply(&tables, SOURCE, &HashSet::new()) else { panic!() };
        let code = Message::from_octets(reply).unwrap().header().rcode();
        let expected =
            if wrong { domain::base::iana::Rcode::FORMERR } else { domain::base::iana::Rcode::REFUSED };
        assert_eq!(code, expected, "{length}");
    }
}

const EMPTY: &str = r#"{"listen": [], "domain": "internal", "ttl": 60, "negative_ttl": 10, "zones": [], "records": [], "views": []}"#;

/// RFC 7873 5.4: only a cookie is asked for.
#[test]
fn a_query_without_a_question_gets_a_cookie() {
    let guard = guard();
    let mut question = Question::read(&query(None, b"client 1"), false).unwrap();
    assert_eq!(guard.at(Duration::ZERO, &mut question, SOURCE, false), Verdict::Pass);
    let tables = Tables::new(&serde_json::from_str(EMPTY).unwrap(), 1).unwrap();
    let Reply::Now(reply) = question.reply(&tables, SOURCE, &HashSet::new()) else { panic!() };
    assert_eq!((reply[3] & 15, given(&reply).len()), (0, 24));
}

//! What updates change, and what they may not.

use super::*;
use crate::model::{Client, Data, Holder};
use crate::zone::{name, record_of};

fn rr(owner: &str, ttl: u32, data: &Data) -> Rr {
    record_of(name(owner).unwrap(), ttl, data).unwrap()
}

fn address(owner: &str, last: u8) -> Rr {
    rr(owner, 60, &Data::A([192, 0, 2, last].into()))
}

fn text(owner: &str, text: &str) -> Rr {
    rr(owner, 60, &Data::Txt(text.to_owned()))
}

fn alias(owner: &str) -> Rr {
    rr(owner, 60, &Data::Cname("web.internal".to_owned()))
}

fn state() -> State {
    let client = |owner, names: &[&str], types: &[&str]| Client {
        key: String::new(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        types: types.iter().map(|kind| (*kind).to_owned()).collect(),
        owner,
    };
    let clients = [
        ("acme", client(Holder::Acme, &["_acme-challenge.*"], &["TXT"])),
        ("dhcp", client(Holder::Lease, &["*.internal"], &["A"])),
        ("fixed", client(Holder::Reservation, &["*.internal"], &["A"])),
        ("one", client(Holder::Service, &["*.internal"], &["A", "TXT", "CNAME"])),
        ("two", client(Holder::Service, &["*.internal"], &["A", "TXT"])),
    ];
    let clients = clients.map(|(name, client)| (name.to_owned(), client)).into();
    let own = [address("web.internal", 1), rr("part.internal", 60, &Data::Ns("web.internal".to_owned()))];
    let mut fixed: HashMap<Owner, Vec<Rr>> = own.map(|record| (record.owner().clone(), vec![record])).into();
    let zone = name("internal").unwrap();
    fixed.insert(zone.clone(), Vec::new());
    State {
        zones: vec![zone],
        fixed,
        rules: Rules::new(&clients).unwrap(),
        lending: lending(),
        live: BTreeMap::new(),
    }
}

/// Clients of DHCP here have names below front.internal.
fn lending() -> Lending {
    let (cidr, domain) = ("192.0.2.0/24".parse().unwrap(), "front.internal".to_owned());
    Lending::new(&[crate::model::Named { cidr, domain, ttl: 60, elsewhere: false }]).unwrap()
}

fn who(client: &str) -> Who {
    Who { clients: [client.to_owned()].into(), ..Who::default() }
}

/// Carries out an update, if it may be.
fn update(
    state: &mut State,
    client: &str,
    before: &[Prerequisite],
    changes: &[Asks],
) -> Result<usize, Rcode> {
    let zone = name("internal").unwrap();
    let asked = Asked { zone, prerequisites: before.to_vec(), changes: changes.to_vec() };
    let changes = state.decide(&who(client), &asked)?;
    let old = state.live.clone();
    state.apply(&changes, false);
    state.apply(&changes, true);
    assert_eq!(state.live, old, "it can be taken back");
    state.apply(&changes, false);
    Ok(changes.len())
}

fn add(state: &mut State, client: &str, record: Rr) -> Result<usize, Rcode> {
    update(state, client, &[], &[Asks::Add(record)])
}

fn clear(state: &mut State, client: &str, owner: &str) -> Result<usize, Rcode> {
    update(state, client, &[], &[Asks::Clear(name(owner).unwrap(), None)])
}

fn has(state: &State, owner: &str) -> Vec<String> {
    let held = state.shown(&name(owner).unwrap());
    held.into_iter().flat_map(|held| &held.records).map(|record| record.data().to_string()).collect()
}

#[test]
fn records_are_added_and_deleted() {
    let mut state = state();
    for last in [7, 8, 7] {
        add(&mut state, "one", address("a.internal", last)).unwrap();
    }
    assert_eq!(has(&state, "a.internal").len(), 2);
    assert_eq!(add(&mut state, "one", address("A.Internal", 8)), Ok(0), "it is there");
    // Another TTL is that of all records of the type.
    let mut longer = address("a.internal", 8);
    longer.set_ttl(domain::base::Ttl::from_secs(90));
    assert_eq!(add(&mut state, "one", longer), Ok(1));
    let held = state.shown(&name("a.internal").unwrap()).unwrap();
    assert!(held.records.iter().all(|record| record.ttl().as_secs() == 90), "{held:?}");
    add(&mut state, "one", text("a.internal", "x")).unwrap();
    let a = name("a.internal").unwrap();
    let delete = Asks::Delete(a.clone(), address("a.internal", 7).into_data());
    assert_eq!(update(&mut state, "one", &[], std::slice::from_ref(&delete)), Ok(1));
    assert_eq!(update(&mut state, "one", &[], &[delete]), Ok(0));
    assert_eq!(update(&mut state, "one", &[], &[Asks::Clear(a.clone(), Some(Rtype::A))]), Ok(1));
    assert_eq!(has(&state, "a.internal"), ["\"x\""]);
    assert_eq!(clear(&mut state, "one", "a.internal"), Ok(1));
    assert_eq!(clear(&mut state, "one", "a.internal"), Ok(0));
    // An alias is alone; several changes are one.
    let both = [Asks::Add(alias("b.internal")), Asks::Add(text("b.internal", "no"))];
    assert_eq!(update(&mut state, "one", &[], &both), Ok(1));
    assert_eq!(has(&state, "b.internal"), ["web.internal."]);
    let replaced = [Asks::Clear(name("b.internal").unwrap(), None), Asks::Add(address("b.internal", 9))];
    assert_eq!(update(&mut state, "one", &[], &replaced), Ok(1));
    add(&mut state, "one", alias("b.internal")).unwrap();
    assert_eq!(has(&state, "b.internal"), ["192.0.2.9"]);
}

#[test]
fn prerequisites_are_those_of_the_rfc() {
    let mut state = state();
    add(&mut state, "one", address("a.internal", 7)).unwrap();
    let exists = |owner: &str, kind, wanted| Prerequisite::Exists(name(owner).unwrap(), kind, wanted);
    let has = |record| Prerequisite::Has(record);
    let a = Some(Rtype::A);
    for (before, code) in [
        (vec![exists("a.internal", None, true)], None),
        (vec![exists("web.internal", a, true)], None),
        (vec![exists("b.internal", None, true)], Some(Rcode::NXDOMAIN)),
        (vec![exists("a.internal", Some(Rtype::TXT), true)], Some(Rcode::NXRRSET)),
        (vec![exists("b.internal", None, false)], None),
        (vec![exists("a.internal", None, false)], Some(Rcode::YXDOMAIN)),
        (vec![exists("a.internal", a, false)], Some(Rcode::YXRRSET)),
        (vec![exists("a.internal", Some(Rtype::TXT), false)], None),
        (vec![has(address("a.internal", 7))], None),
        (vec![has(address("a.internal", 8))], Some(Rcode::NXRRSET)),
        (vec![has(address("a.internal", 7)), has(address("a.internal", 8))], Some(Rcode::NXRRSET)),
        (vec![has(address("b.internal", 7))], Some(Rcode::NXRRSET)),
        (vec![exists("a.internal", None, true), exists("a.internal", a, false)], Some(Rcode::YXRRSET)),
    ] {
        let before_live = state.live.clone();
        let done = update(&mut state, "one", &before, &[Asks::Add(text("new.internal", "x"))]);
        assert_eq!(done.err(), code, "{before:?}");
        if code.is_none() {
            clear(&mut state, "one", "new.internal").unwrap();
        }
        assert_eq!(state.live, before_live);
    }
}

#[test]
fn nobody_changes_what_others_own() {
    let mut state = state();
    for client in ["one", "dhcp", "fixed"] {
        assert_eq!(add(&mut state, client, address("web.internal", 9)), Err(Rcode::REFUSED));
        assert_eq!(clear(&mut state, client, "web.internal"), Err(Rcode::REFUSED));
        assert_eq!(add(&mut state, client, address("below.part.internal", 9)), Err(Rcode::REFUSED));
        assert_eq!(add(&mut state, client, address("internal", 9)), Err(Rcode::REFUSED));
    }
    // Names and types are those of the rules.
    assert_eq!(add(&mut state, "acme", text("www.internal", "x")), Err(Rcode::REFUSED));
    assert_eq!(add(&mut state, "acme", address("_acme-challenge.www.internal", 1)), Err(Rcode::REFUSED));
    assert_eq!(add(&mut state, "acme", text("_acme-challenge.web.internal", "x")), Ok(1));
    assert_eq!(add(&mut state, "nobody", text("a.internal", "x")), Err(Rcode::REFUSED));
    // A name stays with the first of one kind, and goes to the kind that comes first.
    assert_eq!(add(&mut state, "one", text("a.internal", "one")), Ok(1));
    assert_eq!(add(&mut state, "two", text("a.internal", "two")), Err(Rcode::REFUSED));
    assert_eq!(clear(&mut state, "two", "a.internal"), Err(Rcode::REFUSED));
    assert_eq!(add(&mut state, "dhcp", address("a.internal", 5)), Ok(1));
    assert_eq!(has(&state, "a.internal"), ["192.0.2.5"]);
    assert_eq!(clear(&mut state, "one", "a.internal"), Err(Rcode::REFUSED));
    assert_eq!(add(&mut state, "fixed", address("a.internal", 6)), Ok(1));
    assert_eq!(add(&mut state, "dhcp", address("a.internal", 5)), Err(Rcode::REFUSED));
    assert_eq!(has(&state, "a.internal"), ["192.0.2.6"]);
    // All or nothing.
    let some = [Asks::Add(text("c.internal", "x")), Asks::Add(address("web.internal", 3))];
    assert_eq!(update(&mut state, "one", &[], &some), Err(Rcode::REFUSED));
    assert!(has(&state, "c.internal").is_empty());
    // What the stack takes over, or a client has left that is gone, is not shown; others may have the latter.
    add(&mut state, "one", address("d.internal", 4)).unwrap();
    state.fixed.insert(name("d.internal").unwrap(), vec![address("d.internal", 1)]);
    assert!(has(&state, "d.internal").is_empty());
    let e = name("e.internal").unwrap();
    let left = Held { by: "gone".to_owned(), records: vec![address("e.internal", 4)] };
    state.live.insert(e.clone(), left);
    assert!(state.shown(&e).is_none());
    assert_eq!(add(&mut state, "two", text("e.internal", "x")), Ok(1));
    assert_eq!(has(&state, "e.internal"), ["\"x\""]);
}

#[test]
fn a_name_has_a_bounded_number_of_records() {
    let mut state = state();
    for number in 0..RECORDS {
        assert_eq!(add(&mut state, "one", text("a.internal", &number.to_string())), Ok(1));
    }
    assert_eq!(add(&mut state, "one", text("a.internal", "more")), Err(Rcode::REFUSED));
}

/// What the server on the host of the leases asks for.
fn lend(state: &mut State, changes: &[Asks]) -> Result<usize, Rcode> {
    let (zone, who) = (name("internal").unwrap(), Who { serves: true, ..Who::default() });
    let asked = Asked { zone, prerequisites: Vec::new(), changes: changes.to_vec() };
    let changes = state.decide(&who, &asked)?;
    state.apply(&changes, false);
    Ok(changes.len())
}

#[test]
fn clients_of_dhcp_come_after_everybody() {
    let mut state = state();
    let desk = "desk.front.internal";
    let wanted = Asks::Add(address(desk, 50));
    let free = [Prerequisite::Exists(name(desk).unwrap(), None, false)];
    // What it may not have is left out, and the rest is done.
    state.fixed.insert(name("web.front.internal").unwrap(), vec![address("web.front.internal", 1)]);
    let others = ["web.front.internal", "web.internal", "a.part.internal", "x.desk.front.internal"];
    let mut all: Vec<Asks> = others.iter().map(|name| Asks::Add(address(name, 66))).collect();
    all.push(wanted.clone());
    assert_eq!(lend(&mut state, &all), Ok(1));
    assert_eq!((has(&state, desk), state.lent().len()), (vec!["192.0.2.50".to_owned()], 1));
    assert!(state.answered(&name(desk).unwrap()).is_none(), "its own server knows better");
    // For a client the name is free, and what it deletes there is not its own.
    assert_eq!(update(&mut state, "acme", &free, &[]), Ok(0));
    assert_eq!(clear(&mut state, "dhcp", desk), Ok(0));
    assert_eq!(has(&state, desk), ["192.0.2.50"]);
    assert_eq!(update(&mut state, "dhcp", &free, &[Asks::Add(address(desk, 7))]), Ok(1));
    assert_eq!((has(&state, desk), state.lent().len()), (vec!["192.0.2.7".to_owned()], 0));
    assert_eq!(lend(&mut state, &[Asks::Clear(name(desk).unwrap(), None), wanted.clone()]), Ok(0));
    // It is taken again when the client has gone.
    assert_eq!(clear(&mut state, "dhcp", desk), Ok(1));
    assert_eq!(lend(&mut state, std::slice::from_ref(&wanted)), Ok(1));
    assert_eq!(has(&state, desk), ["192.0.2.50"]);
    // Without DHCP in the network nobody has it, and it is no longer in the way.
    state.lending = Lending::default();
    assert!(has(&state, desk).is_empty());
    assert_eq!(add(&mut state, "one", address(desk, 8)), Ok(1));
    assert_eq!(has(&state, desk), ["192.0.2.8"]);
}

#[test]
fn names_of_dhcp_leave_room_for_clients() {
    let mut state = state();
    let one = Held { by: LEASES.to_owned(), records: vec![address("a.front.internal", 1)] };
    for number in 0..LENT {
        state.live.insert(name(&format!("n{number}.front.internal")).unwrap(), one.clone());
    }
    let more = Asks::Add(address("more.front.internal", 1));
    assert_eq!(lend(&mut state, &[more]), Err(Rcode::REFUSED));
    let less = Asks::Clear(name("n1.front.internal").unwrap(), None);
    assert_eq!(lend(&mut state, &[less]), Ok(1));
    assert_eq!(add(&mut state, "one", address("a.internal", 7)), Ok(1));
}

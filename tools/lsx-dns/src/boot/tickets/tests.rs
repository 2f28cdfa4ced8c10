//! Turns that are taken, by one and by many, and the journal of them.

use super::*;
use std::fs::File;

const FIRMWARE: [Stage; 1] = [Stage::Firmware];

fn tickets(at: &Path) -> Tickets {
    Tickets::new(File::open(at).unwrap().into())
}

fn taken(tickets: &Tickets, mac: &str) -> bool {
    let ticket = tickets.of_machine(mac.to_owned(), &FIRMWARE).unwrap();
    ticket.is_some_and(|ticket| tickets.take(&ticket).unwrap())
}

#[test]
fn a_neighbour_is_found_by_its_whole_address() {
    let text = "IP address       HW type     Flags       HW address            Mask     Device\n\
                10.0.0.70        0x1         0x2         02:00:00:00:00:70     *        eth0\n\
                10.0.0.8         0x1         0x0         00:00:00:00:00:00     *        eth0\n\
                10.0.0.7         0x1         0x6         02:00:00:00:00:0A     *        eth0\n";
    assert_eq!(found(text, Ipv4Addr::new(10, 0, 0, 7)).as_deref(), Some("02:00:00:00:00:0a"));
    assert_eq!(found(text, Ipv4Addr::new(10, 0, 0, 8)), None);
}

#[test]
fn a_turn_is_taken_once_and_given_again() {
    let at = tempfile::tempdir().unwrap();
    let tickets = tickets(at.path());
    let ticket = |stages: &[Stage], number| Ticket { mac: "a".to_owned(), stages: stages.to_vec(), number };
    let take = |stages: &[Stage], number| tickets.take(&ticket(stages, number)).unwrap();
    tickets.ask(&["a".to_owned()]).unwrap();
    assert!(!at.path().join("journal").exists(), "it may boot anyway");
    assert!(take(&[Stage::Firmware], 0));
    assert!(!take(&[Stage::Firmware], 0));
    assert!(take(&[Stage::Ipxe], 0));
    tickets.ask(&["a".to_owned(), "b".to_owned()]).unwrap();
    assert!(!take(&[Stage::Firmware], 0), "a transfer of before");
    assert!(take(&[Stage::Firmware, Stage::Ipxe], 1));
    assert!(!take(&[Stage::Ipxe], 1));
    assert_eq!(tickets.all().unwrap().len(), 1);
}

#[test]
fn many_machines_cost_a_request_nothing() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("journal");
    let booted = |number: usize| Turn::Booted {
        mac: format!("02:00:00:00:{:02x}:{:02x}", number / 256, number % 256),
        stage: Stage::Firmware,
        at: "2026-11-27T09:00:00Z".to_owned(),
    };
    let all: Vec<Turn> = (0..MOST - 1).map(booted).collect();
    let (mut journal, _) = Journal::open(File::open(at.path()).unwrap().into()).unwrap().unwrap();
    journal.append(&all[1..]).unwrap();
    journal.append(&all[..1]).unwrap();
    drop(journal);
    let ours = tickets(at.path());
    assert_eq!(ours.all().unwrap().len(), MOST - 1);
    // Whoever reads its beginning again finds it damaged.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(tickets(at.path()).all().is_err());
    assert!(!taken(&ours, "02:00:00:00:00:07"));
    assert!(taken(&ours, "new") && !taken(&ours, "new"));
    ours.ask(&["new".to_owned()]).unwrap();
    assert!(taken(&ours, "new") && !taken(&ours, "new"));
    // No further machine gets so far that anything is written.
    let length = std::fs::metadata(&path).unwrap().len();
    let refused = ours.of_machine("more".to_owned(), &FIRMWARE).err().unwrap();
    assert!(refused.message.contains("no more can be remembered"), "{refused}");
    let ticket = Ticket { mac: "more".to_owned(), stages: FIRMWARE.to_vec(), number: 0 };
    assert!(ours.take(&ticket).is_err());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
}

#[test]
fn a_machine_that_boots_often_does_not_fill_the_disk() {
    let at = tempfile::tempdir().unwrap();
    let mac = "02:00:00:00:00:07";
    let at_once = |number| {
        let at = "2026-11-27T09:00:00Z".to_owned();
        [
            Turn::Booted { mac: mac.to_owned(), stage: Stage::Firmware, at: at.clone() },
            Turn::Asked { mac: mac.to_owned(), number, at },
        ]
    };
    // As `lsx-dns boot` does it: another process.
    let (one, other) = (tickets(at.path()), tickets(at.path()));
    let entries = || one.known().unwrap().entries;
    for round in 1..3 {
        let (mut journal, _) = Journal::open(File::open(at.path()).unwrap().into()).unwrap().unwrap();
        let begun = one.all().unwrap().get(mac).map_or(0, Turns::number);
        let many: Vec<Turn> = (begun + 1..=begun + 500).flat_map(at_once).collect();
        journal.append(&many).unwrap();
        drop(journal);
        assert!(entries() >= SHORT, "{}", entries());
        assert!(taken(&one, mac) && !taken(&one, mac));
        assert!(entries() < 10, "{}", entries());
        other.ask(&[mac.to_owned()]).unwrap();
        assert_eq!((one.all().unwrap()[mac].number(), entries()), (round * 501, 3));
    }
    assert_eq!(tickets(at.path()).all().unwrap(), one.all().unwrap());
}

#[test]
fn one_of_many_takes_a_turn() {
    let at = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let all: Vec<Tickets> = (0..4).map(|_| tickets(at.path())).collect();
        let ticket = |tickets: &Tickets| tickets.of_machine("a".to_owned(), &FIRMWARE).unwrap().unwrap();
        let all: Vec<_> = all.into_iter().map(|own| (ticket(&own), own)).collect();
        let taken: usize = std::thread::scope(|scope| {
            let take = |(ticket, own): &(Ticket, Tickets)| usize::from(own.take(ticket).unwrap());
            let all: Vec<_> = all.iter().map(|one| scope.spawn(move || take(one))).collect();
            all.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(taken, 1, "round {round}");
        tickets(at.path()).ask(&["a".to_owned()]).unwrap();
    }
}

#[test]
fn what_is_no_journal_lets_nobody_boot() {
    for make in [
        "ln -s /dev/null journal",
        "ln -s /etc/passwd journal",
        "mkfifo journal",
        "mkdir journal",
        "printf 'garbage\\ngarbage\\n' >journal",
        "head -c 100000 /dev/urandom >journal",
        "touch other; ln -s other lock",
    ] {
        let at = tempfile::tempdir().unwrap();
        let shell = std::process::Command::new("sh").args(["-c", make]).current_dir(at.path()).status();
        assert!(shell.unwrap().success());
        let own = tickets(at.path());
        let ticket = Ticket { mac: "a".to_owned(), stages: FIRMWARE.to_vec(), number: 0 };
        assert!(own.take(&ticket).is_err(), "{make}");
    }
}

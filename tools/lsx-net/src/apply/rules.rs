//! Rules: lsx's tables, replaced in one transaction, and marked rules in foreign chains.

use super::Changer;
use crate::model::{ANSWERS, Accept, Chain, Firewall, RulesAt, TUNNELS, router};
use crate::netlink::namespace;
use crate::observe::{io_failure, marked_rules, record};
use crate::paths::{Paths, note};
use common::document::digest;
use common::host::Program;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use std::os::fd::AsFd;

impl Changer {
    /// Loads the rules of a place, and records how nft lists them, to detect later changes by others.
    pub(super) fn load(&self, wanted: &Firewall) -> Result<(), Failure> {
        let missing =
            || Failure::new(Kind::Data, "net.plan.contents", "the plan lacks the text of the rules");
        let text = self.text(&wanted.digest).ok_or_else(missing)?;
        self.remember_rules(wanted.place)?;
        self.load_text(wanted.place, &text)
    }

    /// Loads rules from their text.
    pub(super) fn load_text(&self, place: RulesAt, text: &str) -> Result<(), Failure> {
        nft_in(&self.stack, place, text)?;
        let record = record(&self.stack, place, text)?;
        file::write(&Paths::new(&self.stack).rules(place), record.as_bytes(), Mode::Private).map(|_| ())
    }

    /// Removes the tables of a place.
    pub(super) fn unload(&self, gone: &Firewall) -> Result<(), Failure> {
        self.remember_rules(gone.place)?;
        let tables = match gone.place {
            RulesAt::Host => vec![format!("inet lsx-{}", self.stack), format!("bridge lsx-{}", self.stack)],
            RulesAt::Router => vec!["inet lsx".to_owned()],
        };
        let script: String = tables.iter().map(|t| format!("table {t} {{}}\ndelete table {t}\n")).collect();
        // The record is removed first: the next run would not notice a leftover record.
        let paths = Paths::new(&self.stack);
        file::remove(&paths.rules(gone.place))?;
        file::remove_empty(&paths.run());
        let there = namespace::open(namespace::NamespaceRef::Name(&router(&self.stack)));
        if gone.place == RulesAt::Router && there.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            return Ok(()); // they were removed with the router
        }
        nft_in(&self.stack, gone.place, &script)
    }

    fn remember_rules(&self, place: RulesAt) -> Result<(), Failure> {
        if let Some(record) = note(&Paths::new(&self.stack).rules(place))? {
            let text = record.split_once('\n').map(|(_, text)| text.to_owned()).unwrap_or_default();
            self.remember(digest(text.as_bytes()), text);
        }
        Ok(())
    }
}

fn nft_in(stack: &str, place: RulesAt, script: &str) -> Result<(), Failure> {
    match place {
        RulesAt::Host => nft(script),
        RulesAt::Router => {
            let name = router(stack);
            let space = namespace::open(namespace::NamespaceRef::Name(&name));
            let space = space.map_err(|e| io_failure(&format!("open the router {name}"), &e))?;
            namespace::inside(space.as_fd(), || nft(script))
                .map_err(|e| io_failure("enter the router", &e))?
        }
    }
}

fn nft(script: &str) -> Result<(), Failure> {
    Program::new("nft").args(["-f", "-"]).run(script.as_bytes()).map(|_| ())
}

/// Inserts lsx's rules at the head of a foreign chain, in place of older ones.
pub(super) fn accept(stack: &str, wanted: &Accept) -> Result<(), Failure> {
    let Accept { family, table, chain, pass } = wanted;
    let mut script = removals(stack, wanted)?;
    for one in pass.iter().rev() {
        let mark = format!("counter accept comment \"lsx:{stack}:{one}\"");
        if let Some(port) = one.strip_prefix(TUNNELS).and_then(|rest| rest.strip_prefix(' ')) {
            script += &format!("insert rule {family} {table} {chain} udp dport {port} {mark}\n");
            continue;
        }
        let mut words = one.split(' ');
        let mut link = |key: &str| match words.next() {
            None | Some("*") => String::new(),
            Some(name) => format!("{key} \"{name}\" "),
        };
        let (from, to) = (link("iifname"), link("oifname"));
        let state = if words.next() == Some(ANSWERS) { "ct state established,related " } else { "" };
        script += &format!("insert rule {family} {table} {chain} {from}{to}{state}{mark}\n");
    }
    nft(&script)
}

/// Removes lsx's rules from a foreign chain.
pub(super) fn leave(stack: &str, gone: &Accept) -> Result<(), Failure> {
    let script = removals(stack, gone)?;
    if script.is_empty() { Ok(()) } else { nft(&script) }
}

fn removals(stack: &str, accept: &Accept) -> Result<String, Failure> {
    let Accept { family, table, chain, .. } = accept;
    let place = Chain { family: family.clone(), table: table.clone(), chain: chain.clone() };
    let ours = marked_rules(&place)?.into_iter().filter(|(owner, ..)| owner == stack);
    Ok(ours.map(|(_, handle, _)| format!("delete rule {family} {table} {chain} handle {handle}\n")).collect())
}

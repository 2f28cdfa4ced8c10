//! Answers without replicas that are not ready. Pure.

use super::{Answer, Rdata, Rr, Tables};
use domain::base::iana::Rtype;
use std::collections::HashSet;
use std::net::Ipv4Addr;

impl Tables {
    /// Leaves out addresses that are `down`, and services whose host has only such ones, while others are left: an answer with
    /// nothing would be worse than one that may be wrong.
    pub fn leave_out(&self, source: Ipv4Addr, answer: &mut Answer, down: &HashSet<Ipv4Addr>) {
        if down.is_empty() {
            return;
        }
        let gone: Vec<bool> =
            answer.records.iter().map(|record| self.is_gone(source, record, down)).collect();
        let alike = |a: &Rr, b: &Rr| a.rtype() == b.rtype() && a.owner() == b.owner();
        let left = |record: &Rr| {
            let mut others = answer.records.iter().zip(&gone);
            others.any(|(other, gone)| !gone && alike(other, record))
        };
        let keep: Vec<bool> =
            answer.records.iter().zip(&gone).map(|(record, gone)| !gone || !left(record)).collect();
        let mut keep = keep.into_iter();
        answer.records.retain(|_| keep.next().unwrap_or(true));
    }

    fn is_gone(&self, source: Ipv4Addr, record: &Rr, down: &HashSet<Ipv4Addr>) -> bool {
        match record.data() {
            Rdata::A(address) => down.contains(&address.addr()),
            Rdata::Srv(service) => {
                let view = self.view(source);
                let of = view.and_then(|view| view.get(service.target().for_slice())).into_iter().flatten();
                let mut addresses = of.filter(|record| record.rtype() == Rtype::A).peekable();
                addresses.peek().is_some() && addresses.all(|record| self.is_gone(source, record, down))
            }
            _ => false,
        }
    }
}

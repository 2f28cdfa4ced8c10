//! Many targets in parallel with few threads: ICMP and TCP in one loop each, the rest by workers.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::names::{Names, ScopedIp};
use super::outcome::{Outcome, State};
use super::problem::Problem;
use super::target::{Probe, Target};
use super::{banner, http, icmp, tcp};

/// Outcomes with the index of their target.
type Indexed = Vec<(usize, Outcome)>;

/// Probes one target.
pub fn run(target: &Target) -> Outcome {
    let names = Names::default();
    match place(target, &names) {
        Ok(place) => {
            let mut outcome = alone(target, place, &names);
            outcome.resolved = resolved(target, place);
            outcome
        }
        Err(outcome) => *outcome,
    }
}

/// Probes all targets; outcomes in the order of the targets.
///
/// ICMP targets share a socket and TCP targets a poll loop, so that thousands of them need one thread each; banner and http
/// targets are probed by at most `max_parallel` threads.
pub fn run_all(targets: &[Target], max_parallel: usize) -> Vec<Outcome> {
    let names = Names::default();
    let mut sorted = Sorted::default();
    let places: Vec<Option<String>> =
        targets.iter().enumerate().map(|(index, target)| sorted.add(index, target, &names)).collect();
    let mut outcomes: Vec<Option<Outcome>> = targets.iter().map(|_| None).collect();
    for (index, mut outcome) in sorted.run(&names, max_parallel) {
        outcome.resolved.clone_from(&places[index]);
        outcomes[index] = Some(outcome);
    }
    targets.iter().zip(outcomes).map(|(target, outcome)| outcome.unwrap_or_else(|| not_run(target))).collect()
}

/// Targets by kind of probe, each with its index.
#[derive(Default)]
struct Sorted<'a> {
    done: Indexed,
    /// By what can share a socket: IP version and don't-fragment bit.
    icmp: BTreeMap<(bool, bool), Vec<(usize, icmp::Ask<'a>)>>,
    tcp: Vec<(usize, tcp::Ask<'a>)>,
    rest: Vec<(usize, &'a Target, ScopedIp)>,
}

impl<'a> Sorted<'a> {
    /// Sorts a target in; returns its address, if it was given by name.
    fn add(&mut self, index: usize, target: &'a Target, names: &Names) -> Option<String> {
        let place = match place(target, names) {
            Ok(place) => place,
            Err(outcome) => {
                self.done.push((index, *outcome));
                return None;
            }
        };
        match &target.probe {
            Probe::Icmp(icmp) => {
                let icmp = *icmp;
                let ask = icmp::Ask { target, icmp, place };
                let group = self.icmp.entry(icmp::share(&ask)).or_default();
                group.push((index, ask));
            }
            Probe::Tcp(tcp) => {
                let tcp = *tcp;
                let ask = tcp::Ask { target, tcp, place };
                self.tcp.push((index, ask));
            }
            Probe::Banner(_) | Probe::Http(_) => self.rest.push((index, target, place)),
        }
        resolved(target, place)
    }

    fn run(self, names: &Names, max_parallel: usize) -> Indexed {
        let Self { done, icmp, tcp, rest } = self;
        let workers = max_parallel.clamp(1, rest.len().max(1));
        let (rest, next) = (&rest, &AtomicUsize::new(0));
        let found = Mutex::new(done);
        let found = &found;
        let keep = move |outcomes: Indexed| {
            found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(outcomes);
        };
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for group in icmp.into_values() {
                threads.push(scope.spawn(move || keep(batch(group, icmp::probe))));
            }
            if !tcp.is_empty() {
                threads.push(scope.spawn(move || keep(batch(tcp, tcp::probe))));
            }
            for _ in 0..workers.min(rest.len()) {
                threads.push(scope.spawn(move || {
                    while let Some((index, target, place)) = rest.get(next.fetch_add(1, Ordering::Relaxed)) {
                        keep(vec![(*index, alone(target, *place, names))]);
                    }
                }));
            }
            for thread in threads {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            }
        });
        let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *found)
    }
}

fn batch<A>(group: Vec<(usize, A)>, probe: impl Fn(&[A]) -> Vec<Outcome>) -> Indexed {
    let (indexes, asks): (Vec<usize>, Vec<A>) = group.into_iter().unzip();
    indexes.into_iter().zip(probe(&asks)).collect()
}

/// Probes one target whose address is known.
fn alone(target: &Target, place: ScopedIp, names: &Names) -> Outcome {
    let batch = match &target.probe {
        Probe::Icmp(icmp) => {
            let icmp = *icmp;
            icmp::probe(&[icmp::Ask { target, icmp, place }])
        }
        Probe::Tcp(tcp) => {
            let tcp = *tcp;
            tcp::probe(&[tcp::Ask { target, tcp, place }])
        }
        Probe::Banner(banner) => vec![banner::probe(target, banner, place)],
        Probe::Http(http) => vec![http::probe(target, http, place, names)],
    };
    batch.into_iter().next().unwrap_or_else(|| not_run(target))
}

fn not_run(target: &Target) -> Outcome {
    Outcome::failed(target, State::Failed, Problem::new("the probe was not run"))
}

/// The place of the target, or an outcome if it is unknown. Boxed because outcomes are large.
fn place(target: &Target, names: &Names) -> Result<ScopedIp, Box<Outcome>> {
    let unresolved = |problem| Box::new(Outcome::failed(target, State::Unresolved, problem));
    let failed = |problem| Box::new(Outcome::failed(target, State::Failed, problem));
    target.check().map_err(failed)?;
    let place = names.resolve(&target.address).map_err(unresolved)?;
    match target.source {
        Some(source) if source.is_ipv4() != place.ip.is_ipv4() => Err(failed(Problem::new(format!(
            "source: {source} and {}, the address of {}, are of different IP versions",
            place.ip, target.address
        )))),
        _ => Ok(place),
    }
}

/// The address, if the target was given by name.
fn resolved(target: &Target, place: ScopedIp) -> Option<String> {
    let text = place.ip.to_string();
    let literal = target.address.contains([':', '%']) || text == target.address;
    (!literal).then_some(text)
}

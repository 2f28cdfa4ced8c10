//! The hosts of a verb, all asked in parallel; one that cannot be reached is reported while the others continue.

use super::host;
use crate::cli::Global;
use crate::failure::{Failure, Failures};
use crate::fleet::{self, Fleet, Target};
use crate::plan::{HostReport, Object, Plan, PlanHost, Step};
use crate::tool::{ObservedOf, PlanOf, Tool};
use crate::{log, signal};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time limit of an ssh connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an idle ssh master is kept for the next verb.
const PERSIST: Duration = Duration::from_secs(60);

/// The hosts of one verb.
pub struct HostSet<T: Tool> {
    tool: T,
    fleet: Fleet,
    names: Vec<String>,
}

/// How to carry out a plan.
#[derive(Clone, Copy)]
pub(super) struct How<'a> {
    /// The plan was made under the locks of these hosts, or the waves before have changed them.
    pub(super) fresh: bool,
    /// Whether a failure undoes what was done.
    pub(super) undo: bool,
    /// The plan has several waves, so a host keeps what it needs to undo this one.
    pub(super) several: bool,
    /// As in [`Global::failpoint`].
    pub(super) failpoint: Option<&'a str>,
}

/// Results by host: answers, and failures.
pub(super) type Answers<A> = (BTreeMap<String, A>, BTreeMap<String, Failures>);

impl<T: Tool> HostSet<T> {
    /// Prepares the hosts; connections are made on first use.
    ///
    /// # Errors
    /// When this program cannot read its own binary, which it copies to hosts.
    pub fn new(tool: &T, hosts: &[PlanHost], global: &Global) -> Result<Self, Failure> {
        let target = |h: &PlanHost| Target {
            name: h.name.clone(),
            ssh: h.ssh.clone(),
            address: h.address,
            key: h.key.as_ref().map(Into::into),
            local: h.local,
        };
        let options = fleet::Options {
            ssh_config: global.ssh_config.clone(),
            deadline: global.deadline,
            connect_timeout: CONNECT,
            persist: PERSIST,
            set: T::SET.iter().map(|s| (*s).to_owned()).collect(),
            tools: global.tools.clone(),
            interrupted: signal::stopping,
            ..fleet::Options::default()
        };
        let fleet = Fleet::new(hosts.iter().map(target).collect(), options, host::local(tool))?;
        Ok(HostSet { tool: tool.clone(), fleet, names: hosts.iter().map(|h| h.name.clone()).collect() })
    }

    /// From here on the deadline counts from a host's last request or event, for verbs that copy any amount of data.
    #[must_use]
    pub fn renewing(self) -> Self {
        self.fleet.renew();
        self
    }

    /// The tool.
    pub fn tool(&self) -> &T {
        &self.tool
    }

    /// The names of its hosts.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.names.iter().cloned().collect()
    }

    /// Whether a host is one of them.
    pub fn has(&self, host: &str) -> bool {
        self.names.iter().any(|name| name == host)
    }

    /// What every host has of a stack.
    pub(super) fn observe(&mut self, stack: &str) -> Answers<ObservedOf<T>> {
        self.observe_some(&self.names(), stack, false)
    }

    /// The same for some hosts; with `lock` no other run can change the stack until the set is dropped.
    pub(super) fn observe_some(
        &mut self,
        hosts: &BTreeSet<String>,
        stack: &str,
        lock: bool,
    ) -> Answers<ObservedOf<T>> {
        let request = json!({"op": "observe", "stack": stack, "lock": lock});
        let (mut seen, mut failed) = (BTreeMap::new(), BTreeMap::new());
        for (host, result) in self.ask(hosts.iter().map(|h| (h.clone(), request.clone())).collect()) {
            match result.and_then(|value| fleet::shape::<ObservedOf<T>>(value).map_err(Failures::from)) {
                Ok(observed) => {
                    seen.insert(host.clone(), ObservedOf::<T> { host, ..observed });
                }
                Err(failures) => {
                    failed.insert(host, failures);
                }
            }
        }
        (seen, failed)
    }

    /// Carries out a plan, or one wave of it: every host gets its part. Hosts that are `unfit` are reported so.
    pub(super) fn apply_part(
        &mut self,
        plan: &PlanOf<T>,
        how: &How<'_>,
        unfit: BTreeMap<String, Failures>,
    ) -> Vec<HostReport> {
        let busy = plan.busy();
        let idle = plan.hosts.iter().filter(|h| !busy.contains(h.name.as_str()));
        let mut reports: Vec<HostReport> = idle.map(|h| HostReport::idle(&h.name)).collect();
        let slices = slices(&self.tool, plan, how.fresh).into_iter().filter(|(h, _)| !unfit.contains_key(h));
        let request = |(host, plan): (String, PlanOf<T>)| {
            let ask = json!({"op": "apply", "host": host, "plan": plan, "undo": how.undo,
                "several": how.several, "failpoint": how.failpoint});
            (host, ask)
        };
        for (host, result) in self.ask(slices.map(request).collect()) {
            let report = result.and_then(|value| fleet::shape::<HostReport>(value).map_err(Failures::from));
            // Whatever name the host reports.
            let report = report.map(|report| HostReport { host: host.clone(), ..report });
            reports.push(report.unwrap_or_else(|failures| HostReport::failed(&host, failures)));
        }
        reports.extend(unfit.into_iter().map(|(host, failures)| HostReport::failed(&host, failures)));
        reports
    }

    /// Runs a verb of the tool itself on some hosts.
    pub fn call(
        &mut self,
        name: &str,
        inputs: BTreeMap<String, Value>,
    ) -> BTreeMap<String, Result<Value, Failures>> {
        self.hear(name, inputs, &mut |host, event| log::event(host, event))
    }

    /// The same for one with intermediate output.
    pub fn hear(
        &mut self,
        name: &str,
        inputs: BTreeMap<String, Value>,
        on_event: &mut dyn FnMut(&str, Value),
    ) -> BTreeMap<String, Result<Value, Failures>> {
        let request = |input| json!({"op": "call", "name": name, "input": input});
        self.ask_hearing(inputs.into_iter().map(|(host, input)| (host, request(input))).collect(), on_event)
    }

    /// As [`Fleet::terminal`].
    ///
    /// # Errors
    /// As there.
    pub fn terminal(&self, host: &str, args: &[&str]) -> Result<Option<Vec<String>>, Failure> {
        self.fleet.terminal(host, args)
    }

    /// Removes the records of a stack from hosts that have none of its objects, and the tool if no stack is left.
    pub fn leave(&mut self, stack: &str, hosts: &[HostReport]) {
        let well = hosts.iter().filter(|h| h.ok && !h.skipped);
        self.ask(well.map(|h| (h.host.clone(), json!({"op": "leave", "stack": stack}))).collect());
    }

    pub(super) fn ask(
        &mut self,
        requests: BTreeMap<String, Value>,
    ) -> BTreeMap<String, Result<Value, Failures>> {
        self.ask_hearing(requests, &mut |host, event| log::event(host, event))
    }

    /// The same also after the run was interrupted.
    pub(super) fn ask_to_the_end(
        &mut self,
        requests: BTreeMap<String, Value>,
    ) -> BTreeMap<String, Result<Value, Failures>> {
        named(self.fleet.each_to_the_end(requests, &mut |host, event| log::event(host, event)))
    }

    fn ask_hearing(
        &mut self,
        requests: BTreeMap<String, Value>,
        on_event: &mut dyn FnMut(&str, Value),
    ) -> BTreeMap<String, Result<Value, Failures>> {
        named(self.fleet.each(requests, on_event))
    }
}

/// The answers of hosts, with the name of the host in every failure.
fn named(
    mut answers: BTreeMap<String, Result<Value, Failures>>,
) -> BTreeMap<String, Result<Value, Failures>> {
    for (host, answer) in &mut answers {
        if let Err(failures) = answer {
            failures.0.iter_mut().for_each(|f| f.host = Some(host.clone()));
        }
    }
    answers
}

/// One plan per host: its own steps and their shared data.
fn slices<T: Tool>(tool: &T, plan: &PlanOf<T>, fresh: bool) -> BTreeMap<String, PlanOf<T>> {
    let mut steps: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for step in &plan.steps {
        steps.entry(&step.host).or_default().push(step.clone());
    }
    let slice = |host: &str, steps: Vec<_>| PlanOf::<T> {
        schema: plan.schema.clone(),
        stack: plan.stack.clone(),
        warnings: Vec::new(),
        hosts: plan
            .hosts
            .iter()
            .filter(|h| h.name == host)
            .map(|h| PlanHost { base: if fresh { String::new() } else { h.base.clone() }, ..h.clone() })
            .collect(),
        skipped: Vec::new(),
        kept: Vec::new(),
        data: tool.share(plan, &steps),
        told: Vec::new(),
        contents: contents(plan, &steps),
        steps,
    };
    steps.into_iter().map(|(host, steps)| (host.to_owned(), slice(host, steps))).collect()
}

/// The texts that some steps refer to.
fn contents<O: Object, D>(plan: &Plan<O, D>, steps: &[Step<O>]) -> BTreeMap<String, String> {
    let named = steps.iter().filter_map(|s| s.after.as_ref()?.content());
    named.filter_map(|d| Some((d.to_owned(), plan.contents.get(d)?.clone()))).collect()
}

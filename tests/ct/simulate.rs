//! Hosts in memory that do exactly what a plan says.

use crate::Hosts;
use common::document;
use common::plan::Have;
use common::stack::Driver;
use common::tool::{Draft, Goal, ObservedOf, PlanInput};
use lsx_ct::Ct;
use lsx_ct::model::{Engine, Facts, Gathered, Object};

/// Where a host has its copy of the tool.
const PROGRAM: &str = "/var/lib/lsx/bin/0123456789abcdef/lsx-ct";

/// Hosts of a stack without anything of lsx.
pub(crate) fn bare(input: &PlanInput<Gathered>) -> Hosts {
    let Goal::Up(_, resolved) = &input.goal else { return Hosts::new() };
    let engine = |driver: Driver, name: &str| Engine {
        profiles: None,
        driver,
        name: name.to_owned(),
        can: Vec::new(),
        cannot: Vec::new(),
        works: true,
    };
    let engines = vec![engine(Driver::Oci, "runc 1.1.5"), engine(Driver::Lxd, "lxd 5.0.2")];
    let seen = Facts { engines, program: PROGRAM.to_owned(), ..Facts::default() };
    let host = |name: &String| (name.clone(), looked(&input.stack, name, Vec::new(), seen.clone()));
    resolved.hosts.iter().map(|h| host(&h.name)).collect()
}

/// The result of observing a host.
pub(crate) fn looked(stack: &str, host: &str, objects: Vec<Have<Object>>, seen: Facts) -> ObservedOf<Ct> {
    common::tool::Observed {
        schema: document::schema("ct", "observed"),
        stack: Some(stack.to_owned()),
        only: None,
        host: host.to_owned(),
        base: lsx_ct::plan::base(&objects, &seen),
        stack_hosts: Vec::new(),
        warnings: Vec::new(),
        objects,
        seen,
    }
}

/// The hosts after the steps of a plan.
pub(crate) fn after(plan: &Draft<Ct>, hosts: &Hosts) -> Hosts {
    let mut hosts = hosts.clone();
    for step in &plan.steps {
        let host = hosts.get_mut(&step.host).unwrap();
        let key = step.before.as_ref().or(step.after.as_ref()).unwrap().key();
        assert_eq!(
            host.objects.iter().any(|h| h.key == key),
            step.before.is_some(),
            "{} {}",
            step.host,
            step.id
        );
        let at = host.objects.iter().position(|h| h.key == key);
        match (at, &step.after) {
            (Some(at), Some(after)) => host.objects[at].object = after.clone(),
            (Some(at), None) => drop(host.objects.remove(at)),
            (None, Some(after)) => {
                host.objects.push(Have { key, object: after.clone(), needs: Vec::new() });
            }
            (None, None) => panic!("{} does nothing", step.id),
        }
    }
    for host in hosts.values_mut() {
        for have in &mut host.objects {
            if let Object::Instance(instance) = &have.object {
                let here = instance.needs.iter().filter(|n| n.here);
                have.needs = here.map(|n| format!("instance:{}", n.instance)).collect();
            }
        }
        host.objects.sort_by(|a, b| a.key.cmp(&b.key));
        host.base = lsx_ct::plan::base(&host.objects, &host.seen);
    }
    hosts
}

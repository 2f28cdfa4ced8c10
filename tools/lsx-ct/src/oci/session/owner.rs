//! The owner of the pipes of a program in an instance. Opening /dev/stdout opens the pipe again, which only its owner may do; web
//! servers that log there could not start otherwise.

use super::config;
use crate::oci::disk::InstanceFolders;
use common::{Failure, Kind};
use rustix::fs::{Gid, Uid, fchown};
use serde_json::Value;
use std::os::fd::AsFd;
use std::process::Child;

/// User and group of a program, as ids of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    /// The owner of the process of a bundle.
    ///
    /// # Errors
    /// If its configuration cannot be read.
    pub(crate) fn of_bundle(place: &InstanceFolders) -> Result<Owner, Failure> {
        let config = config(place)?;
        Ok(Owner::new(&config, &config["process"]))
    }

    /// The owner of a process of the OCI specification, by the id mappings of its configuration.
    pub(super) fn new(config: &Value, process: &Value) -> Owner {
        let number = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
        let first = |map: &str| number(&config["linux"][map][0]["hostID"]);
        Owner {
            user: first("uidMappings") + number(&process["user"]["uid"]),
            group: first("gidMappings") + number(&process["user"]["gid"]),
        }
    }

    /// Makes it the owner of the pipes of a child process.
    ///
    /// # Errors
    /// If the kernel refuses that.
    pub(crate) fn of(self, child: &mut Child) -> Result<(), Failure> {
        let give = |pipe: &dyn AsFd| {
            fchown(pipe.as_fd(), Some(Uid::from_raw(self.user)), Some(Gid::from_raw(self.group)))
        };
        let given = [
            child.stdin.as_ref().map(|pipe| give(pipe)),
            child.stdout.as_ref().map(|pipe| give(pipe)),
            child.stderr.as_ref().map(|pipe| give(pipe)),
        ];
        given.into_iter().flatten().collect::<Result<(), _>>().map_err(|e| {
            Failure::new(Kind::Failed, "ct.exec", format!("cannot change the owner of its pipes: {e}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_owner_is_counted_from_the_first_of_the_instances_ids() {
        let config = json!({"linux": {"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
            "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 10}]}});
        let process = json!({"user": {"uid": 3, "gid": 4}});
        assert_eq!(Owner::new(&config, &process), Owner { user: 1003, group: 2004 });
        assert_eq!(Owner::new(&json!({}), &process), Owner { user: 3, group: 4 }, "without a user namespace");
    }
}

//! What a service runs, and where: the text of a plan that [`super::Kept::Service`] names by its digest. Pure.

use crate::document;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::ops::Not;

/// Stands for the folder of a program's files, in its arguments, its commands and their texts.
pub const FOLDER: &str = "%FOLDER%";

/// The definition of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Definition {
    /// What it runs.
    #[serde(flatten)]
    pub runs: Runs,
    /// Whether it runs in the router of the stack, else in the host.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub router: bool,
    /// Whether it runs without root, as a user of its own without a name.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub unprivileged: bool,
    /// Whether a server has a folder of its own in the folder of data, which it may write.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub data: bool,
    /// The secrets that a server gets, by name, with their digests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// Files of the host that a server reads while other programs write them in place. Missing ones are made empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<String>,
    /// A folder of the host that a server sees, read-only and without links. It is not started before that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Folders in volumes of the stack that a server writes. They are made, and belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<VolumeFolder>,
}

/// A folder in a volume that lsx-store keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeFolder {
    /// The volume.
    pub volume: String,
    /// The name of the folder in it.
    pub name: String,
}

/// The text of a definition. It has no flattened fields, which serde could read only by keeping all values.
#[derive(Deserialize)]
struct Text<C> {
    program: Option<Program>,
    server: Option<Server<C>>,
    #[serde(default)]
    router: bool,
    #[serde(default)]
    unprivileged: bool,
    #[serde(default)]
    data: bool,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    #[serde(default)]
    reads: Vec<String>,
    seen: Option<String>,
    #[serde(default)]
    folders: Vec<VolumeFolder>,
}

/// As [`Runs::Server`].
#[derive(Deserialize)]
struct Server<C> {
    listen: Vec<SocketAddrV4>,
    config: C,
}

/// What a service runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runs {
    /// A program that is not lsx's.
    Program(Program),
    /// The tool's own server, on sockets that the supervisor opens: another configuration is handed over to a new process.
    Server {
        /// The addresses of the sockets, UDP and TCP.
        #[schemars(with = "Vec<String>")]
        listen: Vec<SocketAddrV4>,
        /// The configuration, of the tool.
        config: Value,
    },
}

/// A program that is not lsx's, with the files that it reads. `%FOLDER%` stands for their folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Program {
    /// Its name and its arguments; it stays in the foreground.
    pub argv: Vec<String>,
    /// Texts of files, by their names in the folder; a name that ends with `/` is an empty folder. When nothing else
    /// differs, the program stays and reads them again, as `reload` says.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// The same, of files that it reads only at its start.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fixed: BTreeMap<String, String>,
    /// A command that fails if its files are wrong. It gets a copy of them, before anything is changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<String>,
    /// How it reads changed files.
    pub reload: Reload,
    /// A command that succeeds when it serves, in the namespace where it runs. Without one it serves unless it ends at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ready: Vec<String>,
    /// Where it listens: it is not started while another program has one of these ports, and serves when it has them itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub listen: Vec<SocketAddrV4>,
    /// Files of the host without which it is not started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<String>,
    /// Files of the host that it reads: it reads its files again when one has changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<String>,
    /// The group of the user that it becomes by itself, which may read its files then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The folder of its files, if not one of the engine. Nothing but its files is removed there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// How a program reads changed files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reload {
    /// Not at all: it is started again.
    #[default]
    Restart,
    /// It notices by itself that they have changed.
    Notices,
    /// After SIGHUP.
    Hup,
    /// After SIGUSR1.
    Usr1,
    /// After SIGUSR2.
    Usr2,
}

impl Definition {
    /// A program and its arguments, as root in the host.
    pub fn program(argv: Vec<String>) -> Definition {
        let runs = Runs::Program(Program { argv, ..Program::default() });
        Definition::of(runs)
    }

    /// As root in the host, without data and secrets.
    pub const fn of(runs: Runs) -> Definition {
        Definition {
            runs,
            router: false,
            unprivileged: false,
            data: false,
            secrets: BTreeMap::new(),
            reads: Vec::new(),
            seen: None,
            folders: Vec::new(),
        }
    }

    /// From its text, and the configuration of a server as what its reader needs: a large one is not kept as JSON values on the way.
    /// The definition's own configuration is `null`.
    ///
    /// # Errors
    /// Text that is not a definition.
    pub(crate) fn read<C: DeserializeOwned>(text: &[u8]) -> serde_json::Result<(Definition, Option<C>)> {
        let text: Text<C> = serde_json::from_slice(text)?;
        let Text { program, server, router, unprivileged, data, secrets, reads, seen, folders } = text;
        let (runs, config) = match (program, server) {
            (Some(program), None) => (Runs::Program(program), None),
            (None, Some(Server { listen, config })) => {
                (Runs::Server { listen, config: Value::Null }, Some(config))
            }
            _ => return Err(serde_json::Error::custom("neither a program nor a server")),
        };
        let definition = Definition { runs, router, unprivileged, data, secrets, reads, seen, folders };
        Ok((definition, config))
    }

    /// As [`super::Kept::Service`] has it.
    pub const fn hands_over(&self) -> bool {
        matches!(self.runs, Runs::Server { .. })
    }

    /// The same: digest of what a process was started with, if it can read the rest again; else empty.
    pub fn start(&self) -> String {
        let Runs::Program(program) = &self.runs else { return String::new() };
        if program.reload == Reload::Restart {
            return String::new();
        }
        let program = Program {
            argv: program.argv.clone(),
            fixed: program.fixed.clone(),
            reload: program.reload,
            group: program.group.clone(),
            folder: program.folder.clone(),
            ..Program::default()
        };
        document::digest_of(&(self.router, self.unprivileged, program)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_definition_has_its_program_or_the_configuration_of_a_server() {
        let program = Definition::program(vec!["sleep".to_owned(), "1".to_owned()]);
        let text = json!({"program": {"argv": ["sleep", "1"], "reload": "restart"}});
        assert_eq!(serde_json::to_value(&program).unwrap(), text);
        let text = json!({
            "server": {"listen": ["10.0.0.1:53"], "config": {"ttl": 60}}, "router": true, "unprivileged": true
        });
        let server: Definition = serde_json::from_value(text.clone()).unwrap();
        assert!(server.hands_over() && !program.hands_over());
        assert_eq!(serde_json::to_value(server).unwrap(), text);
        assert!(serde_json::from_value::<Definition>(json!({"router": true})).is_err());
    }

    #[test]
    fn a_definition_is_read_without_its_configuration_or_with_that_alone() {
        let text = json!({
            "server": {"listen": ["10.0.0.1:53"], "config": {"ttl": 60}}, "router": true, "data": true,
            "secrets": {"key": "0"}
        });
        let whole: Definition = serde_json::from_value(text.clone()).unwrap();
        let (read, config) = Definition::read::<Value>(text.to_string().as_bytes()).unwrap();
        assert_eq!(config, Some(json!({"ttl": 60})));
        let Runs::Server { listen, .. } = whole.runs.clone() else { panic!("{whole:?}") };
        assert_eq!(read, Definition { runs: Runs::Server { listen, config: Value::Null }, ..whole });
        let (again, skipped) =
            Definition::read::<serde::de::IgnoredAny>(text.to_string().as_bytes()).unwrap();
        assert!(again == read && skipped.is_some());
        let program = serde_json::to_vec(&Definition::program(vec!["sleep".to_owned()])).unwrap();
        let (read, none) = Definition::read::<Value>(&program).unwrap();
        assert!(none.is_none() && serde_json::to_vec(&read).unwrap() == program);
        for wrong in [
            "{\"router\": true}",
            "{\"program\": {}, \"server\": {\"listen\": [], \"config\": 1}}",
            "{",
            "[]",
        ] {
            assert!(Definition::read::<Value>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_process_stays_when_only_files_differ_that_it_can_read_again() {
        let of = |reload: &str, fixed: &str, file: &str| {
            let program = json!({
                "argv": ["dnsmasq"], "reload": reload, "fixed": {"a": fixed}, "files": {"hosts/": "", "b": file}
            });
            serde_json::from_value::<Definition>(json!({"program": program})).unwrap().start()
        };
        assert_eq!(of("hup", "1", "1"), of("hup", "1", "2"));
        assert_ne!(of("hup", "1", "1"), of("hup", "2", "1"));
        assert_eq!(of("restart", "1", "1"), "");
    }
}

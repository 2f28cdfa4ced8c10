//! The first program of an instance: command line, user and folder, and its configuration for liblxc.

use super::marks::NOTES;
use super::{Lxd, ServerInstance};
use crate::accounts::Account;
use crate::init;
use crate::model::Instance;
use crate::paths;
use crate::render::bundle::{self, Stop};
use crate::render::values::INIT;
use common::host::file::{self, Mode};
use common::{Failure, Kind};
use oci_spec::image::ImageConfiguration;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The first program of an instance of LXD or Incus.
#[derive(Clone, Debug, Default)]
pub(super) struct Entrypoint {
    /// Empty if the server finds the image's init itself.
    argv: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    /// User by name or number; empty is root.
    pub(super) user: String,
    /// User by number, after lookup in the instance.
    pub(super) ids: Option<Account>,
    pub(super) workdir: String,
    /// Empty if liblxc finds it out by what the init does: systemd blocks SIGRTMIN+3.
    signal: String,
    system: bool,
}

impl Entrypoint {
    pub(super) fn new(instance: &Instance, image: &ImageConfiguration) -> Entrypoint {
        let argv = bundle::command(instance, image);
        let system = bundle::is_system(instance, image);
        let found = instance.command.is_empty() && instance.args.is_empty() && system;
        Entrypoint {
            env: bundle::environment(instance, image),
            user: bundle::user(instance, image),
            ids: None,
            workdir: bundle::workdir(instance, image),
            signal: bundle::stop_signal(instance, image).map_or_else(String::new, Stop::name),
            system,
            argv: if found { Vec::new() } else { argv },
        }
    }

    /// Whether lsx's init starts it, as with the driver oci.
    pub(super) fn application(&self) -> bool {
        !self.argv.is_empty() && !self.system
    }

    /// Refuses what liblxc cannot express: it splits a command at every blank. This only concerns a whole system, whose
    /// init is process 1 itself. Its configuration has a line for each value: a line feed would start another line, which
    /// could run anything on the host, and images are not trusted.
    pub(super) fn check(&self, name: &str) -> Result<(), Failure> {
        let words = [("folder", &self.workdir), ("stop signal", &self.signal), ("user", &self.user)];
        let words = words
            .into_iter()
            .chain(self.argv.iter().filter(|_| !self.application()).map(|word| ("command", word)));
        let values = self.env.iter().flat_map(|(key, value)| [("environment", key), ("environment", value)]);
        if let Some((what, word)) = words.chain(values).find(|(_, word)| word.contains(['\n', '\r', '\0'])) {
            let message = format!(
                "the {what} of {name} has a line feed in {word:?}, which LXD and Incus do not support"
            );
            return Err(Failure::new(Kind::Data, "ct.lxd.line", message)
                .hint("change it in the document or in the image, see: lsx-ct images export"));
        }
        let blank = |word: &String| word.is_empty() || word.contains(char::is_whitespace);
        if self.application() || !self.argv.iter().any(blank) {
            return Ok(());
        }
        let message = format!("an argument of {name}'s init has a blank, which liblxc does not support");
        Err(Failure::new(Kind::Data, "ct.lxd.command", message)
            .hint("use a file that the init reads instead"))
    }

    /// Lines of liblxc's configuration.
    pub(super) fn lines(&self) -> Vec<String> {
        if self.argv.is_empty() {
            return Vec::new();
        }
        let command = match (self.application(), &self.ids) {
            (false, _) => self.argv.join(" "),
            (true, None) => {
                format!("{INIT} init{NOTES}{} --encoded {}", self.signal, init::encode(&self.argv))
            }
            (true, Some(ids)) => {
                let all = ids.further.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
                let further = if all.is_empty() { all } else { format!(":{all}") };
                let who = format!("{}:{}{further}", ids.user, ids.group);
                format!("{INIT} init{NOTES}{} --as {who} --encoded {}", self.signal, init::encode(&self.argv))
            }
        };
        let mut lines = vec![format!("lxc.init.cmd = {command}")];
        lines.extend((!self.signal.is_empty()).then(|| format!("lxc.signal.halt = {}", self.signal)));
        lines.extend((self.workdir != "/").then(|| format!("lxc.init.cwd = {}", self.workdir)));
        if let (false, Some(ids)) = (self.application(), &self.ids) {
            lines.extend([format!("lxc.init.uid = {}", ids.user), format!("lxc.init.gid = {}", ids.group)]);
        }
        lines
    }
}

/// The device that mounts lsx's own program in an instance: it starts applications, and copies files in all of them.
pub(super) fn device(own: &str) -> Value {
    json!({"type": "disk", "source": own, "path": INIT, "readonly": "true"})
}

impl Lxd {
    /// The command line of an instance.
    pub(super) fn first(&self, wanted: &Instance) -> Result<Entrypoint, Failure> {
        Ok(Entrypoint::new(wanted, &self.supply.config(&wanted.image.digest)?))
    }

    /// The path of lsx's init for instances of this server: it stays when the tool is updated, since the server also starts
    /// instances by itself.
    pub(super) fn own_init(&self) -> String {
        paths::init(self.client.driver).display().to_string()
    }

    /// Installs it, if needed.
    pub(super) fn bring_init(&self) -> Result<(), Failure> {
        let own = common::host::service::sibling(crate::PROGRAM);
        let bytes = std::fs::read(&own).map_err(|e| file::failure(&own, "read", &e))?;
        file::write(&paths::init(self.client.driver), &bytes, Mode::Program).map(|_| ())
    }

    /// Removes it when nothing needs it any more.
    pub(super) fn take_init(&self, all: &[ServerInstance]) -> Result<(), Failure> {
        let mut devices = all.iter().flat_map(|held| held.devices.values());
        if devices.any(|device| device.get("path").is_some_and(|path| path == INIT)) {
            return Ok(());
        }
        let path = paths::init(self.client.driver);
        file::remove(&path)?;
        path.parent().into_iter().for_each(file::sweep);
        path.ancestors().skip(1).take(2).for_each(file::remove_empty);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(command: &[&str], image: Value) -> Entrypoint {
        let instance = serde_json::from_value(json!({
            "name": "a", "of": "a", "driver": "lxd", "image": {"name": "i", "digest": "d"}, "hostname": "a",
            "nics": [], "restart": "always", "hosts": "x", "running": true, "command": command,
        }))
        .unwrap();
        let image = json!({"architecture": "amd64", "os": "linux", "config": image,
                           "rootfs": {"type": "layers", "diff_ids": []}, "history": []});
        Entrypoint::new(&instance, &serde_json::from_value(image).unwrap())
    }

    #[test]
    fn an_application_has_an_init_of_ours_whatever_its_arguments() {
        let sh = first(&["sh", "-c", "sleep 1"], json!({"User": "7", "WorkingDir": "/srv", "Env": ["A=b"]}));
        assert_eq!(
            sh.lines(),
            [
                "lxc.init.cmd = /dev/.lsx-init init --stop SIGTERM --encoded sh%00-c%00sleep%201",
                "lxc.signal.halt = SIGTERM",
                "lxc.init.cwd = /srv",
            ]
        );
        assert_eq!((sh.user.as_str(), &sh.env["A"]), ("7", &"b".to_owned()));
        assert!(sh.check("a").is_ok());
        let account = |further: &[u32]| Account {
            user: 7,
            group: 8,
            further: further.to_vec(),
            home: "/srv".to_owned(),
        };
        let command = |further| Entrypoint { ids: Some(account(further)), ..sh.clone() }.lines()[0].clone();
        assert!(command(&[]).contains(" --as 7:8 --encoded "), "{}", command(&[]));
        assert!(command(&[4, 9]).contains(" --as 7:8:4,9 --encoded "));
    }

    #[test]
    fn no_word_is_more_than_one_line() {
        let signal = first(&["sh"], json!({"StopSignal": "SIGTERM\nlxc.hook.pre-start = /bin/sh"}));
        assert!(signal.lines().iter().all(|line| !line.contains("hook")), "{:?}", signal.lines());
        for (key, what) in [("WorkingDir", "folder"), ("User", "user")] {
            let failure =
                first(&["sh"], json!({key: "x\nlxc.hook.pre-start = /bin/sh"})).check("a").unwrap_err();
            assert!(failure.code == "ct.lxd.line" && failure.message.contains(what), "{failure}");
        }
        let value = first(&["sh"], json!({"Env": ["A=b\nc"]})).check("a").unwrap_err();
        assert!(value.message.contains("environment"), "{value}");
        assert!(first(&["sh", "-c", "two\nlines"], json!({})).check("a").is_ok(), "ours is one word");
    }

    #[test]
    fn an_image_that_boots_is_left_to_the_server() {
        let system = first(&[], json!({"Cmd": ["/sbin/init"]}));
        assert!(system.lines().is_empty());
        assert!(first(&[], json!({})).lines().is_empty());
    }

    #[test]
    fn an_init_that_is_named_is_process_1() {
        let init = first(&["/lib/systemd/systemd", "--unit=rescue"], json!({}));
        assert_eq!(
            init.lines(),
            ["lxc.init.cmd = /lib/systemd/systemd --unit=rescue", "lxc.signal.halt = SIGRTMIN+3"]
        );
        assert_eq!(first(&["/sbin/init"], json!({})).lines(), ["lxc.init.cmd = /sbin/init"]);
        let blank = first(&["/sbin/init", "a b"], json!({}));
        assert_eq!(blank.check("a").unwrap_err().code, "ct.lxd.command");
    }
}

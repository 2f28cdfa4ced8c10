//! What the server knows: instances by their addresses, with their files.

use super::tokens::Tokens;
use crate::model::{Interface, Machine, Meta};
use crate::secrets::joined;
use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

/// What all connections share.
pub(super) struct Server {
    pub(super) stack: String,
    /// Whether a request needs a token.
    pub(super) required: bool,
    pub(super) tokens: Tokens,
    /// Times of tokens begin here, so that a clock that is set changes none.
    pub(super) began: Instant,
    vendor: Arc<[u8]>,
    /// Instance and interface by address.
    machines: HashMap<Ipv4Addr, (Arc<Told>, usize)>,
}

/// An instance, and what its files have.
pub(super) struct Told {
    pub(super) machine: Machine,
    pub(super) user: Option<Arc<[u8]>>,
    /// Public keys for ssh logins, one a line.
    pub(super) keys: Vec<String>,
}

/// The instance that asks.
#[derive(Clone)]
pub(super) struct Own<'s> {
    pub(super) stack: &'s str,
    pub(super) told: &'s Told,
    /// The interface by which it asks.
    pub(super) interface: &'s Interface,
    pub(super) vendor: &'s Arc<[u8]>,
}

impl Server {
    /// From a configuration and its secrets.
    ///
    /// # Errors
    /// A secret that is missing, or a kernel without randomness.
    pub(super) fn new(config: &Meta, secrets: &mut BTreeMap<String, Vec<u8>>) -> Result<Server, String> {
        let tokens = Tokens::new()?;
        let whole = |names: &[String]| -> Result<Vec<u8>, String> {
            let mut all = Vec::new();
            for name in names {
                joined(&mut all, secrets.get(name).ok_or_else(|| format!("the file {name} is missing"))?);
            }
            Ok(all)
        };
        let vendor = whole(&config.vendor_data)?.into();
        // Replicas share their data.
        let mut data: HashMap<&str, Arc<[u8]>> = HashMap::new();
        let mut machines = HashMap::new();
        for machine in &config.instances {
            if !machine.user_data.is_empty() && !data.contains_key(machine.of.as_str()) {
                data.insert(&machine.of, whole(&machine.user_data)?.into());
            }
            let text = whole(&machine.keys)?;
            let text = String::from_utf8_lossy(&text);
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let keys = lines.map(str::to_owned).collect();
            let user = data.get(machine.of.as_str()).cloned();
            let told = Arc::new(Told { machine: machine.clone(), user, keys });
            for (i, interface) in machine.interfaces.iter().enumerate() {
                machines.insert(interface.address.addr(), (Arc::clone(&told), i));
            }
        }
        let (stack, required) = (config.stack.clone(), config.tokens);
        Ok(Server { stack, required, tokens, began: Instant::now(), vendor, machines })
    }

    /// The instance that has an address.
    pub(super) fn own(&self, source: Ipv4Addr) -> Option<Own<'_>> {
        let (told, i) = self.machines.get(&source)?;
        let interface = told.machine.interfaces.get(*i)?;
        Some(Own { stack: &self.stack, told, interface, vendor: &self.vendor })
    }
}

impl Own<'_> {
    /// The number of the instance among its replicas, from 0.
    pub(super) fn index(&self) -> usize {
        let rest = self.told.machine.name.strip_prefix(self.told.machine.of.as_str());
        let number =
            rest.and_then(|rest| rest.strip_prefix('-')).and_then(|number| number.parse::<usize>().ok());
        number.map_or(0, |number| number.saturating_sub(1))
    }

    /// What runs it.
    pub(super) fn driver(&self) -> String {
        let driver = serde_json::to_value(self.told.machine.driver).ok();
        driver.and_then(|driver| driver.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

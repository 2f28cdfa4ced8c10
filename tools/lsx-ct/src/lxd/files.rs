//! Writes files of an instance, stopped or running.

use super::Lxd;
use super::client::Refused;
use super::forkfile::{absent, at, steady};
use super::request::seed;
use crate::accounts::{Account, Accounts, Alone};
use crate::model::{File, Instance, Proxy};
use crate::render::proxy::{self, Edit};
use common::stack::Driver;
use common::{Failure, Kind};
use std::path::Path;

/// A file to write, with its owner by number.
#[derive(Debug)]
pub(super) struct Put<'a> {
    pub(super) path: &'a str,
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) bytes: &'a [u8],
}

impl<'a> Put<'a> {
    /// A file of root that everybody can read.
    pub(super) fn public(path: &'a str, bytes: &'a [u8]) -> Put<'a> {
        Put { path, mode: 0o644, owner: (0, 0), bytes }
    }
}

impl Lxd {
    /// Users and groups of an instance.
    pub(super) fn accounts(&self, engine: &str) -> Result<Accounts, Failure> {
        let text = |path| -> Result<String, Failure> {
            let bytes = match steady(|| self.client.bytes(&at(engine, path))) {
                Err(refused) if absent(&refused) => None,
                bytes => bytes?,
            };
            Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
        };
        Ok(Accounts::read(&text("/etc/passwd")?, &text("/etc/group")?))
    }

    /// The user and group numbers of an owner in an instance.
    pub(super) fn owner(
        &self,
        accounts: &Accounts,
        instance: &str,
        (owner, alone): (&str, Alone),
    ) -> Result<(u32, u32), Failure> {
        let found = self.account(accounts, instance, (owner, alone))?;
        Ok((found.user, found.group))
    }

    /// The same with all its properties.
    pub(super) fn account(
        &self,
        accounts: &Accounts,
        instance: &str,
        (owner, alone): (&str, Alone),
    ) -> Result<Account, Failure> {
        accounts.resolve(owner, alone).map_err(|who| {
            Failure::new(Kind::Data, "ct.lxd.owner", format!("no {who} in {instance}"))
                .hint("write numbers, such as 1000:1000, or use an image that has it")
        })
    }

    /// Writes all files of an instance, except those unchanged since `before`.
    pub(super) fn put_all(
        &self,
        engine: &str,
        wanted: &Instance,
        before: &[File],
        accounts: &Accounts,
    ) -> Result<(), Failure> {
        for file in wanted.files.iter().filter(|f| !before.contains(f)) {
            // Only LXD accepts it as a setting; Incus reads the seed itself.
            if self.client.driver == Driver::Lxd && seed(&file.path).is_some() {
                continue;
            }
            let bytes = self.supply.blob(&file.digest)?;
            let owner = self.owner(accounts, &wanted.name, (&file.owner, Alone::Same))?;
            self.put(engine, &Put { path: &file.path, mode: file.mode, owner, bytes: &bytes })?;
        }
        for file in before.iter().filter(|f| !wanted.files.iter().any(|w| w.path == f.path)) {
            self.take(engine, &file.path)?;
        }
        Ok(())
    }

    /// Writes the proxy to files in the instance. A file that is not text is left unchanged.
    pub(super) fn put_proxy(&self, engine: &str, proxy: Option<&Proxy>) -> Result<(), Failure> {
        for place in &proxy::FILES {
            let there = match self.got(engine, place.path)? {
                Some(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => Some(text),
                    Err(_) => continue,
                },
                None => None,
            };
            let folder = match place.folder {
                Some(folder) if there.is_none() => self.got(engine, folder)?.is_some(),
                _ => false,
            };
            match place.edit(there.as_deref(), folder, proxy) {
                Edit::Leave => {}
                Edit::Write(text) => self.put(engine, &Put::public(place.path, text.as_bytes()))?,
                Edit::Remove => self.take(engine, place.path)?,
            }
        }
        Ok(())
    }

    /// The file at a path, or that there is a folder.
    fn got(&self, engine: &str, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        match steady(|| self.client.bytes(&at(engine, path))) {
            Err(refused) if absent(&refused) => Ok(None),
            bytes => Ok(bytes?),
        }
    }

    /// Files of every instance: its hostname, hosts and resolver.
    pub(super) fn identity(&self, engine: &str, wanted: &Instance, hosts: &str) -> Result<(), Failure> {
        self.put(engine, &Put::public("/etc/hostname", format!("{}\n", wanted.hostname).as_bytes()))?;
        self.put(engine, &Put::public("/etc/hosts", hosts.as_bytes()))?;
        let mut servers: Vec<String> = Vec::new();
        let mut search: Vec<&str> = Vec::new();
        for nic in &wanted.nics {
            servers.extend(nic.resolver.iter().map(|s| format!("nameserver {s}\n")));
            search.extend(nic.search.iter().map(String::as_str));
        }
        if servers.is_empty() {
            return Ok(());
        }
        let mut text = servers.concat();
        if !search.is_empty() {
            text += &format!("search {}\n", search.join(" "));
        }
        self.put(engine, &Put::public("/etc/resolv.conf", text.as_bytes()))
    }

    /// Writes a file in place of an existing one, which is removed first: the server would keep its owner and mode, and
    /// follow a link. Missing folders are created.
    pub(super) fn put(&self, engine: &str, put: &Put<'_>) -> Result<(), Failure> {
        self.take(engine, put.path)?;
        match self.place(engine, put) {
            Err(refused) if absent(&refused) => {
                // The root always exists.
                let folders: Vec<_> =
                    Path::new(put.path).ancestors().skip(1).filter(|f| f.parent().is_some()).collect();
                for folder in folders.iter().rev() {
                    self.folder(engine, &folder.to_string_lossy())?;
                }
                Ok(self.place(engine, put)?)
            }
            outcome => Ok(outcome?),
        }
    }

    fn place(&self, engine: &str, put: &Put<'_>) -> Result<(), Refused> {
        let headers = [
            (self.client.header("type"), "file".to_owned()),
            (self.client.header("write"), "overwrite".to_owned()),
            (self.client.header("uid"), put.owner.0.to_string()),
            (self.client.header("gid"), put.owner.1.to_string()),
            (self.client.header("mode"), format!("{:04o}", put.mode)),
        ];
        steady(|| self.client.post(&at(engine, put.path), &headers, put.bytes)).map(|_| ())
    }

    fn folder(&self, engine: &str, path: &str) -> Result<(), Failure> {
        match steady(|| self.client.bytes(&at(engine, path))) {
            Ok(Some(_)) => return Ok(()),
            Err(refused) if !absent(&refused) => return Err(refused.into()),
            _ => {}
        }
        let headers = [
            (self.client.header("type"), "directory".to_owned()),
            (self.client.header("uid"), "0".to_owned()),
            (self.client.header("gid"), "0".to_owned()),
            (self.client.header("mode"), "0755".to_owned()),
        ];
        Ok(steady(|| self.client.post(&at(engine, path), &headers, &b""[..])).map(|_| ())?)
    }

    /// Removes a file; a missing one is no error.
    pub(super) fn take(&self, engine: &str, path: &str) -> Result<(), Failure> {
        match steady(|| self.gone(&at(engine, path))) {
            Err(refused) if !absent(&refused) => Err(refused.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

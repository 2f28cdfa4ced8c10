//! Users and groups of an instance, from its own passwd(5) and group(5), and numbers without an entry.

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    /// Name, user, group, home.
    users: Vec<(String, u32, u32, String)>,
    groups: Vec<(String, u32, Vec<String>)>,
}

/// A user, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: u32,
    pub(crate) group: u32,
    /// Supplementary groups of the user.
    pub(crate) further: Vec<u32>,
    /// Home folder; empty if unknown.
    pub(crate) home: String,
}

impl Account {
    /// Itself, if it and its groups are below `ids`.
    ///
    /// # Errors
    /// The one that is not, such as `user 70000`.
    pub(crate) fn within(self, ids: u32) -> Result<Account, String> {
        if self.user >= ids {
            return Err(format!("user {}", self.user));
        }
        match [self.group].iter().chain(&self.further).find(|group| **group >= ids) {
            Some(group) => Err(format!("group {group}")),
            None => Ok(self),
        }
    }
}

/// The group of a user given by number only and without an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alone {
    /// Root's, for running programs: as Docker's USER.
    Root,
    /// That of the same number, for file owners: as Docker's COPY --chown.
    Same,
}

impl Accounts {
    /// From the text of /etc/passwd and /etc/group.
    pub(crate) fn read(passwd: &str, group: &str) -> Accounts {
        let number = |line: &str, n: usize| line.split(':').nth(n).and_then(|f| f.parse::<u32>().ok());
        let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        let members = |line: &str| {
            let all = line.split(':').nth(3).unwrap_or_default();
            all.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect()
        };
        let home = |line: &str| {
            line.split(':').nth(5).filter(|home| home.starts_with('/')).unwrap_or_default().to_owned()
        };
        let users = passwd.lines().filter_map(|l| Some((name(l), number(l, 2)?, number(l, 3)?, home(l))));
        let groups = group.lines().filter_map(|l| Some((name(l), number(l, 2)?, members(l))));
        Accounts { users: users.collect(), groups: groups.collect() }
    }

    /// `user[:group]`, each by name or number; a user alone gets its own groups. Empty is root.
    ///
    /// # Errors
    /// The unknown one, such as `user bob`.
    pub(crate) fn resolve(&self, text: &str, alone: Alone) -> Result<Account, String> {
        let (name, group) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
        if name.is_empty() {
            return Ok(Account::default());
        }
        let number = name.parse::<u32>().ok();
        let entry = self.users.iter().find(|(n, uid, ..)| n == name || Some(*uid) == number);
        let user = entry.map(|(_, uid, ..)| *uid).or(number).ok_or_else(|| format!("user {name}"))?;
        let own = match (entry, alone) {
            (Some((_, _, gid, _)), _) => *gid,
            (None, Alone::Root) => 0,
            (None, Alone::Same) => user,
        };
        let group = group.map_or(Ok(own), |group| self.group(group))?;
        let member = |members: &[String]| entry.is_some_and(|(name, ..)| members.contains(name));
        let further = self.groups.iter().filter(|(_, _, members)| member(members));
        let home = entry.map(|(.., home)| home.clone()).unwrap_or_default();
        Ok(Account { user, group, further: further.map(|(_, gid, _)| *gid).collect(), home })
    }

    fn group(&self, name: &str) -> Result<u32, String> {
        let named = self.groups.iter().find(|(n, ..)| n == name).map(|(_, gid, _)| *gid);
        named.or_else(|| name.parse().ok()).ok_or_else(|| format!("group {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::read(
            "root:x:0:0::/root:\nweb:x:33:34::/srv/www:\nbroken\n",
            "root:x:0:\nadm:x:4:root,web\nlog:x:9:web\n",
        )
    }

    #[test]
    fn somebody_is_found_by_name_and_by_number() {
        let all = accounts();
        for (text, user, group) in
            [("", 0, 0), ("web", 33, 34), ("web:adm", 33, 4), ("web:7", 33, 7), ("33", 33, 34), ("7:8", 7, 8)]
        {
            for alone in [Alone::Root, Alone::Same] {
                let found = all.resolve(text, alone).unwrap();
                assert_eq!((found.user, found.group), (user, group), "{text}");
            }
        }
        let web = all.resolve("33", Alone::Root).unwrap();
        assert_eq!((web.further, web.home.as_str()), (vec![4, 9], "/srv/www"));
        assert_eq!(all.resolve("7", Alone::Root).unwrap(), Account { user: 7, ..Account::default() });
        assert_eq!(all.resolve("7", Alone::Same).unwrap().group, 7);
    }

    #[test]
    fn who_is_not_known_is_named() {
        let all = accounts();
        assert_eq!(all.resolve("bob", Alone::Root), Err("user bob".to_owned()));
        assert_eq!(all.resolve("web:bob", Alone::Root), Err("group bob".to_owned()));
    }
}

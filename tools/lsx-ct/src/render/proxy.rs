//! The proxy in configuration files of logins and package managers. lsx's lines are between two marker lines, or in a file of its own, and
//! are removed with the proxy; the rest of a file is unchanged, byte for byte.

use crate::model::Proxy;

const BEGIN: &str = "# lsx-ct: proxy";
const END: &str = "# lsx-ct: end of proxy";

/// A change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// None.
    Leave,
    /// Write this text.
    Write(String),
    /// Remove the file.
    Remove,
}

/// A file, and the format of the proxy in it.
pub(crate) struct ProxyFile {
    /// Path in the instance.
    pub path: &'static str,
    /// It is only created if this folder exists; `None`: only changed if it exists itself.
    pub folder: Option<&'static str>,
    lines: fn(&Proxy) -> Vec<String>,
    /// The section of the file that the lines belong to.
    section: Option<&'static str>,
}

/// All files. /etc/environment is read by PAM at each login, ssh included; /etc/profile.d by login shells, for systems without PAM.
/// A file that may be a symbolic link comes after its target, and then needs no change.
pub(crate) const FILES: [ProxyFile; 5] = [
    ProxyFile { path: "/etc/environment", folder: Some("/etc/pam.d"), lines: variables, section: None },
    ProxyFile {
        path: "/etc/profile.d/lsx-proxy.sh",
        folder: Some("/etc/profile.d"),
        lines: exports,
        section: None,
    },
    ProxyFile {
        path: "/etc/apt/apt.conf.d/95lsx-proxy",
        folder: Some("/etc/apt/apt.conf.d"),
        lines: apt,
        section: None,
    },
    ProxyFile { path: "/etc/dnf/dnf.conf", folder: None, lines: yum, section: Some("[main]") },
    ProxyFile { path: "/etc/yum.conf", folder: None, lines: yum, section: Some("[main]") },
];

fn variables(proxy: &Proxy) -> Vec<String> {
    proxy.env.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn exports(proxy: &Proxy) -> Vec<String> {
    proxy.env.iter().map(|(name, value)| format!("export {name}='{value}'")).collect()
}

fn apt(proxy: &Proxy) -> Vec<String> {
    let one = |scheme: &str, url: &Option<String>| {
        url.as_ref().map(|url| format!("Acquire::{scheme}::Proxy \"{url}\";"))
    };
    one("http", &proxy.http).into_iter().chain(one("https", &proxy.https)).collect()
}

/// One proxy for HTTP and HTTPS: these programs have one setting.
fn yum(proxy: &Proxy) -> Vec<String> {
    proxy.http.iter().chain(&proxy.https).take(1).map(|url| format!("proxy={url}")).collect()
}

impl ProxyFile {
    /// The change needed, given the file's text and whether its folder exists.
    pub(crate) fn edit(&self, there: Option<&str>, folder: bool, proxy: Option<&Proxy>) -> Edit {
        let bare = there.map(without);
        let lines = proxy.map(self.lines).unwrap_or_default();
        let wanted = match (&bare, lines.is_empty()) {
            (None, true) => return Edit::Leave,
            (None, false) if !folder || self.folder.is_none() => return Edit::Leave,
            // A file with only lsx's lines is removed with them.
            (Some(bare), true) if bare.is_empty() && there != Some("") => return Edit::Remove,
            (bare, true) => bare.clone().unwrap_or_default(),
            (bare, false) => {
                let block = format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"));
                match self.with(bare.as_deref().unwrap_or_default(), &block) {
                    Some(text) => text,
                    None => return Edit::Leave,
                }
            }
        };
        if there == Some(wanted.as_str()) { Edit::Leave } else { Edit::Write(wanted) }
    }

    /// The text with the lines after the section's header, or at the end; `None` if the section is missing.
    fn with(&self, bare: &str, block: &str) -> Option<String> {
        let Some(section) = self.section else {
            let line = if bare.is_empty() || bare.ends_with('\n') { "" } else { "\n" };
            return Some(format!("{bare}{line}{block}"));
        };
        let mut at = 0;
        for line in bare.split_inclusive('\n') {
            at += line.len();
            if line.trim() == section {
                let (head, tail) = bare.split_at(at);
                let end = if head.ends_with('\n') { "" } else { "\n" };
                return Some(format!("{head}{end}{block}{tail}"));
            }
        }
        None
    }
}

/// A text without lsx's lines: complete blocks alone, since the instance may have removed the end of one.
fn without(text: &str) -> String {
    let (mut bare, mut block) = (String::new(), None::<String>);
    for line in text.split_inclusive('\n') {
        match (line.trim_end(), &mut block) {
            (BEGIN, _) => bare.extend(block.replace(line.to_owned())),
            (END, Some(_)) => block = None,
            (_, Some(lines)) => lines.push_str(line),
            (_, None) => bare.push_str(line),
        }
    }
    bare.extend(block);
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str) -> Proxy {
        let env = [("http_proxy", url), ("no_proxy", ".internal,10.0.0.0/8")];
        Proxy {
            http: Some(url.to_owned()),
            https: None,
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    fn place(path: &str) -> &'static ProxyFile {
        FILES.iter().find(|place| place.path == path).unwrap()
    }

    #[test]
    fn what_was_there_stays_and_comes_back() {
        let (one, two) = (proxy("http://10.0.0.1:3128"), proxy("http://10.0.0.2:3128"));
        for (path, text) in [
            ("/etc/environment", "PATH=\"/usr/bin\"\nA=b"),
            ("/etc/environment", ""),
            ("/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\n\n[other]\nproxy=none\n"),
            ("/etc/yum.conf", "# all\n[main]"),
        ] {
            let place = place(path);
            let Edit::Write(with) = place.edit(Some(text), true, Some(&one)) else { panic!("{path}") };
            assert_eq!(place.edit(Some(&with), true, Some(&one)), Edit::Leave, "{with}");
            let Edit::Write(other) = place.edit(Some(&with), true, Some(&two)) else { panic!("{path}") };
            assert!(other.contains("10.0.0.2") && !other.contains("10.0.0.1"), "{other}");
            match place.edit(Some(&other), true, None) {
                Edit::Write(bare) => assert_eq!(bare.trim_end(), text.trim_end()),
                edit => assert_eq!((edit, text), (Edit::Remove, "")),
            }
            assert_eq!(place.edit(Some(text), true, None), Edit::Leave);
        }
    }

    #[test]
    fn a_block_without_an_end_takes_nothing_with_it() {
        let (whole, cut) = (format!("a\n{BEGIN}\nb\n{END}\nc\n"), format!("a\n{BEGIN}\nb\nc\n"));
        assert_eq!(without(&whole), "a\nc\n");
        assert_eq!(without(&cut), cut);
        assert_eq!(without(&(cut.clone() + &whole)), cut + "a\nc\n");
    }

    #[test]
    fn files_are_made_only_where_they_make_sense() {
        let one = proxy("http://10.0.0.1:3128/");
        let apt = place("/etc/apt/apt.conf.d/95lsx-proxy");
        assert_eq!(apt.edit(None, false, Some(&one)), Edit::Leave);
        let Edit::Write(text) = apt.edit(None, true, Some(&one)) else { panic!() };
        assert_eq!(text, format!("{BEGIN}\nAcquire::http::Proxy \"http://10.0.0.1:3128/\";\n{END}\n"));
        assert_eq!(apt.edit(Some(&text), true, None), Edit::Remove);
        assert_eq!(place("/etc/yum.conf").edit(None, true, Some(&one)), Edit::Leave);
        assert_eq!(place("/etc/yum.conf").edit(Some("gpgcheck=1\n"), true, Some(&one)), Edit::Leave);
        let Edit::Write(text) = place("/etc/profile.d/lsx-proxy.sh").edit(None, true, Some(&one)) else {
            panic!()
        };
        assert!(text.contains("export no_proxy='.internal,10.0.0.0/8'\n"), "{text}");
    }
}

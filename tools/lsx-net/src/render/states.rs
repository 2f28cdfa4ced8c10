//! Which states of replicas HAProxy keeps over a reload. Without, it takes each for up until its first test, and for down after one
//! that fails, as one may on a busy host.

use std::collections::BTreeMap;

/// The version of the format, which is all that a file without states has.
const VERSION: &str = "1\n";

/// The text of the file that HAProxy reads at its start, from what it has reported (`show servers state` in its management guide)
/// and both configurations. It takes ports from it, too: so a state is kept only for a server whose line is the same.
pub(crate) fn kept(reported: &str, before: &str, after: &str) -> String {
    let mut text = VERSION.to_owned();
    let Some(lines) = reported.strip_prefix(VERSION) else { return text };
    let (before, after) = (servers(before), servers(after));
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, backend, _, server, ..] = words[..] else { continue };
        let which = (backend, server);
        if before.get(&which).is_some_and(|was| after.get(&which) == Some(was)) {
            text += line;
            text.push('\n');
        }
    }
    text
}

/// The line of each server without its weight, which HAProxy takes from the new configuration; by backend and name.
fn servers(config: &str) -> BTreeMap<(&str, &str), Vec<&str>> {
    let (mut all, mut backend) = (BTreeMap::new(), "");
    for line in config.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["backend", name] => backend = name,
            ["server", name, address, "weight", _, ref rest @ ..] => {
                all.insert((backend, name), [&[address], rest].concat());
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::kept;

    const BEFORE: &str = "backend a\n\tserver x 10.0.0.2:80 weight 1 check\n\tserver y 10.0.0.3:80 weight 1 check\n\
                          backend b\n\tserver x 10.0.0.2:81 weight 1 check\n";
    const REPORTED: &str = "1\n# be_id be_name srv_id srv_name srv_addr\n3 a 1 x 10.0.0.2 2 0\n3 a 2 y 10.0.0.3 2 0\n\
                            4 b 1 x 10.0.0.2 0 0\n";

    #[test]
    fn a_state_is_kept_while_its_server_is_the_same() {
        let all = REPORTED.replace("# be_id be_name srv_id srv_name srv_addr\n", "");
        assert_eq!(kept(REPORTED, BEFORE, BEFORE), all);
        assert_eq!(kept(REPORTED, BEFORE, &BEFORE.replace("weight 1", "weight 0")), all);
        let moved = BEFORE.replace("10.0.0.3:80", "10.0.0.3:8080").replace("backend b", "backend c");
        assert_eq!(kept(REPORTED, BEFORE, &moved), "1\n3 a 1 x 10.0.0.2 2 0\n");
    }

    #[test]
    fn what_is_no_report_keeps_nothing() {
        for text in ["", "1", "2\n3 a 1 x", "Unknown command: show\n", "1\n3 a\n\n   \n"] {
            assert_eq!(kept(text, BEFORE, BEFORE), "1\n", "{text:?}");
        }
    }
}

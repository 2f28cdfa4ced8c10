//! Lines of a document that may contain a secret: messages name their place, and do not repeat them.
//!
//! Found in the text and not in the tree, so that they are known, too, when the text cannot be parsed.

use std::collections::BTreeSet;

/// Keys at the top, or before a dot as in `--set`, with secrets anywhere below them.
const SECTIONS: [&str; 2] = ["registries", "secrets"];
/// Parts of a key in small letters that say what its value is.
const PARTS: [&str; 9] =
    ["passw", "passphrase", "pwd", "token", "credential", "api_key", "apikey", "access_key", "secret_"];
/// Whole keys.
const KEYS: [&str; 3] = ["login", "cloud_init", "pass"];
/// Parts of the name of an environment variable.
const VARIABLES: [&str; 8] = ["PASS", "PWD", "SECRET", "TOKEN", "KEY", "AUTH", "CRED", "LOGIN"];

/// Those lines, from 0.
pub(super) fn rows(text: &str) -> BTreeSet<usize> {
    let mut rows = BTreeSet::new();
    // The indent of the key to which the following lines belong, and its brackets that are still open.
    let mut within: Option<(usize, i32)> = None;
    for (row, line) in text.lines().enumerate() {
        let content = line.trim_start_matches([' ', '\t', '\u{feff}']);
        let indent = line.len() - content.len();
        within = within.filter(|(of, open)| {
            content.is_empty() || *open > 0 || indent > *of || (indent == *of && content.starts_with("- "))
        });
        if let Some((of, open)) = within {
            within = Some((of, open + brackets(content)));
            rows.insert(row);
        } else if secret(content, indent == 0) {
            within = Some((indent, brackets(content)));
            rows.insert(row);
        }
    }
    rows
}

/// Whether a value at this path may be a secret.
pub(crate) fn may_be(value: &str, path: &str) -> bool {
    url_with_user(value) || below(path)
}

fn below(path: &str) -> bool {
    path.split('.').enumerate().any(|(n, key)| key_of_secret(key, n == 0))
}

/// Whether a line has a key whose value may be a secret.
fn secret(line: &str, top: bool) -> bool {
    let between = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '/'));
    // In a document on one line every key may be at the top.
    let all = line.starts_with('{');
    url_with_user(line)
        || line.split(between).any(|word| key_of_secret(word, false))
        || line.split(['{', ',']).enumerate().any(|(n, part)| section(part, all || top && n == 0))
}

/// Whether there is a user, and so perhaps a password, in a URL.
fn url_with_user(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let end = rest.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(rest.len());
        rest[..end].contains('@')
    })
}

/// Whether a part of a line begins with the key of such a section. `secrets` of an instance are only names.
fn section(part: &str, top: bool) -> bool {
    let part = part.trim_start_matches([' ', '"', '\'']);
    let rest = SECTIONS.iter().find_map(|key| part.strip_prefix(key));
    rest.is_some_and(|rest| {
        let colon = rest.trim_start_matches([' ', '"', '\'']).starts_with(':');
        rest.starts_with('.') || colon && (top || part.starts_with(SECTIONS[0]))
    })
}

fn key_of_secret(key: &str, top: bool) -> bool {
    if key.contains('/') || key == "tokens" {
        return false; // a path; `meta.tokens` says how they are used
    }
    let variable = !key.contains(|c: char| c.is_ascii_lowercase());
    let lower = key.to_ascii_lowercase();
    (top && SECTIONS.contains(&key))
        || KEYS.contains(&lower.as_str())
        || PARTS.iter().any(|part| lower.contains(part))
        || variable && VARIABLES.iter().any(|part| key.contains(part))
}

/// Opened minus closed brackets.
fn brackets(line: &str) -> i32 {
    line.bytes().fold(0, |open, byte| match byte {
        b'{' | b'[' => open + 1,
        b'}' | b']' => open - 1,
        _ => open,
    })
}

/// A message without the parts in backquotes that are from a value.
pub(crate) fn without(message: &str, value: &str) -> String {
    let parts = message.split('`').enumerate();
    let shown = parts.map(|(n, part)| {
        match n % 2 == 1 && !part.is_empty() && !part.ends_with("://") && value.contains(part) {
            true => "(not shown)",
            false => part,
        }
    });
    shown.collect::<Vec<_>>().join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<&str> {
        let rows = rows(text);
        text.lines().enumerate().filter(|(row, _)| !rows.contains(row)).map(|(_, line)| line.trim()).collect()
    }

    #[test]
    fn what_stands_where_a_secret_may_is_hidden() {
        let text = "name: a
registries:
  r.example: { login: x }

  s.example:
    pasword: x
secrets: {db: x}
instances:
  web:
    secrets: [db]
    env: { A: 1, B: 2 }
    env:
      DB_PASSWORD: x
      MODE: plain
      GITHUB_TOKEN: >
        x
        x
      LAST: 1
    cloud_init: |
      x: x

      x
    image: docker://host/name
    other: https://user:x@host/
    list:
    passwords:
    - x
    after: 1
";
        let left = [
            "name: a",
            "instances:",
            "web:",
            "secrets: [db]",
            "env: { A: 1, B: 2 }",
            "env:",
            "MODE: plain",
            "LAST: 1",
            "image: docker://host/name",
            "list:",
            "after: 1",
        ];
        assert_eq!(shown(text), left);
        for text in [
            "{\"name\": \"a\", \"secrets\": {\"db\": \"x\"}}",
            "{\"registries\": {\n\"r\": {\"logn\":\n\"x\"\n}}}",
            "registries.r.login: x",
            "registries: {r:\n{logn: x\n}}",
        ] {
            assert_eq!(shown(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_message_does_not_repeat_the_value() {
        assert_eq!(without("`a b` is not one of `c`", "x a b"), "`(not shown)` is not one of `c`");
        assert_eq!(without("`` is empty", "x"), "`` is empty");
        assert!(below("registries.r.x") && below("instances.web.env.DB_PASSWORD") && below("secrets.db"));
        assert!(!below("instances.web.secrets.0") && !below("instances.web.env.MODE"));
    }
}

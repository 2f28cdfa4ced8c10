//! Files of variables, `env_file` and `.env`: one `NAME=VALUE` per line.

use super::interpolate;

/// The variables of such a file, in its order; a value may use earlier variables.
///
/// # Errors
/// The first wrong line, with its number from 1.
pub fn parse(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, String> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why: String| format!("line {}: {why}", index + 1);
        // A name without a value takes it from the caller's environment.
        let Some((name, value)) = line.split_once('=') else {
            if is_name(line) {
                all.extend(lookup(line).map(|value| (line.to_owned(), value)));
                continue;
            }
            return Err(wrong("not NAME=VALUE".to_owned()));
        };
        let name = name.trim_end();
        if !is_name(name) {
            return Err(wrong("the text before `=` is not a name".to_owned()));
        }
        let own = |wanted: &str| {
            lookup(wanted)
                .or_else(|| all.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.clone()))
        };
        let value = value_of(value.trim(), &own).map_err(wrong)?;
        all.push((name.to_owned(), value));
    }
    Ok(all)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn value_of(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    if let Some(rest) = text.strip_prefix('\'') {
        return rest
            .split_once('\'')
            .map(|(value, _)| value.to_owned())
            .ok_or_else(|| "unclosed quote".to_owned());
    }
    if let Some(rest) = text.strip_prefix('"') {
        return interpolate::text(&quoted(rest)?, lookup);
    }
    let end = text.find(" #").unwrap_or(text.len());
    interpolate::text(text[..end].trim_end(), lookup)
}

/// A text in double quotes, with its escapes. An escaped dollar sign is kept.
fn quoted(rest: &str) -> Result<String, String> {
    let (mut value, mut letters) = (String::new(), rest.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(value),
            '\\' => match letters.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some('$') => value.push_str("$$"),
                Some(other @ ('"' | '\\' | '\'')) => value.push(other),
                Some(other) => value.extend(['\\', other]),
                None => break,
            },
            letter => value.push(letter),
        }
    }
    Err("unclosed quote".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn lines_quotes_and_variables_are_understood() {
        let text = "# c\nA=1\nexport B = two words # c\nC='$A #'\nD=\"x\\n$A \\$A\"\n\nE=\nF=${A}-${G:-g}\nHOME\nNONE\n";
        let found = parse(text, &|name| (name == "HOME").then(|| "/root".to_owned())).unwrap();
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            found,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "$A #"),
                ("D", "x\n1 $A"),
                ("E", ""),
                ("F", "1-g"),
                ("HOME", "/root")
            ]
        );
    }

    #[test]
    fn a_line_that_is_none_is_told_with_its_number() {
        for text in ["A=1\n=x", "A=1\na b=2", "A=1\nB=\"x", "A=1\nB='x", "A=1\nnot this"] {
            assert!(parse(text, &|_| None).unwrap_err().starts_with("line 2: "), "{text}");
        }
    }
}

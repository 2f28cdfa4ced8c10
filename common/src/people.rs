//! Sizes, times and long texts in readable form: `1.1M`, `2 h`, and an ellipsis where a cell is cut.

/// Bytes by powers of 1024: `812`, `1.1M`, `34M`, `2.0G`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub fn size(bytes: u64) -> String {
    let units = ["", "K", "M", "G", "T", "P", "E"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1023.5 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let short = unit > 0 && value < 9.95 && (value * 10.0).round() % 10.0 != 0.0;
    format!("{value:.*}{}", usize::from(short), units[unit])
}

/// A time by its largest unit: `340 ms`, `12 s`, `5 min`, `2 h`, `3 d`.
pub fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// Formats a number by the unit in its key, such as `memory_bytes`; none if the key has no unit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of bytes and milliseconds"
)]
pub fn number(key: &str, value: f64) -> Option<String> {
    let (_, unit) = key.rsplit_once('_')?;
    let whole = value.max(0.0) as u64;
    match unit {
        "bytes" => Some(size(whole)),
        "bps" => Some(format!("{}/s", size(whole))),
        "ms" => Some(time(whole)),
        "milli" => Some(format!("{}", value / 1000.0)),
        "percent" => Some(format!("{value:.0} %")),
        _ => None,
    }
}

/// At most `most` characters; a cut is shown by an ellipsis.
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(std::iter::once('…')).collect()
}

/// Lines of at most so many characters, broken between words; a longer word is cut.
pub fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = cut(word, most);
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    if lines.is_empty() { vec![String::new()] } else { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_one_unit() {
        let sizes = [
            (0, "0"),
            (1023, "1023"),
            (1024, "1K"),
            (1_153_434, "1.1M"),
            (67_108_864, "64M"),
            (1_073_741_823, "1G"),
            (u64::MAX, "16E"),
        ];
        sizes.iter().for_each(|(bytes, shown)| assert_eq!(size(*bytes), *shown));
        let times = [
            (0, "0 ms"),
            (999, "999 ms"),
            (60_000, "60 s"),
            (150_000, "2 min"),
            (7_200_000, "2 h"),
            (u64::MAX, "213503982334 d"),
        ];
        times.iter().for_each(|(ms, shown)| assert_eq!(time(*ms), *shown));
    }

    #[test]
    fn long_texts_are_cut_or_wrapped_between_words() {
        assert_eq!((cut("abc", 3), cut("abcd", 3)), ("abc".to_owned(), "ab…".to_owned()));
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!((wrap("", 5), wrap("abcdefgh", 5)), (vec![String::new()], vec!["abcd…".to_owned()]));
    }
}

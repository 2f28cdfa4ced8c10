//! Finds the most similar name, for hints.

/// The name most similar to `name`, if one is similar enough.
pub(crate) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let limit = 1 + name.chars().count() / 4;
    names
        .into_iter()
        .map(|other| (distance(name, other, limit), other))
        // A name of which no letter is kept was not meant.
        .filter(|&(far, other)| far <= limit && far < name.chars().count().max(other.chars().count()))
        .min()
        .map(|(_, other)| other)
}

/// The number of names compared for hints: a document where every reference is wrong must not take minutes.
const HINTED: usize = 1000;

/// A hint for an unknown name: the most similar one, else a list.
pub fn hint<'n>(name: &str, names: impl IntoIterator<Item = &'n str> + Clone) -> String {
    if let Some(near) = nearest(name, names.clone().into_iter().take(HINTED)) {
        return format!("did you mean `{near}`?");
    }
    let known: Vec<&str> = names.into_iter().take(13).collect();
    match known.len() {
        0 => "there is none yet".to_owned(),
        13 => format!("known: {} ...", known[..12].join(", ")),
        _ => format!("known: {}", known.join(", ")),
    }
}

/// Edits between two words (Levenshtein; exchanged neighbours count as one); `limit + 1` when there are more.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut rows: [Vec<usize>; 3] = [vec![0; b.len() + 1], (0..=b.len()).collect(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=b.len() {
            let change = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = best;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

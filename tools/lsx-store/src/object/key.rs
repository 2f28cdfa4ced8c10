//! Where the object of a key is in the folder of its bucket. Pure.
//!
//! `a/b.txt` is the file `b.txt` in the folder `a`. What cannot be a name is escaped: `%` and control characters by their number
//! (`%25`), the dot of `.`, `..` and `.lsx`, an empty part (`a//b`, `a/`) as `%e`. A part that is too long goes on in a folder whose
//! name ends with `%+`. The object `a` is the file `%o` in the folder `a` while there are objects below it. A file with
//! another name, such as `100%`, is no object.

/// The longest key in bytes.
pub(crate) const LONGEST: usize = 1024;
/// The longest name without the end that says that it goes on; file systems allow 255 bytes.
const NAME: usize = 240;
/// An empty part.
const EMPTY: &str = "%e";
/// The object that has the name of its folder.
pub(super) const OWN: &str = "%o";
/// Among earlier versions, the folder of those of the key that has the name of its folder.
pub(super) const PAST: &str = "%v";
/// At the end of a part that goes on in this folder.
const MORE: &str = "%+";
/// How names of lsx begin.
const LSX: &str = ".lsx";

/// What a name says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A part, or its end.
    End(String),
    /// The beginning of a part.
    More(String),
    /// The object with the name of the folder.
    Own,
}

/// The names of the folders of an object, and that of its file.
pub(super) fn names(key: &str) -> Vec<String> {
    let mut all = Vec::new();
    for part in key.split('/') {
        part_names(part, &mut all);
    }
    all
}

fn part_names(part: &str, all: &mut Vec<String>) {
    if part.is_empty() {
        all.push(EMPTY.to_owned());
        return;
    }
    let mut rest = part;
    loop {
        let (name, used) = name_of(rest);
        rest = &rest[used..];
        if rest.is_empty() {
            all.push(name);
            return;
        }
        all.push(name + MORE);
    }
}

/// The name of as much of a part as one name can have, and how many bytes that are.
fn name_of(part: &str) -> (String, usize) {
    let special = part == "." || part == ".." || part.starts_with(LSX);
    let mut name = String::new();
    for (at, char) in part.char_indices() {
        let escaped = char == '%' || char.is_ascii_control() || (special && at == 0);
        let length = if escaped { 3 } else { char.len_utf8() };
        if name.len() + length > NAME {
            return (name, at);
        }
        if escaped {
            name.push_str(&format!("%{:02X}", u32::from(char)));
        } else {
            name.push(char);
        }
    }
    (name, part.len())
}

/// What a name says; none if no key has it.
pub(super) fn piece(name: &str) -> Option<Piece> {
    match name {
        EMPTY => return Some(Piece::End(String::new())),
        OWN => return Some(Piece::Own),
        _ => {}
    }
    let (body, more) = name.strip_suffix(MORE).map_or((name, false), |body| (body, true));
    let mut text = String::new();
    let mut rest = body;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let number = rest.get(at + 1..at + 3)?;
        let byte = u8::from_str_radix(number, 16).ok().filter(u8::is_ascii)?;
        text.push(char::from(byte));
        rest = &rest[at + 3..];
    }
    text.push_str(rest);
    // A name that could be written in two ways would be two objects.
    let (again, used) = name_of(&text);
    let same = again == body && used == text.len() && !text.is_empty() && !text.contains('/');
    same.then_some(if more { Piece::More(text) } else { Piece::End(text) })
}

#[cfg(test)]
mod tests;

//! What is mounted where, from a text in the form of /proc/self/mountinfo (proc(5)). Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The number of its file system, `MAJOR:MINOR`.
    pub disk: String,
    /// The folder of that file system which is mounted.
    pub root: PathBuf,
    /// Where.
    pub at: PathBuf,
    /// The type of the file system.
    pub kind: String,
    /// The options of the file system.
    pub options: String,
}

/// Those of a text, in its order. A line that is none is left out.
pub fn mounts(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    let word = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
    let (disk, root, at) = (word(words.next()?), path(words.next()?), path(words.next()?));
    // Any number of fields is in between.
    let mut words = words.skip_while(|word| *word != b"-").skip(1);
    let kind = word(words.next()?);
    let options = words.nth(1).map(word).unwrap_or_default();
    Some(Mount { disk, root, at, kind, options })
}

/// A path there: blanks, line ends and backslashes are a backslash and three octal digits.
fn path(text: &[u8]) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    #[test]
    fn paths_are_what_was_mounted() {
        let text = b"1 0 0:41 /a\\040b /big\\011disk\\134x rw shared:1 master:2 - btrfs /dev/\\040 rw,prjquota\n\
            2 1 8:1 / /\xff\\012 rw - ext4 /dev/sda1 rw\n3 1 8:1 / /short\n\n4 1 0:5 / /\\9 rw - tmpfs none\n";
        let all = mounts(text);
        let brief: Vec<(&str, &[u8], &str, &str)> = all
            .iter()
            .map(|one| (&*one.disk, one.at.as_os_str().as_bytes(), &*one.kind, &*one.options))
            .collect();
        let wanted: [(&str, &[u8], &str, &str); 3] = [
            ("0:41", b"/big\tdisk\\x", "btrfs", "rw,prjquota"),
            ("8:1", b"/\xff\n", "ext4", "rw"),
            ("0:5", b"/\\9", "tmpfs", ""),
        ];
        assert_eq!(brief, wanted);
        assert_eq!(all[0].root, Path::new("/a b"));
    }
}

//! The decoder's current path in the document.

use std::fmt;

/// A path that is only built when it is printed.
#[derive(Clone, Copy)]
pub(crate) enum Path<'c> {
    Root,
    Key(&'c Path<'c>, &'c str),
    Item(&'c Path<'c>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => f.write_str(key),
            Path::Key(parent, key) => write!(f, "{parent}.{key}"),
            Path::Item(parent, index) => write!(f, "{parent}.{index}"),
        }
    }
}

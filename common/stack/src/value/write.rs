//! The texts of a stack, written in the form in which they are read.

use super::{Banner, Cpus, Duration, Http, Range, SIZES, Select, Size, TIMES};
use std::fmt;

macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
pub(super) use as_text;
as_text!(Size, Duration, Cpus, Range, Http, Banner, Select);

/// Whether a value is the default, which is not written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A file mode in octal digits.
pub(crate) fn octal<S: serde::Serializer>(mode: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:04o}", mode.unwrap_or_default()))
}

fn write_units(f: &mut fmt::Formatter<'_>, n: u64, units: &[(&str, u64)]) -> fmt::Result {
    match units.iter().find(|&&(_, factor)| n > 0 && n.is_multiple_of(factor)) {
        Some(&(unit, factor)) => write!(f, "{}{unit}", n / factor),
        None => write!(f, "{n}"),
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_units(f, self.0, &SIZES)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0s") } else { write_units(f, self.0, &TIMES) }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!(".{:03}", self.0 % 1000);
        write!(f, "{}{}", self.0 / 1000, part.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.port, self.holds)
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}{}", self.port, self.path)
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Select::Every => f.write_str("*"),
            Select::World => f.write_str("world"),
            Select::Network(name) => f.write_str(name),
            Select::Instance(name) => write!(f, "instance/{name}"),
            Select::Host(name) => write!(f, "host/{name}"),
            Select::Cidr(net) if net.prefix_len() == 32 => write!(f, "{}", net.addr()),
            Select::Cidr(net) => write!(f, "{net}"),
        }
    }
}

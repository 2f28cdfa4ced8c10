//! What a plan refuses unless a flag accepts it. A tool has the flags that its plans ask for, and refuses the others.

/// What a flag of `plan` and `up` accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// A change of an address that is in use.
    Renumber,
    /// A move of a running instance to another host.
    Move,
    /// A new network whose addresses a host routes elsewhere.
    Overlap,
}

impl Risk {
    /// Its flag, without dashes.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Renumber => "renumber",
            Self::Move => "allow-move",
            Self::Overlap => "allow-overlap",
        }
    }

    /// What the flag does, in help and manual.
    pub(crate) fn help(self) -> &'static str {
        match self {
            Self::Renumber => "Allow a change of an address that is in use",
            Self::Move => "Allow running instances to move to another host",
            Self::Overlap => "Allow a new network whose address range a host already routes elsewhere",
        }
    }
}

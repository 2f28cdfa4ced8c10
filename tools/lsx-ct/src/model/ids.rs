//! User and group ids of an instance.

/// The default number of user and group ids of an instance.
pub const IDS: u32 = 65_536;

/// The ids of an instance on its host: its id 0 is `first` there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The first one.
    pub first: u32,
    /// Their number.
    pub size: u32,
}

impl Ids {
    /// The id after the last one.
    pub fn end(self) -> u64 {
        u64::from(self.first) + u64::from(self.size)
    }

    /// The host's number of an id of the instance; `None` if it has no such id.
    pub fn outside(self, id: u32) -> Option<u32> {
        if id < self.size { self.first.checked_add(id) } else { None }
    }

    /// The instance's number of an id of the host; `None` if it is another's.
    pub fn inside(self, id: u32) -> Option<u32> {
        id.checked_sub(self.first).filter(|id| *id < self.size)
    }
}

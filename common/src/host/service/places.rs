//! Places for what waits: questions to other servers, connections. A client may have as many as are free, so that one alone gets
//! half of them, and there is always one for the next client.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// As many places as there are.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place(Arc<Places>, IpAddr);

impl Places {
    /// So many.
    pub fn new(most: usize) -> Arc<Places> {
        Arc::new(Places { most, taken: Mutex::default() })
    }

    /// A place for a client; none if it has as many as are free.
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.each.get(&client).copied().unwrap_or_default();
        if own >= self.most.saturating_sub(taken.all) {
            return None;
        }
        taken.all += 1;
        taken.each.insert(client, own + 1);
        Some(Place(Arc::clone(self), client))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.each.get_mut(&self.1) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.each.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn one_client_leaves_places_for_others() {
        let places = Places::new(8);
        let client = |n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
        let all = |n| std::iter::from_fn(|| places.take(client(n))).collect::<Vec<_>>();
        let first = all(1);
        assert_eq!((first.len(), all(2).len()), (4, 2));
        let second = all(2);
        assert_eq!((second.len(), all(3).len()), (2, 1));
        drop((first, second));
        assert_eq!(all(3).len(), 4);
        assert!(places.taken.lock().unwrap().each.is_empty());
    }
}

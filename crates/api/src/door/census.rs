//! Who is at the door: connections are counted, so that they can be bounded, and nobody can use up what is for all.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// In the handshake, all together.
    pub(super) handshakes: usize,
    /// In the handshake, from one address.
    pub(super) handshakes_per_address: usize,
    /// Past the handshake, all together.
    pub(super) connections: usize,
    /// Past the handshake, from one address.
    pub(super) connections_per_address: usize,
}

/// The count.
pub(super) struct Census {
    bounds: Bounds,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Handshakes in progress in the order of their begin.
    handshakes: BTreeMap<u64, (IpAddr, CancellationToken)>,
    begun: u64,
    handshakes_by: HashMap<IpAddr, usize>,
    established: usize,
    established_by: HashMap<IpAddr, usize>,
}

impl Census {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            counts: Mutex::default(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a handshake. Where there are too many, the one that lasts longest gives way: a client that means it is done
    /// in a moment, one that only holds its place is not. The address with the most gives way first.
    pub(super) fn handshake(self: &Arc<Self>, from: IpAddr) -> Handshake {
        let mut counts = self.counts();
        if counts.handshakes_by.get(&from).copied().unwrap_or_default() >= self.bounds.handshakes_per_address {
            counts.evict(from);
        } else if counts.handshakes.len() >= self.bounds.handshakes {
            let crowd = counts.handshakes_by.iter().max_by_key(|(_, count)| **count);
            if let Some(address) = crowd.map(|(address, _)| *address) {
                counts.evict(address);
            }
        }
        let id = counts.begun;
        counts.begun += 1;
        let ended = CancellationToken::new();
        counts.handshakes.insert(id, (from, ended.clone()));
        *counts.handshakes_by.entry(from).or_default() += 1;
        Handshake {
            census: self.clone(),
            id,
            ended,
        }
    }

    /// Admits a connection past its handshake, if there are not too many.
    pub(super) fn established(self: &Arc<Self>, from: IpAddr) -> Option<Established> {
        let mut counts = self.counts();
        let own = counts.established_by.get(&from).copied().unwrap_or_default();
        if counts.established >= self.bounds.connections || own >= self.bounds.connections_per_address {
            return None;
        }
        counts.established += 1;
        counts.established_by.insert(from, own + 1);
        Some(Established {
            census: self.clone(),
            from,
        })
    }
}

impl Counts {
    /// Ends the handshake of an address that began first.
    fn evict(&mut self, address: IpAddr) {
        let oldest = self.handshakes.iter().find(|(_, (from, _))| *from == address);
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.end(id);
        }
    }

    fn end(&mut self, id: u64) {
        if let Some((from, ended)) = self.handshakes.remove(&id) {
            ended.cancel();
            less(&mut self.handshakes_by, from);
        }
    }
}

fn less(counts: &mut HashMap<IpAddr, usize>, address: IpAddr) {
    if let Some(count) = counts.get_mut(&address) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&address);
        }
    }
}

/// A handshake that is counted until this is dropped.
pub(super) struct Handshake {
    census: Arc<Census>,
    id: u64,
    /// It has to give way.
    pub(super) ended: CancellationToken,
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.census.counts().end(self.id);
    }
}

/// A connection that is counted until this is dropped.
pub(super) struct Established {
    census: Arc<Census>,
    from: IpAddr,
}

impl Drop for Established {
    fn drop(&mut self) {
        let mut counts = self.census.counts();
        counts.established -= 1;
        less(&mut counts.established_by, self.from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    fn census() -> Arc<Census> {
        Arc::new(Census::new(Bounds {
            handshakes: 4,
            handshakes_per_address: 3,
            connections: 3,
            connections_per_address: 2,
        }))
    }

    #[test]
    fn the_handshake_that_lasts_longest_gives_way_to_a_new_one_of_its_address() {
        let census = census();
        let held: Vec<Handshake> = (0..3).map(|_| census.handshake(address(1))).collect();
        let new = census.handshake(address(1));
        let ended: Vec<bool> = held.iter().map(|h| h.ended.is_cancelled()).collect();
        assert_eq!(ended, [true, false, false]);
        assert!(!new.ended.is_cancelled());
        drop((held, new));
        assert!(census.counts().handshakes.is_empty() && census.counts().handshakes_by.is_empty());
    }

    #[test]
    fn when_all_places_are_taken_the_address_with_the_most_makes_room() {
        let census = census();
        let few = census.handshake(address(2));
        let many: Vec<Handshake> = (0..3).map(|_| census.handshake(address(1))).collect();
        let new = census.handshake(address(3));
        assert!(many[0].ended.is_cancelled() && !many[1].ended.is_cancelled());
        assert!(!few.ended.is_cancelled() && !new.ended.is_cancelled());
    }

    #[test]
    fn one_address_cannot_take_the_connections_of_all() {
        let census = census();
        let own: Vec<_> = (0..5).filter_map(|_| census.established(address(1))).collect();
        assert_eq!(own.len(), 2);
        let other = census.established(address(2));
        assert!(other.is_some() && census.established(address(3)).is_none());
        drop((own, other));
        assert!(census.established(address(3)).is_some());
    }
}

//! Places for those who may take up several at once, such as members who come over connections of their own: so many for all, and so many
//! for one.

use cluster::NodeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Who has a place.
#[derive(Debug)]
pub struct Places<Whose: Ord> {
    all: usize,
    of_one: usize,
    held: Mutex<BTreeMap<Whose, usize>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place<Whose: Ord> {
    places: Arc<Places<Whose>>,
    /// Whose it is.
    pub whose: Whose,
}

/// Places of members.
pub type MemberPlaces = Places<NodeId>;
/// A member's place.
pub type MemberPlace = Place<NodeId>;

impl<Whose: Ord + Clone> Places<Whose> {
    /// So many places, and so many of them for one.
    pub fn new(all: usize, of_one: usize) -> Arc<Self> {
        Arc::new(Self { all, of_one, held: Mutex::default() })
    }

    /// A place, if there is one.
    pub fn take(self: &Arc<Self>, whose: Whose) -> Option<Place<Whose>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (held.values().sum::<usize>(), held.get(&whose).copied().unwrap_or_default());
        if all >= self.all || own >= self.of_one {
            return None;
        }
        held.insert(whose.clone(), own + 1);
        Some(Place { places: Arc::clone(self), whose })
    }
}

impl<Whose: Ord> Drop for Place<Whose> {
    fn drop(&mut self) {
        let mut held = self.places.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::keys::Key;

    #[test]
    fn one_member_does_not_take_all_places() {
        let (places, nodes) = (MemberPlaces::new(5, 2), (0..9).map(|n| Key([n; 32])).collect::<Vec<_>>());
        let own: Vec<_> = (0..=2).map(|_| places.take(nodes[0])).collect();
        assert_eq!(own.iter().flatten().count(), 2);
        let others: Vec<_> = nodes[1..].iter().filter_map(|node| places.take(*node)).collect();
        assert_eq!(others.len(), 3);
        drop(own);
        assert!(places.take(nodes[8]).is_some());
        drop(others);
        assert!(places.held.lock().unwrap().is_empty(), "nothing is kept of who has gone");
    }
}

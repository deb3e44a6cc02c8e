//! Who is served when many come: whoever takes many places can't take the last ones, so that others find one.

use crate::limits::{HTTP_CONNECTIONS, HTTP_CONNECTIONS_OF_ONE, HTTP_CONNECTIONS_RESERVED};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Open connections by the address they come from.
#[derive(Default)]
pub struct Places(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: usize,
    /// Only addresses that hold some.
    of: HashMap<IpAddr, usize>,
}

/// A connection's place, free again when it is dropped.
pub struct Place {
    places: Arc<Places>,
    from: IpAddr,
}

impl Places {
    /// A place for somebody from that address, unless it holds enough.
    pub fn take(places: &Arc<Self>, from: IpAddr) -> Option<Place> {
        let mut taken = places.taken();
        let of_it = taken.of.get(&from).copied().unwrap_or_default();
        if !may_come(taken.all, of_it) {
            return None;
        }
        taken.all += 1;
        taken.of.insert(from, of_it + 1);
        drop(taken);
        Some(Place { places: Arc::clone(places), from })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(of_it) = taken.of.get_mut(&self.from) {
            *of_it = of_it.saturating_sub(1);
            if *of_it == 0 {
                taken.of.remove(&self.from);
            }
        }
    }
}

/// Whether one more is served from an address that holds `of_it` of `all` places that are taken.
fn may_come(all: usize, of_it: usize) -> bool {
    of_it < HTTP_CONNECTIONS_OF_ONE || all < HTTP_CONNECTIONS - HTTP_CONNECTIONS_RESERVED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_places_to_others_and_gets_its_own_back() {
        let places = Arc::new(Places::default());
        let [greedy, another, third] = [[192, 168, 1, 2], [192, 168, 1, 3], [192, 168, 1, 4]].map(IpAddr::from);
        let mut held: Vec<Place> = std::iter::from_fn(|| Places::take(&places, greedy)).take(HTTP_CONNECTIONS).collect();
        assert_eq!(held.len(), HTTP_CONNECTIONS - HTTP_CONNECTIONS_RESERVED);
        // Who would have 200 served at once is served.
        assert!(held.len() >= 200);
        for (count, other) in [another, third].into_iter().enumerate() {
            let its: Vec<Place> = std::iter::from_fn(|| Places::take(&places, other)).take(HTTP_CONNECTIONS).collect();
            assert_eq!(its.len(), HTTP_CONNECTIONS_OF_ONE, "{count}");
            held.extend(its);
        }
        assert!(Places::take(&places, greedy).is_none());
        held.clear();
        assert!(places.taken().of.is_empty() && places.taken().all == 0);
        assert!(Places::take(&places, greedy).is_some());
    }

    #[test]
    fn who_comes_when_few_are_there_is_served_however_many_are_its_own() {
        assert!(may_come(0, 0) && may_come(150, 150));
        assert!(!may_come(HTTP_CONNECTIONS - HTTP_CONNECTIONS_RESERVED, HTTP_CONNECTIONS_OF_ONE));
        assert!(may_come(HTTP_CONNECTIONS - 1, HTTP_CONNECTIONS_OF_ONE - 1));
    }
}

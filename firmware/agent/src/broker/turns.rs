//! Who changes something, and when.
//!
//! What an app is made of is changed by one at a time. Docker is told of one change at a time too, since a small machine does no two well;
//! but a copy of large data may take hours, so it waits for nobody beside its own app, and nobody else waits for it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};
use tokio::sync::{Mutex, MutexGuard, OwnedMutexGuard};

/// Things that somebody made by hand, as one: none of them is an app.
pub const BY_HAND: &str = "";

/// The turns of all.
#[derive(Debug, Default)]
pub struct Turns {
    machine: Mutex<()>,
    apps: std::sync::Mutex<BTreeMap<String, Weak<Mutex<()>>>>,
}

/// An app's turn: nobody else changes it meanwhile.
#[derive(Debug)]
pub struct AppTurn {
    _held: OwnedMutexGuard<()>,
}

/// An app's turn and the machine's.
#[derive(Debug)]
pub struct Turn<'a> {
    _machine: MutexGuard<'a, ()>,
    _app: AppTurn,
}

impl Turns {
    /// The app's turn, for what takes long. The app is asked for before the machine by all, so that no two wait for each other.
    pub async fn of_app(&self, app: &str) -> AppTurn {
        let lock = {
            let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
            apps.retain(|_, lock| lock.strong_count() > 0);
            apps.get(app).and_then(Weak::upgrade).unwrap_or_else(|| {
                let lock = Arc::new(Mutex::new(()));
                apps.insert(app.to_owned(), Arc::downgrade(&lock));
                lock
            })
        };
        AppTurn { _held: lock.lock_owned().await }
    }

    /// The machine's turn, for who has the app's.
    pub async fn of_machine(&self, _app: &AppTurn) -> MutexGuard<'_, ()> {
        self.machine.lock().await
    }

    /// Both.
    pub async fn of_both(&self, app: &str) -> Turn<'_> {
        let app = self.of_app(app).await;
        Turn { _machine: self.of_machine(&app).await, _app: app }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_copy_holds_up_its_own_app_alone() {
        let turns = Turns::default();
        let copies = turns.of_app("photos").await;
        assert!(turns.of_both("photos").now_or_never().is_none(), "the app that is copied is changed");
        let other = turns.of_both("wiki").now_or_never().expect("another app waits for the copy");
        assert!(turns.of_both("music").now_or_never().is_none(), "two changes at once");
        assert!(turns.of_machine(&copies).now_or_never().is_none());
        drop(other);
        assert!(turns.of_machine(&copies).now_or_never().is_some());
        drop(copies);
        assert!(turns.of_both("photos").now_or_never().is_some());
        let _last = turns.of_app("music").await;
        assert_eq!(turns.apps.lock().unwrap().len(), 1, "what nobody changes is forgotten");
    }
}

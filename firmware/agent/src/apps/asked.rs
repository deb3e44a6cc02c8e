//! Who asks for a job and when, for those who look back at it: nothing is decided by it.

use crate::host;
use crate::limits::EARLIEST_CLOCK_SECS;
use serde::{Deserialize, Serialize};

tokio::task_local! {
    static WHO: Option<String>;
}

/// Who asked for a job, and when it was begun and over by the node's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = JobAsked))]
#[serde(rename_all = "kebab-case")]
pub struct Asked {
    /// Who asked for it, where that is a known user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was begun, in seconds since 1970; not said where the node's clock was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u64>,
    /// When it was over, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
}

impl Asked {
    /// What is begun now by who is known to ask.
    pub(super) fn now() -> Self {
        Self { by: WHO.try_with(Clone::clone).ok().flatten(), begun: clock(host::now_secs()), ended: None }
    }

    /// It is over.
    pub(super) fn end(&mut self) {
        self.ended = clock(host::now_secs());
    }
}

/// A time by a clock that was set.
fn clock(seconds: u64) -> Option<u64> {
    (seconds >= EARLIEST_CLOCK_SECS).then_some(seconds)
}

/// Does something of which jobs may come, for somebody who is known by a name or not.
pub async fn asked_by<T>(who: Option<String>, work: impl Future<Output = T>) -> T {
    WHO.scope(who, work).await
}

/// The same work for the same person on another thread.
pub(super) fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let who = WHO.try_with(Clone::clone).ok().flatten();
    move || WHO.sync_scope(who, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_asks_is_known_on_another_thread_and_to_nobody_else() {
        let here = async || tokio::task::spawn_blocking(carried(|| Asked::now().by)).await.unwrap();
        let (ana, ben) = tokio::join!(asked_by(Some("ana".to_owned()), here()), asked_by(None, here()));
        assert_eq!((ana.as_deref(), ben, here().await, Asked::now().by), (Some("ana"), None, None, None));
    }

    #[test]
    fn a_clock_that_was_never_set_says_no_time() {
        assert_eq!((clock(5), clock(EARLIEST_CLOCK_SECS)), (None, Some(EARLIEST_CLOCK_SECS)));
        let mut asked = Asked::now();
        asked.end();
        assert!(asked.begun.is_some() && asked.ended >= asked.begun);
    }
}

//! The store for apps, as the registry's thread keeps it beside the records.

use super::{Refused, Registry};
use cluster::{
    appstore::{App, AppError, ETag, Listing, Manifest, Value, Wish, Writers},
    store::StoreError,
};
use serde::Serialize;
use tokio::sync::broadcast;

/// Most keys that a change names: what waits for slow watchers stays small.
const MAX_KEYS_TOLD: usize = 128;

/// Keys of an app that may have another value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = StoreChanged))]
#[serde(rename_all = "kebab-case")]
pub struct AppChanged {
    /// The app.
    pub app: String,
    /// The keys; none where `all` is said.
    pub keys: Vec<String>,
    /// There are too many to name: any key may have changed.
    pub all: bool,
}

impl AppChanged {
    /// Of that app.
    pub fn of(app: &App, keys: Vec<String>) -> Self {
        let all = keys.len() > MAX_KEYS_TOLD;
        Self { app: app.to_string(), keys: if all { Vec::new() } else { keys }, all }
    }
}

/// What is said of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFacts {
    /// The newest manifest.
    pub manifest: Option<Manifest>,
    /// Whether this node may write.
    pub writes: bool,
}

impl Registry {
    /// What is under a key.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn app_read(&self, app: App, key: String) -> Result<Result<Value, StoreError>, Refused> {
        self.with(move |copy, _| copy.apps.read(&copy.replica, &app, &key)).await
    }

    /// Keys and values of an app after `after`.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn app_list(&self, app: App, after: String, limit: usize) -> Result<Result<Listing, StoreError>, Refused> {
        self.with(move |copy, _| copy.apps.list(&copy.replica, &app, &after, limit)).await
    }

    /// Does all wishes or none; the contexts of the keys after them.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn app_write(&self, app: App, wishes: Vec<Wish>) -> Result<Result<Vec<ETag>, AppError>, Refused> {
        self.with(move |copy, now| copy.apps.write(now, &mut copy.replica, &app, &wishes)).await
    }

    /// Says who may write in an app that this node owns.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn app_writers(&self, app: App, writers: Writers) -> Result<Result<(), AppError>, Refused> {
        self.with(move |copy, now| copy.apps.publish_manifest(now, &mut copy.replica, &copy.seed, &app, writers)).await
    }

    /// What is said of an app.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn app_facts(&self, app: App) -> Result<AppFacts, Refused> {
        self.with(move |copy, _| AppFacts {
            manifest: copy.apps.manifest(&app).cloned(),
            writes: copy.apps.may_write(&copy.replica, &app, &copy.replica.me()),
        })
        .await
    }

    /// The apps that are known here.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn app_names(&self) -> Result<Vec<String>, Refused> {
        self.with(|copy, _| copy.apps.apps().map(ToString::to_string).collect()).await
    }

    /// The app of that label that this node owns; none if the label can't be one.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn app_owned(&self, label: String) -> Result<Result<App, cluster::appstore::NotAnApp>, Refused> {
        self.with(move |copy, _| App::owned(&label, &copy.replica.me())).await
    }

    /// Changes of apps as they come.
    pub fn watch_apps(&self) -> broadcast::Receiver<AppChanged> {
        self.app_changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_keys_are_told_in_a_word() {
        let app = App::try_from("notes").unwrap();
        let keys = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(AppChanged::of(&app, keys(MAX_KEYS_TOLD)).keys.len(), MAX_KEYS_TOLD);
        let many = AppChanged::of(&app, keys(MAX_KEYS_TOLD + 1));
        assert!(many.all && many.keys.is_empty());
    }
}

//! The sockets at which apps that use the store are served it, each in its own folder, which only its container is shown. The broker makes
//! the folder with the container; here it is only looked for.
//!
//! ```text
//! app.toml: store = true ─▶ broker: folder, container ─▶ here: socket in it ─▶ http::contained
//! ```

use crate::http::{self, Listener};
use crate::limits::APP_STORES_LOOK;
use crate::state::App;
use anyhow::{Context, Result};
use contract::apps::compose::STORE_SOCKET;
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A socket: its app's user, and which file it is, as long as that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Served {
    uid: u32,
    inode: u64,
}

/// What changes: apps whose sockets are closed, and then those, with their users, whose are opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Changes {
    close: Vec<String>,
    open: Vec<(String, u32)>,
}

/// Decides it (pure). `wanted` are the apps that use the store, with their users; `there` says which file is an app's socket now.
fn changes(wanted: &BTreeMap<String, u32>, served: &BTreeMap<String, Served>, there: impl Fn(&str) -> Option<u64>) -> Changes {
    let good = |app: &str, is: &Served| wanted.get(app) == Some(&is.uid) && there(app) == Some(is.inode);
    Changes {
        close: served.iter().filter(|(app, is)| !good(app, is)).map(|(app, _)| app.clone()).collect(),
        open: wanted
            .iter()
            .filter(|(app, _)| !served.get(*app).is_some_and(|is| good(app, is)))
            .map(|(app, uid)| (app.clone(), *uid))
            .collect(),
    }
}

/// Which file the socket of a folder is.
fn inode(folder: &Path) -> Option<u64> {
    std::fs::symlink_metadata(folder.join(STORE_SOCKET)).ok().map(|meta| meta.ino())
}

/// Opens an app's socket. Everybody who is shown the folder may come; who is let in, the listener says.
fn listen(folder: &Path) -> Result<(UnixListener, u64)> {
    let path = folder.join(STORE_SOCKET);
    let doing = || format!("opening `{}`", path.display());
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(doing)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o666)).with_context(doing)?;
    let inode = inode(folder).with_context(doing)?;
    Ok((listener, inode))
}

/// Serves each app that uses the store at its socket, from when its folder is there until it is gone.
pub async fn keep(app: Arc<App>, stores: PathBuf) {
    let mut served: BTreeMap<String, Served> = BTreeMap::new();
    // Who drops these ends the servers.
    let mut stops: BTreeMap<String, watch::Sender<bool>> = BTreeMap::new();
    let mut servers = JoinSet::new();
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    let mut news = app.apps().watch_jobs();
    loop {
        news.borrow_and_update();
        while servers.try_join_next().is_some() {}
        let wanted = app.apps().that_use_the_store().await;
        let changes = changes(&wanted, &served, |app| inode(&stores.join(app)));
        for name in changes.close {
            served.remove(&name);
            stops.remove(&name);
        }
        told.retain(|name, _| wanted.contains_key(name));
        for (name, uid) in changes.open {
            let folder = stores.join(&name);
            // Until the broker has made it.
            if !folder.is_dir() {
                continue;
            }
            match listen(&folder) {
                Ok((listener, inode)) => {
                    let (stop, stopping) = watch::channel(false);
                    servers.spawn(http::serve(Listener::App(listener, uid), http::contained(Arc::clone(&app), &name), stopping));
                    log::info!("`{name}` is served its store");
                    served.insert(name.clone(), Served { uid, inode });
                    stops.insert(name.clone(), stop);
                    told.remove(&name);
                }
                Err(error) => {
                    // Once, since it is tried again and again.
                    let error = format!("{error:#}");
                    if told.insert(name.clone(), error.clone()).as_ref() != Some(&error) {
                        log::warn!("`{name}` is not served its store: {error}");
                    }
                }
            }
        }
        // Where no app uses it, nothing is looked for until one is installed.
        if wanted.is_empty() {
            if news.changed().await.is_err() {
                return;
            }
        } else {
            tokio::time::sleep(APP_STORES_LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_opened_for_installed_apps_and_closed_with_them_or_when_their_file_is_gone() {
        let wanted: BTreeMap<String, u32> = [("glance".to_owned(), 20_013), ("notes".to_owned(), 20_014)].into();
        let served = |uid, inode| BTreeMap::from([("glance".to_owned(), Served { uid, inode })]);
        let open = |apps: &[(&str, u32)]| apps.iter().map(|(app, uid)| ((*app).to_owned(), *uid)).collect::<Vec<_>>();
        let there = |app: &str| (app == "glance").then_some(7);
        let all = open(&[("glance", 20_013), ("notes", 20_014)]);
        assert_eq!(changes(&wanted, &BTreeMap::new(), there), Changes { close: vec![], open: all.clone() });
        assert_eq!(changes(&wanted, &served(20_013, 7), there), Changes { close: vec![], open: open(&[("notes", 20_014)]) });
        // Another file, or another user: what was served goes first.
        for served in [served(20_013, 8), served(20_001, 7)] {
            assert_eq!(changes(&wanted, &served, there), Changes { close: vec!["glance".to_owned()], open: all.clone() });
        }
        assert_eq!(changes(&BTreeMap::new(), &served(20_013, 7), there), Changes { close: vec!["glance".to_owned()], open: vec![] });
    }
}

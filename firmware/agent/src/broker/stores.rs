//! The folders in which the sockets of apps' stores stand. The broker makes them below a folder that only it may write, so that none is a
//! link, whatever becomes of the agent; the agent's group may write into them, and makes its socket there.

use super::Failure;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Its group is that of the folder above (setgid there): the agent's. All others may pass to the socket, at which the agent looks who asks.
const MODE: u32 = 0o771;

/// Makes an app's folder, before its container, which is shown it. It lies on the disk, since Docker starts apps again at boot before
/// anybody asks the broker.
pub fn make(folder: &Path) -> Result<(), Failure> {
    let failed = |doing: &str, error: std::io::Error| {
        let error = format!("{doing} `{}` for the app's store: {error}", folder.display());
        Failure { error, output: String::new() }
    };
    match fs::create_dir(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_folder(folder) => {}
        Err(error) => return Err(failed("making", error)),
    }
    fs::set_permissions(folder, Permissions::from_mode(MODE)).map_err(|error| failed("opening", error))
}

/// Whether it is a folder, and no link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Takes an app's folder away, if it has one. One that can't be is said, and harms nobody.
pub fn clear(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != ErrorKind::NotFound
    {
        log::warn!("the folder `{}` of an app that is gone stays: {error}", folder.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_kept_and_taken_away_and_a_link_is_none() {
        let stores = tempfile::tempdir().unwrap();
        let folder = stores.path().join("glance");
        make(&folder).unwrap();
        fs::write(folder.join("store.sock"), "").unwrap();
        make(&folder).unwrap();
        assert!(folder.join("store.sock").exists());
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, MODE);
        clear(&folder);
        clear(&folder);
        assert!(!folder.exists());
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), &folder).unwrap();
        assert!(make(&folder).unwrap_err().error.contains("glance"));
        assert!(make(&stores.path().join("none/glance")).is_err());
    }
}

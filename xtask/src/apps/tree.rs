//! The trees of an app's layers: the base's, the whole image's, and what the one adds to the other.

use anyhow::{Context, Result, bail};
use contract::apps::App;

use super::plan::ImagePlan;
use super::{Apps, FILES, prune};
use crate::layout;
use crate::packages::cache::Cache;
use crate::packages::lock::LockedPackage;
use crate::tree::prune::prune as leave_out;
use crate::tree::{Content, Entry, Kind, Tree};

/// Mozilla's certificates as ca-certificates ships them, and the bundle that its script makes of them.
const CERTIFICATES: &str = "usr/share/ca-certificates";
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// The masters of passwd and group (base-passwd).
const MASTERS: &str = "usr/share/base-passwd";
/// Folders that must be there to be mounted upon.
const FOLDERS: [(&str, u32); 8] =
    [("dev", 0o755), ("proc", 0o755), ("sys", 0o755), ("run", 0o755), ("tmp", 0o1777), ("var/tmp", 0o1777), ("srv", 0o755), ("etc", 0o755)];
const STEP: &str = "apps";

/// The base's tree for the architecture of `plan`.
pub fn base(cache: &Cache, apps: &Apps, plan: &ImagePlan) -> Result<Tree> {
    let shipped = layout::shipped(cache, &plan.base)?;
    let bundle = bundle(&shipped)?;
    let masters = Masters::read(&shipped)?;
    let (mut tree, _) = leave_out(shipped, &apps.base.prune);
    finish(&mut tree, apps, None, bundle)?;
    masters.put(&mut tree, None);
    Ok(tree)
}

/// The whole image's tree.
pub fn whole(cache: &Cache, apps: &Apps, app: &App, plan: &ImagePlan) -> Result<Tree> {
    let packages: Vec<LockedPackage> = plan.base.iter().chain(&plan.own).cloned().collect();
    let shipped = layout::shipped(cache, &packages)?;
    let bundle = bundle(&shipped)?;
    let masters = Masters::read(&shipped)?;
    let (mut tree, _) = leave_out(shipped, &prune(&apps.base, app)?);
    finish(&mut tree, apps, None, bundle)?;
    finish(&mut tree, apps, Some(app), None)?;
    masters.put(&mut tree, Some(app));
    for path in app.volumes.values().map(|volume| &volume.path).chain(&app.run.scratch) {
        let path = path.trim_start_matches('/');
        tree.put(path, Kind::Directory, 0o750, STEP);
        if let Some(entry) = tree.get(path).cloned() {
            tree.insert(path.to_owned(), Entry { uid: app.run.uid, gid: app.run.uid, ..entry });
        }
    }
    Ok(tree)
}

/// What `whole` adds to `base`: the app's layer.
pub fn added(base: &Tree, whole: &Tree) -> Result<Tree> {
    let mut layer = Tree::default();
    for (path, entry) in whole.iter() {
        if !base.get(path).is_some_and(|there| same(there, entry)) {
            layer.insert(path.clone(), entry.clone());
        }
    }
    // A folder that is empty in the base is there all the same, though all that the app's packages have in it is left out.
    let gone = |(path, entry): &(&String, &Entry)| !matches!(entry.kind, Kind::Directory) && whole.get(path).is_none();
    if let Some((path, entry)) = base.iter().find(gone) {
        bail!("the base has /{path} (from {}) and the app's image must not: leave it out in the base", entry.origin);
    }
    Ok(layer)
}

fn same(a: &Entry, b: &Entry) -> bool {
    let kinds = match (&a.kind, &b.kind) {
        (Kind::Directory, Kind::Directory) => true,
        (Kind::File(a), Kind::File(b)) => match (a, b) {
            (Content::Bytes(a), Content::Bytes(b)) => a == b,
            (a, b) => a.same_place(b),
        },
        (Kind::Symlink(a), Kind::Symlink(b)) | (Kind::Hardlink(a), Kind::Hardlink(b)) => a == b,
        (Kind::CharDevice(a, b), Kind::CharDevice(c, d)) => (a, b) == (c, d),
        _ => false,
    };
    kinds && (a.mode, a.uid, a.gid, &a.xattrs) == (b.mode, b.uid, b.gid, &b.xattrs)
}

/// Files of ours, links and folders: those of an app, or of the base.
fn finish(tree: &mut Tree, apps: &Apps, app: Option<&App>, bundle: Option<Vec<u8>>) -> Result<()> {
    for (path, mode) in FOLDERS {
        if tree.get(path).is_none() {
            tree.put(path, Kind::Directory, mode, STEP);
        }
    }
    if let Some(bundle) = bundle {
        tree.put_file(BUNDLE, 0o644, bundle, STEP);
    }
    for (path, target) in app.map_or(&apps.base.links, |app| &app.image.links) {
        tree.put(path.trim_start_matches('/'), Kind::Symlink(target.clone()), 0o777, STEP);
    }
    tree.lay_overlay(apps.root(app), &Apps::folder(app).join(FILES))
}

/// All certificates in one file, in the order of their names, as update-ca-certificates(8) makes it.
fn bundle(tree: &Tree) -> Result<Option<Vec<u8>>> {
    let mut all = Vec::new();
    for (path, entry) in tree.below(CERTIFICATES).filter(|(path, _)| path.ends_with(".crt")) {
        if let Kind::File(content) = &entry.kind {
            all.extend_from_slice(&content.read().with_context(|| format!("failed to read /{path}"))?);
            if !all.ends_with(b"\n") {
                all.push(b'\n');
            }
        }
    }
    Ok((!all.is_empty()).then_some(all))
}

/// base-passwd's users and groups.
struct Masters {
    passwd: String,
    group: String,
}

impl Masters {
    fn read(tree: &Tree) -> Result<Self> {
        let text = |name: &str| -> Result<String> {
            match tree.get(&format!("{MASTERS}/{name}.master")).map(|entry| &entry.kind) {
                Some(Kind::File(content)) => Ok(String::from_utf8_lossy(&content.read()?).into_owned()),
                _ => bail!("base-passwd is missing in the base's lock"),
            }
        };
        Ok(Self { passwd: text("passwd")?, group: text("group")? })
    }

    /// Puts them, and the app's user, into the tree. Nobody has a password.
    fn put(&self, tree: &mut Tree, app: Option<&App>) {
        let (mut passwd, mut group) = (self.passwd.clone(), self.group.clone());
        if let Some(app) = app {
            let (user, uid) = (&app.run.user, app.run.uid);
            let taken = |text: &str| text.lines().any(|line| line.split(':').next() == Some(user.as_str()));
            if !taken(&passwd) && !taken(&group) {
                passwd.push_str(&format!("{user}:*:{uid}:{uid}::/nonexistent:/usr/sbin/nologin\n"));
                group.push_str(&format!("{user}:*:{uid}:\n"));
            }
        }
        tree.put_file("etc/passwd", 0o644, passwd.into_bytes(), STEP);
        tree.put_file("etc/group", 0o644, group.into_bytes(), STEP);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::testing;
    use super::*;
    use crate::tree::testing::{file, folder, hardlink, link, paths, program, tree};

    #[test]
    fn a_layer_holds_what_is_new_or_different_and_no_more() {
        let base =
            tree(&[("usr", folder()), ("usr/a", file("a")), ("usr/b", link("a")), ("usr/c", program("c")), ("usr/d", hardlink("usr/a"))]);
        let mut whole = base.clone();
        assert_eq!(paths(&added(&base, &whole).unwrap()), [] as [&str; 0]);
        whole.insert("usr/a".to_owned(), file("other"));
        whole.insert("usr/b".to_owned(), link("c"));
        whole.insert("usr/c".to_owned(), file("c"));
        whole.insert("usr/new".to_owned(), Entry { uid: 20_001, ..folder() });
        assert_eq!(paths(&added(&base, &whole).unwrap()), ["usr/a", "usr/b", "usr/c", "usr/new"]);
        whole.remove("usr/d");
        let error = added(&base, &whole).unwrap_err().to_string();
        assert!(error.contains("/usr/d"), "a layer can't take away: {error}");
        let base = tree(&[("usr", folder()), ("usr/empty", folder())]);
        assert_eq!(paths(&added(&base, &tree(&[("usr", folder())])).unwrap()), [] as [&str; 0]);
    }

    #[test]
    fn files_of_an_app_lie_in_its_own_tree() {
        let community = crate::trees::testing::folder(&[
            ("images/apps/broker/app.toml", &testing::facts(29_999)),
            ("images/apps/broker/files/etc/broker.conf", "ours\n"),
        ]);
        let apps = Apps::load(&testing::with(&community)).unwrap();
        let mut tree = Tree::default();
        finish(&mut tree, &apps, Some(apps.app("broker").unwrap()), None).unwrap();
        assert_eq!(tree.get("etc/broker.conf").unwrap().origin.to_string(), "images/apps/broker/files/etc/broker.conf");
    }

    #[test]
    fn the_app_s_user_is_named_once_and_has_no_password() {
        let masters = Masters { passwd: "root:*:0:0:root:/root:/bin/bash\n".to_owned(), group: "root:*:0:\n".to_owned() };
        let text = include_str!("../../../images/apps/mosquitto/app.toml");
        let app = contract::apps::read(Path::new("images/apps/mosquitto/app.toml"), text).unwrap();
        let mut tree = Tree::default();
        masters.put(&mut tree, Some(&app));
        let read = |path: &str| match &tree.get(path).unwrap().kind {
            Kind::File(content) => String::from_utf8(content.read().unwrap().to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        let uid = app.run.uid;
        assert_eq!(read("etc/passwd").lines().last(), Some(format!("mosquitto:*:{uid}:{uid}::/nonexistent:/usr/sbin/nologin").as_str()));
        assert_eq!(read("etc/group").lines().last(), Some(format!("mosquitto:*:{uid}:").as_str()));
    }

    #[test]
    fn the_bundle_is_all_certificates_each_on_lines_of_its_own() {
        let tree = tree(&[
            ("usr/share/ca-certificates/mozilla/a.crt", file("A")),
            ("usr/share/ca-certificates/mozilla/b.crt", file("B\n")),
            ("usr/share/ca-certificates/readme", file("no")),
        ]);
        assert_eq!(bundle(&tree).unwrap(), Some(b"A\nB\n".to_vec()));
        assert_eq!(bundle(&Tree::default()).unwrap(), None);
    }
}

//! Blobs that are apps: which of them the catalog waits for, and which this node gives.

use super::held::Taking;
use super::{BlobView, Blobs, Refused, Visibility, hash_of};
use crate::net::{AppImage, BlobFacts, Form, PART_BYTES, Registry};
use std::sync::Arc;

impl Blobs {
    /// Begins to fetch an app that `may` come, which goes into the catalog once it is here; with `replace` in place of a signed catalog's app
    /// of that name too.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn fetch_app(
        self: &Arc<Self>,
        registry: Option<&Registry>,
        hash: &str,
        replace: bool,
        may: impl Fn(&AppImage) -> Result<(), Refused>,
    ) -> Result<BlobView, Refused> {
        let fits = |facts: &BlobFacts| facts.app.as_ref().map_or(Ok(()), &may);
        // What is here already may have been told to be another app than it is told to be now.
        if let Ok(here) = self.one(hash) {
            fits(&here.facts)?;
        }
        self.fetch_as(registry, hash, Taking::Wanted { replace }, fits).await
    }

    /// Likewise, if it is told of by all as this app, and so large.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn fetch_this_app(
        self: &Arc<Self>,
        registry: Option<&Registry>,
        hash: &str,
        app: &AppImage,
        size_bytes: u64,
        replace: bool,
    ) -> Result<BlobView, Refused> {
        let other = || Refused::Wrong(format!("what nodes tell of `{hash}` is not the app that was offered"));
        let fits = |facts: &BlobFacts| match facts.app.as_ref() == Some(app) && facts.size_bytes == size_bytes {
            true => Ok(()),
            false => Err(other()),
        };
        // What is here already is taken as what it was told to be then.
        if let Ok(here) = self.one(hash) {
            fits(&here.facts)?;
        }
        self.fetch_as(registry, hash, Taking::Wanted { replace }, fits).await
    }

    /// Begins to fetch an app of which a signed catalog says what it is and how large: what nodes tell of it does not matter.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn fetch_signed_app(self: &Arc<Self>, hash: &str, app: AppImage, size_bytes: u64) -> Result<BlobView, Refused> {
        let id = hash_of(hash)?;
        let form = if size_bytes > PART_BYTES { Form::HashSeq } else { Form::Raw };
        let facts = BlobFacts { size_bytes, form, ..BlobFacts::of_app(app.clone()) };
        facts.check().map_err(Refused::Wrong)?;
        let held = self.kept().blobs.get(hash).map(|held| (held.complete, held.facts.size_bytes));
        match held {
            // It was begun as something that it can't be.
            Some((false, other)) if other != size_bytes => self.remove(hash).await?,
            Some(_) => {
                // What was seen to be another app is that, whatever a catalog says: it would come into the store in place of what it is.
                let seen = self.kept().blobs.get(hash).filter(|held| held.taking == Taking::Taken).and_then(|held| held.facts.app.clone());
                if seen.is_some_and(|seen| (&seen.name, &seen.index) != (&app.name, &app.index)) {
                    return Err(Refused::Wrong(format!("`{hash}` is another app than the catalog says: tell its publisher")));
                }
                self.want_app(hash, Some(app), Taking::Wanted { replace: false }).await?;
                return self.hope(hash);
            }
            None => {}
        }
        self.to_its_end(move |blobs| async move { blobs.begin(id, facts, Taking::Wanted { replace: false }).await }).await
    }

    /// The catalog does not wait for it any more, if it did.
    pub async fn want_no_more(self: &Arc<Self>, hash: &str) {
        if self.one(hash).is_ok_and(|blob| blob.here.is_some_and(|here| matches!(here.taking, Taking::Wanted { .. })))
            && let Err(error) = self.app_is_taken(hash, Some("nobody wants it any more".to_owned())).await
        {
            log::error!(hash, error:%; "that an app is not wanted any more can't be noted");
        }
    }

    /// Notes that and how the catalog waits for a blob that is held, and what its holders say of it now.
    pub(super) async fn want_app(self: &Arc<Self>, hash: &str, said: Option<AppImage>, wish: Taking) -> Result<(), Refused> {
        let hash = hash.to_owned();
        self.alter(move |kept| {
            let held = kept.blobs.get_mut(&hash).ok_or_else(|| Refused::NotHere(hash.clone()))?;
            // What this node has seen itself counts more than what others say.
            if held.taking != Taking::Taken && said.is_some() {
                held.facts.app.clone_from(&said);
            }
            if held.facts.app.is_none() {
                return Err(no_app(&hash));
            }
            held.taking = wish;
            Ok(())
        })
        .await
    }

    /// Whole ones that the catalog waits for.
    pub fn apps_wanted(&self) -> Vec<(String, AppImage)> {
        self.apps(|held| held.complete && matches!(held.taking, Taking::Wanted { .. }))
    }

    /// Whether an app may take the place of a signed catalog's; none where it is not waited for any more.
    pub fn may_replace(&self, hash: &str) -> Option<bool> {
        self.kept().blobs.get(hash).and_then(|held| if let Taking::Wanted { replace } = held.taking { Some(replace) } else { None })
    }

    /// Those that this node gives of its own accord: not what it fetched.
    pub fn apps_given(&self) -> Vec<(String, AppImage)> {
        self.apps(|held| held.complete && held.pinned && held.visibility > Visibility::Private && held.taking == Taking::Taken)
    }

    /// For whom an app is that is given to members: what everybody may read stays so.
    pub fn app_is_for(&self, name: &str) -> Visibility {
        let given = self.apps_given().into_iter().find(|(_, app)| app.name == name);
        let now = given.and_then(|(hash, _)| self.one(&hash).ok()?.here).map(|here| here.visibility);
        now.unwrap_or_default().max(Visibility::Community)
    }

    fn apps(&self, which: impl Fn(&super::held::Held) -> bool) -> Vec<(String, AppImage)> {
        let kept = self.kept();
        let apps = kept.blobs.iter().filter(|(_, held)| which(held));
        apps.filter_map(|(hash, held)| Some((hash.clone(), held.facts.app.clone()?))).collect()
    }

    /// Notes that the catalog has an app, or why not.
    ///
    /// # Errors
    /// It can't be written.
    pub async fn app_is_taken(self: &Arc<Self>, hash: &str, why_not: Option<String>) -> Result<(), Refused> {
        let hash = hash.to_owned();
        self.alter(move |kept| {
            let taking = why_not.map_or(Taking::Taken, |why| Taking::Refused { why });
            kept.blobs.get_mut(&hash).into_iter().for_each(|held| held.taking = taking.clone());
            Ok(())
        })
        .await
    }

    /// Waits until something of blobs has changed.
    pub async fn app_may_have_come(&self) {
        self.settled.notified().await;
    }
}

pub(super) fn no_app(hash: &str) -> Refused {
    Refused::Wrong(format!(
        "`{hash}` is no app, or in words that this version does not know: `cloudy app found` lists those that there are"
    ))
}

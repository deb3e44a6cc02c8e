//! An app's build: packages → trees → layers → images → index.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use super::oci::{self, Descriptor, Layer, Layout};
use super::plan::{AppPlan, ImagePlan};
use super::{APP_FILE, Apps, lints, tree};
use crate::parallel;
use crate::stages::Workshop;

/// Builds an app's images into `layout` and names their index there. The packages are in the cache.
pub fn app(shop: &Workshop, apps: &Apps, plan: &AppPlan<'_>, layout: &Layout) -> Result<Descriptor> {
    let built = Mutex::new(Vec::new());
    let each: Vec<(usize, &ImagePlan)> = plan.images.iter().enumerate().collect();
    parallel::for_each(&each, parallel::processors(), |(place, image)| {
        let layers =
            layers(shop, apps, plan, image, layout).with_context(|| format!("failed to build {} for {}", plan.app.name, image.arch))?;
        let manifest = oci::image(layout, plan.app, image, &layers)?;
        built.lock().unwrap_or_else(PoisonError::into_inner).push((*place, manifest));
        Ok(())
    })?;
    let mut built = built.into_inner().unwrap_or_else(PoisonError::into_inner);
    built.sort_by_key(|(place, _)| *place);
    let index = oci::index(layout, built.into_iter().map(|(_, manifest)| manifest).collect())?;
    let folder = apps.root(Some(plan.app)).join(Apps::folder(Some(plan.app)));
    let read = |name: &str| std::fs::read(folder.join(name)).with_context(|| format!("failed to read `{}`", folder.join(name).display()));
    let icon = plan.app.icon.as_ref().map(|icon| read(icon)).transpose()?;
    let beside = layout.facts(&read(APP_FILE)?, icon.as_deref())?;
    layout.name(&plan.app.name, &index, &beside)?;
    Ok(index)
}

fn layers(shop: &Workshop, apps: &Apps, plan: &AppPlan<'_>, image: &ImagePlan, layout: &Layout) -> Result<Vec<Layer>> {
    let base = tree::base(&shop.cache, apps, image)?;
    let whole = tree::whole(&shop.cache, apps, plan.app, image)?;
    lints::check(plan.app, image.arch, &whole)?;
    let own = tree::added(&base, &whole)?;
    let tools = shop.tools.sandbox();
    Ok(vec![oci::layer(&tools, &shop.cache, layout, &base, image.base_epoch)?, oci::layer(&tools, &shop.cache, layout, &own, image.epoch)?])
}

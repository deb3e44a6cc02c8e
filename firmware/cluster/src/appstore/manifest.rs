//! Who may write in an app that has an owner: a manifest that the owner signs. Any node may carry it.

use super::App;
use crate::{
    keys::{self, CommunityId, Key, NodeId, Purpose, Signature},
    records::record::MAX_VALUE_BYTES,
    wire::{self, WireError},
};
use serde::{Deserialize, Serialize};

/// Most writers that a manifest names.
pub const MAX_NAMED: usize = 96;

/// Who may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writers {
    /// Every member.
    All,
    /// These owners' nodes and these nodes, and the app's owner.
    Only(Vec<Key>),
}

/// A signed manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    app: String,
    owner: Key,
    version: u64,
    writers: Writers,
    signature: Signature,
}

/// Why a manifest is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not of this app.
    #[error("the manifest is not of this app's owner")]
    NotTheOwner,
    /// Too many writers.
    #[error("it names {0} writers, where {MAX_NAMED} are allowed")]
    TooMany(usize),
    /// Signature.
    #[error("its signature is wrong")]
    Signature,
    /// Malformed.
    #[error("it can't be read: {0}")]
    Wire(#[from] WireError),
}

impl Manifest {
    /// Signs a manifest with the owner's secret key. The highest version counts.
    #[must_use]
    pub fn sign(owner_seed: &[u8; 32], community: CommunityId, app: &App, version: u64, writers: Writers) -> Self {
        let (app, owner) = (app.as_str().to_owned(), Key::of_seed(owner_seed));
        let signature = keys::sign(owner_seed, Purpose::Manifest, &wire::encode(&(community, &app, owner, version, &writers)));
        Self { app, owner, version, writers, signature }
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Who may write.
    #[must_use]
    pub fn writers(&self) -> &Writers {
        &self.writers
    }

    /// The manifest as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads and verifies a manifest of an app.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn read(bytes: &[u8], community: CommunityId, app: &App) -> Result<Self, ManifestError> {
        let manifest: Self = wire::decode(bytes, MAX_VALUE_BYTES)?;
        if manifest.app != app.as_str() || !app.is_of(&manifest.owner) {
            return Err(ManifestError::NotTheOwner);
        }
        if let Writers::Only(named) = &manifest.writers
            && named.len() > MAX_NAMED
        {
            return Err(ManifestError::TooMany(named.len()));
        }
        let signed = wire::encode(&(community, &manifest.app, manifest.owner, manifest.version, &manifest.writers));
        if !manifest.owner.verifies(Purpose::Manifest, &signed, &manifest.signature) {
            return Err(ManifestError::Signature);
        }
        Ok(manifest)
    }

    /// Which of two manifests of an app counts: the greater.
    #[must_use]
    pub fn rank(&self) -> (u64, Vec<u8>) {
        (self.version, self.to_bytes())
    }
}

/// Whether a node of an owner may write in an app whose newest manifest is `manifest`. An app without an owner is open
/// to all members; one with an owner and no manifest is its owner's alone.
#[must_use]
pub fn may_write(app: &App, manifest: Option<&Manifest>, node: &NodeId, owner: &Key) -> bool {
    if !app.is_owned() || app.is_of(owner) || app.is_of(node) {
        return true;
    }
    match manifest.map(Manifest::writers) {
        Some(Writers::All) => true,
        Some(Writers::Only(named)) => named.contains(node) || named.contains(owner),
        None => false,
    }
}

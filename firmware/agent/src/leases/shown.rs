//! Leases as they are shown: `/api/v1/leases`. No value of a setting stands in any of them.

use super::plan::Stands;
use super::policy::Policy;
use super::record::Lent;
use crate::net::AppImage;
use serde::Serialize;

/// All leases of this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Leases))]
#[serde(rename_all = "kebab-case")]
pub struct LeasesView {
    /// Apps of this node that others run, or are asked to.
    pub given: Vec<GivenView>,
    /// Apps of others that this node runs, or is asked to.
    pub held: Vec<HeldView>,
    /// What becomes of offers before anybody looks at them.
    pub policy: Policy,
    /// Apps of this node of which copies are kept on others.
    pub replicas: Vec<ReplicasView>,
}

/// An app of which copies are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Replicas))]
#[serde(rename_all = "kebab-case")]
pub struct ReplicasView {
    /// The app's name.
    pub app: String,
    /// How many are wanted.
    pub wanted: u16,
    /// How many run, on nodes that are there.
    pub running: u16,
    /// How many are asked for or on their way.
    pub coming: u16,
    /// How many are on nodes that are gone: after 300 seconds they are made elsewhere.
    pub gone: u16,
    /// How many more are wanted than there are nodes that could be asked now.
    pub missing: u16,
    /// Nodes that are not asked for a week, since they said no or it came to nothing there; setting the number anew asks them again.
    pub left_alone: u16,
    /// Which settings are made.
    pub settings: Vec<String>,
    /// Why it does not go on, if it does not.
    pub why: String,
}

/// An app of this node on another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LeaseOfOurs))]
#[serde(rename_all = "kebab-case")]
pub struct GivenView {
    /// The lease: 32 hexadecimal digits.
    pub id: String,
    /// The app's name.
    pub app: String,
    /// The other node's id.
    pub node: String,
    /// Its name; empty while it is not known.
    pub node_name: String,
    /// Whether nobody else may run it meanwhile.
    pub exclusive: bool,
    /// How long the other node runs it without hearing of this one.
    pub term_seconds: u32,
    /// How it stands.
    pub state: Lent,
    /// Why it is over, or ends.
    pub why: String,
    /// When it was offered, in seconds since 1970 by this node's clock.
    pub offered: u64,
    /// Of one that ends: seconds until nobody runs it any more for certain, whatever is heard.
    pub free_in_seconds: Option<u64>,
}

/// An app of another node on this one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = LeaseOfOthers))]
#[serde(rename_all = "kebab-case")]
pub struct HeldView {
    /// The lease: 32 hexadecimal digits.
    pub id: String,
    /// The app, as its lender says.
    pub app: AppImage,
    /// Bytes to fetch.
    pub size_bytes: u64,
    /// Which settings its lender made.
    pub settings: Vec<String>,
    /// What its lender says.
    pub note: String,
    /// The lender's id.
    pub node: String,
    /// Its name; empty while it is not known.
    pub node_name: String,
    /// Whether nobody else may run it meanwhile.
    pub exclusive: bool,
    /// How long it runs without hearing of its lender.
    pub term_seconds: u32,
    /// How it stands.
    pub state: Stands,
    /// Why it is over, or ends.
    pub why: String,
    /// When it was offered, in seconds since 1970 by this node's clock.
    pub offered: u64,
    /// Seconds that it may run for, if nothing is heard meanwhile.
    pub time_left_seconds: Option<u64>,
    /// The job that installs it.
    pub job: Option<u64>,
    /// Whether it would put another version of an app into the catalog.
    pub replaces: bool,
}

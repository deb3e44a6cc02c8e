//! The microcloud core, sans-IO: who belongs to a community, who is there, what they tell each other.
//!
//! Nothing here opens a socket or a file, reads a clock or draws randomness by itself: callers pass those in,
//! so that a simulator runs exactly what is shipped.
//!
//! `keys → wire, text → admission (kit, invite, certificate) → card, revocation, admins → roster → membership → node`: who is there;
//! `hello, words → node`: how strangers come in;
//! `store → records (record, head, view, replica)`: what they say to all; `records → appstore`: what apps say;
//! `store → messages`: what one says to one; `messages → leases`: apps on somebody else's node; `keys → catalog`: apps that somebody
//! publishes.

pub mod admins;
pub mod admission;
pub mod appstore;
pub mod card;
pub mod catalog;
pub mod clock;
pub mod clocks;
pub mod farewell;
pub mod health;
pub mod hello;
pub mod keys;
pub mod kit;
pub mod leases;
pub mod membership;
pub mod messages;
pub mod node;
pub mod records;
pub mod revocation;
pub mod roster;
pub mod store;
pub mod sync;
pub mod text;
pub mod wire;
pub mod words;

pub use admission::{Certificate, Founding, Invite, Refusal, Seed, Terms, Token};
pub use card::Card;
pub use clock::{Clock, Millis};
pub use keys::{CommunityId, NodeId};
pub use kit::Kit;

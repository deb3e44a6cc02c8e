//! Disks that a node's system is written to, for `cargo xtask flash`, `cargo xtask image` and `cloudy install-to` alike: which
//! there are ([`Host`]), which may be written ([`rules`]), what is put on them ([`parts`], [`Arranged`]), and writing it so that
//! a cut leaves no node ([`write()`]).

mod arrange;
mod content;
pub mod fat;
mod host;
pub mod parts;
pub mod rules;
#[cfg(feature = "read-fat")]
mod window;
mod write;

pub use arrange::{ArrangeError, Arranged, Segment};
pub use content::Content;
pub use host::{Disk, Found, Host, Use, partitions};
pub use parts::{MakeError, Part};
pub use rules::{Needs, Refusal};
#[cfg(feature = "read-fat")]
pub use window::Window;
pub use write::{BoxError, HELD_BACK_BYTES, Phase, Piece, Progress, Source, TABLE_BYTES, WriteError, Written, write};

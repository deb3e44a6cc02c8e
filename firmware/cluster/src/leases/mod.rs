//! Apps on somebody else's node: a signed offer, a signed lease, and the clocks that both sides keep of it.
//!
//! ```text
//! lender: offer ──message──→ holder: its owner or policy decides ──lease──→ lender
//! holder: may I go on? ──question──→ lender: yes ─→ the holder may run it for the term, from when it asked
//! ```
//! - Architecture invariant: no node obeys another. An offer is a question, and an app runs only while both sides want it.
//! - Architecture invariant: of an exclusive app, one holder runs at most. The holder counts the term from when it asked,
//!   the lender the term and a tenth from when it answered: that is later, however long anything took on its way. Neither
//!   reads a wall clock; whoever was restarted takes the worse of what it can't know.

mod clocks;
mod statement;

pub use clocks::{Holding, Lending};
pub use statement::{Answer, Lease, LeaseId, MAX_ABOUT_BYTES, MAX_QUESTION_BYTES, MAX_REASON_BYTES, Offer, Question, Said, Terms};

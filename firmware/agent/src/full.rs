//! A full disk, said in words (pure): Docker, its programs and the system bury it in a path of their own.

use crate::broker::Failure;

/// What is said of it.
const SAID: [&str; 2] = ["no space left on device", "disk quota exceeded"];
/// What a person reads first.
const WHY: &str = "the node's disk is full: make room, for example by removing an app with its data that nobody needs, and try again";

/// What a person reads first, if a full disk is what went wrong.
pub fn why(said: &str) -> Option<&'static str> {
    let said = said.to_lowercase();
    SAID.iter().any(|full| said.contains(full)).then_some(WHY)
}

/// The same where what was put out is not Docker's alone, so that only the error itself says what went wrong.
pub fn explained_by_error(failure: Failure) -> Failure {
    if why(&failure.error).is_some() { explained(failure) } else { failure }
}

/// A failure because of a full disk begins with that, and with what helps; others are as they are.
pub fn explained(failure: Failure) -> Failure {
    match why(&failure.error).or_else(|| why(&failure.output)) {
        Some(why) if !failure.error.contains(why) => Failure { error: format!("{why} ({})", failure.error), ..failure },
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_first_and_nothing_else_is_changed() {
        let failure = |error: &str, output: &str| Failure { error: error.to_owned(), output: output.to_owned() };
        let full = explained(failure("pulling the image: failed to register layer: write /x: no space left on device", "y"));
        assert!(
            full.error.starts_with("the node's disk is full: make room") && full.error.ends_with("no space left on device)"),
            "{full:?}"
        );
        assert_eq!(full.output, "y");
        assert_eq!(explained(full.clone()), full, "once is enough");
        // Compose says it beside its status, the system with a capital letter.
        let compose = explained(failure("`docker compose up` ended with exit status: 1", "mkdir /x: No space left on device"));
        assert!(compose.error.starts_with("the node's disk is full") && compose.error.ends_with("exit status: 1)"), "{compose:?}");
        assert!(explained(failure("x", "open /y: Disk quota exceeded")).error.contains("disk is full"));
        // An app may have filled a small disk of its own.
        let app = failure("the app is not well after 60 s", "write /dev/shm/x: No space left on device");
        assert_eq!(explained_by_error(app.clone()), app);
        assert_eq!(
            explained_by_error(failure("write: no space left on device", "")),
            explained(failure("write: no space left on device", ""))
        );
        let other = failure("pulling the image: no such host", "the disk");
        assert_eq!(explained(other.clone()), other);
    }
}

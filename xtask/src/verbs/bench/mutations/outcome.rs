//! What `cargo test` made of it, read from what it printed. Pure.

/// What came of running a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All passed, so many.
    Passed(usize),
    /// These failed.
    Failed(Vec<String>),
    /// It does not compile, and why.
    NotCompiled(String),
    /// It ended in another way: neither passed nor failed.
    Neither(String),
}

/// Reads the standard output of `cargo test`; `status` is how it ended.
pub fn read(stdout: &str, status: Option<i32>, seconds: u64) -> Outcome {
    let failed: Vec<String> = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .map(|name| name.strip_suffix(" - should panic").unwrap_or(name).to_owned())
        .collect();
    match status {
        Some(0) => Outcome::Passed(passed(stdout)),
        Some(TIMED_OUT | KILLED) => Outcome::Neither(format!("did not end within {seconds} s")),
        _ if !failed.is_empty() => Outcome::Failed(failed),
        _ => Outcome::Neither("ended without a word on any test".to_owned()),
    }
}

/// As timeout(1) has it.
const TIMED_OUT: i32 = 124;
const KILLED: i32 = 137;

/// Why the compiler gave up: its first error.
pub fn not_compiled(stderr: &str) -> Outcome {
    let first = stderr.lines().find(|line| line.starts_with("error")).or_else(|| stderr.lines().last());
    Outcome::NotCompiled(first.unwrap_or("it said nothing").to_owned())
}

/// How many tests passed, over all of its lines `test result: ok. 3 passed; …`.
fn passed(stdout: &str) -> usize {
    let results = stdout.lines().filter_map(|line| line.strip_prefix("test result: ")?.split_once(". "));
    results.filter_map(|(_, counts)| counts.split_once(" passed")?.0.parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "running 2 tests\ntest a::one ... ok\ntest a::two ... ok\n\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 40 filtered out; finished in 0.01s\n\n\
        running 1 test\ntest three ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored\n";

    #[test]
    fn what_passed_is_counted_over_all_programs() {
        assert_eq!(read(GOOD, Some(0), 9), Outcome::Passed(3));
        assert_eq!(read("running 0 tests\n\ntest result: ok. 0 passed; 0 failed\n", Some(0), 9), Outcome::Passed(0));
        assert_eq!(read("", Some(0), 9), Outcome::Passed(0));
    }

    #[test]
    fn what_failed_is_named_and_what_did_neither_is_said() {
        let bad = GOOD.replace("a::two ... ok", "a::two - should panic ... FAILED").replace("three ... ok", "three ... FAILED");
        assert_eq!(read(&bad, Some(101), 9), Outcome::Failed(vec!["a::two".to_owned(), "three".to_owned()]));
        assert!(matches!(read(GOOD, Some(101), 9), Outcome::Neither(_)));
        assert!(matches!(read(GOOD, None, 9), Outcome::Neither(_)));
        assert_eq!(read(&bad, Some(124), 9), Outcome::Neither("did not end within 9 s".to_owned()));
    }

    #[test]
    fn the_first_error_of_the_compiler_is_shown() {
        let stderr = "   Compiling x\nwarning: unused\nerror[E0308]: mismatched types\nerror: could not compile `x`\n";
        assert_eq!(not_compiled(stderr), Outcome::NotCompiled("error[E0308]: mismatched types".to_owned()));
    }
}

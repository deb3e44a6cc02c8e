//! `ci/mutations.toml`: how the code is broken, and which test must notice. Pure.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::board::{ParseError, parse};

/// Where the mutations stand.
pub const FILE: &str = "ci/mutations.toml";

/// Every mutation as it is written; unknown keys are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawMutations {
    mutation: Vec<RawMutation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawMutation {
    property: Spanned<String>,
    file: Spanned<String>,
    from: Spanned<String>,
    to: Spanned<String>,
    test: Spanned<Vec<String>>,
}

/// One way to break the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// What holds no more, in a sentence.
    pub property: String,
    /// The file, from the repository's root.
    pub file: String,
    /// What stands there once.
    from: String,
    /// What stands there instead.
    to: String,
    /// The words after `cargo test`; they begin with `-p PACKAGE`.
    pub test: Vec<String>,
}

/// What can't be done: each with its place.
#[derive(Debug, thiserror::Error)]
#[error("the mutations are not right:{}", .0.iter().map(|error| format!("\n  {error}")).collect::<String>())]
pub struct Wrong(Vec<ParseError>);

impl Mutation {
    /// The file's text, broken.
    pub fn applied(&self, text: &str) -> String {
        text.replacen(&self.from, &self.to, 1)
    }

    /// The package whose tests are run.
    pub fn package(&self) -> &str {
        self.test.get(1).map_or("", String::as_str)
    }

    /// Whether a person who gave that word means it.
    pub fn is_meant(&self, word: &str) -> bool {
        self.property.contains(word) || self.file.contains(word)
    }
}

/// Reads and checks the mutations; `text_of` gives the text of a file of the repository. Those of one package, and there those
/// of one test, follow each other.
pub fn plan(text: &str, text_of: impl Fn(&str) -> Option<String>) -> Result<Vec<Mutation>, Wrong> {
    let path = Path::new(FILE);
    let raw: RawMutations = parse(path, text).map_err(|error| Wrong(vec![error]))?;
    let mut wrong = Vec::new();
    let mut planned: Vec<Mutation> = Vec::new();
    for raw in raw.mutation {
        let mut found: Vec<(std::ops::Range<usize>, String)> = Vec::new();
        let mut add = |span, what: &str| found.push((span, what.to_owned()));
        if raw.property.get_ref().trim().is_empty() {
            add(raw.property.span(), "a property is a sentence");
        }
        if raw.from.get_ref() == raw.to.get_ref() {
            add(raw.to.span(), "`from` and `to` are the same");
        }
        match raw.test.get_ref().as_slice() {
            words if words.iter().any(|word| word.trim().is_empty()) => add(raw.test.span(), "an empty word is no word of a test"),
            [option, _, ..] if option == "-p" => {}
            _ => add(raw.test.span(), "the words of a test begin with `-p` and a package"),
        }
        let file = raw.file.get_ref();
        let text_there = if is_inside(file) { text_of(file) } else { None };
        match text_there.map(|text| text.matches(raw.from.get_ref().as_str()).count()) {
            None => add(raw.file.span(), &format!("`{file}` is no file of the repository")),
            Some(_) if raw.from.get_ref().is_empty() => add(raw.from.span(), "`from` is empty"),
            Some(1) => {}
            Some(count) => add(raw.from.span(), &format!("this stands {count} times in `{file}` and must stand there once")),
        }
        wrong.extend(found.into_iter().map(|(span, what)| ParseError::at(path, text, span, what)));
        planned.push(Mutation {
            property: raw.property.into_inner(),
            file: raw.file.into_inner(),
            from: raw.from.into_inner(),
            to: raw.to.into_inner(),
            test: raw.test.into_inner(),
        });
    }
    planned.sort_by(|one, other| (one.package(), &one.test).cmp(&(other.package(), &other.test)));
    if wrong.is_empty() { Ok(planned) } else { Err(Wrong(wrong)) }
}

/// Whether a path leads to something below the root.
fn is_inside(path: &str) -> bool {
    !path.is_empty() && !path.contains('\\') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str =
        "[[mutation]]\nproperty = \"A holds.\"\nfile = \"a/b.rs\"\nfrom = \"1 < 2\"\nto = \"1 > 2\"\ntest = [\"-p\", \"a\", \"x\"]\n";

    fn text_of(file: &str) -> Option<String> {
        ["a/b.rs", "../b.rs"].contains(&file).then(|| "if 1 < 2 { twice twice }\n".to_owned())
    }

    #[test]
    fn a_mutation_is_read_and_applied_once() {
        let planned = plan(ONE, text_of).unwrap();
        assert_eq!((planned.len(), planned[0].package()), (1, "a"));
        assert_eq!(planned[0].applied("if 1 < 2 {"), "if 1 > 2 {");
        assert!(planned[0].is_meant("holds") && planned[0].is_meant("b.rs") && !planned[0].is_meant("c.rs"));
    }

    #[test]
    fn what_can_t_be_planned_is_named_with_its_place() {
        for (from, to, wanted) in [
            ("\"A holds.\"", "\" \"", "ci/mutations.toml:2:12: a property is a sentence"),
            ("property", "propety", "ci/mutations.toml:2:1: unknown key `propety`; did you mean `property`?"),
            ("a/b.rs", "a/c.rs", "3:8: `a/c.rs` is no file of the repository"),
            ("a/b.rs", "../b.rs", "3:8: `../b.rs` is no file of the repository"),
            ("a/b.rs", "/b.rs", "3:8: `/b.rs` is no file"),
            ("1 < 2", "3 < 4", "4:8: this stands 0 times in `a/b.rs`"),
            ("1 < 2", "twice", "4:8: this stands 2 times in `a/b.rs` and must stand there once"),
            ("1 < 2", "", "4:8: `from` is empty"),
            ("1 > 2", "1 < 2", "5:6: `from` and `to` are the same"),
            ("[\"-p\", \"a\", \"x\"]", "[]", "6:8: the words of a test begin with `-p` and a package"),
            ("\"-p\", ", "", "6:8: the words of a test begin"),
            ("\"x\"]", "\"\"]", "6:8: an empty word"),
        ] {
            let text = ONE.replacen(from, to, 1);
            assert_ne!(text, ONE, "{from}");
            let error = plan(&text, text_of).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}\nshould have\n{wanted}");
        }
        let two = format!("{ONE}{}", ONE.replace("a/b.rs", "gone")).replace("\"x\"", "\"\"");
        assert_eq!(plan(&two, text_of).unwrap_err().0.len(), 3, "all of it is said at once");
    }

    #[test]
    fn what_shares_a_test_follows_each_other() {
        let of = |words: &str| ONE.replace("\"a\", \"x\"", words);
        let text = ["\"b\", \"x\"", "\"a\", \"y\"", "\"b\"", "\"a\", \"x\"", "\"a\", \"y\""].map(of).concat();
        let tests: Vec<String> = plan(&text, text_of).unwrap().iter().map(|mutation| mutation.test[1..].join(" ")).collect();
        assert_eq!(tests, ["a x", "a y", "a y", "b", "b x"]);
    }

    /// So that the data can't rot: who changes such a line says here anew how it would be broken.
    #[test]
    fn every_mutation_of_the_repo_still_has_its_place() {
        let repo = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |file: &str| std::fs::read_to_string(repo.join(file)).ok();
        let planned = plan(&read(FILE).unwrap(), read).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(planned.len() >= 35, "{}", planned.len());
    }
}

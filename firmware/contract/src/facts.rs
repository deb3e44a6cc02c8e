//! Facts in TOML (boards, flavours, apps), read with errors that a person can act on: file, line, column, the nearest allowed name and all that are allowed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;

/// Something wrong at one place of a TOML file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {message}", .path.display())]
pub struct ParseError {
    /// The file as it was named to the parser.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, and the mend where one is known.
    pub message: String,
}

impl ParseError {
    /// An error at a byte range of `text`.
    pub fn at(path: &Path, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}

/// Parses `text`, the content of `path`, into `T`.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ParseError> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        ParseError::at(path, text, span, explain(error.message()))
    })
}

/// The texts of a list, each of them `good` and none there twice; `error` makes an error at one of them. `what` says what
/// they are.
pub fn distinct<E>(
    list: &[Spanned<String>],
    what: &str,
    good: impl Fn(&str) -> bool,
    error: impl Fn(&Spanned<String>, String) -> E,
) -> Result<Vec<String>, E> {
    let mut seen = Vec::<String>::new();
    for item in list {
        let text = item.get_ref();
        if !good(text) {
            return Err(error(item, format!("`{text}` is no {what}")));
        }
        if seen.contains(text) {
            return Err(error(item, format!("`{text}` stands here twice")));
        }
        seen.push(text.clone());
    }
    Ok(seen)
}

/// The nearest of `allowed` to `given`, where one is near enough to be a slip of the finger.
pub fn nearest<'a>(given: &str, allowed: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let farthest = given.chars().count().max(3) / 3 + 1;
    allowed
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .filter(|(distance, _)| *distance <= farthest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// "; did you mean `x`?" where a near name exists, and what is allowed.
pub fn suggestion(given: &str, allowed: &[&str]) -> String {
    let near = nearest(given, allowed.iter().copied()).map(|name| format!("; did you mean `{name}`?")).unwrap_or_else(|| ";".to_owned());
    format!("{near} allowed here: {}", allowed.join(", "))
}

/// Serde's words for an unknown field or variant, turned into ours; any other message is kept.
fn explain(message: &str) -> String {
    for (theirs, ours) in [("unknown field ", "unknown key"), ("unknown variant ", "unknown value")] {
        if let Some(rest) = message.strip_prefix(theirs) {
            let mut names = rest.split('`').skip(1).step_by(2);
            if let Some(given) = names.next() {
                let allowed: Vec<&str> = names.collect();
                return format!("{ours} `{given}`{}", suggestion(given, &allowed));
            }
        }
    }
    message.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    #[expect(dead_code, reason = "only parsed")]
    struct Sample {
        boot_flow: Option<Flow>,
        title: Option<String>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Flow {
        Uefi,
        Uboot,
    }

    fn error(text: &str) -> String {
        parse::<Sample>(Path::new("a/b.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_names_its_place_and_the_nearest() {
        assert_eq!(
            error("title = \"ü\"\nboot-flw = 1\n"),
            "a/b.toml:2:1: unknown key `boot-flw`; did you mean `boot-flow`? allowed here: boot-flow, title"
        );
    }

    #[test]
    fn a_far_key_gets_the_list_alone() {
        assert_eq!(error("zzzzzzzz = 1"), "a/b.toml:1:1: unknown key `zzzzzzzz`; allowed here: boot-flow, title");
    }

    #[test]
    fn an_unknown_value_too() {
        assert_eq!(error("boot-flow = \"ueif\""), "a/b.toml:1:13: unknown value `ueif`; did you mean `uefi`? allowed here: uefi, uboot");
    }

    #[test]
    fn columns_count_characters() {
        let text = "title = \"üü\" x";
        assert!(error(text).starts_with("a/b.toml:1:14: "), "{}", error(text));
    }
}

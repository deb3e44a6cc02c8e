//! Words that the parsers of this folder share: where in a file something stands, and what names may hold.

use std::path::Path;

use anyhow::anyhow;

/// An error at byte `offset` of the text of `file`: `file:line:column: what`.
pub fn error_at(file: &Path, text: &str, offset: usize, what: impl std::fmt::Display) -> anyhow::Error {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count() + 1;
    anyhow!("{}:{line}:{column}: {what}", file.display())
}

/// A parse error of the `toml` crate, with file, line and column.
pub fn toml_error(file: &Path, text: &str, error: &toml::de::Error) -> anyhow::Error {
    error_at(file, text, error.span().map_or(0, |span| span.start), error.message())
}

/// Whether `name` is a package name as Debian's policy (5.6.1) has it.
pub fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

/// Whether `version` is made of what a Debian version may hold (policy 5.6.12).
pub fn is_version(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_digit()) && version.chars().all(|c| c.is_ascii_alphanumeric() || "+-.~:".contains(c))
}

/// Whether `word` is a plain lower-case word such as an architecture or a source's key.
pub fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Whether `path` is relative and normal, made of what a pool path holds: nothing that could leave a folder.
pub fn is_pool_path(path: &str) -> bool {
    path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && path.chars().all(|c| c.is_ascii_alphanumeric() || "/+-._~:".contains(c))
}

/// Whether `hash` is a sha256 in lower-case hexadecimal.
pub fn is_sha256(hash: &str) -> bool {
    hash.len() == 64 && hash.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'))
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_counted_from_one() {
        let error = error_at(Path::new("f.toml"), "ab\ncdé!", 8, "odd");
        assert_eq!(error.to_string(), "f.toml:2:5: odd");
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for bad in ["", "/etc/passwd", "a/../b", "../a", "a//b", "a/./b", "a/", "a\\b", "a b", "a?b", "a%2e"] {
            assert!(!is_pool_path(bad), "{bad}");
        }
        assert!(is_pool_path("pool/main/d/docker.io/docker.io_26.1.5+dfsg1-9+b9_amd64.deb"));
    }

    #[test]
    fn names_and_versions() {
        assert!(is_package_name("libstdc++6") && is_package_name("7zip") && !is_package_name("A") && !is_package_name("-a"));
        assert!(is_version("1:2.30+dfsg~rc1-3") && !is_version("") && !is_version("1 2") && !is_version("v1"));
        assert_eq!(hex(&[0, 171, 255]), "00abff");
    }
}

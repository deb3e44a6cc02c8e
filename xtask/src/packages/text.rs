//! Words that the parsers of this folder share: what names, versions and paths may hold, hexadecimal, dates.

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

/// Seconds since 1970 of a date as Release files have it: `Sat, 21 Nov 2026 09:15:44 UTC` (RFC 2822, in UTC).
pub fn rfc2822_seconds(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = date.split_once(',').map_or(date, |(_, rest)| rest).split_whitespace();
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok().filter(|part| *part < 61));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !matches!(words.next()?, "UTC" | "GMT" | "+0000") {
        return None;
    }
    // Days since 1970 in the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for bad in ["", "/etc/passwd", "a/../b", "../a", "a//b", "a/./b", "a/", "a\\b", "a b", "a?b", "a%2e"] {
            assert!(!is_pool_path(bad), "{bad}");
        }
        assert!(is_pool_path("pool/main/d/docker.io/docker.io_26.1.5+dfsg1-9+b9_amd64.deb"));
    }

    #[test]
    fn dates() {
        assert_eq!(rfc2822_seconds(" Sat, 21 Nov 2026 09:15:44 UTC"), Some(1_795_252_544));
        assert_eq!(rfc2822_seconds("Thu, 01 Jan 1970 00:00:00 +0000"), Some(0));
        assert_eq!(rfc2822_seconds("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        for bad in [
            "",
            "x",
            "Sat, 21 Foo 2026 09:15:44 UTC",
            "Sat, 21 Nov 2026 09:15:44 +0200",
            "Sat, 0 Nov 2026 09:15:44 UTC",
            "Sat, 21 Nov 2026 9",
        ] {
            assert_eq!(rfc2822_seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_and_versions() {
        assert!(is_package_name("libstdc++6") && is_package_name("7zip") && !is_package_name("A") && !is_package_name("-a"));
        assert!(is_version("1:2.30+dfsg~rc1-3") && !is_version("") && !is_version("1 2") && !is_version("v1"));
    }
}

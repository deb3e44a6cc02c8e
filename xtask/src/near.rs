//! What there is in the place of a path that is not there: an error that only says "missing" leaves people to search.

use std::collections::BTreeSet;

/// So many are shown.
const SHOWN: usize = 5;
/// Characters that make a glob of a path.
const GLOB: [char; 4] = ['*', '?', '[', '{'];

/// In words, to be put behind an error: "; there is `a`, `b`", or nothing where there is nothing.
pub fn words(wanted: &str, there: &[&str]) -> String {
    let found = paths(wanted, there);
    if found.is_empty() {
        String::new()
    } else {
        format!("; there is {}", found.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", "))
    }
}

/// What is next to `wanted` (a path or a glob) among the paths that are `there`: files of its name elsewhere, then what the
/// deepest folder of it that there is holds, the most alike first.
pub fn paths(wanted: &str, there: &[&str]) -> Vec<String> {
    let mut folder = String::new();
    let mut rest = wanted.trim_start_matches('/');
    while let Some((first, after)) = rest.split_once('/') {
        let deeper = format!("{folder}{first}/");
        if first.contains(GLOB) || !there.iter().any(|path| path.starts_with(&deeper)) {
            break;
        }
        (folder, rest) = (deeper, after);
    }
    let last = wanted.rsplit('/').next().unwrap_or(wanted);
    let elsewhere = there.iter().filter(|path| !last.contains(GLOB) && path.rsplit('/').next() == Some(last));
    let mut found: Vec<String> = elsewhere.take(SHOWN).map(|path| (*path).to_owned()).collect();
    let name = match rest.split_once('/') {
        Some((first, _)) if !first.contains(GLOB) => first,
        _ => rest,
    };
    let beside: BTreeSet<&str> = there.iter().filter_map(|path| path.strip_prefix(&folder)?.split('/').next()).collect();
    let mut beside: Vec<(usize, &str)> = beside.into_iter().map(|other| (strsim::damerau_levenshtein(name, other), other)).collect();
    beside.sort_unstable();
    let beside = beside.into_iter().map(|(_, other)| format!("{folder}{other}")).filter(|path| !found.contains(path));
    let more: Vec<String> = beside.take(SHOWN.saturating_sub(found.len())).collect();
    found.extend(more);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: [&str; 5] = ["lib/u-boot/rpi_2/u-boot.bin", "lib/u-boot/rpi_arm64/u-boot.bin", "lib/fw/a.bin", "lib/fw/b/c.bin", "boot/x"];

    fn near(wanted: &str) -> Vec<String> {
        paths(wanted, &THERE)
    }

    #[test]
    fn what_is_most_alike_comes_first() {
        assert_eq!(near("/lib/u-boot/rpi_arm46/u-boot.bin")[..3], [THERE[0], THERE[1], "lib/u-boot/rpi_arm64"]);
        assert_eq!(near("lib/fv/a.bin"), ["lib/fw/a.bin", "lib/fw", "lib/u-boot"]);
        assert_eq!(near("lib/fw/aa.*"), ["lib/fw/a.bin", "lib/fw/b"]);
        assert_eq!(near("lib/fw/bb/{c,d}.bin"), ["lib/fw/b", "lib/fw/a.bin"]);
        assert_eq!(near("nothing"), ["boot", "lib"]);
        assert_eq!(words("x", &[]), "");
        assert_eq!(words("boot/y", &THERE), "; there is `boot/x`");
    }
}

//! Which modules a device asks for: the index that the builder put into the initramfs, and matching by modalias.

use std::collections::BTreeMap;

/// The builder's index; its lines are described at [`contract::paths::INITRAMFS_INDEX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    aliases: Vec<(String, String)>,
    needs: BTreeMap<String, Vec<String>>,
    /// Modules that are loaded whatever the machine has, in order.
    pub always: Vec<String>,
}

/// What is wrong with an index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the module index can't be read: `{text}`")]
pub struct IndexError {
    /// Counted from 1.
    pub line: usize,
    /// The line's beginning.
    pub text: String,
}

impl Index {
    /// Reads the index's text.
    pub fn parse(text: &str) -> Result<Self, IndexError> {
        let mut index = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            index.add(line).ok_or_else(|| IndexError { line: number, text: line.chars().take(80).collect() })?;
        }
        Ok(index)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            None => {}
            Some("alias") => {
                let pattern = words.next()?.to_owned();
                self.aliases.push((pattern, module(words.next()?)?));
            }
            Some("dep") => {
                let name = module(words.next()?)?;
                self.needs.insert(name, words.by_ref().map(module).collect::<Option<_>>()?);
            }
            Some("load") => self.always.push(module(words.next()?)?),
            Some(_) => return None,
        }
        words.next().is_none().then_some(())
    }

    /// The modules that drive a device of that modalias.
    pub fn drivers<'a>(&'a self, modalias: &'a str) -> impl Iterator<Item = &'a str> {
        let fits = move |pattern: &str| matches(pattern, modalias);
        self.aliases.iter().filter(move |(pattern, _)| fits(pattern)).map(|(_, name)| name.as_str())
    }

    /// What is loaded for a module: all it needs, in load order, then itself.
    pub fn order<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.needs.get(name).into_iter().flatten().map(String::as_str).chain([name])
    }
}

/// A module's name, which becomes a file name: nothing but letters, digits and underscores.
fn module(name: &str) -> Option<String> {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_').then(|| name.to_owned())
}

/// Whether a modalias fits a pattern of fnmatch(3): `*`, `?`, `[a-c]`, `[!a]`, `\x`. As for modprobe, `-` and `_` are
/// the same. Takes time of at most the product of both lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on if what follows the last `*` does not fit: the star swallows one byte more.
    let mut star = None;
    loop {
        if let Some(b'*') = pattern.get(p) {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        let fits = match (text.get(t), pattern.get(p)) {
            (None, None) => return true,
            (Some(byte), Some(_)) => one(&pattern[p..], *byte),
            _ => None,
        };
        match (fits, star) {
            (Some(taken), _) => (p, t) = (p + taken, t + 1),
            (None, Some((after, swallowed))) if swallowed < text.len() => {
                star = Some((after, swallowed + 1));
                (p, t) = (after, swallowed + 1);
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte against the pattern's first element; says how many bytes of the pattern that is.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => same(*escaped, byte).then_some(2),
        [b'[', set @ ..] => match class(set, byte) {
            Some((hit, length)) => hit.then_some(length + 1),
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => same(*literal, byte).then_some(1),
        [] => None,
    }
}

/// A bracket expression, without its `[`: whether the byte is in it, and its length; `None` if it never ends.
fn class(set: &[u8], byte: u8) -> Option<(bool, usize)> {
    let (negated, mut at) = match set.first() {
        Some(b'!' | b'^') => (true, 1),
        _ => (false, 0),
    };
    let first = at;
    let mut hit = false;
    loop {
        match (set.get(at)?, set.get(at + 1), set.get(at + 2)) {
            (b']', ..) if at > first => return Some((hit != negated, at + 1)),
            (low, Some(b'-'), Some(high)) if *high != b']' => {
                hit |= (*low..=*high).contains(&byte);
                at += 3;
            }
            (literal, ..) => {
                hit |= *literal == byte;
                at += 1;
            }
        }
    }
}

fn same(pattern: u8, byte: u8) -> bool {
    let plain = |byte| if byte == b'-' { b'_' } else { byte };
    plain(pattern) == plain(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn real_aliases_find_their_drivers() {
        let fits = [
            ("pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02"),
            ("usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00"),
            ("usb:v058Fp6387d010[0-3]dc*", "usb:v058Fp6387d0102dc00"),
            ("of:N*T*Cbrcm,bcm2835_sdhciC*", "of:NmmcTmmcCbrcm,bcm2835-sdhciCx"),
            ("acpi*:PNP0A0[38]:*", "acpi:PNP0A08:PNP0A03:"),
            ("*", ""),
            ("a[]x]b", "a]b"),
            ("a\\*b", "a*b"),
            ("a[!0-9]", "ax"),
            ("x[", "x["),
        ];
        for (pattern, text) in fits {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        let differs = [
            ("pci:v*bc01sc08i02*", "pci:v0bc01sc06i01"),
            ("usb:v058Fp6387d010[0-3]dc*", "usb:v058Fp6387d0104dc00"),
            ("abc", "ab"),
            ("ab", "abc"),
            ("", "a"),
            ("a[!0-9]", "a3"),
            ("a\\*b", "axb"),
        ];
        for (pattern, text) in differs {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn the_index_gives_what_is_needed_first() {
        let index = Index::parse("load erofs\n\nalias pci:*i02* nvme\ndep nvme t10_pi nvme_core\ndep erofs\n").unwrap();
        assert_eq!(index.always, ["erofs"]);
        assert_eq!(index.drivers("pci:v1i02").collect::<Vec<_>>(), ["nvme"]);
        assert_eq!(index.order("nvme").collect::<Vec<_>>(), ["t10_pi", "nvme_core", "nvme"]);
        assert_eq!(index.order("unknown").collect::<Vec<_>>(), ["unknown"]);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (text, line) in [("load a\nload ../b", 2), ("alias x", 1), ("load a b", 1), ("alias a b c", 1), ("?", 1)] {
            assert_eq!(Index::parse(text).unwrap_err().line, line, "{text}");
        }
    }

    /// Slow and plain, to compare with.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|skipped| reference(rest, &text[skipped..])),
            _ => match text {
                [byte, after @ ..] => one(pattern, *byte).is_some_and(|taken| reference(&pattern[taken..], after)),
                [] => false,
            },
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_reference(pattern in "[ab*?\\[\\]!-]{0,8}", text in "[ab-]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), reference(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn every_text_fits_itself(text in "[a-zA-Z0-9:,_-]{0,60}") {
            prop_assert!(matches(&text, &text));
            let starred = format!("{text}*");
            prop_assert!(matches(&starred, &text));
        }

        #[test]
        fn any_index_is_survived(text in "(alias|dep|load|[a-c .*\n]){0,40}") {
            let _ = Index::parse(&text);
        }
    }

    #[test]
    fn many_stars_take_no_for_ever() {
        assert!(!matches(&"*a".repeat(200), &"a".repeat(199)));
    }
}

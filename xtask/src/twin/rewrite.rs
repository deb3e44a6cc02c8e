//! Names of the twin's architecture in paths and texts → those of the target.
//!
//! Three kinds of names are known: the multiarch triplet, `:arch` behind a package, and the dynamic loader. Anything else that tells
//! one architecture from another is not guessed: see [`Rewrite::leftover`].

use crate::board::Arch;

/// Words by which a text can name amd64 that no rule rewrites. A text of the delta that has one is an error.
const AMD64_WORDS: [&str; 5] = ["x86_64", "x86-64", "amd64", "ld-linux-x86-64", "i386"];

/// From one architecture to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    from: Arch,
    to: Arch,
}

/// The dynamic loader's path, as programs and maintainer scripts name it.
fn loader(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "/lib64/ld-linux-x86-64.so.2",
        Arch::Arm64 => "/lib/ld-linux-aarch64.so.1",
        Arch::Armhf => "/lib/ld-linux-armhf.so.3",
    }
}

impl Rewrite {
    /// Names of `from` become those of `to`.
    pub fn new(from: Arch, to: Arch) -> Self {
        Self { from, to }
    }

    /// A path: the triplet wherever it stands as a word, and `:arch`.
    pub fn path(self, path: &str) -> String {
        self.text(path)
    }

    /// A text: triplet, `:arch` and loader, each where it stands as a word of its own.
    pub fn text(self, text: &str) -> String {
        if self.from == self.to {
            return text.to_owned();
        }
        let colon = |arch: Arch| format!(":{}", arch.debian());
        let pairs = [
            (loader(self.from).to_owned(), loader(self.to).to_owned()),
            (self.from.multiarch().to_owned(), self.to.multiarch().to_owned()),
            (colon(self.from), colon(self.to)),
        ];
        if !pairs.iter().any(|(from, _)| text.contains(from.as_str())) {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        'next: while !rest.is_empty() {
            for (from, to) in &pairs {
                if let Some(after) = rest.strip_prefix(from.as_str())
                    && word_edge(out.chars().next_back(), from.chars().next())
                    && word_edge(from.chars().next_back(), after.chars().next())
                {
                    out.push_str(to);
                    rest = after;
                    continue 'next;
                }
            }
            let mut chars = rest.chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
        out
    }

    /// The first word of a rewritten text that still names the twin's architecture.
    pub fn leftover(self, rewritten: &str) -> Option<&'static str> {
        if self.from == self.to || self.from != Arch::Amd64 {
            return None;
        }
        AMD64_WORDS.into_iter().find(|word| rewritten.contains(word))
    }
}

/// Whether a word may end between these two characters.
fn word_edge(before: Option<char>, after: Option<char>) -> bool {
    let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    !(word(before) && word(after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TO_ARM64: Rewrite = Rewrite { from: Arch::Amd64, to: Arch::Arm64 };

    #[test]
    fn words_are_rewritten_and_parts_of_words_are_not() {
        for (from, to) in [
            ("/usr/lib/x86_64-linux-gnu/libc.so", "/usr/lib/aarch64-linux-gnu/libc.so"),
            ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu"),
            ("etc/ld.so.conf.d/x86_64-linux-gnu.conf", "etc/ld.so.conf.d/aarch64-linux-gnu.conf"),
            ("Setting up libc6:amd64 (2.41)", "Setting up libc6:arm64 (2.41)"),
            ("exec /lib64/ld-linux-x86-64.so.2 x", "exec /lib/ld-linux-aarch64.so.1 x"),
            ("x86_64-linux-gnux32", "x86_64-linux-gnux32"),
            ("libc6:amd64v2 xx86_64-linux-gnu", "libc6:amd64v2 xx86_64-linux-gnu"),
            ("plain ümläut", "plain ümläut"),
        ] {
            assert_eq!(TO_ARM64.text(from), to);
        }
        assert_eq!(Rewrite::new(Arch::Amd64, Arch::Armhf).text("a/x86_64-linux-gnu:amd64"), "a/arm-linux-gnueabihf:armhf");
        assert_eq!(TO_ARM64.leftover("arch is amd64"), Some("amd64"));
        assert_eq!(TO_ARM64.leftover("arch is arm64"), None);
    }

    /// Texts in which names of architectures are as likely as anything else.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("x86_64-linux-gnu".to_owned()),
            Just(":amd64".to_owned()),
            Just("/lib64/ld-linux-x86-64.so.2".to_owned()),
            Just("/".to_owned()),
            Just("\n".to_owned()),
            "[a-zä_0-9. -]{0,6}",
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    fn arches() -> impl Strategy<Value = Arch> {
        prop_oneof![Just(Arch::Arm64), Just(Arch::Armhf)]
    }

    proptest! {
        #[test]
        fn rewriting_twice_is_rewriting_once(text in texts(), to in arches()) {
            let rewrite = Rewrite::new(Arch::Amd64, to);
            let once = rewrite.text(&text);
            prop_assert_eq!(rewrite.text(&once), once);
        }

        #[test]
        fn what_names_no_architecture_stays(text in "[a-z0-9/ .\n-]{0,40}", to in arches()) {
            let rewrite = Rewrite::new(Arch::Amd64, to);
            prop_assume!(!text.contains("ld-linux"));
            prop_assert_eq!(rewrite.text(&text), text);
        }

        #[test]
        fn rewriting_back_gives_the_text_again(text in texts(), to in arches()) {
            // Only a text that named the target before it was rewritten could not come back.
            prop_assume!(!text.contains(to.multiarch()) && !text.contains(to.debian()) && !text.contains("ld-linux-a"));
            let there = Rewrite::new(Arch::Amd64, to).text(&text);
            prop_assert_eq!(Rewrite::new(to, Arch::Amd64).text(&there), text);
        }

        #[test]
        fn a_line_is_rewritten_by_itself(a in texts(), b in texts(), to in arches()) {
            let rewrite = Rewrite::new(Arch::Amd64, to);
            prop_assert_eq!(rewrite.text(&format!("{a}\n{b}")), format!("{}\n{}", rewrite.text(&a), rewrite.text(&b)));
        }

        #[test]
        fn a_normal_path_stays_normal(parts in proptest::collection::vec("(x86_64-linux-gnu|[a-z.:]{1,8})", 1..6), to in arches()) {
            let path = parts.join("/");
            let rewritten = Rewrite::new(Arch::Amd64, to).path(&path);
            prop_assert_eq!(rewritten.split('/').count(), parts.len());
            prop_assert!(rewritten.split('/').zip(&parts).all(|(new, old)| (new == "..") == (old == "..") && !new.is_empty()));
        }

        #[test]
        fn no_triplet_stands_alone_afterwards(text in texts(), to in arches()) {
            let rewritten = Rewrite::new(Arch::Amd64, to).text(&text);
            let triplet = Arch::Amd64.multiarch();
            for (at, _) in rewritten.match_indices(triplet) {
                let before = rewritten[..at].chars().next_back();
                let after = rewritten[at + triplet.len()..].chars().next();
                prop_assert!(!word_edge(before, Some('x')) || !word_edge(Some('u'), after), "{rewritten}");
            }
        }
    }
}

//! Imager's oldest format, a shell script. It is never run; but what is secret in it does not stay on a partition that
//! everyone can read who has the card for a minute.

use std::ops::Range;

use super::super::MASK;

/// Tokens of Raspberry Pi Connect, which stand on lines of their own.
const TOKENS: [&str; 2] = ["rpuak_", "rpoak_"];

/// Where secrets stand that Imager writes: the key of a Wi-Fi, a password or its hash, a token. Each place begins and ends
/// with a byte that may be overwritten too.
pub fn secrets(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let words = words(line);
        let text = |range: &Range<usize>| line.get(range.clone()).unwrap_or_default();
        let of_line = of_line(line, &words).into_iter().filter(|range| range.len() > 1 && !is_masked(text(range)));
        found.extend(of_line.map(|range| start + range.start..start + range.end));
        start += line.len();
    }
    found
}

fn of_line(line: &str, words: &[Range<usize>]) -> Vec<Range<usize>> {
    let text = |range: &Range<usize>| line.get(range.clone()).unwrap_or_default();
    let [first, rest @ ..] = words else { return Vec::new() };
    // A name of the network or user, then the secret; options before them.
    let second = |words: &[Range<usize>]| words.iter().filter(|word| !text(word).starts_with('-')).nth(1).cloned();
    let program = text(first);
    if let [command, rest @ ..] = rest
        && program.ends_with("imager_custom")
        && text(command) == "set_wlan"
    {
        return second(rest).into_iter().collect();
    }
    if program.ends_with("/userconf") {
        return second(rest).into_iter().collect();
    }
    if let Some(pipe) = words.iter().position(|word| text(word) == "|")
        && words.get(pipe + 1).is_some_and(|word| text(word) == "chpasswd")
    {
        return words.get(1..pipe).unwrap_or_default().to_vec();
    }
    if program.starts_with("psk=") {
        let key = first.start + "psk=".len()..first.end;
        return vec![key];
    }
    words.iter().filter(|word| TOKENS.iter().any(|token| text(word).starts_with(token))).cloned().collect()
}

/// Whether it was overwritten before: quotes, and between them nothing but masks.
fn is_masked(text: &str) -> bool {
    text.chars().all(|c| c == MASK || c == '"')
}

/// Words as a shell has them: spaces within quotes or behind a backslash part none.
fn words(line: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut begun = None;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        let parts = quote.is_none() && !escaped && c.is_whitespace();
        match begun {
            Some(start) if parts => {
                words.push(start..at);
                begun = None;
            }
            None if !parts => begun = Some(at),
            _ => {}
        }
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != Some('\'') {
            escaped = true;
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '\'' || c == '"') {
            quote = Some(c);
        }
    }
    words.extend(begun.map(|start| start..line.trim_end().len().max(start)));
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::mask;
    use super::*;

    /// What Imager writes for a user, a Wi-Fi and Connect, line by line as its source puts it together.
    fn script(psk: &str, hash: &str) -> String {
        format!(
            "#!/bin/bash\n\nset +e\n\n\
             if [ -f /usr/lib/userconf-pi/userconf ]; then\n   /usr/lib/userconf-pi/userconf 'pi' {hash}\nelse\n   \
             echo \"$FIRSTUSER:\"{hash} | chpasswd -e\nfi\n\
             if [ -f /usr/lib/raspberrypi-sys-mods/imager_custom ]; then\n   \
             /usr/lib/raspberrypi-sys-mods/imager_custom set_wlan  -h 'Casa gran' {psk} 'ES'\nelse\n\
             cat >/etc/wpa_supplicant/wpa_supplicant.conf <<'WPAEOF'\ncountry=ES\nnetwork={{\n\tssid=\"Casa gran\"\n\tpsk={psk}\n}}\n\nWPAEOF\nfi\n\
             cat > \"$TARGET_HOME/.config/com.raspberrypi.connect/auth.key\" <<'EOF'\nrpuak_abcDEF123\nEOF\nexit 0\n"
        )
    }

    #[test]
    fn no_secret_of_imager_s_script_stays_and_all_else_does() {
        let text = script("'0123abcd'", "'$5$salt$hash'");
        let places = secrets(&text);
        assert_eq!(places.len(), 5, "{places:?}");
        let masked = String::from_utf8(mask(text.as_bytes(), &places)).unwrap();
        for secret in ["0123abcd", "$5$", "hash", "rpuak", "DEF"] {
            assert!(!masked.contains(secret), "{secret}: {masked}");
        }
        let differ = text.lines().zip(masked.lines()).filter(|(before, after)| before != after).count();
        assert_eq!((masked.len(), differ), (text.len(), 5));
        assert!(masked.contains("set_wlan  -h 'Casa gran' \"********\" 'ES'"), "{masked}");
        assert_eq!(secrets(&masked), [], "what is masked is no secret");
    }

    proptest! {
        #[test]
        fn whatever_the_key_is_nothing_of_it_stays(psk in "[A-Za-z0-9 $\"\\\\|#;é]{8,40}") {
            let quoted = format!("'k{psk}k'");
            let text = script(&quoted, &quoted);
            let masked = String::from_utf8(mask(text.as_bytes(), &secrets(&text))).unwrap();
            prop_assert!(!masked.contains(&psk) || psk.chars().all(|c| c == MASK), "{}", masked);
        }

        #[test]
        fn any_text_is_survived(text in "[a-z'\"\\\\ \t\n|*é=/_]{0,200}", lines in ".{0,100}") {
            for text in [text, lines] {
                for range in secrets(&text) {
                    prop_assert!(text.get(range.clone()).is_some() && range.len() > 1);
                }
            }
        }
    }
}

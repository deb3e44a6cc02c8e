//! Revisions: how two who change the same thing at once do not overwrite each other. What a person may set carries a number that
//! another change makes another; who changes it may say which one was seen.

/// The revisions that whoever changes something has seen: the change is made only while it still has one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected(Option<Vec<u64>>);

/// Tags of one header that are looked at.
const TAGS: usize = 16;

impl Expected {
    /// Whatever it is now.
    pub fn anything() -> Self {
        Self(None)
    }

    /// That revision alone.
    pub fn only(revision: u64) -> Self {
        Self(Some(vec![revision]))
    }

    /// By an `If-Match` (RFC 9110, section 13.1.1): tags of this node begin with the revision. What is no tag of ours, or a weak one,
    /// holds for nothing.
    pub fn by_tags(header: &str) -> Self {
        let header = header.trim();
        if header == "*" {
            return Self::anything();
        }
        let revision = |tag: &str| {
            let inside = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
            let number = inside.split_once('-').map_or(inside, |(number, _)| number);
            number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok()).flatten()
        };
        Self(Some(header.split(',').take(TAGS).filter_map(revision).collect()))
    }

    /// By the field `revision` of a form of a page; without one, whatever it is now.
    pub fn by_field(field: Option<&str>) -> Self {
        // What no page of ours wrote is no revision that somebody has seen.
        field.map_or_else(Self::anything, |field| Self(Some(field.parse().into_iter().collect())))
    }

    /// Whether that may be changed which has this revision now.
    pub fn holds(&self, now: u64) -> bool {
        self.0.as_ref().is_none_or(|seen| seen.contains(&now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_made_of_what_was_seen_and_of_nothing_else() {
        let holds = |header: &str| Expected::by_tags(header).holds(7);
        for good in ["*", "\"7\"", "\"7-ab12\"", " \"6\" , \"7-x\"", "\"7-other-text\""] {
            assert!(holds(good), "{good}");
        }
        for bad in ["", "7", "\"8\"", "\"77\"", "W/\"7\"", "\"\"", "\"7", "\"-7\"", "\"+7\"", "\"x\"", "\"99999999999999999999\"", ","] {
            assert!(!holds(bad), "{bad}");
        }
        let many = format!("{}\"7\"", "\"1\",".repeat(TAGS));
        assert!(!holds(&many), "there is an end");
    }

    #[test]
    fn a_form_says_what_its_page_showed() {
        assert!(Expected::by_field(None).holds(7) && Expected::by_field(Some("7")).holds(7));
        assert!(
            !Expected::by_field(Some("6")).holds(7) && !Expected::by_field(Some("")).holds(0) && !Expected::by_field(Some("x")).holds(0)
        );
        assert!(Expected::only(7).holds(7) && !Expected::only(7).holds(8) && Expected::anything().holds(0));
    }
}

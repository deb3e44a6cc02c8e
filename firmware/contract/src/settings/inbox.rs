//! The inbox rule: a `cloudy.toml` that changed is checked and merged once into what the node keeps on data.
//!
//! From then on the node owns the values, and each knows where it came from. A broken file leaves the last good ones.

use super::{MASK, Mistake, Parsed, Settings, imager, mask, page, parse};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What a value is said to come from that was set on the page.
pub const SOURCE_PAGE: &str = "the page";

/// What the node keeps on data: the newest merge, and what it knows of the file.
///
/// Readers ignore keys that they do not know, so that a rollback can read what a newer version wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Stored {
    /// The settings.
    pub values: Settings,
    /// For each dotted key that has a value, where it came from.
    pub sources: BTreeMap<String, String>,
    /// `cloudy.toml` as it was last seen.
    pub inbox: Inbox,
    /// The same of files that Raspberry Pi Imager writes, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub imager: BTreeMap<String, Inbox>,
    /// The same of what the page asked for last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<Inbox>,
}

impl Stored {
    /// What is known of the file of that name.
    pub fn inbox_of(&self, name: &str) -> Option<&Inbox> {
        match name {
            page::FILE => self.page.as_ref(),
            name if imager::FILES.contains(&name) => self.imager.get(name),
            _ => Some(&self.inbox),
        }
    }

    /// The same, to be changed.
    pub fn inbox_mut(&mut self, name: &str) -> &mut Inbox {
        match name {
            page::FILE => self.page.get_or_insert_default(),
            name if imager::FILES.contains(&name) => self.imager.entry(name.to_owned()).or_default(),
            _ => &mut self.inbox,
        }
    }

    /// Whether that file of the page's was taken: its mistakes; none where it was not seen.
    pub fn taken(&self, bytes: &[u8]) -> Option<&[String]> {
        let page = self.page.as_ref()?;
        page.known.contains(&sha256(bytes)).then_some(page.mistakes.as_slice())
    }

    /// All files, each with its name for people; `cloudy` is that of `cloudy.toml`.
    pub fn inboxes<'a>(&'a self, cloudy: &'a str) -> impl Iterator<Item = (&'a str, &'a Inbox)> {
        let page = self.page.iter().map(|inbox| (SOURCE_PAGE, inbox));
        std::iter::once((cloudy, &self.inbox)).chain(self.imager.iter().map(|(name, inbox)| (name.as_str(), inbox))).chain(page)
    }
}

/// The file as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Inbox {
    /// SHA-256 of the file as it was read, and as it is after masking, in hexadecimal. A file that has one of these is known.
    pub known: Vec<String>,
    /// Its mistakes, each with line and column; empty when it was taken.
    pub mistakes: Vec<String>,
    /// What of it means nothing here, each with line and column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether secrets of it were moved to data.
    pub secrets_moved: bool,
    /// The masked text while it is not surely on the config partition yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masking: Option<String>,
}

/// What is to be done about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is known: nothing.
    Nothing,
    /// Masking was interrupted: write the file again, then drop [`Inbox::masking`].
    MaskAgain(Vec<u8>),
    /// Keep this. If there is a masked text, first keep it, then write that over the file, then drop [`Inbox::masking`].
    Keep(Box<Stored>, Option<Vec<u8>>),
}

/// Decides about the file; `None` when there is no file. `source` names it, as in `cloudy.toml`; a name of
/// [`imager::FILES`] also says how it is read.
pub fn decide(stored: &Stored, file: Option<&[u8]>, source: &str) -> Step {
    let Some(bytes) = file else { return Step::Nothing };
    let nothing = Inbox::default();
    let inbox = stored.inbox_of(source).unwrap_or(&nothing);
    if let Some(masking) = &inbox.masking
        && is_torn(masking.as_bytes(), bytes)
    {
        return Step::MaskAgain(masking.clone().into_bytes());
    }
    let hash = sha256(bytes);
    if inbox.known.contains(&hash) {
        return Step::Nothing;
    }
    let mut next = stored.clone();
    *next.inbox_mut(source) = Inbox { known: vec![hash], secrets_moved: inbox.secrets_moved, ..Inbox::default() };
    let (parsed, no_wifi) = match read_as(source, bytes) {
        Ok(read) => read,
        Err(mistakes) => {
            next.inbox_mut(source).mistakes = mistakes.iter().map(ToString::to_string).collect();
            return Step::Keep(Box::new(next), None);
        }
    };
    let lost: Vec<_> = parsed.masked.iter().filter(|(key, _)| secret(&stored.values, key).is_none()).map(|(_, m)| m.to_string()).collect();
    if !lost.is_empty() {
        next.inbox_mut(source).mistakes = lost;
        return Step::Keep(Box::new(next), None);
    }
    let kept: Vec<&str> = parsed.masked.iter().map(|(key, _)| key.as_str()).collect();
    next.inbox_mut(source).notes = parsed.notes.iter().map(ToString::to_string).collect();
    if no_wifi {
        next.values.wifi = None;
        next.sources.remove("wifi");
    }
    merge(&mut next, parsed.settings, &kept, source);
    if parsed.secrets.is_empty() {
        return Step::Keep(Box::new(next), None);
    }
    let masked = mask(bytes, &parsed.secrets);
    let inbox = next.inbox_mut(source);
    inbox.known.push(sha256(&masked));
    inbox.secrets_moved = true;
    inbox.masking = Some(String::from_utf8_lossy(&masked).into_owned());
    Step::Keep(Box::new(next), Some(masked))
}

/// What a file sets, and whether there shall be no Wi-Fi.
fn read_as(name: &str, bytes: &[u8]) -> Result<(Parsed, bool), Vec<Mistake>> {
    match name {
        page::FILE => page::read(bytes),
        name if imager::FILES.contains(&name) => imager::parse(name, bytes).map(|parsed| (parsed, false)),
        _ => parse(bytes).map(|parsed| (parsed, false)),
    }
}

/// Whether `now` is a half-written `masked`: the same length, and different only where `masked` has its mask or quotes.
fn is_torn(masked: &[u8], now: &[u8]) -> bool {
    let mask = MASK as u8;
    masked != now && masked.len() == now.len() && masked.iter().zip(now).all(|(m, n)| m == n || *m == mask || *m == b'"')
}

/// The hexadecimal SHA-256.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn secret<'a>(values: &'a Settings, key: &str) -> Option<&'a str> {
    match key {
        "wifi.passphrase" => values.wifi.as_ref()?.passphrase.as_ref().map(|p| p.as_str()),
        "join.token" => values.join.token.as_ref().map(|t| t.as_str()),
        "join.kit" => values.join.kit.as_ref().map(|k| k.as_str()),
        _ => None,
    }
}

/// Lays what the file says over what is kept. What the file does not say stays as it is.
///
/// A file of Raspberry Pi Imager's sets only what nobody else has set, also where it comes later than that: `cloudy.toml` has
/// the last word. Where that matters, the file's notes say so.
fn merge(stored: &mut Stored, mut new: Settings, kept: &[&str], source: &str) {
    if imager::FILES.contains(&source) {
        let overruled = yield_to_others(stored, &mut new);
        stored.inbox_mut(source).notes.extend(overruled);
    }
    let Stored { values, sources, .. } = stored;
    let from = if source == page::FILE { SOURCE_PAGE } else { source };
    let mut lay = |key: &str| {
        sources.insert(key.to_owned(), from.to_owned());
    };
    macro_rules! take {
        ($($group:ident).*, $key:literal) => {
            if new.$($group).*.is_some() {
                values.$($group).* = new.$($group).*;
                lay($key);
            }
        };
    }
    take!(hostname, "hostname");
    take!(time_zone, "time-zone");
    take!(ssh_keys, "ssh-keys");
    take!(network, "network");
    take!(interfaces, "interfaces");
    if let Some(mut wifi) = new.wifi {
        if kept.contains(&"wifi.passphrase") {
            wifi.passphrase = values.wifi.take().and_then(|old| old.passphrase);
        }
        values.wifi = Some(wifi);
        lay("wifi");
    }
    // A token and a founding exclude each other: the newer word holds.
    if new.join.token.is_some() {
        (values.join.found, values.join.kit, values.join.member) = (None, None, None);
    }
    if new.join.found.is_some() {
        values.join.token = None;
    }
    take!(join.token, "join.token");
    take!(join.lan, "join.lan");
    take!(join.found, "join.found");
    take!(join.kit, "join.kit");
    take!(join.member, "join.member");
    take!(join.door, "join.door");
    take!(join.mdns, "join.mdns");
    let values = &*values;
    sources.retain(|key, _| match key.as_str() {
        "join.token" | "join.kit" => secret(values, key).is_some(),
        "join.found" => values.join.found.is_some(),
        "join.member" => values.join.member.is_some(),
        _ => true,
    });
}

/// Takes out of `new`, which a file of Imager's says, whatever another source has set; says each value that would have
/// changed. Imager knows these keys and no others.
fn yield_to_others(stored: &Stored, new: &mut Settings) -> Vec<String> {
    let mut said = Vec::new();
    macro_rules! give_way {
        ($field:ident, $key:literal) => {
            if let Some(owner) = stored.sources.get($key)
                && !imager::FILES.contains(&owner.as_str())
                && let Some(value) = new.$field.take()
                && stored.values.$field.as_ref() != Some(&value)
            {
                said.push(format!("`{}` stays as {owner} has it, which has the last word", $key));
            }
        };
    }
    give_way!(hostname, "hostname");
    give_way!(time_zone, "time-zone");
    give_way!(ssh_keys, "ssh-keys");
    give_way!(network, "network");
    give_way!(interfaces, "interfaces");
    give_way!(wifi, "wifi");
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hostname = \"a\"\n[wifi]\nssid = \"x\"\npassphrase = \"correct horse\"\ncountry = \"ES\"\n";

    fn keep(stored: &Stored, text: &str) -> (Stored, Option<Vec<u8>>) {
        match decide(stored, Some(text.as_bytes()), "cloudy.toml") {
            Step::Keep(next, masked) => (*next, masked),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn imager_s_files_have_inboxes_of_their_own_and_cloudy_toml_the_last_word() {
        let text = "[system]\nhostname = \"a\"\n[wlan]\nssid = \"x\"\npassword = \"correct horse\"\ncountry = \"ES\"\n[later]\n";
        let Step::Keep(first, Some(masked)) = decide(&Stored::default(), Some(text.as_bytes()), imager::PRESEED) else { panic!() };
        assert_eq!(first.sources["wifi"], imager::PRESEED);
        assert_eq!(first.inbox, Inbox::default(), "cloudy.toml was not seen");
        assert_eq!(first.imager[imager::PRESEED].notes.len(), 1);
        assert!(!String::from_utf8_lossy(&masked).contains("horse"));
        for cut in 0..masked.len() {
            let torn = [&masked[..cut], &text.as_bytes()[cut..]].concat();
            assert!(!matches!(decide(&first, Some(&torn), imager::PRESEED), Step::Keep(..)), "cut at {cut}");
        }
        let (second, _) = keep(&first, "hostname = \"b\"\n");
        assert_eq!(second.values.hostname.as_ref().unwrap().as_str(), "b");
        assert_eq!(decide(&second, Some(&masked), imager::PRESEED), Step::Nothing, "and it is not taken back at the next start");
        assert_eq!(again(&second), second);
    }

    #[test]
    fn a_later_file_of_imager_s_changes_nothing_that_cloudy_toml_set() {
        let preseed = |hostname: &str, zone: &str, ssid: &str| {
            format!(
                "[system]\nhostname = \"{hostname}\"\n[wlan]\nssid = \"{ssid}\"\npassword = \"correct horse\"\ncountry = \"ES\"\n\
                 [locale]\ntimezone = \"{zone}\"\n"
            )
        };
        let take = |stored: &Stored, text: &str| match decide(stored, Some(text.as_bytes()), imager::PRESEED) {
            Step::Keep(next, masked) => (*next, masked),
            other => panic!("{other:?}"),
        };
        let (stored, _) = take(&Stored::default(), &preseed("a", "UTC", "old"));
        let (stored, _) = keep(&stored, "hostname = \"b\"\n");
        // A card that is flashed anew, or a file that is put there by hand: new to the node, later than cloudy.toml.
        let (stored, masked) = take(&stored, &preseed("c", "Europe/Madrid", "new"));
        assert_eq!(stored.values.hostname.as_ref().unwrap().as_str(), "b");
        assert_eq!(stored.sources["hostname"], "cloudy.toml");
        assert!(
            stored.imager[imager::PRESEED].notes.contains(&"`hostname` stays as cloudy.toml has it, which has the last word".to_owned())
        );
        // What only Imager set, Imager may change.
        assert_eq!(stored.values.time_zone.as_ref().unwrap().as_str(), "Europe/Madrid");
        assert_eq!(stored.values.wifi.as_ref().unwrap().ssid.as_str(), "new");
        // A Wi-Fi that gives way leaves no key in the file.
        let (stored, _) = keep(&stored, SECRET);
        let (stored, masked_again) = take(&stored, &preseed("a", "UTC", "third"));
        assert_eq!(stored.values.wifi.as_ref().unwrap().ssid.as_str(), "x");
        for text in [masked, masked_again] {
            assert!(!String::from_utf8(text.unwrap()).unwrap().contains("horse"));
        }
        let notes = &stored.imager[imager::PRESEED].notes;
        assert!(
            notes.iter().any(|note| note.starts_with("`wifi`")) && !notes.iter().any(|note| note.starts_with("`hostname`")),
            "{notes:?}"
        );
    }

    #[test]
    fn what_the_page_asks_is_merged_once_each_time_and_cloudy_toml_goes_on_to_count() {
        let zone = |zone: &str| Settings { time_zone: Some(zone.to_owned().try_into().unwrap()), ..Settings::default() };
        let ask = |stored: &Stored, change, settings: &Settings, no_wifi| {
            let file = page::ask(change, settings, no_wifi).unwrap();
            match decide(stored, Some(&file), page::FILE) {
                Step::Keep(next, None) => *next,
                other => panic!("{other:?}"),
            }
        };
        let (stored, _) = keep(&Stored::default(), SECRET);
        let first = ask(&stored, 1, &zone("Europe/Madrid"), false);
        assert_eq!((first.sources["time-zone"].as_str(), first.sources["wifi"].as_str()), (SOURCE_PAGE, "cloudy.toml"));
        assert_eq!(decide(&first, Some(&page::ask(1, &zone("Europe/Madrid"), false).unwrap()), page::FILE), Step::Nothing);
        // A newer cloudy.toml counts, and so does the page after it, also where it asks the same as before.
        let (second, _) = keep(&first, "time-zone = \"Europe/Paris\"\n");
        assert_eq!(second.values.time_zone.as_ref().unwrap().as_str(), "Europe/Paris");
        let third = ask(&second, 2, &zone("Europe/Madrid"), true);
        assert_eq!(third.values.time_zone.as_ref().unwrap().as_str(), "Europe/Madrid");
        assert!(third.values.wifi.is_none() && !third.sources.contains_key("wifi"));
        assert_eq!(again(&third), third);
        // Who asks for more than a page may gets nothing.
        let more = br#"{"change":3,"toml":"time-zone = \"UTC\"\njoin = { lan = true }"}"#;
        let Step::Keep(fourth, None) = decide(&third, Some(more), page::FILE) else { panic!() };
        assert_eq!(fourth.values, third.values);
        assert!(fourth.page.unwrap().mistakes[0].contains("nothing else"));
    }

    /// What is kept is read back.
    fn again(stored: &Stored) -> Stored {
        toml::from_str(&toml::to_string(stored).unwrap()).unwrap()
    }

    #[test]
    fn a_file_is_merged_once() {
        let (first, masked) = keep(&Stored::default(), "hostname = \"a\"\ntime-zone = \"UTC\"\n");
        assert_eq!(masked, None);
        assert_eq!(first.sources["hostname"], "cloudy.toml");
        assert_eq!(decide(&first, Some(b"hostname = \"a\"\ntime-zone = \"UTC\"\n"), ""), Step::Nothing);
        let (second, _) = keep(&first, "hostname = \"b\"\n");
        assert_eq!(second.values.hostname.unwrap().as_str(), "b");
        assert_eq!(second.values.time_zone.unwrap().as_str(), "UTC", "what the file no longer says stays");
    }

    #[test]
    fn a_broken_file_leaves_the_last_good_settings() {
        let (good, _) = keep(&Stored::default(), "hostname = \"a\"\n");
        let (broken, _) = keep(&good, "hostname = \"b\"\nhostnam = \"c\"\n");
        assert_eq!(broken.values, good.values);
        assert_eq!(broken.inbox.mistakes, ["line 2, column 1: unknown key `hostnam`; did you mean `hostname`?"]);
        assert_eq!(decide(&broken, Some(b"hostname = \"b\"\nhostnam = \"c\"\n"), ""), Step::Nothing);
        let (mended, _) = keep(&broken, "hostname = \"b\"\n");
        assert_eq!(mended.inbox.mistakes, Vec::<String>::new());
    }

    #[test]
    fn no_file_changes_nothing() {
        let (good, _) = keep(&Stored::default(), "hostname = \"a\"\n");
        assert_eq!(decide(&good, None, ""), Step::Nothing);
    }

    #[test]
    fn secrets_move_and_the_masked_file_is_known() {
        let (kept, masked) = keep(&Stored::default(), SECRET);
        let masked = String::from_utf8(masked.unwrap()).unwrap();
        assert!(!masked.contains("horse"));
        assert_eq!(kept.inbox.masking.as_deref(), Some(masked.as_str()));
        let mut done = kept.clone();
        done.inbox.masking = None;
        assert_eq!(decide(&done, Some(masked.as_bytes()), ""), Step::Nothing);
        assert_eq!(decide(&done, Some(SECRET.as_bytes()), ""), Step::Nothing, "masking may have failed: no second merge");
        // The person edits another line of the masked file: the secret stays.
        let (edited, again) = keep(&done, &masked.replace("\"a\"", "\"b\""));
        assert_eq!(again, None);
        assert_eq!(edited.values.wifi, done.values.wifi);
        assert_eq!(edited.values.hostname.unwrap().as_str(), "b");
    }

    #[test]
    fn masking_cut_at_any_byte_is_finished() {
        let (kept, masked) = keep(&Stored::default(), SECRET);
        let masked = masked.unwrap();
        for cut in 0..masked.len() {
            let torn = [&masked[..cut], &SECRET.as_bytes()[cut..]].concat();
            match decide(&kept, Some(&torn), "") {
                Step::MaskAgain(again) => assert_eq!(again, masked),
                Step::Nothing => assert_eq!(torn, masked),
                other => panic!("cut at {cut}: {other:?}"),
            }
        }
        assert_eq!(decide(&kept, Some(&masked), ""), Step::Nothing);
    }

    #[test]
    fn a_masked_file_on_another_node_says_what_is_missing() {
        let (_, masked) = keep(&Stored::default(), SECRET);
        let (other, _) = keep(&Stored::default(), &String::from_utf8(masked.unwrap()).unwrap());
        assert_eq!(
            other.inbox.mistakes,
            ["line 4, column 14: `wifi.passphrase` was moved to another node and is not here: write it again"]
        );
        assert_eq!(other.values, Settings::default());
    }

    #[test]
    fn a_token_takes_the_place_of_a_founding() {
        let (founded, _) = keep(&Stored::default(), "[join]\nfound = \"x\"\nkit = \"k\"\n");
        let (joined, _) = keep(&founded, "[join]\ntoken = \"t\"\n");
        assert_eq!((joined.values.join.found, joined.values.join.kit), (None, None));
        assert_eq!(joined.sources.keys().collect::<Vec<_>>(), ["join.token"]);
    }

    #[test]
    fn what_is_kept_is_read_back_and_unknown_keys_are_survived() {
        let (kept, _) = keep(&Stored::default(), SECRET);
        let text = toml::to_string(&kept).unwrap();
        assert_eq!(toml::from_str::<Stored>(&text).unwrap(), kept);
        let newer: Stored = toml::from_str("later = 1\n[values]\nhostname = \"a\"\nlater = 2\n[values.join]\nlater = 3\n").unwrap();
        assert_eq!(newer.values.hostname.unwrap().as_str(), "a");
    }
}

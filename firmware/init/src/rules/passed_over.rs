//! Why systemd-boot runs another entry than it should. It leaves no word of its own: what tells is the counter in an entry's
//! name, which goes down before the kernel is loaded, and whether what the entry names lies on the ESP. An entry whose
//! kernel is not there it leaves out in silence, and counts nothing.

use contract::boot::{BuildId, EntryName};

/// Before the initramfs' path in `options`.
const INITRAMFS_OPTION: &str = "initrd=";

/// An entry as it lies on the ESP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its file name.
    pub name: EntryName,
    /// Among entries that can be started, the highest version comes first.
    pub version: u64,
    /// Why it can't be started, if that can be seen without trying.
    pub fault: Option<String>,
}

impl Entry {
    /// Reads an entry's text; `is_there` says whether the ESP has the file of that path, which has no leading `/`.
    pub fn read(name: EntryName, text: &str, is_there: impl Fn(&str) -> bool) -> Self {
        let value = |key: &str| {
            let words = text.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
            words.filter(|(word, _)| *word == key).map(|(_, value)| value.trim()).next_back()
        };
        let missing = |what: &str, path: &str| {
            let path = path.replace('\\', "/");
            let path = path.trim_start_matches('/');
            (!is_there(path)).then(|| format!("its {what} `{path}` is not on the ESP"))
        };
        let initramfs =
            value("options").into_iter().flat_map(str::split_ascii_whitespace).find_map(|word| word.strip_prefix(INITRAMFS_OPTION));
        let fault = match value("linux") {
            None => Some("its entry on the ESP names no kernel".to_owned()),
            Some(path) => missing("kernel", path),
        };
        let fault = fault.or_else(|| missing("initramfs", initramfs?));
        Self { name, version: value("version").and_then(|text| text.parse().ok()).unwrap_or(0), fault }
    }

    /// Whether the boot loader could start it.
    pub fn can_start(&self) -> bool {
        self.fault.is_none() && self.name.is_bootable()
    }
}

/// The build that should run in the stead of `own`, and why it does not, in a sentence.
pub fn passed_over(own: BuildId, entries: &[Entry]) -> Option<(EntryName, String)> {
    let own_version = entries.iter().find(|entry| entry.name.build == own).map_or(0, |entry| entry.version);
    let mut passed: Vec<_> = entries
        .iter()
        .filter(|entry| entry.name.build != own)
        .filter(|entry| match entry.name.tries {
            // What is on trial is what came last.
            Some(tries) => tries.left == 0 || entry.fault.is_some(),
            None => entry.fault.is_some() && entry.version > own_version,
        })
        .collect();
    passed.sort_by_key(|entry| entry.version);
    let entry = passed.pop()?;
    let done = entry.name.tries.map_or(0, |tries| tries.done);
    let why = match &entry.fault {
        Some(fault) => format!("it can't be started: {fault}"),
        None => format!(
            "started {done} times, it did not prove good and left no word of its own: \
             its kernel or initramfs is damaged or not signed, or it hung"
        ),
    };
    Some((entry.name, format!("{why}; the next update writes that slot anew")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::boot::Tries;
    use proptest::prelude::*;

    const TEXT: &str =
        "title cloudy\nsort-key cloudy\nversion 70\nlinux /cloudy/x/linux\noptions initrd=\\cloudy\\x\\initrd cloudy.build=x\n";

    fn name(build: u8, tries: Option<(u32, u32)>) -> EntryName {
        EntryName { build: BuildId([build; 16]), tries: tries.map(|(left, done)| Tries { left, done }) }
    }

    fn entry(build: u8, tries: Option<(u32, u32)>, version: u64, fault: Option<&str>) -> Entry {
        Entry { name: name(build, tries), version, fault: fault.map(str::to_owned) }
    }

    fn passed(entries: &[Entry]) -> Option<u8> {
        passed_over(BuildId([1; 16]), entries).map(|(name, _)| name.build.0[0])
    }

    #[test]
    fn an_entry_is_read_with_what_it_lacks() {
        let read = |text: &str, there: &[&str]| Entry::read(name(1, None), text, |path| there.contains(&path));
        let whole = read(TEXT, &["cloudy/x/linux", "cloudy/x/initrd"]);
        assert_eq!((whole.version, whole.fault), (70, None));
        assert_eq!(read(TEXT, &["cloudy/x/initrd"]).fault.unwrap(), "its kernel `cloudy/x/linux` is not on the ESP");
        assert_eq!(read(TEXT, &["cloudy/x/linux"]).fault.unwrap(), "its initramfs `cloudy/x/initrd` is not on the ESP");
        assert!(read("", &[]).fault.unwrap().contains("names no kernel"));
        assert_eq!(read("linux /l\n", &["l"]).fault, None);
    }

    #[test]
    fn what_should_run_and_does_not_is_named() {
        let own = entry(1, None, 5, None);
        assert_eq!(passed(std::slice::from_ref(&own)), None);
        // The former system, good; a newer one that was never started since a person chose this one.
        assert_eq!(passed(&[own.clone(), entry(2, None, 4, None), entry(3, None, 6, None)]), None);
        // On trial and not its turn yet.
        assert_eq!(passed(&[own.clone(), entry(2, Some((2, 1)), 6, None)]), None);
        // Used up, whatever its version says.
        assert_eq!(passed(&[own.clone(), entry(2, Some((0, 1)), 4, None)]), Some(2));
        // Without a kernel: the new one, counted or not; not the former one.
        assert_eq!(passed(&[own.clone(), entry(2, Some((1, 0)), 6, Some("x"))]), Some(2));
        assert_eq!(passed(&[own.clone(), entry(2, None, 6, Some("x"))]), Some(2));
        assert_eq!(passed(&[own.clone(), entry(2, None, 4, Some("x"))]), None);
        // The newest of several.
        assert_eq!(passed(&[own, entry(2, Some((0, 1)), 6, None), entry(3, Some((0, 1)), 7, None)]), Some(3));
    }

    #[test]
    fn the_reason_says_what_is_known() {
        let why = |entry| passed_over(BuildId([1; 16]), &[entry]).unwrap().1;
        assert!(why(entry(2, Some((0, 3)), 6, None)).starts_with("started 3 times, it did not prove good"));
        assert!(why(entry(2, Some((1, 0)), 6, Some("its kernel is away"))).starts_with("it can't be started: its kernel is away"));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC*", linux in "(linux|options|version) \\PC*") {
            let _ = Entry::read(name(1, None), &format!("{text}\n{linux}\n"), |_| false);
        }
    }
}

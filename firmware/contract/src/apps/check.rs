//! Raw file → checked [`App`]: what is missing, malformed or contradicts is named with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Spanned;

use super::raw::{Pairs, RawApp, RawHealth, RawKind, RawSetting, RawWords, Strings};
use super::{App, Health, HealthTest, Image, Limits, Port, Run, STORE_NAME_CHARS, Setting, SettingKind, UIDS, Volume, Words};
use crate::arch::Arch;
use crate::facts::{ParseError, distinct, parse, suggestion};

/// The largest `app.toml` in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Characters of a title and of a description at most.
const TITLE_CHARS: usize = 40;
const DESCRIPTION_CHARS: usize = 400;
/// Characters of a text and of a secret that a person sets, where the file says nothing.
const TEXT_CHARS: u32 = 200;
/// What an app may ask for at most.
const MEMORY_MB: std::ops::RangeInclusive<u32> = 8..=65_536;
const PROCESSES: std::ops::RangeInclusive<u32> = 1..=10_000;
const CPU_PERCENT: std::ops::RangeInclusive<u32> = 5..=6_400;
const SECONDS: std::ops::RangeInclusive<u32> = 1..=600;
/// What holds where the file says nothing.
const DEFAULT_PROCESSES: u32 = 100;
const DEFAULT_CPU_PERCENT: u32 = 100;
const DEFAULT_STOP_SECONDS: u32 = 10;
const DEFAULT_START_SECONDS: u32 = 60;

/// Reads and checks the text of an `app.toml`. `file` is for errors; its folder's name is the app's.
pub fn read(file: &Path, text: &str) -> Result<App, ParseError> {
    if text.len() > MAX_BYTES {
        return Err(ParseError::at(file, text, 0..0, format!("the file has {} bytes; {MAX_BYTES} are allowed", text.len())));
    }
    let raw: RawApp = parse(file, text)?;
    Source { file, text }.app(raw)
}

struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

type Checked<T> = Result<T, ParseError>;

impl Source<'_> {
    fn error<T>(&self, at: &Spanned<T>, message: impl Into<String>) -> ParseError {
        ParseError::at(self.file, self.text, at.span(), message)
    }

    fn app(&self, raw: RawApp) -> Checked<App> {
        let name = self.file.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if !is_name(&name) {
            let message = format!("the folder's name `{name}` is no name of an app: lower-case letters, digits and `-`, 40 at most");
            return Err(ParseError::at(self.file, self.text, 0..0, message));
        }
        let ports = self.ports(&raw)?;
        let settings = self.settings(&raw)?;
        let app = App {
            title: self.words(&raw.title, TITLE_CHARS)?,
            description: self.words(&raw.description, DESCRIPTION_CHARS)?,
            category: raw.category,
            icon: self.icon(raw.icon.as_ref())?,
            architectures: self.architectures(raw.architectures.as_ref())?,
            image: self.image(&raw)?,
            run: self.run(&raw)?,
            volumes: self.volumes(&raw)?,
            health: raw.health.as_ref().map(|health| self.health(health, &ports)).transpose()?,
            limits: Limits {
                memory_mb: self.within(&raw.limits.memory_mb, MEMORY_MB)?,
                processes: self.within_or(raw.limits.processes.as_ref(), PROCESSES, DEFAULT_PROCESSES)?,
                cpu_percent: self.within_or(raw.limits.cpu_percent.as_ref(), CPU_PERCENT, DEFAULT_CPU_PERCENT)?,
            },
            store: self.store(raw.store.as_ref(), &name)?,
            ports,
            settings,
            name,
        };
        self.environments(&raw, &app)?;
        Ok(app)
    }

    fn store(&self, raw: Option<&Spanned<bool>>, name: &str) -> Checked<bool> {
        let Some(raw) = raw.filter(|raw| *raw.get_ref()) else { return Ok(false) };
        if name.len() > STORE_NAME_CHARS {
            let message = format!("`{name}` is too long: an app that uses the store has a name of {STORE_NAME_CHARS} characters at most");
            return Err(self.error(raw, message));
        }
        Ok(true)
    }

    fn words(&self, raw: &Spanned<RawWords>, most: usize) -> Checked<Words> {
        let words = raw.get_ref().clone();
        for (language, text) in [("en", &words.en), ("es", &words.es), ("ca", &words.ca)] {
            let chars = text.chars().count();
            if text.trim().is_empty() || chars > most || text.chars().any(char::is_control) {
                return Err(self.error(raw, format!("`{language}` is no line of 1 to {most} characters")));
            }
        }
        Ok(Words { en: words.en, es: words.es, ca: words.ca })
    }

    fn icon(&self, icon: Option<&Spanned<String>>) -> Checked<Option<String>> {
        let Some(icon) = icon else { return Ok(None) };
        let name = icon.get_ref();
        if !name.ends_with(".svg") || !is_name(name.trim_end_matches(".svg")) {
            return Err(self.error(icon, format!("`{name}` is no name of an SVG file beside this one (`icon.svg`)")));
        }
        Ok(Some(name.clone()))
    }

    fn architectures(&self, raw: Option<&Spanned<Vec<Arch>>>) -> Checked<Vec<Arch>> {
        let Some(raw) = raw else { return Ok(Arch::ALL.to_vec()) };
        let set: BTreeSet<Arch> = raw.get_ref().iter().copied().collect();
        if set.is_empty() || set.len() != raw.get_ref().len() {
            return Err(self.error(raw, "name at least one architecture, each once"));
        }
        Ok(set.into_iter().collect())
    }

    fn image(&self, raw: &RawApp) -> Checked<Image> {
        let image = &raw.image;
        const PATH: &str = "absolute, normal path (`/usr/bin/awk`)";
        Ok(Image {
            packages: self.list(&image.packages, "package name", is_package)?,
            providers: self.pairs(&image.providers, ("package name", is_package), ("package name", is_package))?,
            drop: self.list(&image.drop, "absolute glob", |glob| glob.starts_with('/'))?,
            keep: self.list(&image.keep, "absolute glob", |glob| glob.starts_with('/'))?,
            links: self.pairs(&image.links, (PATH, is_path), ("target of a link", |target| !target.is_empty() && is_line(target)))?,
        })
    }

    fn run(&self, raw: &RawApp) -> Checked<Run> {
        let run = &raw.run;
        if !is_name(run.user.get_ref()) {
            return Err(self.error(&run.user, format!("`{}` is no name of a user", run.user.get_ref())));
        }
        if !UIDS.contains(run.uid.get_ref()) {
            return Err(self.error(&run.uid, format!("apps' users are numbered {} to {}", UIDS.start, UIDS.end - 1)));
        }
        let mut capabilities = run.capabilities.clone();
        capabilities.sort_unstable();
        capabilities.dedup();
        Ok(Run {
            command: self.command(&run.command)?,
            user: run.user.get_ref().clone(),
            uid: *run.uid.get_ref(),
            environment: self.pairs(&run.environment, ("environment variable", is_variable), ("line", is_line))?,
            scratch: self.list(&run.scratch, "absolute, normal path of a folder", is_path)?,
            capabilities,
            stop_seconds: self.within_or(run.stop_seconds.as_ref(), SECONDS, DEFAULT_STOP_SECONDS)?,
            shared_memory_mb: run.shared_memory_mb.as_ref().map(|mb| self.within(mb, MEMORY_MB)).transpose()?,
        })
    }

    fn command(&self, command: &Spanned<Vec<String>>) -> Checked<Vec<String>> {
        let words = command.get_ref();
        let absolute = words.first().is_some_and(|program| is_path(program));
        if !absolute || words.iter().any(|word| !is_line(word)) {
            return Err(self.error(command, "a command is an absolute path of a program and its arguments, each one line"));
        }
        Ok(words.clone())
    }

    fn ports(&self, raw: &RawApp) -> Checked<BTreeMap<String, Port>> {
        let mut ports: BTreeMap<String, Port> = BTreeMap::new();
        for (name, port) in &raw.ports {
            self.name(name, "a port")?;
            let proposed = port.proposed.as_ref().unwrap_or(&port.container);
            for number in [&port.container, proposed] {
                if *number.get_ref() == 0 {
                    return Err(self.error(number, "0 is no port"));
                }
            }
            let protocol = port.protocol;
            for other in ports.values() {
                let meet = other.protocol == protocol || [other.protocol, protocol].contains(&super::Protocol::Both);
                if meet && (other.container == *port.container.get_ref() || other.proposed == *proposed.get_ref()) {
                    return Err(self.error(name, "another port has this number"));
                }
            }
            let checked = Port { container: *port.container.get_ref(), proposed: *proposed.get_ref(), protocol, scheme: port.scheme };
            ports.insert(name.get_ref().clone(), checked);
        }
        Ok(ports)
    }

    fn volumes(&self, raw: &RawApp) -> Checked<BTreeMap<String, Volume>> {
        let mut volumes: BTreeMap<String, Volume> = BTreeMap::new();
        for (name, volume) in &raw.volumes {
            self.name(name, "a volume")?;
            let path = volume.path.get_ref();
            if !is_path(path) || path == "/" {
                return Err(self.error(&volume.path, format!("`{path}` is no absolute, normal path of a folder")));
            }
            let inside = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
            if volumes.values().any(|other| inside(&other.path, path) || inside(path, &other.path)) {
                return Err(self.error(&volume.path, format!("`{path}` lies in another volume, or another in it")));
            }
            volumes.insert(name.get_ref().clone(), Volume { path: path.clone(), title: self.words(&volume.title, DESCRIPTION_CHARS)? });
        }
        Ok(volumes)
    }

    fn settings(&self, raw: &RawApp) -> Checked<BTreeMap<String, Setting>> {
        let mut settings = BTreeMap::new();
        for (name, setting) in &raw.settings {
            self.name(name, "a setting")?;
            settings.insert(name.get_ref().clone(), self.setting(setting)?);
        }
        Ok(settings)
    }

    fn setting(&self, raw: &RawSetting) -> Checked<Setting> {
        let kind = *raw.kind.get_ref();
        let only = |wanted: &[RawKind], given: bool, key: &str| {
            if given && !wanted.contains(&kind) {
                Err(self.error(&raw.kind, format!("`{key}` has no meaning for this kind")))
            } else {
                Ok(())
            }
        };
        only(&[RawKind::Text, RawKind::Password], raw.longest.is_some(), "longest")?;
        only(&[RawKind::Number], raw.least.is_some() || raw.most.is_some(), "least` or `most")?;
        only(&[RawKind::Choice], raw.choices.is_some(), "choices")?;
        let longest = || Ok(self.within_or(raw.longest.as_ref(), 1..=4096, TEXT_CHARS)? as usize);
        let kind = match kind {
            RawKind::Text => SettingKind::Text(longest()?),
            RawKind::Password => SettingKind::Password(longest()?),
            RawKind::Number => {
                let (least, most) = (raw.least.as_ref().map_or(0, |n| *n.get_ref()), raw.most.as_ref().map_or(i64::MAX, |n| *n.get_ref()));
                if least > most {
                    return Err(self.error(&raw.kind, "`least` is greater than `most`"));
                }
                SettingKind::Number(least, most)
            }
            RawKind::Choice => {
                let choices = self.list(raw.choices.as_ref().unwrap_or(&Vec::new()), "choice: one line", is_line)?;
                if choices.is_empty() {
                    return Err(self.error(&raw.kind, "a choice needs `choices`"));
                }
                SettingKind::Choice(choices)
            }
            RawKind::Switch => SettingKind::Switch,
        };
        if let Some(default) = &raw.default {
            if matches!(kind, SettingKind::Password(_)) {
                return Err(self.error(default, "a secret has no default: all nodes would have the same"));
            }
            kind.check(default.get_ref()).map_err(|why| self.error(default, why))?;
        }
        if !is_variable(raw.environment.get_ref()) {
            return Err(self.error(&raw.environment, format!("`{}` is no environment variable", raw.environment.get_ref())));
        }
        Ok(Setting {
            environment: raw.environment.get_ref().clone(),
            title: self.words(&raw.title, DESCRIPTION_CHARS)?,
            kind,
            default: raw.default.as_ref().map(|default| default.get_ref().clone()),
        })
    }

    fn health(&self, raw: &Spanned<RawHealth>, ports: &BTreeMap<String, Port>) -> Checked<Health> {
        let health = raw.get_ref();
        let test = match (&health.port, &health.command) {
            (Some(port), None) => {
                let known: Vec<&str> = ports.keys().map(String::as_str).collect();
                match ports.get(port.get_ref()) {
                    None => {
                        return Err(
                            self.error(port, format!("no port is called `{0}`{1}", port.get_ref(), suggestion(port.get_ref(), &known)))
                        );
                    }
                    Some(known) if known.protocol == super::Protocol::Udp => {
                        return Err(self.error(port, "a port of UDP can't be tried: name a command"));
                    }
                    Some(_) => {}
                }
                if let Some(path) = health.path.as_ref().filter(|path| !path.get_ref().starts_with('/') || !is_word(path.get_ref())) {
                    return Err(self.error(path, format!("`{}` is no path of a page", path.get_ref())));
                }
                HealthTest::Port(port.get_ref().clone(), health.path.as_ref().map(|path| path.get_ref().clone()))
            }
            (None, Some(command)) if health.path.is_none() => {
                HealthTest::Command(self.command(&Spanned::new(raw.span(), command.clone()))?)
            }
            _ => return Err(self.error(raw, "name either a `port` (with a `path` where it speaks HTTP) or a `command`")),
        };
        let start_seconds = self.within_or(health.start_seconds.as_ref(), SECONDS, DEFAULT_START_SECONDS)?;
        Ok(Health { test, start_seconds })
    }

    /// No environment variable is given twice.
    fn environments(&self, raw: &RawApp, app: &App) -> Checked<()> {
        let mut seen: BTreeSet<&str> = app.run.environment.keys().map(String::as_str).collect();
        for setting in raw.settings.values() {
            if !seen.insert(setting.environment.get_ref()) {
                return Err(self.error(&setting.environment, format!("`{}` is given twice", setting.environment.get_ref())));
            }
        }
        Ok(())
    }

    fn name(&self, name: &Spanned<String>, what: &str) -> Checked<()> {
        if is_name(name.get_ref()) {
            return Ok(());
        }
        Err(self.error(name, format!("`{}` is no name of {what}: lower-case letters, digits and `-`", name.get_ref())))
    }

    fn list(&self, list: &Strings, what: &str, good: fn(&str) -> bool) -> Checked<Vec<String>> {
        distinct(list, what, good, |item, message| self.error(item, message))
    }

    fn pairs(&self, pairs: &Pairs, key: (&str, fn(&str) -> bool), value: (&str, fn(&str) -> bool)) -> Checked<BTreeMap<String, String>> {
        for (name, text) in pairs {
            for (word, (what, good)) in [(name, key), (text, value)] {
                if !good(word.get_ref()) {
                    return Err(self.error(word, format!("`{}` is no {what}", word.get_ref())));
                }
            }
        }
        Ok(pairs.iter().map(|(name, text)| (name.get_ref().clone(), text.get_ref().clone())).collect())
    }

    fn within(&self, number: &Spanned<u32>, range: std::ops::RangeInclusive<u32>) -> Checked<u32> {
        if range.contains(number.get_ref()) {
            return Ok(*number.get_ref());
        }
        Err(self.error(number, format!("{} is not between {} and {}", number.get_ref(), range.start(), range.end())))
    }

    fn within_or(&self, number: Option<&Spanned<u32>>, range: std::ops::RangeInclusive<u32>, default: u32) -> Checked<u32> {
        number.map_or(Ok(default), |number| self.within(number, range))
    }
}

impl SettingKind {
    /// Says why `value` can't stand in a setting of this kind.
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self {
            Self::Text(longest) | Self::Password(longest) => {
                let chars = value.chars().count();
                if chars > *longest || !is_line(value) {
                    return Err(format!("one line of {longest} characters at most is allowed"));
                }
            }
            Self::Number(least, most) => {
                let number: Option<i64> = value.parse().ok();
                if !number.is_some_and(|number| (*least..=*most).contains(&number)) {
                    return Err(format!("a whole number from {least} to {most} is allowed"));
                }
            }
            Self::Choice(choices) => {
                if !choices.iter().any(|choice| choice == value) {
                    return Err(format!("allowed are: {}", choices.join(", ")));
                }
            }
            Self::Switch => {
                if !["yes", "no"].contains(&value) {
                    return Err("allowed are: yes, no".to_owned());
                }
            }
        }
        Ok(())
    }
}

/// Names of apps, ports, volumes and settings: fit for host names, Docker's names and file names.
pub fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Debian policy 5.6.7.
fn is_package(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

/// No control characters, so no second line either.
fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic())
}

/// Absolute and normal.
fn is_path(path: &str) -> bool {
    let good = |part: &str| !part.is_empty() && part != "." && part != "..";
    is_word(path) && !path.contains(':') && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(good))
}

/// POSIX, 8.1: upper-case letters, digits and `_`.
fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

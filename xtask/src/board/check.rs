//! Raw files → checked values: what is missing, empty or malformed is named with its place.

use std::path::{Path, PathBuf};

use toml::Spanned;

use super::parse::ParseError;
use super::raw::{RawBoard, RawFlavour, RawSelect, Strings};
use super::{Board, Flavour, Globs, Prune, Select};

/// A file's path, text and parsed content.
pub struct Source<T> {
    /// Relative to the tree that holds it.
    pub path: PathBuf,
    /// Its text, to tell lines and columns.
    pub text: String,
    /// What it says.
    pub raw: T,
}

impl<T> Source<T> {
    fn error<V>(&self, value: &Spanned<V>, message: impl Into<String>) -> ParseError {
        ParseError::at(&self.path, &self.text, value.span(), message)
    }

    fn strings(&self, list: &Strings, what: &str, good: impl Fn(&str) -> bool) -> Result<Vec<String>, ParseError> {
        let mut seen = Vec::<String>::new();
        for item in list {
            let text = item.get_ref();
            if !good(text) {
                return Err(self.error(item, format!("`{text}` is no {what}")));
            }
            if seen.contains(text) {
                return Err(self.error(item, format!("`{text}` stands here twice")));
            }
            seen.push(text.clone());
        }
        Ok(seen)
    }

    fn globs(&self, list: &Strings) -> Result<Globs, ParseError> {
        let patterns: Vec<&str> = list.iter().map(|item| item.get_ref().as_str()).collect();
        Globs::new(&patterns).map_err(|(index, error)| match list.get(index) {
            Some(item) => self.error(item, format!("bad glob: {error}")),
            None => ParseError::at(&self.path, &self.text, 0..0, format!("bad glob: {error}")),
        })
    }
}

/// The board file and its family's: a key is taken from the first that has it.
pub struct Pair {
    /// `<family>/<board>.toml`.
    pub board: Source<RawBoard>,
    /// `<family>/family.toml`.
    pub family: Source<RawBoard>,
}

impl Pair {
    fn find<'a, T>(&'a self, key: impl Fn(&'a RawBoard) -> Option<&'a T>) -> Option<(&'a Source<RawBoard>, &'a T)> {
        [&self.board, &self.family].into_iter().find_map(|source| key(&source.raw).map(|value| (source, value)))
    }

    fn need<'a, T>(&'a self, name: &str, key: impl Fn(&'a RawBoard) -> Option<&'a T>) -> Result<(&'a Source<RawBoard>, &'a T), ParseError> {
        self.find(key).ok_or_else(|| {
            let message = format!("`{name}` is missing; set it here or in {}", self.family.path.display());
            ParseError::at(&self.board.path, &self.board.text, 0..0, message)
        })
    }

    fn strings<'a>(
        &'a self,
        what: &str,
        good: fn(&str) -> bool,
        key: impl Fn(&'a RawBoard) -> Option<&'a Strings>,
    ) -> Result<Vec<String>, ParseError> {
        self.find(key).map_or_else(|| Ok(Vec::new()), |(source, list)| source.strings(list, what, good))
    }

    fn globs<'a>(&'a self, key: impl Fn(&'a RawBoard) -> Option<&'a Strings>) -> Result<Globs, ParseError> {
        static NONE: Strings = Vec::new();
        let (source, list) = self.find(key).unwrap_or((&self.board, &NONE));
        source.globs(list)
    }

    fn select<'a>(&'a self, section: impl Fn(&'a RawBoard) -> &'a RawSelect) -> Result<Select, ParseError> {
        Ok(Select { keep: self.globs(|raw| section(raw).keep.as_ref())?, drop: self.globs(|raw| section(raw).drop.as_ref())? })
    }

    /// The checked board.
    pub fn check(&self) -> Result<Board, ParseError> {
        let (_, title) = self.need("title", |raw| raw.title.as_ref())?;
        let (_, arch) = self.need("arch", |raw| raw.arch.as_ref())?;
        let (_, boot_flow) = self.need("boot-flow", |raw| raw.boot_flow.as_ref())?;
        let (console_source, consoles) = self.need("consoles", |raw| raw.consoles.as_ref())?;
        let consoles = console_source.strings(consoles, "console (`tty0`, `ttyS0,115200`)", is_console)?;
        if consoles.is_empty() {
            let message = "`consoles` is empty; name at least one, the last is /dev/console";
            return Err(ParseError::at(&console_source.path, &console_source.text, 0..0, message));
        }
        let (kernel_source, kernel) = self.need("kernel", |raw| raw.kernel.as_ref())?;
        if !is_payload(kernel.get_ref()) {
            return Err(kernel_source.error(kernel, format!("`{}` is no package name", kernel.get_ref())));
        }
        Ok(Board {
            name: stem(&self.board.path),
            family: folder(&self.board.path),
            title: title.clone(),
            arch: *arch,
            boot_flow: *boot_flow,
            consoles,
            cmdline: self.strings("single word for the kernel command line", is_word, |raw| raw.cmdline.as_ref())?,
            kernel: kernel.get_ref().clone(),
            payload: self.strings("package name", is_payload, |raw| raw.payload.as_ref())?,
            modules: self.select(|raw| &raw.modules)?,
            firmware: self.select(|raw| &raw.firmware)?,
            initramfs: self.globs(|raw| raw.initramfs.modules.as_ref())?,
            files: vec![self.family.path.clone(), self.board.path.clone()],
        })
    }
}

/// The checked flavour.
pub fn flavour(source: &Source<RawFlavour>) -> Result<Flavour, ParseError> {
    let raw = &source.raw;
    for (name, provider) in &raw.providers {
        for package in [name, provider.get_ref()] {
            if !is_package(package) {
                return Err(source.error(provider, format!("`{package}` is no package name")));
            }
        }
    }
    for glob in raw.prune.drop.iter().chain(&raw.prune.keep) {
        if !glob.get_ref().starts_with('/') {
            return Err(source.error(glob, format!("`{}` is not absolute; begin it with `/`", glob.get_ref())));
        }
    }
    Ok(Flavour {
        name: folder(&source.path),
        title: raw.title.clone(),
        packages: source.strings(&raw.packages, "package name", is_package)?,
        providers: raw.providers.iter().map(|(name, provider)| (name.clone(), provider.get_ref().clone())).collect(),
        prune: Prune { drop: source.globs(&raw.prune.drop)?, keep: source.globs(&raw.prune.keep)? },
        compression: raw.root.compression.unwrap_or_default(),
        folder: source.path.parent().map(Path::to_owned).unwrap_or_default(),
    })
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn folder(path: &Path) -> String {
    path.parent().map(stem).unwrap_or_default()
}

/// Debian policy 5.6.7.
fn is_package(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

/// A package, or `package/suite` where another suite's is wanted than apt would take.
fn is_payload(name: &str) -> bool {
    let (name, suite) = name.split_once('/').unwrap_or((name, "stable"));
    is_package(name) && is_package(suite)
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic() && c != '"')
}

fn is_console(name: &str) -> bool {
    is_word(name) && name.starts_with(|first: char| first.is_ascii_alphabetic())
}

//! Raw files → checked values: what is missing, empty or malformed is named with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::pi::RaspberryPi;
use super::raw::{Pairs, RawBoard, RawFlavour, RawSelect, Strings};
use super::{Board, BootFlow, CONSOLE_OF_DEVICE_TREE, DeviceTrees, Flavour, Globs, Prune, Select, Uboot};
use contract::facts::{ParseError, distinct};

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
    pub(super) fn error<V>(&self, value: &Spanned<V>, message: impl Into<String>) -> ParseError {
        ParseError::at(&self.path, &self.text, value.span(), message)
    }

    pub(super) fn strings(&self, list: &Strings, what: &str, good: impl Fn(&str) -> bool) -> Result<Vec<String>, ParseError> {
        distinct(list, what, good, |item, message| self.error(item, message))
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

/// Whether a text is what a key takes.
type Good = fn(&str) -> bool;

impl Pair {
    fn find<'a, T>(&'a self, key: impl Fn(&'a RawBoard) -> Option<&'a T>) -> Option<(&'a Source<RawBoard>, &'a T)> {
        [&self.board, &self.family].into_iter().find_map(|source| key(&source.raw).map(|value| (source, value)))
    }

    fn need<'a, T>(&'a self, name: &str, key: impl Fn(&'a RawBoard) -> Option<&'a T>) -> Result<(&'a Source<RawBoard>, &'a T), ParseError> {
        self.find(key).ok_or_else(|| self.absent(name))
    }

    fn absent(&self, name: &str) -> ParseError {
        let message = format!("`{name}` is missing; set it here or in {}", self.family.path.display());
        ParseError::at(&self.board.path, &self.board.text, 0..0, message)
    }

    /// A table whose keys and values are both checked.
    fn pairs<'a>(
        &'a self,
        what: (&str, &str),
        good: (Good, Good),
        key: impl Fn(&'a RawBoard) -> Option<&'a Pairs>,
    ) -> Result<BTreeMap<String, String>, ParseError> {
        let Some((source, pairs)) = self.find(key) else { return Ok(BTreeMap::new()) };
        for (name, value) in pairs {
            for (text, what, good) in [(name, what.0, good.0), (value, what.1, good.1)] {
                if !good(text.get_ref()) {
                    return Err(source.error(text, format!("`{}` is no {what}", text.get_ref())));
                }
            }
        }
        Ok(pairs.iter().map(|(name, value)| (name.get_ref().clone(), value.get_ref().clone())).collect())
    }

    fn device_trees(&self) -> Result<DeviceTrees, ParseError> {
        const FILE: &str = "name of a device tree (`bcm2711-rpi-4-b.dtb`, without its folder)";
        let files = self.strings(FILE, is_device_tree, |raw| raw.device_trees.files.as_ref())?;
        let also_named = |raw| {
            let raw: &RawBoard = raw;
            raw.device_trees.also_named.as_ref()
        };
        let named = self.pairs((FILE, FILE), (is_device_tree, is_device_tree), also_named)?;
        if let Some((source, pairs)) = self.find(also_named)
            && let Some((_, file)) = pairs.iter().find(|(_, file)| !files.contains(file.get_ref()))
        {
            return Err(source.error(file, format!("`{}` is not among `device-trees.files`", file.get_ref())));
        }
        Ok(DeviceTrees {
            files,
            also_named: named,
            aliases: self.pairs(
                ("alias (`mmc0`)", "path of a node (`/soc/mmc@7e300000`)"),
                (is_alias, |path| path.starts_with('/') && is_word(path)),
                |raw| raw.device_trees.aliases.as_ref(),
            )?,
            no_driver: self.strings("`compatible` of a device", is_word, |raw| raw.device_trees.no_driver.as_ref())?,
        })
    }

    fn u_boot(&self) -> Result<Uboot, ParseError> {
        let (source, program) = self.need("u-boot.program", |raw| raw.u_boot.program.as_ref())?;
        const PATH: &str = "absolute path of a package's file";
        let is_path = |path: &str| path.starts_with('/') && is_word(path);
        if !is_path(program.get_ref()) {
            return Err(source.error(program, format!("`{}` is no {PATH}", program.get_ref())));
        }
        let program_for =
            self.pairs(("filter of config.txt", PATH), (super::pi::is_filter, |path| path.starts_with('/') && is_word(path)), |raw| {
                raw.u_boot.program_for.as_ref()
            })?;
        let watchdog = self.find(|raw| raw.u_boot.watchdog.as_ref()).map(|(_, address)| *address);
        Ok(Uboot { program: program.get_ref().clone(), program_for, watchdog })
    }

    fn raspberry_pi(&self) -> Result<RaspberryPi, ParseError> {
        let (_, models) = self.need("raspberry-pi.models", |raw| raw.raspberry_pi.models.as_ref())?;
        let config = match self.find(|raw| raw.raspberry_pi.config.as_ref()) {
            Some((source, sections)) => super::pi::config(source, sections)?,
            None => BTreeMap::new(),
        };
        let overlays = self.strings("name of an overlay (`disable-bt`)", is_alias, |raw| raw.raspberry_pi.overlays.as_ref())?;
        Ok(RaspberryPi { models: models.clone(), overlays, config })
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

    /// What is wrong with the facts of a Pi, where perhaps none is meant.
    fn only_pis(&self, error: ParseError) -> ParseError {
        if self.find(|raw| raw.raspberry_pi.models.as_ref()).is_some() {
            return error;
        }
        let message = "`boot-flow = \"uboot\"` is that of Raspberry Pis, whose `raspberry-pi.models` is missing; another board with U-Boot or EDK2 \
                       in its own flash is started by UEFI: `boot-flow = \"uefi\"` (docs/adding-a-board.md has an example)";
        ParseError::at(&self.board.path, &self.board.text, 0..0, message)
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
        let device_trees = self.device_trees()?;
        let (u_boot, raspberry_pi) = match boot_flow {
            BootFlow::Uefi => (None, None),
            BootFlow::Uboot => (Some(self.u_boot()?), Some(self.raspberry_pi().map_err(|error| self.only_pis(error))?)),
        };
        if *boot_flow == BootFlow::Uboot && device_trees.files.is_empty() {
            return Err(self.absent("device-trees.files"));
        }
        if consoles.iter().any(|console| console == CONSOLE_OF_DEVICE_TREE) && *boot_flow != BootFlow::Uboot {
            let message = format!(
                "`{CONSOLE_OF_DEVICE_TREE}` among `consoles` needs `boot-flow = \"uboot\"`; name the port, such as `ttyAMA0,115200`"
            );
            return Err(ParseError::at(&console_source.path, &console_source.text, 0..0, message));
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
            device_trees,
            u_boot,
            raspberry_pi,
            qemu: self.find(|raw| raw.qemu.as_ref()).map(|(_, model)| *model),
            download_max_mb: self.find(|raw| raw.download_max_mb.as_ref()).map(|(_, most)| *most),
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

/// A file name, no path.
fn is_device_tree(name: &str) -> bool {
    name.ends_with(".dtb") && !name.contains('/') && is_word(name)
}

/// Names of aliases (Devicetree Specification, 3.3) and of overlays.
fn is_alias(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

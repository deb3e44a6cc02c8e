//! What the Raspberry Pi's own firmware does with a config partition, as its documentation says it ("config.txt": conditional
//! filters, boot options, `upstream_kernel`). The firmware itself is not run by any emulator: so this model tells,
//! for each model of board, what it would read, and whether that is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::board::pi::Model;

/// Characters of a line that the firmware reads at most.
const LINE_MAX: usize = 98;

/// config.txt as one model of board reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Key → value of its last line.
    values: BTreeMap<String, String>,
}

impl Settings {
    /// Reads the text as `model` does.
    pub fn read(text: &str, model: Model) -> Self {
        let filters = model.habits().filters;
        let mut settings = Self::default();
        let mut applies = true;
        for line in text.lines() {
            let line = line.get(..LINE_MAX).unwrap_or(line).trim();
            if let Some(filter) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                applies = filter == "all" || filters.contains(&filter);
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            if !applies || key.starts_with('#') {
                continue;
            }
            settings.values.insert(key.to_owned(), value.to_owned());
        }
        settings
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    fn is_on(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value != "0")
    }
}

/// What `model` would miss on a config partition with this config.txt and these files (paths), in words.
pub fn missing(model: Model, config: &str, files: &[&str]) -> Vec<String> {
    let settings = Settings::read(config, model);
    let habits = model.habits();
    // FAT knows no difference of case.
    let present: BTreeSet<String> = files.iter().map(|path| path.to_ascii_lowercase()).collect();
    let has = |path: &str| present.contains(&path.to_ascii_lowercase());
    let mut found = Vec::new();
    let mut need = |path: String, what: &str| {
        if !has(&path) {
            found.push(format!("{model:?} needs {what} `{path}`"));
        }
    };
    if habits.bootcode {
        need("bootcode.bin".to_owned(), "its second boot stage");
    }
    if let Some(suffix) = habits.start {
        // A small share of memory for graphics means the cut-down firmware.
        let kind = match () {
            () if settings.is_on("start_x") => "x",
            () if settings.is_on("start_debug") => "db",
            () if settings.get("gpu_mem").and_then(|mib| mib.parse().ok()).is_some_and(|mib: u32| mib <= 16) => "cd",
            () => "",
        };
        let dash = if suffix.is_empty() && !kind.is_empty() { "_" } else { "" };
        need(settings.get("start_file").map_or_else(|| format!("start{suffix}{dash}{kind}.elf"), str::to_owned), "its firmware");
        need(settings.get("fixup_file").map_or_else(|| format!("fixup{suffix}{dash}{kind}.dat"), str::to_owned), "its firmware's");
    }
    let bits64 = settings.get("arm_64bit").map_or(habits.bits64 && habits.start != Some(""), |value| value != "0");
    let default = match (bits64, habits.start) {
        (true, _) => "kernel8.img",
        (false, Some("4")) => "kernel7l.img",
        (false, _) => "kernel7.img",
    };
    let prefix = settings.get("os_prefix").unwrap_or_default();
    need(format!("{prefix}{}", settings.get("kernel").unwrap_or(default)), "its kernel");
    match settings.get("device_tree") {
        Some(file) => need(format!("{prefix}{file}"), "the device tree"),
        None => {
            let names: Vec<&str> = if settings.is_on("upstream_kernel") {
                habits.device_trees.to_vec()
            } else {
                habits.device_trees.last().copied().into_iter().collect()
            };
            if !names.iter().any(|name| has(&format!("{prefix}{name}"))) {
                found.push(format!("{model:?} needs one of the device trees {}", names.join(", ")));
            }
        }
    }
    if bits64 && !habits.bits64 {
        found.push(format!("{model:?} can't run the 64-bit kernel that `arm_64bit=1` asks for"));
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::board::pi::RaspberryPi;
    use crate::board::{Arch, Board, Catalog, Uboot};
    use crate::plan::config_txt;

    const MODELS: [Model; 11] = [
        Model::Two,
        Model::Three,
        Model::ThreePlus,
        Model::ThreeA,
        Model::ZeroTwo,
        Model::Module3,
        Model::Four,
        Model::FourHundred,
        Model::Module4,
        Model::Five,
        Model::FiveD0,
    ];

    fn board(arch: Arch) -> Board {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Board { arch, ..Catalog::load(&[&root]).unwrap().boards[0].clone() }
    }

    #[test]
    fn a_filter_holds_until_the_next_one() {
        let text = "a=1\n[pi4]\na=2\n[pi400]\nb=3\n[none]\nc=4\n# d=5\n[all]\ne=6\n";
        let four = Settings::read(text, Model::Four);
        assert_eq!((four.get("a"), four.get("b"), four.get("c"), four.get("d"), four.get("e")), (Some("2"), None, None, None, Some("6")));
        let keyboard = Settings::read(text, Model::FourHundred);
        assert_eq!((keyboard.get("a"), keyboard.get("b")), (Some("2"), Some("3")));
        assert_eq!(Settings::read(text, Model::Three).get("a"), Some("1"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let config = "arm_64bit=1\nupstream_kernel=1\nkernel=u-boot.bin\n";
        let files = ["bootcode.bin", "START.ELF", "fixup.dat", "u-boot.bin", "bcm2837-rpi-3-b.dtb", "start4.elf", "bcm2711-rpi-4-b.dtb"];
        assert_eq!(missing(Model::Three, config, &files), Vec::<String>::new());
        assert_eq!(missing(Model::Four, config, &files), ["Four needs its firmware's `fixup4.dat`"]);
        assert_eq!(missing(Model::ThreeA, config, &files).len(), 1);
        assert_eq!(missing(Model::Three, config, &files[1..]), ["Three needs its second boot stage `bootcode.bin`"]);
        assert_eq!(missing(Model::Five, config, &files), ["Five needs one of the device trees bcm2712-rpi-5-b.dtb"]);
        assert!(missing(Model::Two, config, &files).contains(&"Two can't run the 64-bit kernel that `arm_64bit=1` asks for".to_owned()));
        assert_eq!(
            missing(Model::Three, "gpu_mem=16\n", &files)[..2],
            ["Three needs its firmware `start_cd.elf`", "Three needs its firmware's `fixup_cd.dat`"]
        );
        assert!(missing(Model::Three, "", &files).contains(&"Three needs its kernel `kernel7.img`".to_owned()));
    }

    proptest! {
        #[test]
        fn every_model_reads_what_the_plan_means(
            bits64: bool,
            programs in prop::collection::btree_set(prop::sample::select(vec!["pi2", "pi3", "pi3+", "pi4", "pi5", "cm4"]), 0..4),
            lines in prop::collection::btree_map(prop::sample::select(vec!["all", "pi2", "pi3", "pi4", "pi400", "pi5", "none"]), "[a-z]{1,6}=[a-z0-9]{1,6}", 0..6),
            overlays in prop::collection::btree_set("[a-z]{1,8}", 0..3),
        ) {
            let uboot = Uboot {
                program: "/u".to_owned(),
                program_for: programs.iter().map(|filter| ((*filter).to_owned(), "/v".to_owned())).collect(),
                watchdog: None,
            };
            let pi = RaspberryPi {
                models: Vec::new(),
                overlays: overlays.into_iter().collect(),
                config: lines.iter().map(|(filter, line)| ((*filter).to_owned(), vec![line.clone()])).collect(),
            };
            let text = config_txt::render(&board(if bits64 { Arch::Arm64 } else { Arch::Armhf }), &uboot, &pi);
            for model in MODELS {
                let settings = Settings::read(&text, model);
                let filters = model.habits().filters;
                prop_assert_eq!(settings.get("arm_64bit"), Some(if bits64 { "1" } else { "0" }));
                // They are in the trees already.
                prop_assert_eq!(settings.get("dtoverlay"), None);
                // The most special program wins: filters are in the order of the alphabet, a board names one for each model.
                let own: Vec<String> = programs.iter().filter(|filter| filters.contains(filter)).map(|filter| config_txt::uboot_for(filter)).collect();
                let kernel = settings.get("kernel").unwrap().to_owned();
                let good = if own.is_empty() { kernel == config_txt::UBOOT } else { own.contains(&kernel) };
                prop_assert!(good, "{} boots {}", text, kernel);
                for (filter, line) in &lines {
                    let (key, value) = line.split_once('=').unwrap();
                    let alone = lines.values().filter(|line| line.split_once('=').unwrap().0 == key).count() == 1;
                    let reads = *filter == "all" || filters.contains(filter);
                    prop_assert!(!alone || settings.get(key) == reads.then_some(value));
                }
                // What is appended is for every model.
                let longer = Settings::read(&format!("{text}zzzzzzzz=9\n"), model);
                prop_assert_eq!(longer.get("zzzzzzzz"), Some("9"));
            }
        }

        #[test]
        fn any_text_is_survived(text in ".{0,300}", lines in "[\\[\\]a-z=#,\n0-9+]{0,200}") {
            for model in MODELS {
                let _ = missing(model, &text, &["a"]);
                let _ = missing(model, &lines, &["a"]);
            }
        }
    }
}

//! What the builder writes for U-Boot. That U-Boot understands it shows `cargo xtask vm BOARD --boot-cases`.

use proptest::prelude::*;

use super::uimage::{Kind, Processor, wrap};
use super::*;
use crate::plan::BootFile;

const PLAN: ScriptPlan = ScriptPlan { kernel: KernelForm::GzippedImage, watchdog_base: Some(0x3f10_0000) };

#[test]
fn the_script_stands_on_nothing_that_an_environment_could_lack() {
    for plan in [PLAN, ScriptPlan { kernel: KernelForm::ZImage, watchdog_base: None }] {
        let text = script::script(&plan);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        // A variable is set by `setenv`, `setexpr` or a command that stores its result, before it is read.
        let set_in = |line: &&str| -> Vec<String> {
            let words: Vec<&str> = line.split([' ', ';', '\'', '\n']).filter(|word| !word.is_empty()).collect();
            words.windows(2).filter(|pair| matches!(pair[0], "setenv" | "setexpr")).map(|pair| pair[1].to_owned()).collect()
        };
        let all: Vec<String> = lines.iter().flat_map(set_in).collect();
        let mut known: Vec<String> = ["devtype", "devnum", "fdt_addr", "filesize", "c_n", "c_lba"].map(str::to_owned).to_vec();
        for line in &lines {
            known.extend(set_in(line));
            // What is run later reads what was set by then.
            let later = line.starts_with("setenv c_load '") || line.starts_with("setenv c_start '");
            let before = if later { &all } else { &known };
            for (at, _) in line.match_indices("${") {
                let name = line[at + 2..].split('}').next().unwrap();
                assert!(before.iter().chain(&known).any(|set| set == name), "`{name}` is read before it is set: {line}");
            }
        }
        // Its shell has no loops that Ctrl-C would not break, and no apostrophe within double quotes.
        assert!(!text.contains("for ") && !text.contains("while "), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert_eq!(line.matches('\'').count() % 2, 0, "{line}");
            assert_eq!(line.matches('"').count() % 2, 0, "{line}");
        }
    }
}

#[test]
fn boards_differ_in_kernel_and_watchdog_only() {
    let text = script::script(&PLAN);
    assert!(text.contains("mw.l 0x3f100024 0x5a0fffff; mw.l 0x3f10001c 0x5a000020"));
    assert!(text.contains("unzip 0xc000000 0x200000") && text.contains("booti 0x200000 0x10000000:${c_initrd} ${c_fdt}"));
    let text = script::script(&ScriptPlan { kernel: KernelForm::ZImage, watchdog_base: None });
    assert!(!text.contains("mw.l") && !text.contains("unzip"));
    assert!(text.contains("bootz 0x3000000 0x10000000:${c_initrd} ${c_fdt}"));
    assert_eq!((KernelForm::of(Arch::Arm64), KernelForm::of(Arch::Armhf)), (KernelForm::GzippedImage, KernelForm::ZImage));
}

#[test]
fn nothing_that_is_typed_stops_the_boot() {
    let variables = environment::variables();
    let value = |name: &str| variables.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str());
    assert_eq!((value("bootdelay"), value("stdin"), value("preboot")), (Some("-2"), Some("nulldev"), None));
    assert!(value("bootcmd").unwrap().ends_with("reset"));
    let file = environment::file(&variables).unwrap();
    assert_eq!(file.len(), 0x4000);
    assert_eq!(file[..4], crc32fast::hash(&file[4..]).to_le_bytes());
    assert!(file[4..].starts_with(b"bootcmd=setenv devtype mmc; "));
    assert!(environment::file(&[("x", "y".repeat(0x4000))]).is_err());
}

#[test]
fn a_script_is_wrapped_as_u_boot_reads_it() {
    let image = uimage::script("echo hello\n", Processor::Arm64, "cloudy");
    let number = |at: usize| u32::from_be_bytes(image[at..at + 4].try_into().unwrap());
    assert_eq!((number(0), number(8), number(12)), (0x2705_1956, 0, 19));
    assert_eq!(number(24), crc32fast::hash(&image[64..]));
    let mut header = image[..64].to_vec();
    header[4..8].fill(0);
    assert_eq!(number(4), crc32fast::hash(&header));
    assert_eq!(image[28..39], *b"\x05\x16\x06\x00cloudy\0");
    assert_eq!(image[64..72], [0, 0, 0, 11, 0, 0, 0, 0]);
    assert_eq!(wrap(&[], Kind::Kernel(0x8000), Processor::Arm, &"x".repeat(90))[63], 0);
}

fn image() -> Vec<u8> {
    let mut image = vec![0; 4096];
    image[16..24].copy_from_slice(&4096u64.to_le_bytes());
    image[56..60].copy_from_slice(b"ARM\x64");
    image
}

#[test]
fn kernels_take_the_form_that_u_boot_starts() {
    let packed = kernel::packed(&image(), KernelForm::GzippedImage).unwrap();
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut unpacked).unwrap();
    assert_eq!(unpacked, image());
    assert_eq!(kernel::packed(&image(), KernelForm::GzippedImage).unwrap(), packed);
    // An EFI program around the same.
    let mut zboot = vec![0; 64];
    zboot[..2].copy_from_slice(b"MZ");
    zboot[4..8].copy_from_slice(b"zimg");
    zboot[8..12].copy_from_slice(&64u32.to_le_bytes());
    zboot[12..16].copy_from_slice(&(packed.len() as u32).to_le_bytes());
    zboot[24..28].copy_from_slice(b"gzip");
    zboot.extend_from_slice(&packed);
    assert_eq!(kernel::packed(&zboot, KernelForm::GzippedImage).unwrap(), packed);
    zboot[24..28].copy_from_slice(b"zstd");
    assert!(kernel::packed(&zboot, KernelForm::GzippedImage).unwrap_err().to_string().contains("zstd"));
    let mut large = image();
    large[16..24].copy_from_slice(&(1u64 << 30).to_le_bytes());
    assert!(kernel::packed(&large, KernelForm::GzippedImage).is_err());
    let mut zimage = vec![0; 64];
    zimage[0x24..0x28].copy_from_slice(&0x016f_2818u32.to_le_bytes());
    assert_eq!(kernel::packed(&zimage, KernelForm::ZImage).unwrap(), zimage);
    assert!(kernel::packed(&image(), KernelForm::ZImage).is_err());
}

#[test]
fn a_slot_has_a_checksum_beside_every_file() {
    let file = |path: &str, from| BootFile { path: path.to_owned(), from };
    let plan = BootPlan {
        flow: crate::board::BootFlow::Uboot,
        cmdline: ["cloudy.build=1", "console=tty0", CONSOLE_VARIABLE, "panic=10"].map(str::to_owned).to_vec(),
        files: vec![file(KERNEL_FILE, BootSource::Kernel), file(INITRAMFS_FILE, BootSource::Initramfs)],
        config_files: Vec::new(),
        watchdog: None,
        pi_models: Vec::new(),
    };
    let content = |bytes: &[u8]| Content::Bytes(bytes.into());
    let given = vec![(KERNEL_FILE.to_owned(), content(&image())), (INITRAMFS_FILE.to_owned(), content(b"initramfs"))];
    let files = slot_files(&plan, KernelForm::GzippedImage, given).unwrap();
    let read = |path: &str| files.iter().find(|(found, _)| found == path).map(|(_, content)| content.read().unwrap().to_vec()).unwrap();
    for name in [KERNEL_FILE, INITRAMFS_FILE] {
        assert_eq!(read(&format!("{name}.crc")), checksum(&read(name)));
    }
    let line = read(COMMAND_LINE_FILE);
    assert!(line[4..].starts_with(b"c_args=cloudy.build=1 console=tty0\0c_tree_console=yes\0c_more=panic=10\0\0"));
    assert!(command_line(&["a;reset".to_owned()]).is_err());
    assert!(command_line(&["a'b".to_owned()]).is_err());
}

proptest! {
    #[test]
    fn any_kernel_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), zboot: bool) {
        let mut bytes = bytes;
        if zboot && bytes.len() >= 8 {
            bytes[..2].copy_from_slice(b"MZ");
            bytes[4..8].copy_from_slice(b"zimg");
        }
        for form in [KernelForm::GzippedImage, KernelForm::ZImage] {
            let _ = kernel::packed(&bytes, form);
        }
    }
}

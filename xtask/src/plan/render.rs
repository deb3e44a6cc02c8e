//! The plan in words, for people and for the golden files.

use std::fmt;

use super::{BootFile, BootSource, LockedPackage, Plan};
use crate::board::BootFlow;

const MIB: u64 = 1 << 20;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} / {} for {}, {}", self.board, self.flavour, self.arch, self.profile)?;
        writeln!(f, "build id  {}", self.build_id)?;
        writeln!(f, "epoch     {}", self.epoch)?;
        writeln!(f, "kernel    {}", self.kernel_release)?;
        writeln!(f, "image     {}", self.image_name)?;
        for index in &self.unverified {
            writeln!(f, "unverified {index}")?;
        }
        writeln!(f, "\nsteps")?;
        for step in &self.steps {
            writeln!(f, "  {:10} {}", step.stage, step.does)?;
        }
        writeln!(f, "\npartitions")?;
        for partition in &self.partitions {
            let size = partition.bytes.map_or_else(|| "the rest".to_owned(), |bytes| format!("{} MiB", bytes / MIB));
            let made = if partition.shipped { "in the image" } else { "made at first boot" };
            writeln!(f, "  {:8} {size:>10}  {made:18}  {}", partition.label, partition.content)?;
        }
        writeln!(f, "\nroot\n  erofs {:?}, blocks of {} bytes, uuid {}", self.root.compression, self.root.block_bytes, self.root.uuid)?;
        writeln!(f, "\nboot ({:?})", self.boot.flow)?;
        writeln!(f, "  command line: {}", self.boot.cmdline.join(" "))?;
        if let Some(address) = self.boot.watchdog {
            writeln!(f, "  watchdog armed at {address:#x}")?;
        }
        self.boot_files(f, &self.boot.files)?;
        if !self.boot.config_files.is_empty() {
            writeln!(f, "\nconfig partition, for the board's own firmware")?;
            self.boot_files(f, &self.boot.config_files)?;
        }
        writeln!(f, "\ncompile\n  {} ({})", self.compile.target, self.compile.cargo_profile)?;
        for (package, path) in &self.compile.dynamic {
            writeln!(f, "  {package} → /{path}")?;
        }
        for (package, path) in &self.compile.fixed {
            writeln!(f, "  {package} → initramfs /{path}, static")?;
        }
        // U-Boot's flow lists them among its files.
        if self.boot.flow == BootFlow::Uefi {
            section(f, "device trees that ask for drivers", &self.device_trees.files)?;
        }
        section(f, "modules kept", self.modules.keep.patterns())?;
        section(f, "modules dropped", self.modules.drop.patterns())?;
        section(f, "firmware kept unasked", self.firmware.keep.patterns())?;
        section(f, "firmware dropped", self.firmware.drop.patterns())?;
        section(f, "initramfs: loaded always", &self.initramfs.load)?;
        section(f, "initramfs: loaded when asked for", self.initramfs.modules.patterns())?;
        section(f, "left out", self.prune.drop.patterns())?;
        section(f, "left out, but not", self.prune.keep.patterns())?;
        section(f, "overlays", &self.overlays)?;
        writeln!(f, "\npackages")?;
        for package in &self.packages {
            let payload = if package.payload { " (payload)" } else { "" };
            writeln!(f, "  {} {} {} {}{payload}", package.sha256, package.name, package.version, package.arch)?;
        }
        writeln!(f, "\ntwin")?;
        for LockedPackage { name, version, sha256, .. } in &self.twin {
            writeln!(f, "  {sha256} {name} {version}")?;
        }
        writeln!(f, "\ninputs")?;
        for (name, sha256) in &self.inputs {
            writeln!(f, "  {sha256} {name}")?;
        }
        Ok(())
    }
}

impl Plan {
    fn boot_files(&self, f: &mut fmt::Formatter<'_>, files: &[BootFile]) -> fmt::Result {
        for file in files {
            let from = match &file.from {
                BootSource::Tree(path) => path.clone(),
                BootSource::Kernel => format!("vmlinuz of {}", self.kernel_release),
                BootSource::Initramfs => "initramfs".to_owned(),
                BootSource::DeviceTree { file, aliases, overlays } => {
                    let set: String = aliases.iter().map(|(alias, path)| format!(", {alias} = {path}")).collect();
                    let over: String = overlays.iter().map(|path| format!(", with {path}")).collect();
                    format!("device tree {file} of {}{set}{over}", self.kernel_release)
                }
                BootSource::Text(text) => format!("text\n{}", indent(text)),
            };
            writeln!(f, "  {} ← {}", file.path, from.trim_end())?;
        }
        Ok(())
    }
}

fn section<S: AsRef<str>>(f: &mut fmt::Formatter<'_>, title: &str, lines: &[S]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    lines.iter().try_for_each(|line| writeln!(f, "  {}", line.as_ref()))
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("      {line}\n")).collect()
}

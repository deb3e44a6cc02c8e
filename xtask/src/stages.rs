//! The stages of a build, each a function of the plan and the stage before: Plan → Tree → Partitions → Image.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use contract::partitions::{Layout, Role};
use disks::Part;

use crate::board::{Arch, Compression};
use crate::boot;
use crate::brought;
use crate::compile::{self, Programs};
use crate::devicetree::drivers::Drivers;
use crate::devicetree::found;
use crate::image::{self, Image, Partitions};
use crate::initramfs;
use crate::kept;
use crate::layout;
use crate::packages::cache::Cache;
use crate::packages::data;
use crate::packages::fetch;
use crate::packages::lock::LockedPackage;
use crate::packages::sources::Sources;
use crate::plan::{Plan, Profile};
use crate::release;
use crate::tools::{self, Tools};
use crate::tree::erofs::{self, ErofsSettings};
use crate::tree::kernel::Kernel;
use crate::tree::modules::kept::Place;
use crate::tree::modules::{Indexes, Modules, Wanted};
use crate::tree::{Content, Kind, Tree, firmware, lints, prune};
use crate::trees::Trees;
use crate::twin;
use crate::twin::ids::{self, Ids};
use crate::ui;

/// What every stage stands on.
pub struct Workshop {
    /// The checkout.
    pub repo: PathBuf,
    /// The user's cache.
    pub cache: Cache,
    /// The tools tree.
    pub tools: Tools,
    /// A kept set of .debs that replaces the network.
    pub deb_mirror: Option<PathBuf>,
}

impl Workshop {
    /// Checks the host and lays out the tools tree if it is not there.
    pub fn open(repo: PathBuf, deb_mirror: Option<PathBuf>) -> Result<Self> {
        let cache = Cache::open()?;
        let tools = Tools::prepare(&repo, tools::LOCK, &cache, deb_mirror.as_deref())?;
        Ok(Self { repo, cache, tools, deb_mirror })
    }
}

/// Fetches what the plan names and unpacks its data tars into the cache. Returns the packages in the plan's order.
pub fn packages(shop: &Workshop, plan: &Plan) -> Result<Vec<LockedPackage>> {
    let _stage = ui::stage("packages", format!("fetching and unpacking {} packages", plan.packages.len()));
    if !plan.unverified.is_empty() {
        ui::say(&format!("warning: the lock is unverified, so this is to try and not to ship: {}", plan.unverified.join(", ")));
    }
    let all = unpacked(plan, &plan.packages);
    fetch::fetch(&all, &shop.cache, &Sources::read(&shop.repo)?, shop.deb_mirror.as_deref())?;
    data::prepare_in(&shop.tools.sandbox(), &all, &shop.cache)?;
    Ok(plan.packages.clone())
}

/// `packages` of a plan, and for a foreign architecture those of its twin that are not the same files.
pub fn unpacked(plan: &Plan, packages: &[LockedPackage]) -> Vec<LockedPackage> {
    // Not the whole entries are compared: one file may come from two sources.
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.sha256.as_str()).collect();
    let twin = plan.twin.iter().filter(|package| plan.arch != Arch::Amd64 && !ours.contains(package.sha256.as_str()));
    packages.iter().chain(twin).cloned().collect()
}

/// What the payload's packages have for a board.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Brought {
    /// The drivers that its device trees ask for.
    pub drivers: Drivers,
    /// Modules that stay and have no firmware.
    pub without_firmware: Vec<brought::Dead>,
}

/// The drivers that the board's device trees ask for, from the payload's packages alone: so that a board which lacks one, or
/// any module, firmware or boot file that it names, is refused before anything else is done.
pub fn drivers(shop: &Workshop, plan: &Plan) -> Result<Drivers> {
    Ok(brought(shop, plan)?.drivers)
}

/// The same with what else is worth to be seen.
pub fn brought(shop: &Workshop, plan: &Plan) -> Result<Brought> {
    let _stage = ui::stage("drivers", "looking whether the packages bring all that the board asks for");
    let place = shop.cache.root().join(brought::FOLDER).join(format!("{}.json", brought::key(plan)));
    if let Some(brought) = kept::load(&place) {
        return Ok(brought);
    }
    let payload: Vec<LockedPackage> = plan.packages.iter().filter(|package| package.payload).cloned().collect();
    let tree = shipped(shop, &payload)?;
    let drivers = found::drivers(shop.cache.root(), &tree, &plan.kernel_release, &plan.device_trees)?;
    // Kept in the cache: the root's stage takes the same.
    let (modules, _) = selection(shop, &plan.kernel_release, &tree, &wanted(plan, &drivers))?;
    let rest: Vec<LockedPackage> = plan.packages.iter().filter(|package| !package.payload).cloned().collect();
    let without_firmware = brought::check(plan, &tree, &shipped(shop, &rest)?, &modules)?;
    let brought = Brought { drivers, without_firmware };
    kept::store(&place, &brought)?;
    Ok(brought)
}

/// What packages ship, laid over each other; they are fetched and unpacked if they were not.
fn shipped(shop: &Workshop, packages: &[LockedPackage]) -> Result<Tree> {
    fetch::fetch(packages, &shop.cache, &Sources::read(&shop.repo)?, shop.deb_mirror.as_deref())?;
    data::prepare_in(&shop.tools.sandbox(), packages, &shop.cache)?;
    layout::shipped(&shop.cache, packages)
}

fn wanted<'a>(plan: &'a Plan, devices: &'a Drivers) -> Wanted<'a> {
    Wanted { rules: &plan.modules, also: &plan.initramfs.modules, always: &plan.initramfs.load, devices }
}

/// Compiles the node's programs.
pub fn programs(shop: &Workshop, plan: &Plan) -> Result<Programs> {
    programs_for(shop, plan.arch, plan.profile)
}

/// Compiles the node's programs for an architecture; its compiler is laid over the tools tree where it is not in it.
pub fn programs_for(shop: &Workshop, arch: Arch, profile: Profile) -> Result<Programs> {
    let layered;
    let tools = match tools::compiler_layer(arch) {
        Some(lock) => {
            layered = shop.tools.with_layer(&shop.repo, lock, &shop.cache, shop.deb_mirror.as_deref())?;
            &layered
        }
        None => &shop.tools,
    };
    compile::programs(&shop.repo, tools, arch, profile)
}

/// The configuration delta, from the cache or by the maintainer scripts.
pub fn delta(shop: &Workshop, plan: &Plan) -> Result<twin::Delta> {
    let _stage = ui::stage("twin", "configuring the packages (their maintainer scripts, once, natively)");
    let configured: Vec<&LockedPackage> = plan.twin.iter().collect();
    let trees = Trees::of(&shop.repo);
    let overlays: Vec<PathBuf> = plan.overlays.iter().map(|name| trees.overlay(name)).collect();
    let ids = Ids::load(&trees)?;
    let inputs = twin::Inputs { packages: &configured, ids: &ids, overlays: &overlays };
    let delta = twin::delta(&shop.cache, &shop.tools.sandbox(), shop.tools.root(), &inputs)?;
    if delta.cached {
        ui::say("  the same packages were configured before: taken from the cache");
    }
    Ok(delta)
}

/// Packages and the twin's delta, laid over each other.
pub fn configured_tree(shop: &Workshop, plan: &Plan, packages: &[LockedPackage], delta: &twin::Delta) -> Result<Tree> {
    layout::configured(&shop.cache, plan, packages, delta)
}

/// The root as packages, delta and overlays make it: before modules and firmware are chosen and anything is pruned.
pub fn whole_tree(shop: &Workshop, plan: &Plan, packages: &[LockedPackage], delta: &twin::Delta) -> Result<Tree> {
    let _stage = ui::stage("tree", "laying out the tree");
    let mut tree = configured_tree(shop, plan, packages, delta)?;
    check_ids(shop, plan, &tree)?;
    let trees = Trees::of(&shop.repo);
    for name in &plan.overlays {
        let path = trees.overlay(name);
        // What people see as a file's origin begins with its tree's name, but for the checkout.
        let tree_root = trees.added().iter().find(|root| path.starts_with(root)).and_then(|root| root.parent()).unwrap_or(&shop.repo);
        tree.lay_overlay(tree_root, path.strip_prefix(tree_root).unwrap_or(&path))?;
    }
    Ok(tree)
}

/// Every user and group of the tree is base-passwd's or stands in ids.lock.
fn check_ids(shop: &Workshop, plan: &Plan, tree: &Tree) -> Result<()> {
    let news = new_ids(shop, tree)?;
    if !news.is_empty() {
        bail!("{} are not in {}: add them with `cargo xtask ids {}`", news.names(), ids::FILE, plan.board);
    }
    Ok(())
}

/// The users and groups of the tree that ids.lock doesn't know.
pub fn new_ids(shop: &Workshop, tree: &Tree) -> Result<Ids> {
    let read = |path: &str| -> Result<String> {
        match tree.get(path).map(|entry| &entry.kind) {
            Some(Kind::File(content)) => Ok(String::from_utf8_lossy(&content.read()?).into_owned()),
            _ => bail!("the tree has no /{path}"),
        }
    };
    let masters = "usr/share/base-passwd";
    let (passwd, group) = (read("etc/passwd")?, read("etc/group")?);
    Ids::load(&Trees::of(&shop.repo))?.news(
        &passwd,
        &group,
        &read(&format!("{masters}/passwd.master"))?,
        &read(&format!("{masters}/group.master"))?,
    )
}

/// Folders that must be there to be mounted upon, and others that the booted system counts on.
const FOLDERS: [(&str, u32); 14] = [
    ("boot/config", 0o755),
    ("boot/efi", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("media", 0o755),
    ("mnt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("var", 0o755),
];

/// The root as it is shipped, and the modules that are in it.
pub struct Root {
    /// The tree.
    pub tree: Tree,
    /// Its kernel modules.
    pub modules: Modules,
    /// Which of them the device trees ask for.
    pub devices: Drivers,
}

/// Selects modules (with those that [`drivers`] found) and firmware, leaves out what is pruned, puts the agent in.
pub fn root(shop: &Workshop, plan: &Plan, whole: &Tree, programs: &Programs, devices: Drivers) -> Result<Root> {
    let _stage = ui::stage("modules", "choosing kernel modules and firmware");
    let (modules, indexes) = selection(shop, &plan.kernel_release, whole, &wanted(plan, &devices))?;
    let tree = modules.lay(whole.clone(), &indexes);
    let (tree, kept) = firmware::select(tree, modules.firmware(), &plan.firmware);
    let (mut tree, pruned) = prune::prune(tree, &plan.prune);
    let mb = |bytes: u64| bytes / 1_000_000;
    ui::say(&format!(
        "{} kernel modules, {} MB; firmware {} MB ({} MB left out); {} MB pruned",
        modules.by_name.len(),
        mb(modules.bytes()),
        mb(kept.kept_bytes),
        mb(kept.pruned.bytes),
        mb(pruned.bytes)
    ));
    for (path, mode) in FOLDERS {
        if tree.get(path).is_none() {
            tree.put(path, Kind::Directory, mode, "folders");
        }
    }
    for (package, path) in &plan.compile.dynamic {
        let bytes = programs.read(package)?;
        tree.put_file(path, 0o755, bytes, "compile");
    }
    tree.put_file("usr/share/cloudy/build.json", 0o644, build_info(plan)?, "plan");
    Ok(Root { tree, modules, devices })
}

/// The kernel modules that stay and their indexes, from the cache or by unpacking and indexing them.
fn selection(shop: &Workshop, release: &str, whole: &Tree, wanted: &Wanted<'_>) -> Result<(Modules, Indexes)> {
    // A tools tree is named by the hash of its lock.
    let tools = shop.tools.root().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let place = Place::of(shop.cache.root(), whole, release, wanted, &tools);
    if let Some(found) = place.load(whole, release) {
        return Ok(found);
    }
    let modules = Modules::select(whole, release, wanted)?;
    let scratch = tempfile::tempdir().context("failed to make a folder for depmod")?;
    let depmod = |root: &Path, release: &str| -> Result<()> {
        shop.tools.sandbox().bind_writable(root, "/mnt").command(["depmod", "--basedir", "/mnt", release]).run()?;
        Ok(())
    };
    let indexes = modules.indexes(whole, scratch.path(), depmod)?;
    place.store(&modules, &indexes).context("failed to keep the selected kernel modules in the cache")?;
    Ok((modules, indexes))
}

/// What a node can tell about its image: the build and its packages.
fn build_info(plan: &Plan) -> Result<Vec<u8>> {
    let packages: Vec<_> = plan.packages.iter().map(|package| serde_json::json!([package.name, package.version, package.arch])).collect();
    let info = serde_json::json!({
        "build": plan.build_id, "board": plan.board, "flavour": plan.flavour, "epoch": plan.epoch, "kernel": plan.kernel_release, "packages": packages,
    });
    Ok(serde_json::to_vec(&info)?)
}

/// Checks the rules that every image keeps.
fn lint(plan: &Plan, whole: &Tree, root: &Root) -> Result<()> {
    let _stage = ui::stage("lints", "checking the root");
    let config = String::from_utf8_lossy(&Kernel::new(whole, &plan.kernel_release).config()?.read()?).into_owned();
    let subject = lints::Subject { tree: &root.tree, plan, modules: &root.modules, kernel_config: &config };
    match lints::check(&subject)? {
        Some(findings) => Err(findings.into()),
        None => Ok(()),
    }
}

/// The partitions' content, made in `work`. The root, which is nearly all of it, is written while it is checked and the others are made.
pub fn partitions(shop: &Workshop, plan: &Plan, whole: &Tree, root: &Root, programs: &Programs, work: &Path) -> Result<Partitions> {
    let (others, root) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| root_part(shop, plan, &root.tree, &work.join("root.erofs")));
        let others = lint(plan, whole, root).and_then(|()| small_parts(shop, plan, whole, root, programs, work));
        (others, writer.join())
    });
    // What is wrong with the tree is told before what it led to.
    let mut parts = others?;
    parts.push((Role::RootA, root.map_err(|_| anyhow!("the thread that writes the root panicked"))??));
    Ok(Partitions { layout: plan.boot.flow.layout(), parts })
}

/// The root's file system, at `file`.
fn root_part(shop: &Workshop, plan: &Plan, tree: &Tree, file: &Path) -> Result<Part> {
    let _stage = ui::stage("erofs", "writing the root");
    let compression = match plan.root.compression {
        Compression::None => None,
        Compression::Lz4 => Some("lz4hc,12".to_owned()),
    };
    let settings = ErofsSettings { uuid: plan.root.uuid.clone(), epoch: plan.root.timestamp, compression };
    erofs::make(&shop.tools.sandbox(), tree, &settings, file)?;
    let part = Part::of_file(file)?;
    if part.bytes > plan.root.max_bytes {
        bail!(
            "the root has {} MB; a slot may hold {} MB, so that later versions fit too: prune more in the flavour or drop modules in the family",
            part.bytes / 1_000_000,
            plan.root.max_bytes / 1_000_000
        );
    }
    Ok(part)
}

/// All partitions before the root, in their order.
fn small_parts(shop: &Workshop, plan: &Plan, whole: &Tree, root: &Root, programs: &Programs, work: &Path) -> Result<Vec<(Role, Part)>> {
    let packed = initramfs(shop, plan, whole, root, programs)?;
    let boot_parts = boot::Parts {
        tree: whole,
        release: &plan.kernel_release,
        kernel: Kernel::new(whole, &plan.kernel_release).image()?.clone(),
        initramfs: Content::Bytes(packed.into()),
        arch: plan.arch,
    };
    let boot_files = boot::files(&plan.boot, &boot_parts)?;
    let example = std::fs::read_to_string(shop.repo.join(CONFIG_EXAMPLE)).with_context(|| format!("failed to read `{CONFIG_EXAMPLE}`"))?;
    let mut config_files = image::config_files(&example);
    config_files.extend(boot::config_files(&plan.boot, &boot_parts)?);
    let config = image::config_part(&config_files, &work.join("config.fat"))?;
    let mut parts = match plan.boot.flow.layout() {
        Layout::Uefi => vec![(Role::Esp, image::esp_part(&boot_files, &work.join("esp.fat"))?)],
        Layout::Uboot => vec![
            (Role::State, image::state_part(&work.join("state"))?),
            (Role::BootA, image::boot_part(&boot_files, &work.join("boot-a.fat"))?),
            (Role::BootB, image::empty_boot_part(&work.join("boot-b"))?),
        ],
    };
    parts.push((Role::Config, config));
    Ok(parts)
}

/// The text of `cloudy.toml.example` on the config partition.
const CONFIG_EXAMPLE: &str = "firmware/contract/src/settings/example.toml";

fn initramfs(shop: &Workshop, plan: &Plan, whole: &Tree, root: &Root, programs: &Programs) -> Result<Vec<u8>> {
    let _stage = ui::stage("initramfs", "packing the initramfs");
    let init = std::fs::read(&programs.init).context("failed to read init")?;
    let level = format!("-{}", plan.initramfs.zstd_level);
    let compress = |bytes: Vec<u8>| -> Result<Vec<u8>> {
        shop.tools.sandbox().command(["zstd", "--quiet", &level, "--stdout"]).run_with(|mut pipe| Ok(pipe.write_all(&bytes)?), |_| ())
    };
    let made = initramfs::build(plan, whole, &initramfs::Drivers { modules: &root.modules, devices: &root.devices.root }, &init, compress)?;
    ui::say(&format!(
        "{} modules, {:.1} MB packed to {:.1} MB, {:.1} MB of them microcode",
        made.modules.len(),
        (made.plain_bytes + made.microcode_bytes) as f64 / 1e6,
        made.bytes.len() as f64 / 1e6,
        made.microcode_bytes as f64 / 1e6
    ));
    Ok(made.bytes)
}

/// The image file itself, in `out`, with checksums if they are `summed`. What was released of a former one goes: it is of
/// another image now.
pub fn image(plan: &Plan, partitions: &Partitions, out: &Path, summed: bool) -> Result<Image> {
    let _stage = ui::stage("image", "writing the image");
    release::forget(out, &plan.image_name)?;
    image::assemble(partitions, &out.join(&plan.image_name), summed)
}

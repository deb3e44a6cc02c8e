//! The keys of a scenario file, as they are written.

use serde::Deserialize;

use super::super::disk::Damage;
use super::super::machine::DiskBus;
use crate::browser::step::Browse;

/// A scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawScenario {
    /// What it shows, in one line.
    pub title: String,
    /// Whether it is one of the slower proofs that `cargo xtask test --full` runs.
    #[serde(default)]
    pub full: bool,
    /// The boards whose images it is for.
    #[serde(default = "default_boards")]
    pub boards: Vec<String>,
    /// The community whose kit and tokens the nodes' cloudy.toml may name (`{kit}`, `{token}`, …).
    pub community: Option<String>,
    /// The nodes.
    pub nodes: Vec<RawNode>,
    /// What is done, in order.
    pub steps: Vec<RawStep>,
}

/// A node.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawNode {
    /// Its name in the scenario.
    pub name: String,
    /// The board whose image it has, where that is not the one that the scenario is run for.
    pub board: Option<String>,
    /// Memory.
    pub memory_mb: Option<u32>,
    /// Size of its disk in 10^9 bytes.
    pub disk_gb: Option<u32>,
    /// How many disks, each with the same image.
    pub disks: Option<u32>,
    /// How they are attached.
    #[serde(default)]
    pub disk_bus: DiskBus,
    /// Secure Boot with Microsoft's keys.
    #[serde(default)]
    pub secure_boot: bool,
    /// A PC's hardware watchdog, which resets it.
    #[serde(default)]
    pub watchdog: bool,
    /// Whether a power cut loses writes that were not flushed, as a real one does.
    #[serde(default)]
    pub lose_writes: bool,
    /// What its clock says at the start.
    pub clock: Option<String>,
    /// Its cloudy.toml; `{ssh-key}`, `{kit}`, `{token}`, `{expired-token}`, `{foreign-token}` are filled in.
    pub cloudy_toml: Option<String>,
    /// Ports that the host reaches, besides page and ssh.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Whether it is switched on before the first step.
    #[serde(default = "yes")]
    pub start: bool,
}

/// Most scenarios are about what all boards share, and are run on the one that is emulated quickest.
fn default_boards() -> Vec<String> {
    vec!["x86-minipc".to_owned()]
}

fn yes() -> bool {
    true
}

fn once() -> usize {
    1
}

/// One step.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawStep {
    /// Switches a node on.
    Start(OneNode),
    /// Pulls a node's plug.
    PowerCut(OneNode),
    /// Presses a node's power button and waits until it is off.
    PowerOff(TimedNode),
    /// Presses a node's reset button.
    Reset(OneNode),
    /// Switches a node on and pulls its plug after a while that the seed chooses, again and again.
    PowerCutRandom(PowerCutRandom),
    /// Pulls a node's plug, and looks at every state that a cut could have left its ESP in since it was switched on.
    CutEachWrite(CutEachWrite),
    /// Waits until a node's serial console has shown a text since it was switched on.
    WaitSerial(WaitSerial),
    /// The serial console has not shown a text since the node was switched on.
    AssertNoSerial(SerialText),
    /// Waits until a node is off by itself.
    WaitOff(TimedNode),
    /// Waits until a node's page answers as it shall.
    WaitHttp(WaitHttp),
    /// Runs a command in a node by ssh until it ends as it shall.
    Run(RunCommand),
    /// Puts a file of a locked package into a running node: what a test needs and no node has.
    Deliver(Deliver),
    /// Puts apps' images that `cargo xtask app` made into a running node.
    DeliverApps(DeliverApps),
    /// Cuts a node off the private link.
    CutLink(OneNode),
    /// Lets a node back on the private link.
    HealLink(OneNode),
    /// Loses frames of the private link at random.
    LoseFrames(LoseFrames),
    /// Writes a file on a node's config partition while it is off.
    WriteConfig(WriteConfig),
    /// Damages a file of a FAT partition of a node that is off.
    CorruptFile(CorruptFile),
    /// A FAT partition of a node that is off has a file, or has it not.
    AssertFile(AssertFile),
    /// Copies slot a of a node that is off to slot b, under another build id and an entry of its own.
    AddSlot(AddSlot),
    /// Overwrites a sector of a partition of a node that is off.
    CorruptBytes(CorruptBytes),
    /// Changes the data partition of a node that is off, by commands of debugfs(8).
    EditData(EditData),
    /// Puts a further disk into a node that is off.
    AddDisk(AddDisk),
    /// Takes the first disk out of a node that is off.
    RemoveDisk(OneNode),
    /// Plugs a USB disk into a node, running or not; one that was plugged in before has what it had.
    PlugDisk(PlugDisk),
    /// Pulls a USB disk out of a node, running or not.
    UnplugDisk(UnplugDisk),
    /// Takes a picture of a node's screen.
    Screenshot(Screenshot),
    /// Has a person use a node's page in a browser.
    Browse(Browse),
}

/// A step about a node and nothing else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OneNode {
    /// Which.
    pub node: String,
}

/// A step that waits for a node.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimedNode {
    /// Which.
    pub node: String,
    /// Limit.
    pub seconds: u64,
}

/// See [`RawStep::PowerCutRandom`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PowerCutRandom {
    /// Which node.
    pub node: String,
    /// Chooses the moments.
    pub seed: u64,
    /// How many cuts.
    pub times: u32,
    /// A moment's clock starts when the console has shown this; at once without.
    pub after: Option<String>,
    /// How long to wait for that at most.
    #[serde(default)]
    pub seconds: u64,
    /// The cut comes within so many milliseconds after.
    pub within_milliseconds: u64,
}

/// See [`RawStep::CutEachWrite`]. In each state the boot loader must find a whole entry of the build that it would start; that of
/// a trial may go while the boot loader itself counts, if a confirmed one is there (`entries.rs`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CutEachWrite {
    /// Which node.
    pub node: String,
    /// The build; that of slot a without.
    pub build: Option<String>,
}

/// See [`RawStep::AssertFile`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AssertFile {
    /// Which node.
    pub node: String,
    /// The partition's label.
    pub partition: String,
    /// A glob that matches one path; none if it shall not be there.
    pub path: String,
    /// Whether it is there.
    #[serde(default = "yes")]
    pub there: bool,
}

/// See [`RawStep::WaitSerial`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WaitSerial {
    /// Which node.
    pub node: String,
    /// The text.
    pub text: String,
    /// How often it must have been shown: more than once where a machine starts again by itself.
    #[serde(default = "once")]
    pub times: usize,
    /// Limit.
    pub seconds: u64,
}

/// See [`RawStep::AssertNoSerial`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SerialText {
    /// Which node.
    pub node: String,
    /// The text.
    pub text: String,
}

/// See [`RawStep::WaitHttp`]. All conditions that are given must hold at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WaitHttp {
    /// Which node.
    pub node: String,
    /// Which of its ports; the page's without.
    pub port: Option<u16>,
    /// What to ask for.
    pub path: String,
    /// HTTP's status; 200 without.
    pub status: Option<u16>,
    /// A JSON pointer into the answer; the conditions below are about what it points to, else about the whole body.
    pub pointer: Option<String>,
    /// It is this.
    pub equals: Option<toml::Value>,
    /// Its text (a string's own, else its JSON) contains all of these.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Its text contains none of these.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// It is a list of that length.
    pub length: Option<usize>,
    /// Keeps its text under this name.
    pub save: Option<String>,
    /// Its text is what was kept under this name.
    pub same_as: Option<String>,
    /// Limit.
    pub seconds: u64,
}

/// See [`RawStep::Run`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RunCommand {
    /// Which node.
    pub node: String,
    /// The command, for the node's shell.
    pub command: String,
    /// Its exit status; 0 without.
    #[serde(default)]
    pub status: i32,
    /// What it prints contains all of these.
    #[serde(default)]
    pub contains: Vec<String>,
    /// And none of these.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Keeps what it printed under this name.
    pub save: Option<String>,
    /// It prints what was kept under this name.
    pub same_as: Option<String>,
    /// It prints something else than what was kept under this name.
    pub differs_from: Option<String>,
    /// A file of the repo that is the command's standard input.
    pub input: Option<std::path::PathBuf>,
    /// What it means that this came true: printed, for figures.
    pub verdict: Option<String>,
    /// Whether what it printed is shown: figures.
    #[serde(default)]
    pub show: bool,
    /// Limit.
    pub seconds: u64,
}

/// See [`RawStep::LoseFrames`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoseFrames {
    /// Of a hundred frames.
    pub percent: u32,
    /// Chooses them.
    pub seed: u64,
}

/// See [`RawStep::WriteConfig`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WriteConfig {
    /// Which node.
    pub node: String,
    /// The file's name.
    pub name: String,
    /// Its text, filled in as a node's cloudy.toml is.
    pub text: String,
}

/// See [`RawStep::CorruptFile`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CorruptFile {
    /// Which node.
    pub node: String,
    /// The partition's label.
    pub partition: String,
    /// The file: a glob that must match one path.
    pub path: String,
    /// What is done to it.
    pub how: Damage,
}

/// See [`RawStep::CorruptBytes`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CorruptBytes {
    /// Which node.
    pub node: String,
    /// The partition's label.
    pub partition: String,
    /// Where in it the sector begins, in bytes.
    pub offset: u64,
}

/// See [`RawStep::Deliver`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Deliver {
    /// Which node.
    pub node: String,
    /// The package, of the image's lock or of `images/tools/payload.lock`: a glob that must match one.
    pub package: String,
    /// The file in it: a glob that must match one.
    pub file: String,
    /// Where it goes in the node, its mode 0755.
    pub to: String,
    /// Limit.
    pub seconds: u64,
}

/// See [`RawStep::DeliverApps`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeliverApps {
    /// Which node.
    pub node: String,
    /// The folder in the node.
    pub to: String,
    /// Limit.
    pub seconds: u64,
}

/// See [`RawStep::EditData`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EditData {
    /// Which node.
    pub node: String,
    /// The commands; any that says something went wrong fails the step.
    pub commands: Vec<String>,
}

/// See [`RawStep::AddDisk`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AddDisk {
    /// Which node.
    pub node: String,
    /// As it comes from the shop, rather than with the node's image on it.
    #[serde(default)]
    pub blank: bool,
    /// Its size in 10^9 bytes; as large as a node's without.
    pub gb: Option<u32>,
}

/// See [`RawStep::PlugDisk`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlugDisk {
    /// Which node: it has `disk-bus = "usb"`, and so somewhere to plug it in.
    pub node: String,
    /// The disk's name: its serial number too.
    pub disk: String,
    /// Its size in 10^9 bytes, where it is plugged in for the first time.
    #[serde(default = "small")]
    pub gb: u32,
}

fn small() -> u32 {
    2
}

/// See [`RawStep::UnplugDisk`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UnplugDisk {
    /// Which node.
    pub node: String,
    /// The disk's name.
    pub disk: String,
}

/// See [`RawStep::AddSlot`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AddSlot {
    /// Which node.
    pub node: String,
    /// The new slot's build id: 32 hexadecimal digits.
    pub build: String,
    /// Tries that it is given; confirmed without.
    pub tries: Option<u32>,
}

/// See [`RawStep::Screenshot`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Screenshot {
    /// Which node.
    pub node: String,
    /// Name of the picture.
    pub name: String,
    /// So many of its pixels are not black, at least.
    #[serde(default)]
    pub lit: usize,
}

//! Every wait, limit and default path of the agent that a person may want to change, with its unit in its name.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Where the agent keeps its identity and settings on an image.
pub const DATA_DIR: &str = "/var/lib/cloudy";
/// Changes come through this socket (HTTP over a Unix socket).
pub const AGENT_SOCKET: &str = "/run/cloudy/agent.sock";
/// The broker that alone may speak to Docker.
pub const BROKER_SOCKET: &str = "/run/cloudy/broker.sock";
/// Docker's own socket, used by the broker only.
pub const DOCKER_SOCKET: &str = "/run/docker.sock";

/// How old a sample of cpu, memory and storage may be when it is shown.
pub const HOST_MAX_AGE: Duration = Duration::from_secs(2);
/// How old the state of units and of Docker may be when it is shown.
pub const UNITS_MAX_AGE: Duration = Duration::from_secs(5);

/// The longest wait for a unit's job.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest wait for an answer of the broker.
pub const BROKER_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest wait for Docker's answer inside the broker.
pub const DOCKER_TIMEOUT_SECS: u64 = 8;
/// The broker ends itself after this long without a request; systemd starts it again when one comes.
pub const BROKER_IDLE: Duration = Duration::from_secs(60);
/// Clients that the broker serves at once.
pub const BROKER_CLIENTS: usize = 16;
/// What a volume holds goes on for as long as this brings something.
pub const STREAM_IDLE: Duration = Duration::from_secs(120);
/// Frames of it that wait to be taken.
pub const STREAM_WAITING_FRAMES: usize = 4;
/// The longest time for one volume.
pub const VOLUME_TIMEOUT: Duration = Duration::from_secs(12 * 3600);
/// Where the broker keeps the projects that it made.
pub const BROKER_STATE_DIR: &str = "/var/lib/cloudy-broker";
/// The program that has compose as a plug-in.
pub const DOCKER_PROGRAM: &str = "/usr/bin/docker";
/// Where the agent serves images to Docker of this node, and to nobody else.
pub const REGISTRY_ADDRESS: &str = "127.0.0.1:4748";
/// The longest wait while Docker counts how large volumes are.
pub const VOLUME_COUNT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest pull of an image.
pub const PULL_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long an app may take until it is well, beside what it says itself: its image is unpacked meanwhile.
pub const UP_TIMEOUT: Duration = Duration::from_secs(120);
/// How often it is looked whether an app that was started is well, beside each time that Docker says that something has happened to it.
pub const WELL_LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long an app must have run before it counts as having taken a container's place.
pub const STEADY: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// How often it is looked at meanwhile.
pub const STEADY_LOOK_EVERY: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1000 });
/// How often it is looked whether Docker lists an app as stopped that it has stopped.
pub const STOPPED_LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often a pull's progress is told.
pub const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Lines of an app's log that are given out at most, and how many bytes.
pub const LOG_MAX_LINES: u32 = 1000;
/// Bytes of a log.
pub const LOG_MAX_BYTES: usize = 128 * 1024;
/// Bytes of one line of it that is told as it is said.
pub const LOG_LINE_BYTES: usize = 4 * 1024;
/// Lines that are asked for first when it is looked for new ones.
pub const LOG_LOOK_LINES: u32 = 50;
/// How often what an app says is looked at while somebody follows it.
pub const FOLLOW_EVERY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });
/// How soon it is looked at again where Docker can't be asked.
pub const FOLLOW_AGAIN: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 5000 });
/// How often it is looked whether those who follow may still.
pub const FOLLOW_LOOK_EVERY: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 5000 });
/// Those who may follow what apps say, on this node at once: each holds a connection, and each app that is followed `LOG_MAX_BYTES`.
pub const FOLLOWERS: usize = 12;
/// Of those, one person.
pub const FOLLOWERS_OF_ONE: usize = 4;
/// How old may be what apps use when it is shown.
pub const USES_MAX_AGE: Duration = Duration::from_secs(if cfg!(test) { 600 } else { 3 });
/// What was counted longer ago is no measure for how busy an app is now.
pub const USES_HOLD: Duration = Duration::from_secs(60);
/// Containers of which is counted what they use.
pub const USES_CONTAINERS: i32 = 128;
/// Of those, so many at once.
pub const USES_AT_ONCE: usize = 4;
/// Lines of an app's log that a failure keeps.
pub const FAILURE_LOG_LINES: u32 = 30;
/// Bytes of a program's output that a failure keeps.
pub const FAILURE_OUTPUT_BYTES: usize = 8 * 1024;

/// Free bytes that taking apps into the catalog leaves for the node itself.
pub const CATALOG_SPARE_BYTES: u64 = 256 * 1024 * 1024;
/// Where public blobs are given to everybody by their hash.
pub const GATEWAY_ADDRESS: &str = "[::]:4749";
/// Free bytes that blobs leave for the node itself.
pub const BLOB_SPARE_BYTES: u64 = 256 * 1024 * 1024;
/// Blobs that are taken in at once.
pub const BLOB_ADDING: usize = 2;
/// Blobs that are fetched at once.
pub const BLOB_FETCHING: usize = 2;
/// Members from whom the parts of one blob come at once.
pub const BLOB_PROVIDERS: usize = 3;
/// After this long without a byte another member is asked.
pub const BLOB_FETCH_IDLE: Duration = Duration::from_secs(20);
/// Pieces of a blob that wait to be written or sent.
pub const BLOB_WAITING_PIECES: usize = 4;
/// How long the rest of a blob that is refused is read, so that the one who sends it hears why.
pub const BLOB_REST: Duration = Duration::from_secs(10);
/// How soon an app that has come is tried again, where the catalog was receiving another.
pub const APP_TAKE_AGAIN: Duration = Duration::from_secs(5);
/// How often it is looked whether nodes tell of news of catalogs, beside each time that their records change.
pub const CATALOG_LOOK_EVERY: Duration = Duration::from_secs(30);
/// How soon it is looked again where something is on its way.
pub const CATALOG_LOOK_SOON: Duration = Duration::from_secs(1);
/// The least time between two looks, however often records change.
pub const CATALOG_LOOK_REST: Duration = Duration::from_millis(500);
/// A node that told of a catalog what was not so is not believed about it for so long.
pub const CATALOG_DISTRUST: Duration = Duration::from_secs(3600);
/// A catalog that did not come is not asked for again for so long.
pub const CATALOG_TRY_AGAIN: Duration = Duration::from_secs(20);
/// Catalogs that a node follows at most.
pub const CATALOGS_FOLLOWED: usize = 40;
/// Catalogs that a node publishes at most.
pub const CATALOGS_PUBLISHED: usize = 10;
/// Members that are served blobs at once: each connection has its threads at the disk (the unit's TasksMax is above them).
pub const BLOB_CALLERS: usize = 8;
/// A member that asks for nothing for so long makes room for others.
pub const BLOB_CALLER_IDLE: Duration = Duration::from_secs(30);
/// Connections of one member, likewise.
pub const BLOB_CALLERS_OF_ONE: usize = 2;
/// Requests of one connection that are served at once.
pub const BLOB_STREAMS: u32 = 2;
/// Bytes that one member may fetch in an hour.
pub const BLOB_BYTES_AN_HOUR: u64 = 32 * 1024 * 1024 * 1024;
/// What no blob needs any more is cleared away within this time.
pub const BLOB_GC_EVERY: Duration = Duration::from_secs(15);
/// How often it is looked whether all nodes know what is here, and whether what is missing can be had.
pub const BLOB_TELL_EVERY: Duration = Duration::from_secs(10);
/// How often `cloudy blob get` asks how far it is.
pub const BLOB_ASK_EVERY: Duration = Duration::from_millis(500);
/// How long a text that is a blob of another node is waited for.
pub const BLOB_TEXT_WAIT: Duration = Duration::from_secs(20);
/// Apps of people's own that are saved on a node.
pub const OWN_APPS_KEPT: usize = 32;
/// The longest body of a form or compose file in bytes: in a form's body every character may become three.
pub const OWN_APP_BODY_BYTES: usize = 192 * 1024;
/// How old the state of apps may be when it is shown.
pub const APPS_MAX_AGE: Duration = Duration::from_secs(5);
/// How often a job looks whether Docker answers again.
pub const DOCKER_AGAIN: Duration = Duration::from_secs(5);
/// Jobs that have ended and are remembered.
pub const JOBS_KEPT: usize = 50;
/// How often it is looked whether apps that are published still run.
pub const PUBLISHED_EVERY: Duration = Duration::from_secs(10);
/// How often leases are looked at where there are none.
pub const LEASE_REST: Duration = Duration::from_secs(60);
/// How often leases are looked at, news or not.
pub const LEASE_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two looks at all of them at least.
pub const LEASE_TURN_PAUSE: Duration = Duration::from_millis(300);
/// How soon something is tried again of a lease.
pub const LEASE_TRY_AGAIN: Duration = Duration::from_secs(30);
/// How long a lender may take to answer.
pub const LEASE_ASK_TIMEOUT: Duration = Duration::from_secs(40);
/// How long an offer, and what is said of one, waits for a node that is not there.
pub const LEASE_MESSAGE_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Questions about leases that wait for their answer.
pub const LEASE_QUESTIONS: usize = 64;
/// Ports at which services of other nodes are opened through this one: above those that the catalog's apps are given, below those that the
/// kernel takes for outgoing connections (ip_local_port_range: from 32768 on). No app gets one of them.
pub const TUNNEL_PORTS: RangeInclusive<u16> = 32_000..=32_255;
/// Tunnels that are open at once on the node that people use.
pub const TUNNELS: usize = 32;
/// Connections through all of them at once. Each has 16 KiB of buffers, and what waits to be taken (`TUNNEL_STREAM_WINDOW_BYTES`): 28 MiB at most.
pub const TUNNEL_CONNECTIONS: usize = 96;
/// Of those, through one tunnel: a browser opens six to a site.
pub const TUNNEL_CONNECTIONS_OF_ONE: usize = 48;
/// A tunnel through which nothing goes for so long is closed.
pub const TUNNEL_IDLE: Duration = Duration::from_secs(30 * 60);
/// Places from which one tunnel may be used that are no neighbours of this node; of one more, the oldest is forgotten.
pub const TUNNEL_OPENERS: usize = 16;
/// Bytes of one connection that wait on the node that people use until their program takes them.
pub const TUNNEL_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// Bytes of a tunnel's whole connection that are sent and that the other side has not acknowledged.
pub const TUNNEL_SEND_WINDOW_BYTES: u64 = 2 * 1024 * 1024;
/// How long the other node may take to say whether a connection can be had.
pub const TUNNEL_ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Members that use services of this node through tunnels at once: with what waits in both directions, 6 MiB each.
pub const TUNNEL_CALLERS: usize = 16;
/// Of those, connections of one member: an old one that is not yet known to be dead, and its successor.
pub const TUNNEL_CALLERS_OF_ONE: usize = 2;
/// Connections to services of this node at once.
pub const TUNNEL_STREAMS: usize = 128;
/// Of those, of one member.
pub const TUNNEL_STREAMS_OF_ONE: u32 = 48;
/// Bytes of one member that wait on the node of the service until that takes them.
pub const TUNNEL_RECEIVE_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// A member that has no connection to a service for so long makes room for others.
pub const TUNNEL_CALLER_IDLE: Duration = Duration::from_secs(60);
/// How long a member may take to say which service it means.
pub const TUNNEL_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a service of this node may take to accept a connection at one of this machine's addresses.
pub const TUNNEL_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections of this owner's other nodes at once.
pub const HOUSEHOLD_CALLERS: usize = 16;
/// Connections of one of them at once: an old one that is not yet known to be dead, and its successor.
pub const HOUSEHOLD_CALLERS_OF_ONE: usize = 2;
/// Requests of one of them at once, those that are followed as things happen among them.
pub const HOUSEHOLD_STREAMS_OF_ONE: u32 = 16;
/// Requests of one person at once to one of them: so that nobody takes all.
pub const HOUSEHOLD_STREAMS_OF_A_PERSON: usize = 4;
/// How long one of them may take to begin its answer: a unit is started and waited for.
pub const HOUSEHOLD_ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// The same where a file goes along.
pub const HOUSEHOLD_UPLOAD_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
/// A connection over which nothing comes for so long is asked whether it still is one; there is no other end to it.
pub const TUNNEL_KEEPALIVE: Duration = Duration::from_secs(60);
/// How often `cloudy app install` asks how far it is.
pub const JOB_ASK_EVERY: Duration = Duration::from_millis(500);

/// The longest wait for D-Bus.
pub const DBUS_TIMEOUT: Duration = Duration::from_secs(10);

/// Threads that read and write files; more of them wait. The unit's TasksMax is above it, and above what blobs need beside.
pub const BLOCKING_THREADS: usize = 16;
/// Connections that the page and API serve at once, and the local socket likewise; who comes beyond them waits. Each may hold a request's head and
/// body and TLS's buffers, some 150 KB together, so all of them stay within a sixth of what the unit may use (`MemoryMax`).
pub const HTTP_CONNECTIONS: usize = 256;
/// Of those, so many are for addresses that hold few: whoever holds more is let go unserved when no others are free.
pub const HTTP_CONNECTIONS_RESERVED: usize = 48;
/// What few is.
pub const HTTP_CONNECTIONS_OF_ONE: usize = 16;
/// Connections that may watch changes at once, of those; as many again for apps that watch their store.
pub const WATCHERS: usize = 16;
/// Connections that the socket of one app's store serves at once.
pub const APP_STORE_CONNECTIONS: usize = 8;
/// Of those, so many may watch changes.
pub const APP_STORE_WATCHES: usize = 2;
/// Reads of its store that an app may make at once, after which one is free again in this time.
pub const APP_STORE_READS: (u32, Duration) = (40, Duration::from_millis(100));
/// Likewise of writes: each waits for the disk, and all members are told of it.
pub const APP_STORE_WRITES: (u32, Duration) = (30, Duration::from_secs(1));
/// How often it is looked whether an app's store has a place to be served at.
pub const APP_STORES_LOOK: Duration = Duration::from_secs(3);
/// How long jobs are watched in one answer: who watches on asks again.
pub const JOBS_WATCH_LIFE: Duration = Duration::from_secs(600);
/// Requests with an `Idempotency-Key` that are remembered, of all who ask; of one more, the oldest is forgotten.
pub const ONCE_KEPT: usize = 256;
/// Of one person, likewise.
pub const ONCE_KEPT_OF_ONE: usize = 64;
/// How long each is remembered, while the agent runs.
pub const ONCE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// The longest answer that is kept for it in bytes.
pub const ONCE_ANSWER_BYTES: usize = 4096;
/// The longest time for a request's head to arrive, also between two requests of one connection.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest request body in bytes.
pub const HTTP_BODY_BYTES: usize = 64 * 1024;
/// How long open connections may end their answer when the agent stops.
pub const HTTP_GOODBYE: Duration = Duration::from_secs(2);

/// How often it is looked whether the page's certificate is still for this node's addresses.
pub const HTTPS_LOOK_EVERY: Duration = Duration::from_secs(30);

/// Storage counts as nearly full below this share of free space.
pub const STORAGE_LOW_PERCENT: u64 = 10;
/// Memory counts as short below this share of available memory.
pub const MEMORY_LOW_PERCENT: u64 = 5;
/// A processor this hot is near its limit.
pub const HOT_CELSIUS: f32 = 85.0;
/// A clock before this moment (2026-01-01) is surely wrong.
pub const EARLIEST_CLOCK_SECS: u64 = 1_767_225_600;
/// How long the network part may take to say goodbye to its neighbours.
pub const NET_GOODBYE: Duration = Duration::from_secs(8);
/// Where root keeps the settings of an image: readable by the agent, written by root alone.
pub const SETTINGS_DIR: &str = "/var/lib/cloudy-settings";
/// Made by `cloudy confirm` when it has ended this boot's trial: init's report was written before.
pub const CONFIRMED_MARK: &str = "/run/cloudy/confirmed";
/// How long a slot on trial may take to show that it works.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a confirmed slot is given until all that will come is there and is noted.
pub const SETTLED_TIMEOUT: Duration = Duration::from_secs(120);
/// Where an installation makes file systems before it writes them: on data, since memory may be short.
pub const INSTALL_WORK_DIR: &str = "/var/cache/cloudy-install";
/// How often it says how far it is.
pub const INSTALL_TELL_EVERY: Duration = Duration::from_millis(500);
/// How often `cloudy install-to` asks for that.
pub const INSTALL_ASK_EVERY: Duration = Duration::from_secs(1);
/// How often that is looked at.
pub const CONFIRM_EVERY: Duration = Duration::from_secs(2);
/// How long devices may take to settle before the first Ethernet is looked for, in seconds.
pub const SETTLE_TIMEOUT_SECS: u64 = 20;

/// Memory that hashing a password takes, in KiB (OWASP's "Password Storage Cheat Sheet", Argon2id: 19 MiB with 2 passes, 1 lane).
pub const PASSWORD_MEMORY_KIB: u32 = 19 * 1024;
/// How often that memory is gone over.
pub const PASSWORD_PASSES: u32 = 2;
/// Passwords that may wait while one is hashed; who comes then is asked to come again.
pub const PASSWORDS_WAITING: usize = 1;
/// When to come again, in seconds.
pub const PASSWORDS_AGAIN_SECS: u64 = 3;
/// The shortest password in characters, and the longest in bytes.
pub const PASSWORD_MIN_CHARS: usize = 10;
/// The longest password in bytes.
pub const PASSWORD_MAX_BYTES: usize = 256;
/// People that a node knows.
pub const USERS_KEPT: usize = 32;
/// Tokens for programs that are kept.
pub const USER_TOKENS_KEPT: usize = 64;
/// Services, or nodes with all of theirs, that one person does not want to be shown.
pub const USER_MUTED_KEPT: usize = 200;
/// A session ends after this long without use.
pub const SESSION_IDLE: Duration = Duration::from_secs(8 * 3600);
/// A session ends this long after its login, used or not.
pub const SESSION_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often it is noted on the disk, at most, that sessions are used.
pub const SESSION_USES_EVERY: Duration = Duration::from_secs(3600);
/// Sessions of all people; of one more, the one that was used least lately ends.
pub const SESSIONS_KEPT: usize = 64;
/// Sessions of one person, likewise.
pub const SESSIONS_OF_ONE: usize = 8;
/// Wrong passwords from one address that cost no waiting.
pub const FREE_TRIES_OF_ADDRESS: u32 = 5;
/// The longest wait of an address, which doubles with each wrong password.
pub const LONGEST_WAIT_OF_ADDRESS: Duration = Duration::from_secs(900);
/// Wrong passwords for one name that cost no waiting: more, and a shorter wait, since anybody may name it.
pub const FREE_TRIES_OF_NAME: u32 = 10;
/// The longest wait for a name.
pub const LONGEST_WAIT_OF_NAME: Duration = Duration::from_secs(60);
/// Wrong passwords are forgotten this long after the last.
pub const TRIES_FORGOTTEN: Duration = Duration::from_secs(3600);
/// Addresses and names whose wrong passwords are counted; of more, the one that failed least lately is forgotten.
pub const TRIES_COUNTED: usize = 256;
/// A node without an owner can be claimed from its own link this long after power-on, with no code.
pub const CLAIM_WINDOW: Duration = Duration::from_secs(30 * 60);
/// How long a change of network or Wi-Fi is on trial, before it is taken back.
pub const SETTINGS_TRIAL: Duration = Duration::from_secs(300);
/// How often it is looked which disks are plugged in.
pub const DISKS_LOOK_EVERY: Duration = Duration::from_secs(4);
/// How long the root unit waits until a new disk is seen with what is on it.
pub const DISK_SETTLE: Duration = Duration::from_secs(15);
/// How long it waits until nobody uses a disk that is taken away.
pub const DISK_BUSY: Duration = Duration::from_secs(20);
/// How often that is looked at.
pub const DISK_BUSY_LOOK_EVERY: Duration = Duration::from_millis(250);
/// The longest wait for the root unit: a large disk is made and checked meanwhile.
pub const DISK_UNIT_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long a job waits for the disk with its app's data.
pub const DISK_WAIT: Duration = Duration::from_secs(60);

/// A member that this node has no connection to is measured again, when a service of it is found, after so long.
pub const MEASURED_AGAIN: Duration = Duration::from_secs(120);
/// What was measured so long ago is shown no more.
pub const MEASURED_HOLDS: Duration = Duration::from_secs(600);
/// At most so many at once.
pub const MEASURED_AT_ONCE: usize = 4;
/// And in a minute: each costs a handshake.
pub const MEASURED_A_MINUTE: usize = 30;

//! A disk that keeps its promises and not one more: what was not synced may be lost, torn at sectors and come in any
//! order when the power goes; it can be full, and it can fail in the middle of anything.

use cluster::store::{Storage, StoreError};
use rand::{Rng, RngExt, seq::SliceRandom};
use redb::StorageBackend;
use std::{
    io::{Error, ErrorKind},
    sync::{Arc, Mutex},
};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

#[derive(Clone)]
enum Op {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Default)]
struct State {
    /// As the program sees it.
    current: Vec<u8>,
    /// What is there whatever happens.
    durable: Vec<u8>,
    /// What happened since.
    unsynced: Vec<Op>,
    /// Handles of dead processes have an older number.
    life: u64,
    full: bool,
    /// Whether that is seen before writing.
    sudden: bool,
    /// After so many further operations every one fails, until the power is back.
    dies_after: Option<u32>,
    /// A disk (or a build) that does not do what sync says.
    lies: bool,
    syncs: u64,
    written: u64,
    aside: u32,
}

/// The disk of one node. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

/// What lies on a disk.
#[derive(Clone)]
pub struct Image(Vec<u8>);

impl Image {
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[derive(Debug)]
struct Handle {
    disk: Disk,
    life: u64,
}

fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(at, data) => {
            if bytes.len() < at + data.len() {
                bytes.resize(at + data.len(), 0);
            }
            bytes[*at..at + data.len()].copy_from_slice(data);
        }
        Op::Length(length) => bytes.resize(*length, 0),
    }
}

impl Disk {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The power goes: what was not synced is kept, lost, torn and reordered as it pleases `rng`.
    pub fn cut(&self, rng: &mut impl Rng) {
        let mut state = self.state();
        state.life += 1;
        state.dies_after = None;
        let mut sectors: Vec<Op> = Vec::new();
        for op in std::mem::take(&mut state.unsynced) {
            match op {
                Op::Length(length) => sectors.push(Op::Length(length)),
                Op::Write(at, data) => {
                    let mut from = 0;
                    while from < data.len() {
                        let to = (SECTOR - (at + from) % SECTOR + from).min(data.len());
                        sectors.push(Op::Write(at + from, data[from..to].to_vec()));
                        from = to;
                    }
                }
            }
        }
        match rng.random_range(0..4) {
            0 => sectors.clear(),
            1 => sectors.truncate(rng.random_range(0..=sectors.len())),
            2 => sectors.retain(|_| rng.random_bool(0.5)),
            _ => {}
        }
        if rng.random_bool(0.5) {
            sectors.shuffle(rng);
        }
        let mut bytes = std::mem::take(&mut state.durable);
        for op in &sectors {
            apply(&mut bytes, op);
        }
        state.current = bytes.clone();
        state.durable = bytes;
    }

    /// The process is killed; the machine goes on, so nothing that was written is lost.
    pub fn kill(&self) {
        let mut state = self.state();
        state.life += 1;
        state.dies_after = None;
    }

    /// No room for growth; `sudden` if that shows only half-way through a write.
    pub fn set_full(&self, full: bool, sudden: bool) {
        let mut state = self.state();
        (state.full, state.sudden) = (full, sudden);
    }

    pub fn is_full(&self) -> bool {
        self.state().full
    }

    pub fn set_lies(&self) {
        self.state().lies = true;
    }

    /// Every operation fails after so many more.
    pub fn die_after(&self, operations: u32) {
        self.state().dies_after = Some(operations);
    }

    pub fn is_dead(&self) -> bool {
        self.state().dies_after == Some(0)
    }

    /// Syncs done and bytes written so far.
    pub fn work(&self) -> (u64, u64) {
        let state = self.state();
        (state.syncs, state.written)
    }

    /// A copy of what lies on it for certain.
    pub fn image(&self) -> Image {
        Image(self.state().durable.clone())
    }

    /// Puts a copy back. The machine must be off.
    pub fn restore(&self, image: &Image) {
        let mut state = self.state();
        state.life += 1;
        state.unsynced.clear();
        state.current = image.0.clone();
        state.durable = image.0.clone();
    }

    /// Flips some bits. The machine must be off.
    pub fn damage(&self, rng: &mut impl Rng) {
        let mut state = self.state();
        let length = state.durable.len();
        for _ in 0..rng.random_range(1..20) {
            let at = rng.random_range(0..length);
            state.durable[at] ^= 1 << rng.random_range(0..8);
        }
        state.current = state.durable.clone();
    }

    /// Changes one bit. The machine must be off.
    pub fn flip(&self, bit: usize) {
        let mut state = self.state();
        state.durable[bit / 8] ^= 1 << (bit % 8);
        state.current = state.durable.clone();
    }

    /// Takes away what is behind `length`. The machine must be off.
    pub fn shorten(&self, length: usize) {
        let mut state = self.state();
        state.durable.truncate(length);
        state.current = state.durable.clone();
    }

    pub fn aside(&self) -> u32 {
        self.state().aside
    }
}

impl Storage for Disk {
    fn open(&mut self) -> Result<Box<dyn StorageBackend>, StoreError> {
        let mut state = self.state();
        state.life += 1;
        Ok(Box::new(Handle { disk: self.clone(), life: state.life }))
    }

    fn room(&mut self) -> Result<(), StoreError> {
        let state = self.state();
        if state.full && !state.sudden { Err(StoreError::Full("no space left on device".to_owned())) } else { Ok(()) }
    }

    fn put_aside(&mut self) -> Result<String, StoreError> {
        let mut state = self.state();
        state.aside += 1;
        state.current.clear();
        state.durable.clear();
        state.unsynced.clear();
        Ok(format!("aside-{}", state.aside))
    }
}

impl Handle {
    fn state(&self) -> std::io::Result<std::sync::MutexGuard<'_, State>> {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(Error::new(ErrorKind::BrokenPipe, "the process is dead"));
        }
        match &mut state.dies_after {
            Some(0) => return Err(Error::new(ErrorKind::TimedOut, "the disk does not answer")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(state)
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> std::io::Result<u64> {
        Ok(self.state()?.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        let state = self.state()?;
        let at = offset as usize;
        let from = state.current.get(at..at + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(from);
        Ok(())
    }

    fn set_len(&self, len: u64) -> std::io::Result<()> {
        let mut state = self.state()?;
        let len = len as usize;
        if state.full && len > state.current.len() {
            return Err(Error::new(ErrorKind::StorageFull, "no space left on device"));
        }
        state.unsynced.push(Op::Length(len));
        state.current.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> std::io::Result<()> {
        let mut state = self.state()?;
        state.syncs += 1;
        if !state.lies {
            for op in std::mem::take(&mut state.unsynced) {
                apply(&mut state.durable, &op);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        let mut state = self.state()?;
        state.written += data.len() as u64;
        let op = Op::Write(offset as usize, data.to_vec());
        apply(&mut state.current, &op);
        state.unsynced.push(op);
        Ok(())
    }
}

//! A file of the fake disk: what of it is durable, and what a power cut makes of the rest.

pub(crate) const SECTOR: usize = 512;

/// What the power cut leaves of what was not synced. Except with the first and the last, names are left as they were.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PowerCut {
    /// Nothing.
    Lose,
    /// Everything.
    Keep,
    /// Of each file the first so many bytes.
    Prefix(usize),
    /// The same, and zeros behind them up to the length it had: its size reached the disk, its data did not.
    Zeroed(usize),
    /// Everything but one sector of each file.
    Without(usize),
    /// One sector of each file.
    Only(usize),
    /// Some sectors of files and a beginning of each folder's changes, by this seed.
    Tear(u64),
}

#[derive(Clone, Default)]
pub(super) struct FileData {
    /// What is read.
    pub live: Vec<u8>,
    /// What a power cut leaves for sure.
    pub durable: Vec<u8>,
    /// What leads from the one to the other, in order.
    pub unsynced: Vec<FileUpdate>,
    /// A sync failed: nobody knows what of it is durable.
    pub given_up: bool,
}

#[derive(Clone)]
pub(super) enum FileUpdate {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

impl FileUpdate {
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, new) => {
                bytes.resize(bytes.len().max(at + new.len()), 0);
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
            Self::Truncate(len) => bytes.resize(*len, 0),
        }
    }

    /// Bytes it writes.
    pub fn len(&self) -> usize {
        match self {
            Self::Write(_, new) => new.len(),
            Self::Truncate(_) => 0,
        }
    }

    /// The first `most` bytes of it.
    pub fn begin(&self, most: usize) -> Self {
        match self {
            Self::Write(at, new) => Self::Write(*at, new[..new.len().min(most)].to_vec()),
            Self::Truncate(len) => Self::Truncate(*len),
        }
    }

    /// Its sectors; a truncation is one.
    fn sectors(&self) -> Vec<Self> {
        match self {
            Self::Write(at, new) => {
                let parts = new.chunks(SECTOR).enumerate();
                parts.map(|(sector, part)| Self::Write(at + sector * SECTOR, part.to_vec())).collect()
            }
            Self::Truncate(len) => vec![Self::Truncate(*len)],
        }
    }
}

impl FileData {
    /// The power goes.
    pub fn cut(&mut self, cut: PowerCut, rng: &mut fastrand::Rng) {
        match cut {
            PowerCut::Lose => {}
            PowerCut::Keep => self.keep(|_| true),
            PowerCut::Prefix(bytes) => self.keep_prefix(bytes),
            PowerCut::Zeroed(bytes) => {
                self.keep_prefix(bytes);
                self.durable.resize(self.durable.len().max(self.live.len()), 0);
            }
            PowerCut::Without(sector) => self.keep(|at| at != sector),
            PowerCut::Only(sector) => self.keep(|at| at == sector),
            PowerCut::Tear(_) => self.keep(|_| rng.bool()),
        }
        self.live.clone_from(&self.durable);
        self.unsynced.clear();
        self.given_up = false;
    }

    /// Sectors, counted over all that was not synced.
    fn keep(&mut self, mut kept: impl FnMut(usize) -> bool) {
        let sectors = self.unsynced.iter().flat_map(FileUpdate::sectors).enumerate();
        sectors.filter(|(at, _)| kept(*at)).for_each(|(_, sector)| sector.apply(&mut self.durable));
    }

    fn keep_prefix(&mut self, mut left: usize) {
        for update in &self.unsynced {
            update.begin(left).apply(&mut self.durable);
            if update.len() > left {
                break;
            }
            left -= update.len();
        }
    }
}

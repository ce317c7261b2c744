//! The folder itself: where it is, who holds it, and the pool in it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use fsdfs_proto::identity::{SecretKey, Ticket};
use fsdfs_proto::ids::{NodeId, PoolId};
use rustix::fs::{FlockOperation, flock};

use super::error::{HOME_ENV, HomeError};
use super::identity::{Identity, KeysHere, OwnerKeys, ROOT_KEY_NAME, SPARE_KEY_NAME};
use super::instance::Instance;
use super::ownership;
use super::root_key;
use super::setup::{RootKeyPlace, Setup};
use super::socket_path::socket_path;
use crate::config::Config;
use crate::files::{self, at};

/// The name of a pool that another one takes the place of; see `replace`.
pub(super) const REPLACED: &str = "pool.replaced";

/// A home folder, which need not exist yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
}

/// A pool that was founded or entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedPool {
    /// The pool.
    pub pool: PoolId,
    /// Its name.
    pub pool_name: String,
    /// This node.
    pub node: NodeId,
    /// The file with the root key, where the pool was founded.
    pub root_key: Option<PathBuf>,
    /// The root key itself, to be shown once, if it goes to no file.
    pub root_words: Option<SecretKey>,
    /// The file with the spare key, where the pool was founded.
    pub spare_key: Option<PathBuf>,
    /// The spare key itself, as with the root key.
    pub spare_words: Option<SecretKey>,
    /// As it was completed and written.
    pub config: Config,
}

/// What there was before a command began.
#[derive(Clone, Copy, Debug)]
pub struct HomeBefore {
    dir: bool,
    config: bool,
}

impl Home {
    /// What there is now, to be restored if what follows fails.
    pub fn before(&self) -> HomeBefore {
        HomeBefore { dir: self.dir.exists(), config: Config::file(&self.dir).exists() }
    }

    /// The folder that was named, else that of the environment, else `fsdfs` in the user's data directory.
    pub fn locate(named: Option<&Path>) -> Result<Self, HomeError> {
        let named = named.map(Path::to_path_buf).or_else(|| std::env::var_os(HOME_ENV).map(PathBuf::from));
        let dir = match named.filter(|dir| !dir.as_os_str().is_empty()) {
            Some(dir) => std::path::absolute(&dir).map_err(at("find", &dir))?,
            None => {
                use etcetera::BaseStrategy as _;
                etcetera::choose_base_strategy().map_err(|_| HomeError::NoPlace)?.data_dir().join("fsdfs")
            }
        };
        Ok(Self { dir })
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the daemon of this folder listens.
    pub fn socket(&self) -> PathBuf {
        socket_path(&self.dir)
    }

    /// Whether a pool was founded or entered here.
    pub fn has_pool(&self) -> bool {
        self.pool_file("pool.toml").exists() || self.dir.join(REPLACED).exists()
    }

    /// The folder of the store's own files: the fact log, and which disks there are.
    pub fn facts_dir(&self) -> PathBuf {
        self.pool_file("facts")
    }

    /// Takes the folder for this process, making it if necessary, and finishes what a killed process left undone.
    pub fn lock(&self) -> Result<LockedHome, HomeError> {
        files::make_private_folder(&self.dir)?;
        self.check()?;
        let path = self.dir.join("lock");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = files::open_own(&options, &path).map_err(at("open", &path))?;
        if !lock_soon(&file) {
            let by = files::read_text(&path).unwrap_or_default();
            let by = if by.trim().is_empty() { "unknown".to_owned() } else { by.trim().to_owned() };
            return Err(HomeError::InUse { dir: self.dir.clone(), by });
        }
        write_own_id(&file).map_err(at("write", &path))?;
        let locked = LockedHome { home: self.clone(), _lock: file };
        locked.finish_replacement()?;
        Ok(locked)
    }

    /// Whether a process works on the folder.
    pub fn is_in_use(&self) -> bool {
        let lock = files::open_own(File::options().read(true), &self.dir.join("lock"));
        lock.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockShared).is_err())
    }

    /// Whether the folder is this user's alone, if it exists.
    pub fn check(&self) -> Result<(), HomeError> {
        if self.dir.exists() { ownership::check(&self.dir) } else { Ok(()) }
    }

    fn pool_file(&self, name: &str) -> PathBuf {
        self.dir.join("pool").join(name)
    }
}

/// Whoever asks whether the folder is in use holds the lock for a moment; that is no reason to give up.
fn lock_soon(file: &File) -> bool {
    for _ in 0..6 {
        if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    false
}

/// For whoever is refused. Written through the file that is locked: the name could be another file's by now.
fn write_own_id(mut lock: &File) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.write_all(std::process::id().to_string().as_bytes())
}

/// Where a key went that is not in the home folder.
fn place(place: &RootKeyPlace, key: SecretKey, file: &mut Option<PathBuf>, words: &mut Option<SecretKey>) {
    match place {
        RootKeyPlace::Home => {}
        RootKeyPlace::File(path) => *file = Some(path.clone()),
        RootKeyPlace::Words => *words = Some(key),
    }
}

/// A home folder that nobody else changes meanwhile.
#[derive(Debug)]
pub struct LockedHome {
    home: Home,
    _lock: File,
}

impl std::ops::Deref for LockedHome {
    type Target = Home;
    fn deref(&self) -> &Home {
        &self.home
    }
}

impl LockedHome {
    /// Founds a pool: its root key, this node's key and certificate, the keys of the shared volume.
    pub fn found(&self, setup: &Setup) -> Result<CreatedPool, HomeError> {
        self.no_pool_yet()?;
        let config = setup.write_config(self.dir())?;
        let (identity, OwnerKeys { root, spare }) = Identity::found(&setup.pool_name(&config));
        let spare_place = match (&setup.spare_key, &setup.root_key) {
            (Some(path), _) => RootKeyPlace::File(path.clone()),
            (None, RootKeyPlace::Words) => RootKeyPlace::Words,
            (None, _) => RootKeyPlace::Home,
        };
        // Before anything else: a pool without its root key cannot be mended.
        for (place, key) in [(&setup.root_key, &root), (&spare_place, &spare)] {
            if let RootKeyPlace::File(path) = place {
                root_key::write_new(path, key)?;
            }
        }
        let here = |place: &RootKeyPlace, key: &SecretKey| (*place == RootKeyPlace::Home).then(|| key.clone());
        let here = KeysHere { root: here(&setup.root_key, &root), spare: here(&spare_place, &spare) };
        self.stage(&identity, &here)?;
        self.publish_stage()?;
        let mut made = self.made(identity, config);
        place(&setup.root_key, root, &mut made.root_key, &mut made.root_words);
        place(&spare_place, spare, &mut made.spare_key, &mut made.spare_words);
        Ok(made)
    }

    /// Enters the pool of a ticket. Whether it admits this node is for the first member that is reached to say.
    pub fn join(&self, setup: &Setup, ticket: &Ticket) -> Result<CreatedPool, HomeError> {
        self.no_pool_yet()?;
        let identity = Identity::join(ticket).map_err(HomeError::Ticket)?;
        let config = setup.write_config(self.dir())?;
        self.stage(&identity, &KeysHere::default())?;
        self.publish_stage()?;
        Ok(self.made(identity, config))
    }

    /// Leaves the pool for that of a ticket, and deletes it with its blocks. The caller made sure that it is empty, or that
    /// this node is no member of it: then its blocks are kept aside.
    pub fn replace(&self, ticket: &Ticket) -> Result<CreatedPool, HomeError> {
        let identity = Identity::join(ticket).map_err(HomeError::Ticket)?;
        let config = Config::load(self.dir())?;
        // The root key of the same pool is worth more than any membership.
        let is_same = self.identity().is_ok_and(|old| old.pool == ticket.pool);
        let kept = |name| {
            let file = self.pool_file(name);
            (is_same && file.exists()).then(|| super::identity::read_key(&file)).transpose()
        };
        self.stage(&identity, &KeysHere { root: kept(ROOT_KEY_NAME)?, spare: kept(SPARE_KEY_NAME)? })?;
        self.exchange()?;
        Ok(self.made(identity, config))
    }

    /// Removes what a command made that failed, but for what was there before. [`LockedHome::withdraw`] comes first.
    pub fn restore(self, before: HomeBefore) {
        if !before.config {
            let _ = fs::remove_file(Config::file(self.dir()));
        }
        let _ = fs::remove_dir(self.dir().join("run"));
        if !before.dir {
            let _ = fs::remove_file(self.dir().join("lock"));
            // Only if nothing else is in it.
            let _ = fs::remove_dir(self.dir());
        }
    }

    /// Who this node is.
    pub fn identity(&self) -> Result<Identity, HomeError> {
        if !self.has_pool() {
            return Err(HomeError::NoPool(self.dir().to_owned()));
        }
        Identity::load(&self.dir().join("pool"))
    }

    /// Which copy of the folder this is, and whether it was used elsewhere.
    pub fn instance(&self) -> Result<Instance, HomeError> {
        Instance::load(&self.dir().join("pool"))
    }

    fn no_pool_yet(&self) -> Result<(), HomeError> {
        match self.has_pool() {
            true => Err(HomeError::HasPool { name: self.identity()?.pool_name }),
            false => Ok(()),
        }
    }

    fn made(&self, identity: Identity, config: Config) -> CreatedPool {
        let (root_key, spare_key) = (self.pool_file(ROOT_KEY_NAME), self.pool_file(SPARE_KEY_NAME));
        CreatedPool {
            pool: identity.pool,
            node: identity.node(),
            pool_name: identity.pool_name,
            root_key: root_key.exists().then_some(root_key),
            root_words: None,
            spare_key: spare_key.exists().then_some(spare_key),
            spare_words: None,
            config,
        }
    }
}

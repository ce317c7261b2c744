//! A line as the kernel sees it: a TUN device at each end, and threads that carry packets from one to the other as the model
//! says.

use std::collections::VecDeque;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tappers::{DeviceState, Interface, Tun};

use super::model::{LineModel, LineSettings, PacketFate};
use super::tampering::Tampering;
use crate::lab::namespace::NetNamespace;

/// Packets under way in one direction at most: 100 Mbit/s over 200 ms with a queue of 500 ms are 6,000. A line without a rate
/// is bounded by it alone.
const UNDER_WAY_MAX: usize = 16_384;

/// No packet is longer; the device's own MTU is less.
const PACKET_BYTES_MAX: usize = 65_536;

/// What went through one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCount {
    /// Packets that came out at the other end.
    pub packets: u64,
    /// Their bytes, with IP headers.
    pub bytes: u64,
    /// Packets lost on the way.
    pub lost: u64,
    /// Packets that did not fit into the queue.
    pub dropped: u64,
}

/// Where an end of a line lies: a device of this name in that namespace.
pub struct LineEnd<'a> {
    /// The namespace.
    pub namespace: &'a NetNamespace,
    /// The device's name there.
    pub device: &'a str,
    /// The longest packet, in bytes.
    pub mtu: u32,
}

/// A line that runs. Dropping it takes its devices away.
pub struct HomeLine {
    up: Arc<LineDirection>,
    down: Arc<LineDirection>,
    devices: [(String, String); 2],
    threads: Vec<JoinHandle<()>>,
}

impl HomeLine {
    /// Lays a line from a home (its *up* direction leads away from it) to the internet.
    pub fn lay(home: &LineEnd, internet: &LineEnd, up: LineSettings, down: LineSettings, seed: u64) -> Result<Self> {
        let (near, far) = (Arc::new(tun(home)?), Arc::new(tun(internet)?));
        let up = Arc::new(LineDirection::new(up, seed));
        let down = Arc::new(LineDirection::new(down, !seed));
        let mut threads = Vec::new();
        for (direction, from, to) in [(&up, &near, &far), (&down, &far, &near)] {
            let (accepting, device) = (Arc::clone(direction), Arc::clone(from));
            threads.push(thread::spawn(move || accepting.accept_all(&device)));
            let (delivering, device) = (Arc::clone(direction), Arc::clone(to));
            threads.push(thread::spawn(move || delivering.deliver_all(&device)));
        }
        let devices = [home, internet].map(|end| (end.namespace.name().to_owned(), end.device.to_owned()));
        Ok(Self { up, down, devices, threads })
    }

    /// What went from the home to the internet, and what came from there.
    pub fn counts(&self) -> (LineCount, LineCount) {
        (self.up.state().count, self.down.state().count)
    }

    /// How long the smallest packet would take to the internet and back.
    pub fn round_trip(&self) -> Duration {
        self.up.transit() + self.down.transit()
    }

    /// Another line from now on.
    pub fn change(&self, up: LineSettings, down: LineSettings) {
        self.up.state().model.change(up);
        self.down.state().model.change(down);
    }

    /// Takes nothing more, or carries again.
    pub fn set_cut(&self, is_cut: bool) {
        self.up.state().is_cut = is_cut;
        self.down.state().is_cut = is_cut;
    }

    /// What happens to relayed packets that this home sends on.
    pub fn tamper(&self, tampering: Tampering) {
        self.up.state().tampering = tampering;
    }
}

impl Drop for HomeLine {
    fn drop(&mut self) {
        for direction in [&self.up, &self.down] {
            direction.state().is_ended = true;
            direction.wake.notify_all();
        }
        // A thread that waits for packets ends when its device goes. Of what cannot be taken away the namespace is deleted next.
        for (namespace, device) in &self.devices {
            let _ = Command::new("ip").args(["-n", namespace, "link", "del", device]).output();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A device in the namespace of an end. It is made here and moved there; its name here is no other's.
fn tun(end: &LineEnd) -> Result<Tun> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let name = format!("fl{}x{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed) % 10_000);
    let mut tun = Tun::new_named(Interface::new(&name)?).with_context(|| format!("a TUN device {name}"))?;
    // Down until it has its addresses.
    tun.set_state(DeviceState::Down)?;
    end.namespace.adopt(&name, end.device)?;
    let mtu = end.mtu.to_string();
    // Long enough that no packet is lost before the model has seen it.
    end.namespace.ip(&["link", "set", end.device, "up", "mtu", &mtu, "txqueuelen", "10000"])?;
    Ok(tun)
}

struct LineDirection {
    begun: Instant,
    state: Mutex<DirectionState>,
    wake: Condvar,
}

struct DirectionState {
    model: LineModel,
    /// In the order in which they arrive.
    under_way: VecDeque<(Duration, Vec<u8>)>,
    count: LineCount,
    tampering: Tampering,
    random: fastrand::Rng,
    is_cut: bool,
    is_ended: bool,
}

impl LineDirection {
    fn new(settings: LineSettings, seed: u64) -> Self {
        let state = DirectionState {
            model: LineModel::new(settings, seed),
            under_way: VecDeque::new(),
            count: LineCount::default(),
            tampering: Tampering::default(),
            random: fastrand::Rng::with_seed(seed.rotate_left(32)),
            is_cut: false,
            is_ended: false,
        };
        Self { begun: Instant::now(), state: Mutex::new(state), wake: Condvar::new() }
    }

    /// A thread that panicked left counters behind that are still right.
    fn state(&self) -> MutexGuard<'_, DirectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transit(&self) -> Duration {
        let state = self.state();
        state.model.backlog(self.begun.elapsed()) + state.model.delay()
    }

    /// Until the device is gone.
    fn accept_all(&self, device: &Tun) {
        prefer_this_thread();
        let mut buffer = vec![0; PACKET_BYTES_MAX];
        while let Ok(bytes) = device.recv(&mut buffer) {
            self.accept(buffer[..bytes].to_vec());
        }
    }

    fn accept(&self, packet: Vec<u8>) {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.is_cut {
            state.count.lost += 1;
            return;
        }
        let was_empty = state.under_way.is_empty();
        for packet in state.tampering.apply(packet, &mut state.random) {
            if state.under_way.len() >= UNDER_WAY_MAX {
                state.count.dropped += 1;
                continue;
            }
            match state.model.offer(self.begun.elapsed(), packet.len()) {
                PacketFate::Arrives(at) => state.under_way.push_back((at, packet)),
                PacketFate::QueueFull => state.count.dropped += 1,
                PacketFate::Lost => state.count.lost += 1,
            }
        }
        if was_empty {
            self.wake.notify_one();
        }
    }

    /// Until the line ends.
    fn deliver_all(&self, device: &Tun) {
        prefer_this_thread();
        while let Some(packet) = self.next_due() {
            // A device that is down takes nothing, as a cable that was pulled.
            let _ = device.send(&packet);
        }
    }

    fn next_due(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        loop {
            if state.is_ended {
                return None;
            }
            let now = self.begun.elapsed();
            let wait = match state.under_way.front() {
                Some((at, _)) if *at <= now => break,
                Some((at, _)) => Some(*at - now),
                None => None,
            };
            state = match wait {
                Some(wait) => self.wake.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let (_, packet) = state.under_way.pop_front()?;
        state.count.packets += 1;
        state.count.bytes += packet.len() as u64;
        Some(packet)
    }
}

/// A packet that waits for the processor behind the daemons under test would be a longer line. Where the system does not allow
/// it, lines are a little longer.
fn prefer_this_thread() {
    let Ok(this) = fs::read_link("/proc/thread-self") else { return };
    let Some(id) = this.file_name().and_then(|name| name.to_str()) else { return };
    let _ = Command::new("chrt").args(["--fifo", "--pid", "10", id]).output();
}

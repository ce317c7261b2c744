//! Many strangers at once: silent ones, half-open handshakes, garbage. Members come in all the while.
//!
//! How long a member waits is printed (`cargo test --workspace --test all -- --nocapture flood`), not asserted: it depends on what
//! else the machine does.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fsdfs_node::net::NetEvent;
use fsdfs_tests::adversary::first_words;

use super::attacker::Attacker;
use super::pool::{FOUNDER, Member, Pool};

/// Each holds as many places as one address may.
const STRANGERS: u8 = 25;
const PLACES: usize = 8;
/// Handshakes that may be under way before addresses have to be shown (spec 04-wire, "Connections").
const PENDING_MAX: usize = 256;
/// Keys of members that come in meanwhile.
const FRIENDS: [u8; 4] = [1, 3, 4, 5];
/// A silent connection loses its place after three seconds; then its stranger knocks again.
const HOLD: Duration = Duration::from_secs(3);

/// A machine that has not begun so many handshakes by then is too busy to.
const GIVE_UP: Duration = Duration::from_secs(30);

/// A founder who is attacked, and friends who then come in one after the other.
struct PoolSiege {
    pool: Pool,
    member: Member,
}

impl PoolSiege {
    async fn begin() -> Self {
        let mut pool = Pool::new();
        FRIENDS.iter().for_each(|seed| pool.add(*seed));
        let member = Member::start(&pool.keeper(FOUNDER)).await;
        Self { pool, member }
    }

    /// Every friend comes in. Prints how long the slowest took.
    async fn friends_come_in(mut self, what: &str) {
        let mut worst = Duration::ZERO;
        for seed in FRIENDS {
            let mut friend = Member::start(&self.pool.keeper(seed)).await;
            let begun = Instant::now();
            assert!(friend.comes_to(&self.member).await, "{what} kept a member out");
            self.member.until(|event| matches!(event, NetEvent::Up { node, .. } if *node == friend.node)).await;
            worst = worst.max(begun.elapsed());
        }
        println!("{what}: the slowest of {} members came in after {:.3} s", FRIENDS.len(), worst.as_secs_f64());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_silent_connections() {
    let siege = PoolSiege::begin().await;
    let held = Arc::new(AtomicUsize::new(0));
    let to = siege.member.addr();
    let strangers: Vec<_> = (0..STRANGERS).map(|at| tokio::spawn(hold(Arc::clone(&held), at, to))).collect();
    let all = usize::from(STRANGERS) * PLACES;
    at_least(&held, all).await;
    siege.friends_come_in(&format!("{all} silent connections")).await;
    strangers.iter().for_each(tokio::task::JoinHandle::abort);
}

/// Takes all places of one address again and again.
async fn hold(held: Arc<AtomicUsize>, at: u8, to: SocketAddr) {
    let mut stranger = Attacker::listen(100 + at, [127, 0, 3, at + 1]).await;
    loop {
        let silent = stranger.knock(to, PLACES).await;
        held.fetch_add(silent.len(), Ordering::Relaxed);
        tokio::time::sleep(HOLD).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_half_open_handshakes() {
    let siege = PoolSiege::begin().await;
    let first_words = Arc::new(first_words(200).await.expect("loopback"));
    let to = siege.member.addr();
    let flood = Flood::start(move |at| {
        // From an address of its own, and never to be heard of again.
        let ip = [127, 0, 4, u8::try_from(at % 200).unwrap_or(0) + 1];
        if let Ok(socket) = UdpSocket::bind((std::net::Ipv4Addr::from(ip), 0)) {
            for datagram in &first_words[at % first_words.len()] {
                let _ = socket.send_to(datagram, to);
            }
        }
    });
    flood.wait_for(200).await;
    siege.friends_come_in("half-open handshakes").await;
    println!("{} handshakes were begun and left", flood.end());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_behind_many_half_open_handshakes_has_to_show_its_address() {
    let siege = PoolSiege::begin().await;
    let to = siege.member.addr();
    let mut attempts = Vec::new();
    while attempts.len() <= PENDING_MAX + 50 {
        attempts.extend(first_words(200).await.expect("loopback"));
    }
    let mut half_open: Vec<HalfOpen> = attempts.into_iter().enumerate().map(HalfOpen::new).collect();
    // On a busy machine some are given up before the last ones are begun, and those are begun again. A few at a time: the member's
    // socket holds no more.
    let (begun, mut most) = (Instant::now(), 0);
    while !half_open.iter_mut().any(HalfOpen::was_asked_to_retry) {
        most = most.max(half_open.iter().filter(|attempt| attempt.is_under_way()).count());
        if begun.elapsed() > GIVE_UP {
            assert!(most < PENDING_MAX, "nobody was asked to show its address, with {most} handshakes under way");
            println!("SKIPPED: this machine is too busy to have more than {most} handshakes under way");
            return;
        }
        for some in half_open.chunks_mut(32) {
            some.iter_mut().for_each(|attempt| attempt.begin(to));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    siege.friends_come_in(&format!("{} handshakes under way", half_open.len())).await;
}

/// A handshake that gets no further than the first answer.
struct HalfOpen {
    socket: UdpSocket,
    first_words: Vec<Vec<u8>>,
    /// When the member took it up, as far as was seen.
    answered: Option<Instant>,
}

impl HalfOpen {
    /// At an address that has no more of them than may be under way from one.
    fn new((at, first_words): (usize, Vec<Vec<u8>>)) -> Self {
        let ip = [127, 0, 6, u8::try_from(at / PLACES).unwrap_or(0) + 1];
        let socket = UdpSocket::bind((std::net::Ipv4Addr::from(ip), 0)).expect("Linux has the whole of 127/8");
        socket.set_nonblocking(true).expect("a socket");
        Self { socket, first_words, answered: None }
    }

    /// Whether the member surely waits for what comes next: it does so for five seconds.
    fn is_under_way(&self) -> bool {
        self.answered.is_some_and(|at| at.elapsed() < HOLD)
    }

    /// Said once more if the member did not hear it, or has given it up. To say the same again and again keeps it from the others.
    fn begin(&mut self, to: SocketAddr) {
        if self.answered.is_none_or(|at| at.elapsed() > HOLD) {
            self.first_words.iter().for_each(|datagram| drop(self.socket.send_to(datagram, to)));
        }
    }

    /// Whether a Retry has come: a long header of that kind (RFC 9000, 17.2.5).
    fn was_asked_to_retry(&mut self) -> bool {
        let mut datagram = [0; 2048];
        let mut was_asked = false;
        while self.socket.recv(&mut datagram).is_ok() {
            self.answered = Some(Instant::now());
            was_asked |= datagram[0] & 0xf0 == 0xf0;
        }
        was_asked
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_garbage() {
    let siege = PoolSiege::begin().await;
    let to = siege.member.addr();
    let socket = UdpSocket::bind("127.0.5.1:0").expect("loopback");
    let mut rng = fastrand::Rng::with_seed(1);
    let flood = Flood::start(move |at| {
        for _ in 0..20 {
            let mut datagram = vec![0; rng.usize(1..1400)];
            rng.fill(&mut datagram);
            if at % 2 == 0 && datagram.len() > 5 {
                // The beginning of an Initial packet of QUIC version 1.
                datagram[..5].copy_from_slice(&[0xc3, 0, 0, 0, 1]);
            }
            let _ = socket.send_to(&datagram, to);
        }
    });
    flood.wait_for(200).await;
    siege.friends_come_in("garbage").await;
    println!("20 x {} datagrams of garbage", flood.end());
}

/// A thread that does harm at most a thousand times a second until it is told to end.
struct Flood {
    thread: std::thread::JoinHandle<()>,
    times: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Flood {
    fn start(mut harm: impl FnMut(usize) + Send + 'static) -> Self {
        let (times, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counted, stopped) = (Arc::clone(&times), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                harm(counted.fetch_add(1, Ordering::Relaxed));
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { thread, times, stop }
    }

    async fn wait_for(&self, times: usize) {
        at_least(&self.times, times).await;
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the flood does not panic");
        self.times.load(Ordering::Relaxed)
    }
}

async fn at_least(count: &AtomicUsize, wanted: usize) {
    let reached = async {
        while count.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reached).await.expect("the attack gets under way");
}

//! Runs a target on the stable toolchain: every input of its corpus, then, for as long as asked, inputs mutated from them.
//!
//! Without coverage it finds less than libFuzzer does, but it needs nothing but cargo; and it shows an input again that
//! libFuzzer has found. `--write` writes the seeds into the corpus instead, for libFuzzer to begin with.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fsdfs_fuzz::{Decoder, TARGETS, measured, seeds::seeds};

const USAGE: &str = "replay TARGET|all [--seconds N] [--seed N] [--write] [FILE...]";
/// Mutations on top of each other in one input at most.
const MUTATIONS_MAX: u32 = 8;
/// As libFuzzer's default when the corpus holds nothing longer.
const INPUT_BYTES_MAX: usize = 4096;

#[derive(Default)]
struct ReplayArgs {
    target: String,
    seconds: u64,
    seed: u64,
    write: bool,
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let Some(args) = args() else {
        let names: Vec<&str> = TARGETS.iter().map(|(name, ..)| *name).collect();
        eprintln!("usage: {USAGE}\ntargets: {}", names.join(" "));
        return ExitCode::from(2);
    };
    let chosen: Vec<_> = TARGETS.iter().filter(|(name, ..)| args.target == "all" || args.target == *name).collect();
    let one = |(name, decode, bytes_per_byte): &(&str, Decoder, u64)| {
        if args.write { write(name) } else { run(name, *decode, *bytes_per_byte, &args) }
    };
    let fine = chosen.into_iter().all(one);
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn args() -> Option<ReplayArgs> {
    let mut args = ReplayArgs { seed: fastrand::u64(..), ..ReplayArgs::default() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => args.seconds = words.next()?.parse().ok()?,
            "--seed" => args.seed = words.next()?.parse().ok()?,
            "--write" => args.write = true,
            _ if args.target.is_empty() => args.target = word,
            _ => args.files.push(word.into()),
        }
    }
    (args.target == "all" || TARGETS.iter().any(|(name, ..)| *name == args.target)).then_some(args)
}

/// Whether no input was found that the target fails on.
fn run(name: &str, decode: Decoder, bytes_per_byte: u64, args: &ReplayArgs) -> bool {
    let corpus = if args.files.is_empty() { corpus(name) } else { args.files.iter().flat_map(fs::read).collect() };
    let mut tried = TriedInput { name, decode, bytes_per_byte, inputs: 0, share_max: 0.0 };
    if !corpus.iter().all(|input| tried.one(input)) {
        return false;
    }
    let replayed = tried.inputs;
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let mut mutator = InputMutator::new(args.seed, corpus);
    while Instant::now() < end {
        if !tried.one(&mutator.next()) {
            eprintln!("{name}: seed {}", args.seed);
            return false;
        }
    }
    let TriedInput { inputs, share_max, .. } = tried;
    println!(
        "{name}: {replayed} inputs of the corpus and {} mutated from them in {} s (seed {}): no failure; \
         at most {:.0} % of the allowed bytes allocated",
        inputs - replayed,
        args.seconds,
        args.seed,
        share_max * 100.0
    );
    true
}

struct TriedInput<'a> {
    name: &'a str,
    decode: Decoder,
    bytes_per_byte: u64,
    inputs: u64,
    /// Of the bytes that may be allocated.
    share_max: f64,
}

impl TriedInput<'_> {
    fn one(&mut self, input: &[u8]) -> bool {
        self.inputs += 1;
        let (decode, bytes_per_byte) = (self.decode, self.bytes_per_byte);
        let Ok(share) = catch_unwind(|| measured(decode, bytes_per_byte, input)) else {
            let kept = folder("artifacts", self.name).join(format!("replay-{:08x}", crc32fast::hash(input)));
            let written = fs::create_dir_all(folder("artifacts", self.name)).and_then(|()| fs::write(&kept, input));
            eprintln!("{}: an input of {} bytes failed; {} ({written:?})", self.name, input.len(), kept.display());
            return false;
        };
        self.share_max = self.share_max.max(share);
        true
    }
}

struct InputMutator {
    session: mutatis::Session,
    rng: fastrand::Rng,
    corpus: Vec<Vec<u8>>,
}

impl InputMutator {
    fn new(seed: u64, corpus: Vec<Vec<u8>>) -> Self {
        Self { session: mutatis::Session::new().seed(seed), rng: fastrand::Rng::with_seed(seed), corpus }
    }

    fn next(&mut self) -> Vec<u8> {
        let mut input = self.rng.choice(&self.corpus).cloned().unwrap_or_default();
        if self.rng.u8(..8) == 0 {
            self.splice(&mut input);
        }
        for _ in 0..self.rng.u32(1..=MUTATIONS_MAX) {
            // An exhausted mutator leaves the input as it is.
            let _ = self.session.mutate(&mut input);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    /// Continues with a part of another input.
    fn splice(&mut self, input: &mut Vec<u8>) {
        let Some(other) = self.rng.choice(&self.corpus) else { return };
        input.truncate(self.rng.usize(..=input.len()));
        input.extend_from_slice(&other[self.rng.usize(..=other.len())..]);
    }
}

/// The seeds, and what libFuzzer has found worth keeping.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let kept = fs::read_dir(folder("corpus", name)).into_iter().flatten().flatten();
    seeds(name).into_iter().chain(kept.flat_map(|entry| fs::read(entry.path()))).collect()
}

fn write(name: &str) -> bool {
    let folder = folder("corpus", name);
    let seeds = seeds(name);
    let written = fs::create_dir_all(&folder).and_then(|()| {
        seeds.iter().try_for_each(|seed| fs::write(folder.join(format!("seed-{:08x}", crc32fast::hash(seed))), seed))
    });
    println!("{name}: {} seeds in {} ({written:?})", seeds.len(), folder.display());
    written.is_ok()
}

fn folder(kind: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(name)
}

//! The fuzz targets over their seeds and mutations of them, as an ordinary test.
//!
//! The mutations follow from a fixed number, so that a failure shows up again. libFuzzer, which is guided by coverage,
//! goes further: see `run.sh`.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Pieces that mean something to one parser or another.
const PIECES: [&str; 24] = [
    "\"",
    "'",
    "`",
    "~~~",
    "\n\n",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\\",
    "\\u",
    "# ",
    "> ",
    "&&",
    "!",
    "<untrusted>",
    "\u{200b}",
    "é",
    "\u{1F600}",
    "\0",
    "9999999999999999999",
    "a@b.co",
];

fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut data = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(data.len() + 1);
        let end = (at + 1 + random.below(16)).min(data.len());
        match random.below(7) {
            0 if at < data.len() => data[at] = random.next() as u8,
            1 if at < data.len() => data[at] ^= 1 << random.below(8),
            2 => data.truncate(at),
            3 => drop(data.drain(at.min(end)..end)),
            4 => {
                let again = data[at.min(end)..end].to_vec();
                data.splice(at..at, again);
            }
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                data.splice(at.., other[from..].iter().copied());
            }
            _ => drop(data.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
        }
    }
    data.truncate(4096);
    data
}

fn run(target: &str, body: fn(&[u8]), mutations: usize) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds.iter().for_each(|seed| body(seed));
    let mut random = Random(0xB7_1647);
    for nth in 0..mutations {
        let data = mutated(&seeds, &mut random);
        let outcome = std::panic::catch_unwind(|| body(&data));
        assert!(outcome.is_ok(), "{target}, mutation {nth}: {:?}", String::from_utf8_lossy(&data));
    }
}

#[test]
fn markdown() {
    run("markdown", brightline_fuzz::markdown, 3000);
}

#[test]
fn rule_fences() {
    run("rule_fences", brightline_fuzz::rule_fences, 1000);
}

#[test]
fn cel() {
    run("cel", brightline_fuzz::cel, 1500);
}

#[test]
fn artifact() {
    run("artifact", brightline_fuzz::artifact, 3000);
}

#[test]
fn wire() {
    run("wire", brightline_fuzz::wire, 3000);
}

#[test]
fn engine() {
    run("engine", brightline_fuzz::engine, 300);
}

#[test]
fn stream() {
    run("stream", brightline_fuzz::stream, 300);
}

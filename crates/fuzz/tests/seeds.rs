//! Every function that is fuzzed survives real inputs, what once broke it, and variations of both.

// A test may panic; clippy's exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use fuzz::TARGETS;

/// Variations of each seed: enough to find what is plainly wrong, few enough for every run of the tests.
const VARIATIONS: usize = 200;

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

/// Numbers that are the same in every run (xorshift), so that a failure is found again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap()
    }
}

/// Cuts, doubles and changes a few places.
fn varied(seed: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, numbers.below(256) as u8),
            2 => {
                let part = bytes[at..].iter().copied().take(numbers.below(64)).collect::<Vec<u8>>();
                bytes.splice(at..at, part);
            }
            3 => drop(bytes.drain(at..bytes.len().min(at + numbers.below(16)))),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = [0, 0xff, 0x7f, 0x80, *byte ^ 1][numbers.below(5)];
                }
            }
        }
    }
    bytes
}

#[test]
fn every_target_survives_its_seeds_and_variations_of_them() {
    for target in TARGETS {
        let seeds = seeds(target.name);
        assert!(!seeds.is_empty(), "seeds/{} is empty", target.name);
        for (path, seed) in seeds {
            eprintln!("{}", path.display());
            (target.run)(&seed);
            let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
            for _ in 0..VARIATIONS {
                (target.run)(&varied(&seed, &mut numbers));
            }
        }
    }
}

#[test]
fn a_target_is_found_by_its_name() {
    assert_eq!(fuzz::find("layer").unwrap().name, "layer");
    assert!(fuzz::find("nothing").is_none());
}

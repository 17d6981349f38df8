//! Every target, on its corpus and on a fixed number of inputs from a fixed seed: random bytes, and inputs of the corpus
//! with random changes. Targets `packets` and `frames` need root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

use letmein_fuzz::TARGETS;
use std::{fs, path::Path, time::Instant};

/// What is run: a panic ends the program, and this says on which input.
fn run(name: &str, made_up: usize) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(name);
    assert!(!corpus.is_empty());
    let started = Instant::now();
    for (file, bytes) in &corpus {
        assert!(bytes.len() <= target.longest, "{file} is too long");
        attempt(target.run, bytes, file);
    }
    let mut maker = Maker(0);
    for number in 0..made_up {
        let bytes = if number % 4 == 0 {
            maker.random(target.longest)
        } else {
            let (_, bytes) = &corpus[maker.below(corpus.len())];
            maker.changed(bytes, target.longest)
        };
        attempt(target.run, &bytes, &format!("made up, number {number}"));
    }
    let (files, took) = (corpus.len(), started.elapsed());
    println!("{name}: {files} of the corpus and {made_up} made up in {took:.1?}");
}

fn attempt(target: fn(&[u8]), bytes: &[u8], what: &str) {
    let input = Said(bytes, what);
    target(bytes);
    std::mem::forget(input);
}

/// An input that has not gone well, if it is dropped.
struct Said<'a>(&'a [u8], &'a str);

impl Drop for Said<'_> {
    fn drop(&mut self) {
        eprintln!("input ({}): {:02x?}", self.1, self.0);
    }
}

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = files
        .map(|file| {
            let name = file.file_name().into_string().unwrap();
            (name, fs::read(file.path()).unwrap())
        })
        .collect();
    files.sort_unstable();
    files
}

/// Makes up inputs, the same each time.
struct Maker(u64);

impl Maker {
    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound.max(1)
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn random(&mut self, longest: usize) -> Vec<u8> {
        let length = self.below(longest + 1);
        (0..length).map(|_| self.byte()).collect()
    }

    fn changed(&mut self, bytes: &[u8], longest: usize) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.byte()),
                2 => drop(bytes.drain(at..(at + 1).min(bytes.len()))),
                3 => bytes.extend_from_within(at..),
                _ => {
                    let byte = self.byte();
                    bytes.iter_mut().skip(at).take(1).for_each(|old| *old = byte);
                }
            }
        }
        bytes.truncate(longest);
        bytes
    }
}

#[test]
fn any_bytes_are_a_challenge_message_or_none() {
    run("challenge", 20_000);
}

#[test]
fn any_bytes_are_a_silent_knock_that_proves_nothing() {
    run("silent", 1_000);
}

#[test]
fn a_configuration_is_refused_or_holds_together() {
    run("config", 2_000);
}

#[test]
fn a_clients_configuration_is_refused_without_its_keys() {
    run("client", 2_000);
}

#[test]
fn an_enrolment_line_is_written_in_one_way_or_refused() {
    run("enrolment", 10_000);
}

#[test]
fn who_answers_no_challenge_opens_nothing_over_tcp() {
    run("stream", 2_000);
}

#[test]
fn any_bytes_of_netlink_are_read() {
    run("netlink", 10_000);
}

#[test]
fn the_warden_does_only_what_the_configuration_allows() {
    run("requests", 20_000);
}

/// And of everything, the kernel alone takes some.
#[test]
fn no_frame_gets_past_the_program_that_the_kernel_takes() {
    run("frames", 3_000);
    assert_eq!(letmein_fuzz::frames::unreached(), Vec::<String>::new());
}

/// And each kind of packet is among them.
#[test]
fn kernel_and_userspace_agree_about_any_packet() {
    run("packets", 2_000);
    assert_eq!(letmein_fuzz::packets::unreached(), Vec::<String>::new());
}

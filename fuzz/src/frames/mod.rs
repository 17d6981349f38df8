//! The XDP program beside the kernel itself: the same frames go to machines with the program and without it, and what their
//! sockets get has to agree with the verdict. What would get to the control port or begin something at a shielded port
//! gets nowhere behind the program, for all of it is forged; everything else gets where it gets without.
//!
//! An input is a few packets (`made.rs`) in frames, tags, options, extension headers and fragments of every kind, with
//! lengths that lie. `machines.rs` has the machines.

mod machines;
mod made;

use crate::input::Input;
use machines::{Machines, Seen};
use made::{Flow, MOST};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

/// Port of the gate.
const CONTROL: u16 = 5800;
/// A shielded port of TCP and one of UDP.
const SHIELDED: [u16; 2] = [22, 51820];
/// Ports that nobody guards.
const OPEN: [u16; 2] = [80, 53];

/// No more packets in an input.
const FLOWS: usize = 6;

thread_local! {
    static MACHINES: RefCell<Option<Machines>> = const { RefCell::new(None) };
    static NUMBER: RefCell<u32> = const { RefCell::new(0) };
}

/// What the machines without the program were seen to get.
static GOT: AtomicU64 = AtomicU64::new(0);

/// Sends what the bytes stand for. Needs root, and the program that is built into the daemon.
pub fn frames(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut flows = Vec::new();
    while !input.is_empty() && flows.len() < FLOWS {
        let number = NUMBER.with_borrow_mut(|number| {
            // Addresses are made of it: none is used twice within what a kernel remembers of fragments.
            *number = (*number + 1) % 0x00F0_0000;
            *number
        });
        flows.push(Flow::made_of(&mut input, number));
    }
    MACHINES.with_borrow_mut(|machines| {
        let machines = machines.get_or_insert_with(Machines::new);
        let frames: Vec<_> = flows.iter().flat_map(|flow| flow.frames.clone()).collect();
        let seen = machines.send(&frames);
        for flow in &flows {
            judge(flow, &seen.each_ref().map(|all| of(flow, all)));
        }
    });
}

/// What was seen of a packet.
fn of(flow: &Flow, all: &BTreeSet<Seen>) -> BTreeSet<Seen> {
    let of_it = |seen: &&Seen| flow.sources.contains(&seen.source);
    all.iter().filter(of_it).copied().collect()
}

fn judge(flow: &Flow, [bare, tracking, native, generic]: &[BTreeSet<Seen>; 4]) {
    for (without, with, name) in [(tracking, native, "native"), (bare, generic, "generic")] {
        for seen in with {
            assert!(
                !is_guarded(seen),
                "{seen:?} in spite of the program, {name}: {:02x?}",
                flow.frames
            );
            assert!(
                without.contains(seen),
                "{seen:?} with the program only, {name}: {:02x?}",
                flow.frames
            );
        }
        for seen in without.difference(with) {
            assert!(
                is_guarded(seen) || flow.may_be_dropped,
                "{seen:?} is nothing that concerns the program, {name}: {:02x?}",
                flow.frames
            );
        }
        for seen in without {
            for (place, has) in flow.features.into_iter().enumerate() {
                if has {
                    GOT.fetch_or(1 << (class(seen) * 8 + place), Ordering::Relaxed);
                }
            }
        }
    }
}

/// Whether only who has proved a key, or holds a lease, may have this happen.
fn is_guarded(seen: &Seen) -> bool {
    class(seen) < 3
}

fn class(seen: &Seen) -> usize {
    match (seen.port, seen.flags) {
        (CONTROL, None) => 0,
        (port, Some(flags)) if port == SHIELDED[0] && flags & 0x12 == 0x02 => 1,
        (port, None) if port == SHIELDED[1] => 2,
        _ => 3,
    }
}

/// What no machine without the program was seen to get so far: by what it is, and by what came around it.
#[must_use]
pub fn unreached() -> Vec<String> {
    let got = GOT.load(Ordering::Relaxed);
    let classes = [
        "a knock",
        "a SYN to a shielded port",
        "a datagram to a shielded port",
        "something else",
    ];
    let all = classes.iter().enumerate().flat_map(|(class, what)| {
        made::FEATURES
            .iter()
            .enumerate()
            .map(move |(place, feature)| (class * 8 + place, format!("{what} {feature}")))
    });
    all.filter(|(bit, _)| got & 1 << bit == 0)
        .map(|(_, name)| name)
        .collect()
}

const _: () = assert!(made::FEATURES.len() <= 8 && MOST == 8);

//! The permutation Keccak-f\[1600\] (FIPS 202, section 3), written for a machine with few registers and no
//! and-not instruction: BPF. The same code runs in userspace.
//!
//! - Six lanes are kept complemented, so that χ takes one negation in a row instead of five (Bertoni et al.,
//!   *Keccak implementation overview*, section 2.2).
//! - The state lies in memory and is changed in place (section 2.5 there). `barrier` keeps the compiler from
//!   carrying lanes in registers that BPF does not have, which would spill far more than it saves.
//! - A digest is four lanes, so its last round computes no more than these.

/// Lanes in a state.
pub const LANES: usize = 25;
/// A state: lane (x, y) of FIPS 202 is element `x + 5 * y`.
pub type State = [u64; LANES];

/// Lanes that SHA3-256 absorbs at a time: 136 bytes.
pub const RATE: usize = 17;
/// Lanes in a SHA3-256 digest.
pub const DIGEST_LANES: usize = 4;
/// As many lanes as a message of either format or a digest takes, with the first bits of the padding.
pub type Block = [u64; 8];

/// ι's round constants (FIPS 202, section 3.2.5).
const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808A,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808B,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008A,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000A,
    0x0000_0000_8000_808B,
    0x8000_0000_0000_008B,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800A,
    0x8000_0000_8000_000A,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// ρ's offsets, in the order of `State` (FIPS 202, section 3.2.2).
const ROTATIONS: [u32; LANES] = [
    0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14,
];

/// The lanes that are kept complemented, in the order of `State`.
const COMPLEMENTED: [bool; LANES] = {
    let mut complemented = [false; LANES];
    let lanes = [1, 2, 8, 12, 17, 20];
    let mut i = 0;
    while i < lanes.len() {
        complemented[lanes[i]] = true;
        i += 1;
    }
    complemented
};

/// Which lanes are complemented after θ: the columns' parities carry complements into their neighbours.
const AFTER_THETA: [bool; LANES] = {
    let mut parity = [false; 5];
    let mut lane = 0;
    while lane < LANES {
        parity[lane % 5] ^= COMPLEMENTED[lane];
        lane += 1;
    }
    let mut after = COMPLEMENTED;
    let mut lane = 0;
    while lane < LANES {
        after[lane] ^= parity[(lane + 4) % 5] ^ parity[(lane + 1) % 5];
        lane += 1;
    }
    after
};

/// After how many rounds every lane is back in its place.
const PHASES: usize = 4;

/// Where lane (x, y) lies at the beginning of each round of a cycle.
///
/// A round works in place, row by row: the five lanes that π moves into row `y` make way for the five lanes of
/// that row. Lane (x, y) takes the place of lane (x, x + 2y), a mapping of order 4 (Bertoni et al., *Keccak
/// implementation overview*, section 2.5). So the state needs no second copy, which the 512 bytes of a BPF
/// stack have no room for.
const PLACES: [[usize; LANES]; PHASES] = {
    let mut places = [[0; LANES]; PHASES];
    let mut lane = 0;
    while lane < LANES {
        places[0][lane] = lane;
        lane += 1;
    }
    let mut phase = 1;
    while phase < PHASES {
        let mut lane = 0;
        while lane < LANES {
            let (x, y) = (lane % 5, lane / 5);
            places[phase][lane] = places[phase - 1][x + 5 * ((x + 2 * y) % 5)];
            lane += 1;
        }
        phase += 1;
    }
    places
};

/// Complements the lanes that this module keeps complemented, or makes them plain again.
pub fn complement(state: &mut State) {
    for (lane, complemented) in state.iter_mut().zip(COMPLEMENTED) {
        if complemented {
            *lane = !*lane;
        }
    }
}

/// Applies the 24 rounds to a state that is complemented, and leaves it so.
pub fn permute(state: &mut State) {
    let mut last_row = last_row(state);
    for constants in ROUND_CONSTANTS.as_chunks::<PHASES>().0 {
        round::<0>(state, &mut last_row, constants[0]);
        round::<1>(state, &mut last_row, constants[1]);
        round::<2>(state, &mut last_row, constants[2]);
        round::<3>(state, &mut last_row, constants[3]);
    }
}

/// Absorbs `block` and `last_lane` (the end of SHA3-256's padding) into the complemented state `keyed`, and
/// replaces the beginning of `block` by the four lanes of the digest.
///
/// A function of its own also in BPF: with its state it takes half of the stack there is.
#[inline(never)]
pub fn digest(keyed: &State, block: &mut Block, last_lane: u64) {
    let mut state = *keyed;
    for (lane, input) in state.iter_mut().zip(*block) {
        *lane ^= input;
    }
    state[RATE - 1] ^= last_lane;
    // Its address is known elsewhere from here on, so that it stays in memory at every barrier.
    core::hint::black_box(&mut state);
    let mut last_row = last_row(&state);
    let (cycles, _) = ROUND_CONSTANTS.as_chunks::<PHASES>();
    let [cycles @ .., last] = cycles else { return };
    for constants in cycles {
        round::<0>(&mut state, &mut last_row, constants[0]);
        round::<1>(&mut state, &mut last_row, constants[1]);
        round::<2>(&mut state, &mut last_row, constants[2]);
        round::<3>(&mut state, &mut last_row, constants[3]);
    }
    round::<0>(&mut state, &mut last_row, last[0]);
    round::<1>(&mut state, &mut last_row, last[1]);
    round::<2>(&mut state, &mut last_row, last[2]);
    let effect = theta::<3>(&state, last_row);
    let row = row::<3, 0>(&state, &effect);
    for x in 0..DIGEST_LANES {
        block[x] = plain(row[x], x);
    }
    block[0] ^= last[3];
}

/// The digest at the beginning of a complemented state.
#[must_use]
pub fn squeeze(state: &State) -> [u64; DIGEST_LANES] {
    let mut lanes = [0; DIGEST_LANES];
    for (x, lane) in lanes.iter_mut().enumerate() {
        *lane = plain(state[x], x);
    }
    lanes
}

/// Lane `x` of row 0, not complemented.
#[inline(always)]
const fn plain(lane: u64, x: usize) -> u64 {
    if COMPLEMENTED[x] { !lane } else { lane }
}

/// One round on a state whose lanes lie as in `PLACES[PHASE]`. `last_row` is row 4 of it before, and of the new
/// state after: it is summed up while it is in registers.
///
/// Written out row by row and lane by lane: all indices are constants, whatever the compiler thinks of loops.
#[inline(always)]
fn round<const PHASE: usize>(state: &mut State, last_row: &mut [u64; 5], constant: u64) {
    let effect = theta::<PHASE>(state, *last_row);
    let mut first = row::<PHASE, 0>(state, &effect);
    first[0] ^= constant;
    put::<PHASE, 0>(state, first);
    barrier();
    let second = row::<PHASE, 1>(state, &effect);
    put::<PHASE, 1>(state, second);
    barrier();
    let third = row::<PHASE, 2>(state, &effect);
    put::<PHASE, 2>(state, third);
    barrier();
    let fourth = row::<PHASE, 3>(state, &effect);
    put::<PHASE, 3>(state, fourth);
    barrier();
    *last_row = row::<PHASE, 4>(state, &effect);
    put::<PHASE, 4>(state, *last_row);
    barrier();
}

/// Row 4 of a state at the beginning of a cycle.
#[inline(always)]
fn last_row(state: &State) -> [u64; 5] {
    [state[20], state[21], state[22], state[23], state[24]]
}

/// What θ adds to each column.
#[inline(always)]
fn theta<const PHASE: usize>(state: &State, last_row: [u64; 5]) -> [u64; 5] {
    let p0 = column::<PHASE, 0>(state) ^ last_row[0];
    let p1 = column::<PHASE, 1>(state) ^ last_row[1];
    let p2 = column::<PHASE, 2>(state) ^ last_row[2];
    let p3 = column::<PHASE, 3>(state) ^ last_row[3];
    let p4 = column::<PHASE, 4>(state) ^ last_row[4];
    [
        p4 ^ p1.rotate_left(1),
        p0 ^ p2.rotate_left(1),
        p1 ^ p3.rotate_left(1),
        p2 ^ p4.rotate_left(1),
        p3 ^ p0.rotate_left(1),
    ]
}

/// The sum of rows 0 to 3 of column `X`.
#[inline(always)]
fn column<const PHASE: usize, const X: usize>(state: &State) -> u64 {
    barrier();
    state[const { PLACES[PHASE][X] }]
        ^ state[const { PLACES[PHASE][X + 5] }]
        ^ state[const { PLACES[PHASE][X + 10] }]
        ^ state[const { PLACES[PHASE][X + 15] }]
}

/// Row `Y` of the new state, but for ι: θ, ρ and π on the five lanes that become it, then χ.
#[inline(always)]
fn row<const PHASE: usize, const Y: usize>(state: &State, effect: &[u64; 5]) -> [u64; 5] {
    let b0 = moved::<PHASE, Y, 0>(state, effect);
    let b1 = moved::<PHASE, Y, 1>(state, effect);
    let b2 = moved::<PHASE, Y, 2>(state, effect);
    let b3 = moved::<PHASE, Y, 3>(state, effect);
    let b4 = moved::<PHASE, Y, 4>(state, effect);
    [
        chi::<Y, 0>(b0, b1, b2),
        chi::<Y, 1>(b1, b2, b3),
        chi::<Y, 2>(b2, b3, b4),
        chi::<Y, 3>(b3, b4, b0),
        chi::<Y, 4>(b4, b0, b1),
    ]
}

/// The lane that π moves to (X, Y).
#[inline(always)]
fn moved<const PHASE: usize, const Y: usize, const X: usize>(state: &State, effect: &[u64; 5]) -> u64 {
    let place = const { PLACES[PHASE][origin(X, Y)] };
    let rotation = const { ROTATIONS[origin(X, Y)] };
    (state[place] ^ effect[const { origin(X, Y) % 5 }]).rotate_left(rotation)
}

/// Where lane (x, y) was before π: at (x + 3y, x).
const fn origin(x: usize, y: usize) -> usize {
    (x + 3 * y) % 5 + 5 * x
}

/// `a ^ (!b & c)` for lane (X, Y), whatever of its operands is complemented and whether it shall be.
///
/// By De Morgan, two operands that are complemented differently need no negation but at most one of the whole.
#[inline(always)]
fn chi<const Y: usize, const X: usize>(a: u64, b: u64, c: u64) -> u64 {
    let negate = const { AFTER_THETA[origin(X, Y)] != COMPLEMENTED[X + 5 * Y] };
    let operands = const {
        (
            AFTER_THETA[origin((X + 1) % 5, Y)],
            AFTER_THETA[origin((X + 2) % 5, Y)],
        )
    };
    match (operands, negate) {
        ((true, false), false) => a ^ (b & c),
        ((true, false), true) => !a ^ (b & c),
        ((false, true), true) => a ^ (b | c),
        ((false, true), false) => !a ^ (b | c),
        ((false, false), false) => a ^ (!b & c),
        ((false, false), true) => a ^ (b | !c),
        ((true, true), false) => a ^ (b & !c),
        ((true, true), true) => a ^ (!b | c),
    }
}

/// Stores row `Y` of the new state: lane (X, Y) where (X, X + 2Y) was.
#[inline(always)]
fn put<const PHASE: usize, const Y: usize>(state: &mut State, row: [u64; 5]) {
    state[const { PLACES[PHASE][5 * ((2 * Y) % 5)] }] = row[0];
    state[const { PLACES[PHASE][1 + 5 * ((1 + 2 * Y) % 5)] }] = row[1];
    state[const { PLACES[PHASE][2 + 5 * ((2 + 2 * Y) % 5)] }] = row[2];
    state[const { PLACES[PHASE][3 + 5 * ((3 + 2 * Y) % 5)] }] = row[3];
    state[const { PLACES[PHASE][4 + 5 * ((4 + 2 * Y) % 5)] }] = row[4];
}

/// No load or store moves across this in BPF. It is no instruction; other processors need none of it.
#[inline(always)]
fn barrier() {
    #[cfg(target_arch = "bpf")]
    core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
}

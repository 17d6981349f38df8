//! The permutation Keccak-f\[1600\] (FIPS 202, section 3).

/// Lanes in a state.
pub const LANES: usize = 25;
/// A state: lane (x, y) of FIPS 202 is element `x + 5 * y`.
pub type State = [u64; LANES];

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

/// Applies the 24 rounds.
#[inline(never)]
pub fn permute(state: &mut State) {
    let mut parity = [0; 5];
    for x in 0..5 {
        parity[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
    }
    for constants in ROUND_CONSTANTS.as_chunks::<PHASES>().0 {
        round::<0>(state, &mut parity, constants[0]);
        round::<1>(state, &mut parity, constants[1]);
        round::<2>(state, &mut parity, constants[2]);
        round::<3>(state, &mut parity, constants[3]);
    }
}

/// One round on a state whose lanes lie as in `PLACES[PHASE]`. `parity` holds the XOR of each column (the first
/// half of θ) before, and is that of the new state after: a lane is summed up while it is in a register.
///
/// Written out row by row and lane by lane: all indices are constants, whatever the compiler thinks of loops.
#[inline(always)]
fn round<const PHASE: usize>(state: &mut State, parity: &mut [u64; 5], constant: u64) {
    // Without this the compiler carries 25 lanes from round to round in registers that BPF does not have.
    let state = core::hint::black_box(state);
    let [p0, p1, p2, p3, p4] = *parity;
    let effect = [
        p4 ^ p1.rotate_left(1),
        p0 ^ p2.rotate_left(1),
        p1 ^ p3.rotate_left(1),
        p2 ^ p4.rotate_left(1),
        p3 ^ p0.rotate_left(1),
    ];
    *parity = [0; 5];
    row::<PHASE, 0>(state, &effect, parity, constant);
    row::<PHASE, 1>(state, &effect, parity, 0);
    row::<PHASE, 2>(state, &effect, parity, 0);
    row::<PHASE, 3>(state, &effect, parity, 0);
    row::<PHASE, 4>(state, &effect, parity, 0);
}

/// Row `Y` of the new state: θ, ρ and π on the five lanes that become it, then χ and ι.
#[inline(always)]
fn row<const PHASE: usize, const Y: usize>(
    state: &mut State,
    effect: &[u64; 5],
    parity: &mut [u64; 5],
    constant: u64,
) {
    let b0 = moved::<PHASE, Y, 0>(state, effect);
    let b1 = moved::<PHASE, Y, 1>(state, effect);
    let b2 = moved::<PHASE, Y, 2>(state, effect);
    let b3 = moved::<PHASE, Y, 3>(state, effect);
    let b4 = moved::<PHASE, Y, 4>(state, effect);
    put::<PHASE, Y, 0>(state, parity, b0 ^ (!b1 & b2) ^ constant);
    put::<PHASE, Y, 1>(state, parity, b1 ^ (!b2 & b3));
    put::<PHASE, Y, 2>(state, parity, b2 ^ (!b3 & b4));
    put::<PHASE, Y, 3>(state, parity, b3 ^ (!b4 & b0));
    put::<PHASE, Y, 4>(state, parity, b4 ^ (!b0 & b1));
}

/// The lane that π moves to (X, Y): it comes from (X + 3Y, X).
#[inline(always)]
fn moved<const PHASE: usize, const Y: usize, const X: usize>(state: &State, effect: &[u64; 5]) -> u64 {
    let place = const { PLACES[PHASE][(X + 3 * Y) % 5 + 5 * X] };
    let rotation = const { ROTATIONS[(X + 3 * Y) % 5 + 5 * X] };
    (state[place] ^ effect[const { (X + 3 * Y) % 5 }]).rotate_left(rotation)
}

/// Stores lane (X, Y) of the new state where (X, X + 2Y) was, and sums it up.
#[inline(always)]
fn put<const PHASE: usize, const Y: usize, const X: usize>(
    state: &mut State,
    parity: &mut [u64; 5],
    lane: u64,
) {
    parity[X] ^= lane;
    state[const { PLACES[PHASE][X + 5 * ((X + 2 * Y) % 5)] }] = lane;
}

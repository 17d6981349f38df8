//! A packet generator for `cargo xtask bench flood` and `bench fairness`: run on live frames by `BPF_PROG_TEST_RUN`, it
//! gives each copy of a template a random source, or the one that it is told, and random bytes, and sends it out of an
//! interface. One core sends more than sockets can. Nothing attaches it.

#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "packet bytes and helpers are raw memory to Rust; the verifier checks each access"
)]

mod runtime;

use aya_ebpf::{
    bindings::xdp_action::XDP_DROP,
    helpers::generated::{bpf_get_prandom_u32, bpf_redirect},
    macros::xdp,
    programs::XdpContext,
};

/// The interface's number.
// SAFETY: aya finds it by its name, which nothing else in the object has.
#[unsafe(no_mangle)]
static TARGET: u32 = 0;
/// Which words of 8 bytes of the payload are random: from here ...
// SAFETY: aya finds it by its name, which nothing else in the object has.
#[unsafe(no_mangle)]
static FIRST: u32 = 0;
/// ... to before this one.
// SAFETY: aya finds it by its name, which nothing else in the object has.
#[unsafe(no_mangle)]
static END: u32 = 0;
/// 1 when random bytes are letters.
// SAFETY: aya finds it by its name, which nothing else in the object has.
#[unsafe(no_mangle)]
static LETTERS: u32 = 0;
/// The checksum of IPv4's header without a source.
// SAFETY: aya finds it by its name, which nothing else in the object has.
#[unsafe(no_mangle)]
static IP_SUM: u32 = 0;
/// That of TCP without source and source port; above 65535 where there is none.
// SAFETY: aya finds it by its name, which nothing else in the object has.
#[unsafe(no_mangle)]
static TCP_SUM: u32 = 0;
/// The source of every packet; 0 for one at random in each.
// SAFETY: aya finds it by its name, which nothing else in the object has.
#[unsafe(no_mangle)]
static SOURCE: u32 = 0;

/// Offsets in an Ethernet frame with IPv4 and no options.
const IP_CHECKSUM: usize = 24;
const IP_SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;
const TCP_CHECKSUM: usize = 50;
const PAYLOAD: usize = 42;
/// As many words as the longest knock has.
const WORDS: usize = 11;

macro_rules! setting {
    ($name:ident) => {
        // SAFETY: an aligned static that nobody writes once the program is loaded.
        unsafe { (&raw const $name).read_volatile() }
    };
}

#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
fn flood(ctx: XdpContext) -> u32 {
    send(&ctx).unwrap_or(XDP_DROP)
}

#[inline(always)]
fn send(ctx: &XdpContext) -> Option<u32> {
    // SAFETY: a helper without arguments.
    let mut seed = unsafe { u64::from(bpf_get_prandom_u32()) << 32 | u64::from(bpf_get_prandom_u32()) };
    let random = next(&mut seed);
    let address = match setting!(SOURCE) {
        0 => source(random),
        fixed => fixed,
    };
    let port = low(random >> 32) | 1024;
    write(ctx, IP_SOURCE, address.to_be())?;
    write(ctx, SOURCE_PORT, port.to_be())?;
    let words = [low(u64::from(address >> 16)), low(address.into())];
    write(ctx, IP_CHECKSUM, renewed(setting!(IP_SUM), &words))?;
    let tcp = setting!(TCP_SUM);
    if u16::try_from(tcp).is_ok() {
        write(ctx, TCP_CHECKSUM, renewed(tcp, &[words[0], words[1], port]))?;
    }
    let (first, end) = (setting!(FIRST) as usize, setting!(END) as usize);
    let letters = setting!(LETTERS) != 0;
    for word in 0..WORDS {
        if first <= word && word < end {
            let mut bytes = next(&mut seed);
            if letters {
                // "A" to "P" in each byte.
                bytes = (bytes & 0x0F0F_0F0F_0F0F_0F0F) + 0x4141_4141_4141_4141;
            }
            write(ctx, PAYLOAD + 8 * word, bytes)?;
        }
    }
    let target = setting!(TARGET);
    // SAFETY: a helper that takes numbers.
    u32::try_from(unsafe { bpf_redirect(target, 0) }).ok()
}

/// An address between 11.0.0.0 and 110.255.255.255: that of somebody, and not of this machine.
#[inline(always)]
fn source(random: u64) -> u32 {
    let first = 11 + u32::from(low(random)) % 100;
    first << 24 | u32::from(low(random >> 16)) << 8 | u32::from(low(random >> 48)) & 0xFF
}

/// A checksum, as it lies in the packet, once these words are there instead of zeros (RFC 1624). A frame may be one that
/// was sent before, so it is not read.
#[inline(always)]
fn renewed(checksum: u32, words: &[u16]) -> u16 {
    let mut sum = !checksum & 0xFFFF;
    for word in words {
        sum += u32::from(*word);
    }
    sum = (sum & 0xFFFF) + (sum >> 16);
    sum = (sum & 0xFFFF) + (sum >> 16);
    (!low(sum.into())).to_be()
}

/// The lowest 16 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "which is what it is for")]
const fn low(number: u64) -> u16 {
    number as u16
}

/// `SplitMix64`.
#[inline(always)]
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

#[inline(always)]
fn at<T>(ctx: &XdpContext, offset: usize) -> Option<*mut T> {
    let place = ctx.data() + offset;
    (place + size_of::<T>() <= ctx.data_end()).then_some(place as *mut T)
}

#[inline(always)]
fn write<T>(ctx: &XdpContext, offset: usize, value: T) -> Option<()> {
    // SAFETY: `at` has checked the bounds.
    unsafe { at::<T>(ctx, offset)?.write_unaligned(value) };
    Some(())
}

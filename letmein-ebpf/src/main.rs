//! The XDP program: checks every UDP control packet at the NIC, lets nobody begin a conversation with a protected port
//! without a lease, and passes everything else untouched.
//!
//! Frame → [`parse`] (Ethernet, IP, UDP, TCP) → [`control`] (for the gate: is it genuine?) or [`shield`] (for a protected
//! port: is there a lease?) → verdict.

#![no_std]
#![no_main]
#![expect(
    unsafe_code,
    reason = "packet bytes, map elements and helpers are raw memory to Rust; the verifier checks each access"
)]

mod control;
mod packet;
mod parse;
mod runtime;
mod shield;
mod tables;

use aya_ebpf::{bindings::xdp_action::XDP_PASS, macros::xdp, programs::XdpContext};
use packet::Packet;
use parse::{
    Unreadable, ethernet, ip,
    plain::{self, Plain},
    udp,
};
use tables::setting;

/// The program. What is not for the gate is the kernel's own business: `XDP_PASS`.
#[xdp(frags)]
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
fn letmein(ctx: XdpContext) -> u32 {
    verdict(&ctx).unwrap_or(XDP_PASS)
}

#[inline(always)]
fn verdict(ctx: &XdpContext) -> Option<u32> {
    let packet = Packet::of(ctx);
    let port = setting!(control_port);
    let (network, header) = match plain::parse(&packet, port) {
        Plain::Other => return None,
        Plain::Control(network, header) => (network, header),
        Plain::Segment(network, segment, port) => {
            return shield::judge(ctx, &packet, &network, segment, port);
        }
        Plain::Unsure => {
            let found = ethernet::parse(ctx, &packet).and_then(|frame| ip::parse(ctx, &packet, &frame));
            let network = match found {
                Ok(ip::Found::Udp(network)) => network,
                Ok(ip::Found::Tcp(network)) => return shield::tcp(ctx, &packet, &network),
                Err(Unreadable::Pass) => return None,
                Err(Unreadable::Drop(reason)) => return Some(control::refuse_unparsed(reason)),
            };
            let header = udp::parse(&packet, &network)?;
            if u32::from(header.destination_port) != port {
                return shield::udp(ctx, &packet, &network, header.destination_port);
            }
            (network, header)
        }
    };
    Some(control::judge(ctx, &packet, &network, &header))
}

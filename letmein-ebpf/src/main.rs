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
    Unreadable, bare,
    ethernet::{self, Frame},
    ip::{self, Network},
    plain::{self, Plain},
    udp::{self, Header},
};
use tables::setting;

/// The program for links with an Ethernet header. What is not for the gate is the kernel's own business: `XDP_PASS`.
#[xdp(frags)]
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
fn letmein(ctx: XdpContext) -> u32 {
    verdict(&ctx).unwrap_or(XDP_PASS)
}

/// The same for links whose packets begin with the IP header.
#[xdp(frags)]
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
fn letmein_ip(ctx: XdpContext) -> u32 {
    bare_verdict(&ctx, bare::parse).unwrap_or(XDP_PASS)
}

/// The same for tunnels whose packets begin with the header of the packet that carries them.
#[xdp(frags)]
#[expect(clippy::needless_pass_by_value, reason = "the macro hands the context over")]
fn letmein_tunnel(ctx: XdpContext) -> u32 {
    bare_verdict(&ctx, bare::parse_carried).unwrap_or(XDP_PASS)
}

#[inline(always)]
fn verdict(ctx: &XdpContext) -> Option<u32> {
    let packet = Packet::of(ctx);
    let (network, header) = match plain::parse(&packet, setting!(control_port)) {
        Plain::Other => return None,
        Plain::Control(network, header) => (network, header),
        Plain::Segment(network, segment, port) => {
            return shield::judge(ctx, &packet, &network, segment, port);
        }
        Plain::Unsure => match datagram(ctx, &packet, ethernet::parse(ctx, &packet)) {
            Ok(datagram) => datagram,
            Err(verdict) => return verdict,
        },
    };
    Some(control::judge(ctx, &packet, &network, &header))
}

#[inline(always)]
fn bare_verdict(ctx: &XdpContext, parse: impl FnOnce(&Packet) -> Option<Frame>) -> Option<u32> {
    let packet = Packet::of(ctx);
    match datagram(ctx, &packet, parse(&packet).ok_or(Unreadable::Pass)) {
        Ok((network, header)) => Some(control::judge(ctx, &packet, &network, &header)),
        Err(verdict) => verdict,
    }
}

/// The datagram for the control port, if that is what it is; otherwise the verdict.
#[inline(always)]
fn datagram(
    ctx: &XdpContext,
    packet: &Packet,
    frame: Result<Frame, Unreadable>,
) -> Result<(Network, Header), Option<u32>> {
    let network = match frame.and_then(|frame| ip::parse(ctx, packet, &frame)) {
        Ok(ip::Found::Udp(network)) => network,
        Ok(ip::Found::Tcp(network)) => return Err(shield::tcp(ctx, packet, &network)),
        Err(Unreadable::Pass) => return Err(None),
        Err(Unreadable::Drop(reason)) => return Err(Some(control::refuse_unparsed(reason))),
    };
    let header = udp::parse(packet, &network).ok_or(None)?;
    if u32::from(header.destination_port) != setting!(control_port) {
        return Err(shield::udp(ctx, packet, &network, header.destination_port));
    }
    Ok((network, header))
}

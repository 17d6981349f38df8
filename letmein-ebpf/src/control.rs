//! A UDP datagram for the control port: the gate's verdict.

use crate::{
    packet::Packet,
    parse::{
        ip::Network,
        udp::{self, Header},
    },
    tables::{self, Maps},
};
use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    programs::XdpContext,
};
use letmein_common::{gate, reason::Reason, source::Address, wire::challenge};

/// The UDP control port.
#[inline(always)]
pub fn port() -> u32 {
    tables::settings().control_port
}

/// Drops a packet whose headers end nowhere.
#[inline(always)]
pub fn refuse_unparsed() -> u32 {
    tables::count_refused(Reason::HeaderChain);
    XDP_DROP
}

/// Genuine datagrams go on to the daemon's socket; the rest is counted and dropped.
#[inline(always)]
pub fn judge(ctx: &XdpContext, packet: &Packet, network: &Network, header: &Header) -> u32 {
    let Some(source) = network.source(packet) else {
        tables::count_refused(Reason::Truncated);
        return XDP_DROP;
    };
    match check(packet, network, header, &source) {
        Ok(()) => {
            tables::count_genuine();
            XDP_PASS
        }
        Err(reason) => {
            tables::count_refused(reason);
            log(ctx, reason);
            let answer_strangers = tables::settings().answer_strangers != 0;
            if gate::hand_over(&Maps, &source, reason, answer_strangers) {
                XDP_PASS
            } else {
                XDP_DROP
            }
        }
    }
}

#[inline(always)]
fn check(packet: &Packet, network: &Network, header: &Header, source: &Address) -> Result<(), Reason> {
    if network.fragment {
        return Err(Reason::Fragment);
    }
    if header.length != udp::LEN + challenge::LEN {
        return Err(Reason::Length);
    }
    if header.length != network.length {
        return Err(Reason::Truncated);
    }
    let datagram: &[u8; challenge::LEN] = packet
        .bytes(network.transport + udp::LEN)
        .ok_or(Reason::Truncated)?;
    gate::check(&Maps, source, header.source_port, datagram)
}

/// A line for each refused packet; only ever in a build for debugging.
#[cfg(feature = "log")]
fn log(ctx: &XdpContext, reason: Reason) {
    aya_log_ebpf::debug!(ctx, "refused: {}", reason.name());
}

#[cfg(not(feature = "log"))]
#[inline(always)]
fn log(_: &XdpContext, _: Reason) {}

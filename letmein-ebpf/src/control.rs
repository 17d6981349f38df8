//! A UDP datagram for the control port: the gate's verdict.

use crate::{
    packet::Packet,
    parse::{
        ip::Network,
        udp::{self, Header},
    },
    tables::{self, Maps, setting},
};
use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    programs::XdpContext,
};
use letmein_common::{gate, reason::Reason, wire::challenge};

/// Drops a packet whose headers end nowhere.
#[inline(always)]
pub fn refuse_unparsed() -> u32 {
    tables::count_refused(Reason::HeaderChain);
    XDP_DROP
}

/// Genuine datagrams go on to the daemon's socket; the rest is counted and dropped.
#[inline(always)]
pub fn judge(ctx: &XdpContext, packet: &Packet, network: &Network, header: &Header) -> u32 {
    let datagram = match datagram(packet, network, header) {
        Ok(datagram) => datagram,
        Err(reason) => {
            // No error policy answers these: see `gate::hand_over`.
            refuse(ctx, reason);
            return XDP_DROP;
        }
    };
    let tables = Maps {
        packet,
        network,
        source_port: header.source_port,
    };
    match gate::check(&tables, datagram) {
        Ok(()) => {
            tables::count_genuine();
            XDP_PASS
        }
        Err(reason) => {
            refuse(ctx, reason);
            if gate::hand_over(&tables, reason, setting!(answer_strangers) != 0) {
                XDP_PASS
            } else {
                XDP_DROP
            }
        }
    }
}

/// The payload, if it has the shape of a challenge message.
#[inline(always)]
fn datagram<'a>(
    packet: &'a Packet,
    network: &Network,
    header: &Header,
) -> Result<&'a [u8; challenge::LEN], Reason> {
    if network.fragment {
        return Err(Reason::Fragment);
    }
    if header.length != udp::LEN + challenge::LEN {
        return Err(Reason::Length);
    }
    if header.length != network.length {
        return Err(Reason::Truncated);
    }
    packet
        .bytes(network.transport + udp::LEN)
        .ok_or(Reason::Truncated)
}

#[inline(always)]
fn refuse(ctx: &XdpContext, reason: Reason) {
    tables::count_refused(reason);
    log(ctx, reason);
}

/// A line for each refused packet; only ever in a build for debugging.
#[cfg(feature = "log")]
fn log(ctx: &XdpContext, reason: Reason) {
    aya_log_ebpf::info!(ctx, "refused: {}", reason.name());
}

#[cfg(not(feature = "log"))]
#[inline(always)]
fn log(_: &XdpContext, _: Reason) {}

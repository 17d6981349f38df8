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
    EbpfContext as _,
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    programs::XdpContext,
};
use letmein_common::{
    gate,
    reason::Reason,
    wire::{challenge, silent},
};

/// Drops a packet whose headers cannot be followed.
#[inline(always)]
pub fn refuse_unparsed(reason: Reason) -> u32 {
    tables::count_refused(reason);
    XDP_DROP
}

/// What is genuine goes on to the daemon: a challenge knock to its socket, a silent one through the ring buffer. The
/// rest is counted and dropped.
#[inline(always)]
pub fn judge(ctx: &XdpContext, packet: &Packet, network: &Network, header: &Header) -> u32 {
    const CHALLENGE: usize = udp::LEN + challenge::LEN;
    const SILENT: usize = udp::LEN + silent::LEN;

    let tables = Maps {
        packet,
        network,
        source_port: header.source_port,
    };
    let outcome = if network.fragment {
        Err(Reason::Fragment)
    } else if network.header.is_from_mars(packet) {
        Err(Reason::Martian)
    } else if header.length == CHALLENGE && setting!(challenge) != 0 {
        match payload(packet, network, header) {
            Ok(datagram) => return challenge(ctx, &tables, datagram),
            Err(reason) => Err(reason),
        }
    } else if header.length == SILENT && setting!(silent) != 0 {
        payload(packet, network, header).and_then(|datagram| silent(ctx, &tables, datagram))
    } else {
        Err(Reason::Length)
    };
    match outcome {
        Ok(()) => tables::count_genuine(),
        // No error policy answers these: see `gate::hand_over`.
        Err(reason) => refuse(ctx, packet, network, header.destination_port.into(), reason),
    }
    XDP_DROP
}

#[inline(always)]
fn challenge(ctx: &XdpContext, tables: &Maps<'_>, datagram: &[u8; challenge::LEN]) -> u32 {
    match gate::check_challenge(tables, datagram) {
        Ok(()) => {
            tables::count_genuine();
            XDP_PASS
        }
        Err(reason) => {
            let port = setting!(control_port);
            refuse(ctx, tables.packet, tables.network, port, reason);
            if gate::hand_over(tables, reason, setting!(answer_strangers) != 0) {
                XDP_PASS
            } else {
                XDP_DROP
            }
        }
    }
}

#[inline(always)]
fn silent(ctx: &XdpContext, tables: &Maps<'_>, datagram: &[u8; silent::LEN]) -> Result<(), Reason> {
    let (user, resource) = gate::check_silent(tables, datagram)?;
    let ids = u64::from(user.0) << 32 | u64::from(resource.0);
    let network = tables.network;
    tables::deliver(ctx.as_ptr().cast(), network.header.into(), network.transport, ids)
}

/// The payload, if it is as long as the headers say.
#[inline(always)]
fn payload<'a, const N: usize>(
    packet: &'a Packet,
    network: &Network,
    header: &Header,
) -> Result<&'a [u8; N], Reason> {
    if header.length != network.length {
        return Err(Reason::Truncated);
    }
    packet
        .bytes(network.transport + udp::LEN)
        .ok_or(Reason::Truncated)
}

/// Counts a packet that is dropped, and tells of it if it is one of few.
#[inline(always)]
pub fn refuse(ctx: &XdpContext, packet: &Packet, network: &Network, port: u32, reason: Reason) {
    if tables::count_and_sample(reason)
        && let Some(source) = network.source(packet)
    {
        tables::tell(source.0[0], source.0[1], port, reason);
    }
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

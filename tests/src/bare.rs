//! The XDP programs of `letmein-ebpf/src/bare.rs`, which look at no packet.

use crate::{figures, lab::Host};
use anyhow::Context as _;
use aya::{
    Ebpf,
    programs::{Xdp, xdp::XdpMode},
};

/// Has the interface pass all packets. Without an XDP program, a veth takes no frames from another one.
pub fn accept_frames(host: &Host, interface: &str) -> anyhow::Result<Ebpf> {
    attach(host, interface, "bare")
}

/// Has it drop them all.
pub fn drop_frames(host: &Host, interface: &str) -> anyhow::Result<Ebpf> {
    attach(host, interface, "bare_drop")
}

fn attach(host: &Host, interface: &str, name: &str) -> anyhow::Result<Ebpf> {
    let mut bare = Ebpf::load(&figures::object("bare.bpf.o")?)?;
    let program: &mut Xdp = bare
        .program_mut(name)
        .with_context(|| format!("bare.bpf.o has no program {name}"))?
        .try_into()?;
    program.load()?;
    host.enter(|| program.attach(interface, XdpMode::Driver))??;
    Ok(bare)
}

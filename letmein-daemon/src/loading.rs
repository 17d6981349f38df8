//! The XDP program for a configuration: complete before it sees a packet, as another one may run until then.

use crate::{
    config::{Config, XdpMode},
    elsewhere, forwarding, interfaces,
    leases::Leases,
    netlink::{Link, Links},
    stacking::{self, Covered},
    xdp::{Framing, KernelGate, Mode, Object, Pins, Plan, ShieldPlan, SilentPlan, XdpError},
};
use tracing::{info, warn};

/// Where it runs; `None` with `xdp = "off"`.
#[must_use]
pub const fn mode(config: &Config) -> Option<Mode> {
    match config.gate.xdp {
        XdpMode::Off => None,
        XdpMode::Auto => Some(Mode::Auto),
        XdpMode::Native => Some(Mode::Native),
        XdpMode::Generic => Some(Mode::Generic),
    }
}

/// Loads it with all that the configuration says, and room for this many leases. No packet passes through it yet. It knows
/// no leases and no tags of silent knocks.
pub fn load(object: Object<'_>, config: &Config, leases: u32) -> anyhow::Result<KernelGate> {
    let plan = Plan {
        pins: pins(config)?,
        ..plan(config, leases)
    };
    Ok(KernelGate::load(object, &plan)?)
}

/// What the configuration says to load it with, and room for this many leases. Nothing is pinned.
#[must_use]
pub fn plan(config: &Config, leases: u32) -> Plan<'_> {
    Plan {
        settings: config.settings(),
        users: config.users().map(|(id, user)| (id, &user.key)).collect(),
        permits: config.permits(),
        seen_salts: config.gate.seen_salts,
        pending_challenges: config.gate.pending_challenges,
        silent: config.gate.silent.then(|| SilentPlan {
            keys: config
                .users()
                .filter_map(|(id, user)| Some((id, &user.silent.as_ref()?.mac)))
                .collect(),
            pairs: config.permits().len(),
        }),
        shield: shield(config, leases),
        framings: framings(config),
        pins: None,
    }
}

/// Tells it of all leases there are, now and from now on.
pub fn fill(gate: &mut KernelGate, leases: &mut Leases) -> Result<(), XdpError> {
    match gate.shield() {
        Some(shield) => leases.stand_behind(shield),
        None => Ok(()),
    }
}

/// Attaches it to all interfaces of the configuration but those that another one [covers](stacking), and detaches what an
/// earlier run has attached to others. Interfaces that were configured before may just be gone, and come back.
pub fn attach(config: &Config, gate: &mut KernelGate, mode: Mode, before: &[String]) -> Result<(), XdpError> {
    let shielded = config.shielded_ports();
    if !shielded.is_empty() {
        info!("shield: who holds no lease begins nothing at {shielded}");
    }
    let covered = covered(&config.gate.interfaces)?;
    for pair in &covered {
        warn!(event = "covered", interface = pair.name, "{pair}");
        // Before the other: the driver of a bond puts a program on its ports, and there may be only one.
        gate.detach(&pair.name)?;
    }
    for interface in from_below(&config.gate.interfaces)? {
        if covered.iter().any(|pair| pair.name == *interface) {
            continue;
        }
        if forwarding::forwards(interface) && !shielded.is_empty() {
            warn!(
                "{interface} forwards packets, and the shield does not tell them apart: connections through this \
                 machine to port {shielded} of others are dropped, too; shield = \"off\" leaves them alone"
            );
        }
        match gate.attach(interface, mode) {
            Err(XdpError::NoInterface { .. }) if before.contains(interface) => {}
            attached => interfaces::tell("attached", &attached?),
        }
    }
    gate.detach_others()?;
    let unheard = elsewhere::unheard(config).map_err(XdpError::Interfaces)?;
    if let Some(text) = elsewhere::about_unheard(config, &unheard) {
        warn!(event = "unheard", "{text}");
    }
    Ok(())
}

/// Which of these interfaces the program does not run on, as it sees their packets on another one.
pub fn covered(names: &[String]) -> Result<Vec<Covered>, XdpError> {
    // One has nothing to share, and asking for all takes long where there are thousands.
    if names.len() < 2 {
        return Ok(Vec::new());
    }
    Ok(stacking::covered(&links()?, names))
}

/// The same interfaces, each before those above it: the kernel attaches nothing below one that has a program.
fn from_below(names: &[String]) -> Result<Vec<&String>, XdpError> {
    let mut sorted: Vec<_> = names.iter().collect();
    if sorted.len() > 1 {
        let links = links()?;
        let above = |name: &String| {
            let link = links.iter().find(|link| link.name == *name);
            link.map_or(0, |link| stacking::above(&links, link.index).count())
        };
        // What is above has fewer above itself.
        sorted.sort_by_key(|name| std::cmp::Reverse(above(name)));
    }
    Ok(sorted)
}

/// All interfaces.
pub(crate) fn links() -> Result<Vec<Link>, XdpError> {
    Links::open()
        .and_then(|mut links| links.all())
        .map_err(XdpError::Interfaces)
}

/// The record of accepted silent knocks has to outlive the process. For all else it does to live without.
fn pins(config: &Config) -> Result<Option<Pins>, XdpError> {
    match Pins::open(&config.gate.pin_directory) {
        Ok(pins) => Ok(Some(pins)),
        Err(error) if config.gate.silent => Err(error),
        Err(error) => {
            let error = anyhow::Error::from(error);
            warn!(
                "the XDP program ends with letmeind, and nftables alone keeps ports closed then: {error:#}"
            );
            Ok(None)
        }
    }
}

/// What packets begin with on the interfaces that are there. What cannot be told is told when the program is attached.
fn framings(config: &Config) -> Vec<Framing> {
    let mut framings = vec![Framing::Ethernet];
    if config.gate.xdp == XdpMode::Off {
        return framings;
    }
    let Ok(mut links) = Links::open() else {
        return framings;
    };
    for name in &config.gate.interfaces {
        let link = links.named(name).ok().flatten();
        let framing = link.and_then(|link| Framing::of(&link).ok());
        framings.extend(framing.filter(|framing| !framings.contains(framing)));
    }
    framings
}

fn shield(config: &Config, leases: u32) -> Option<ShieldPlan> {
    let rules = config.port_rules();
    (!rules.is_empty()).then_some(ShieldPlan { rules, leases })
}

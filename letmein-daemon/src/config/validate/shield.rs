//! Options `shield` and `shield-udp`: what the XDP program closes, too.

use crate::config::{
    Shield, XdpMode,
    error::Report,
    raw::{self, Given},
};
use crate::firewall::{Closed, Mode, PortRange, Protocol};
use toml::Spanned;

/// What holds for resources that do not say otherwise.
#[derive(Clone, Copy)]
pub(super) struct Default {
    /// Whether there is an XDP program.
    xdp: bool,
    /// Whether it drops SYNs.
    drop: bool,
}

/// Without a word about it, ports that reject go on rejecting.
pub(super) fn check(
    report: &mut Report<'_>,
    given: &Given<raw::Shield>,
    xdp: XdpMode,
    mode: &Mode,
) -> Default {
    let rejects = matches!(
        mode,
        Mode::Guard {
            closed: Closed::Reject
        }
    );
    let default = Default {
        xdp: xdp != XdpMode::Off,
        drop: xdp != XdpMode::Off && !rejects,
    };
    let drop = default.chosen(report, "firewall.shield", given);
    Default { drop, ..default }
}

impl Default {
    /// What holds for a resource with these ports.
    pub(super) fn resource(
        self,
        report: &mut Report<'_>,
        name: &str,
        given: &raw::Resource,
        ports: &[PortRange],
    ) -> Shield {
        let has = |protocol| ports.iter().any(|port| port.protocol == protocol);
        let drop = self.chosen(report, &format!("the shield of resource {name:?}"), &given.shield);
        let udp = given.shield_udp.as_ref().filter(|udp| *udp.get_ref());
        if let Some(udp) = udp {
            let remedy = if !self.xdp {
                Some("the XDP program, which gate.xdp = \"off\" switches off; remove one of them")
            } else if !drop {
                Some("shield = \"drop\" in the same section; add that, or remove this")
            } else if !has(Protocol::Udp) && !ports.is_empty() {
                Some("a UDP port, and there is none; remove this")
            } else {
                None
            };
            if let Some(remedy) = remedy {
                report.add(
                    &udp.span(),
                    format!("shield-udp of resource {name:?} needs {remedy}"),
                );
            }
        } else if let Some(shield) = given.shield.as_ref()
            && *shield.get_ref() == raw::Shield::Drop
            && !has(Protocol::Tcp)
            && !ports.is_empty()
        {
            let text = format!(
                "the shield of resource {name:?} is for TCP ports, and there is none; add shield-udp = true if UDP ports \
                 are meant, or remove this"
            );
            report.add(&shield.span(), text);
        }
        Shield {
            tcp: drop && has(Protocol::Tcp),
            udp: drop && udp.is_some() && has(Protocol::Udp),
        }
    }

    /// Whether SYNs are dropped, after what was written about it.
    fn chosen(self, report: &mut Report<'_>, what: &str, given: &Given<raw::Shield>) -> bool {
        match given.as_ref().map(Spanned::get_ref) {
            None => self.drop,
            Some(raw::Shield::Off) => false,
            Some(raw::Shield::Drop) if self.xdp => true,
            Some(raw::Shield::Drop) => {
                let text = format!(
                    "{what} needs the XDP program, which gate.xdp = \"off\" switches off; remove one of them (the \
                     firewall closes the ports without it, too)"
                );
                report.add(&given.as_ref().map_or(0..0, Spanned::span), text);
                false
            }
        }
    }
}

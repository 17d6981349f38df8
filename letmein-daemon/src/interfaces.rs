//! Keeping the XDP program on the configured interfaces: one that is made again under its name gets it again, and
//! so does one that somebody has taken it from.

use crate::{
    netlink::{Link, Links, Listener},
    stacking::{self, Covered},
    xdp::{Attached, Framing, KernelGate, Mode, XdpError},
};
use anyhow::Context as _;
use nix::sys::socket::SockProtocol;
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

/// `RTNLGRP_LINK` of `linux/rtnetlink.h`.
const GROUP: u32 = 1;
/// Between a notification and a look at the interfaces: several of them come for each change.
const SETTLE: Duration = Duration::from_millis(10);
/// How often to look without one: `bpftool link detach` causes none.
const GLANCE: Duration = Duration::from_secs(5);

/// The configured interfaces.
pub struct Interfaces {
    listener: Listener,
    links: Links,
    mode: Mode,
    all: Vec<Interface>,
}

struct Interface {
    name: String,
    /// The number of the one that the program was attached to.
    index: Option<i32>,
    /// What the log was told, so that it is told once.
    trouble: Option<String>,
}

impl Interfaces {
    /// Hears of changes from now on. Needs a runtime.
    pub fn listen(names: &[String], mode: Mode) -> anyhow::Result<Self> {
        let doing = "cannot listen to changes of network interfaces";
        let interfaces = names.iter().map(|name| Interface {
            name: name.clone(),
            index: None,
            trouble: None,
        });
        Ok(Self {
            listener: Listener::open(SockProtocol::NetlinkRoute, GROUP).context(doing)?,
            links: Links::open().context(doing)?,
            mode,
            all: interfaces.collect(),
        })
    }

    /// Keeps the program attached for good.
    pub async fn keep(mut self, gate: Rc<RefCell<KernelGate>>) {
        if let Err(error) = self.serve(&gate).await {
            error!("changes of network interfaces are not noticed any more: {error:#}; restart letmeind");
        }
    }

    async fn serve(&mut self, gate: &RefCell<KernelGate>) -> anyhow::Result<()> {
        loop {
            let covered = self.covered()?;
            for interface in &mut self.all {
                let covered = covered.iter().find(|pair| pair.name == interface.name);
                let looked = match covered {
                    Some(pair) => interface.give_way(pair, gate),
                    None => interface.look(&mut self.links, gate, self.mode),
                };
                if let Err(error) = looked {
                    interface.complain(format!(
                        "{} is without the XDP program: {error:#}",
                        interface.name
                    ));
                }
            }
            if let Ok(ready) = timeout(GLANCE, self.listener.ready()).await {
                ready?;
                sleep(SETTLE).await;
                self.listener.read(|_| ())?;
            }
        }
    }

    /// Which of them another one covers now.
    fn covered(&mut self) -> anyhow::Result<Vec<Covered>> {
        if self.all.len() < 2 {
            return Ok(Vec::new());
        }
        let names: Vec<_> = self.all.iter().map(|interface| interface.name.clone()).collect();
        Ok(stacking::covered(&self.links.all()?, &names))
    }
}

impl Interface {
    fn look(&mut self, links: &mut Links, gate: &RefCell<KernelGate>, mode: Mode) -> anyhow::Result<()> {
        let Some(link) = links.named(&self.name)? else {
            let before = self
                .index
                .map(|index| links.numbered(index))
                .transpose()?
                .flatten();
            let programs = gate.borrow().program_ids()?;
            self.missing(before.filter(|link| link.programs.iter().any(|id| programs.contains(id))));
            return Ok(());
        };
        let framing = Framing::of(&link).map_err(|source| XdpError::Unfit {
            interface: link.name.clone(),
            source,
        })?;
        let program = gate.borrow().program_id(framing)?;
        if program.is_some_and(|program| link.programs.contains(&program)) {
            if self.trouble.take().is_some() {
                info!(
                    event = "attached",
                    interface = self.name,
                    "{} is there again, with the XDP program",
                    self.name
                );
            }
            self.index = Some(link.index);
            return Ok(());
        }
        tell("attached again", &gate.borrow_mut().attach(&self.name, mode)?);
        self.trouble = None;
        self.index = Some(link.index);
        Ok(())
    }

    /// Another interface of the configuration sees its packets.
    fn give_way(&mut self, covered: &Covered, gate: &RefCell<KernelGate>) -> anyhow::Result<()> {
        let text = covered.to_string();
        if gate.borrow_mut().detach(&self.name)? {
            info!(
                event = "detached",
                interface = self.name,
                "XDP program detached from {}",
                self.name
            );
        }
        if self.index.take().is_none() && self.trouble.is_none() {
            // The log was told when the others were attached.
            self.trouble = Some(text);
        } else {
            self.complain(text);
        }
        Ok(())
    }

    fn missing(&mut self, renamed: Option<Link>) {
        let name = &self.name;
        self.complain(match renamed {
            Some(link) => format!(
                "{name} is called {} now, which gate.interfaces does not name; the XDP program stays there until there \
                 is a {name} again",
                link.name
            ),
            None => format!("{name} is gone; the XDP program is attached as soon as there is a {name} again"),
        });
    }

    fn complain(&mut self, text: String) {
        if self.trouble.as_ref() != Some(&text) {
            warn!(event = "interface-lost", interface = self.name, "{text}");
            self.trouble = Some(text);
        }
    }
}

/// Tells the log how the program was attached.
pub fn tell(how: &str, attached: &Attached) {
    let interface = &attached.interface;
    let instead = if attached.without_a_gap {
        ", in the place of the one before"
    } else {
        ""
    };
    if attached.native {
        info!(
            event = "attached",
            interface,
            hook = "native",
            "XDP program {how} to {interface}{instead}, native"
        );
    } else {
        warn!(
            event = "attached",
            interface,
            hook = "generic",
            "XDP program {how} to {interface}{instead}, generic: it works, but later and slower than native"
        );
    }
}

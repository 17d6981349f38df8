//! Another configuration while the gate serves.
//!
//! A reload builds everything anew: sockets, XDP program with its maps, the gatekeeper's policy, rules, mirror of the
//! leases. It has three phases:
//!
//! 1. *Prepare*: what leaves no trace, or one that nobody meets. If this fails, the reload is refused.
//! 2. *Replace*: one transaction replaces the rules, each link gets the new program, and leases that are not allowed any
//!    more end. If this fails, everything is put back, and the reload is refused. If that fails as well, nobody can say
//!    what is in force: the warden ends, and protected ports stay closed.
//! 3. *Go on*: the gatekeeper, which has the new policy since the first phase, works by it. It does, or it has ended, and
//!    the warden ends with it.
//!
//! In the second phase nobody is served, so nobody meets a half of it.

use super::{
    running::{Followed, Running, knocks},
    sockets::Sockets,
};
use crate::{
    clock,
    config::Config,
    firewall::{Firewall, LeaseKey},
    interfaces::Interfaces,
    leases::Leases,
    loading,
    operator::protocol::Reloaded,
    remembered::MANY,
    silent::{
        self,
        tags::{TagTable, Unknown},
    },
    xdp::{KernelGate, Mode, Object, PacketLog},
};
use anyhow::{Context as _, anyhow, bail, ensure};
use log::Log;
use std::{cell::RefCell, mem, path::Path, rc::Rc};
use tracing::{info, warn};

/// Why another configuration is not in force.
#[derive(Debug)]
pub enum Failure {
    /// Nothing has changed.
    Refused(anyhow::Error),
    /// Something has changed, and cannot be put back: the process has to end.
    Fatal(anyhow::Error),
}

impl Failure {
    /// The error as it is told, with what becomes of the gate.
    #[must_use]
    pub fn told(self) -> anyhow::Error {
        match self {
            Self::Refused(error) => error.context("the configuration goes on as it was"),
            Self::Fatal(error) => error.context(
                "the reload failed half-way, and what it has changed cannot be put back. letmeind ends; protected ports \
                 stay closed, and the next start is by the configuration file",
            ),
        }
    }
}

/// What the second phase needs.
struct Prepared {
    config: Config,
    sockets: Sockets,
    interfaces: Option<Interfaces>,
    gate: Option<KernelGate>,
    messages: Option<PacketLog<&'static dyn Log>>,
}

impl Running {
    /// Reads the configuration again, and works by it from then on. Somebody has to listen to the gatekeeper meanwhile.
    pub async fn reload(&self) -> Result<Reloaded, Failure> {
        let _only = self.reloading.lock().await;
        let config = self.read().map_err(Failure::Refused)?;
        let warnings = config.warnings();
        for warning in &warnings {
            warn!("{warning}");
        }
        match self.prepare(config).await {
            Ok(prepared) => self.change(prepared).await?,
            Err(error) => {
                // It may have come as far as to pin a record of another size.
                let kept = self.keep_records();
                let kept = kept.and(self.gatekeeper.discard().await);
                return Err(refusal(error, kept));
            }
        }
        let config = self.state.config();
        let (users, resources) = (config.users().count(), config.resources().count());
        info!(
            event = "reloaded",
            users, resources, "reloaded: {users} users, {resources} resources"
        );
        Ok(Reloaded {
            file: config.file().map(Path::to_owned).unwrap_or_default(),
            users,
            resources,
            warnings: warnings.iter().map(ToString::to_string).collect(),
        })
    }

    fn read(&self) -> anyhow::Result<Config> {
        let before = self.state.config();
        let config = before
            .read_again()
            .context("the configuration was not in a file")??;
        check_changeable(&before, &config)?;
        Ok(config)
    }

    /// The first phase.
    async fn prepare(&self, config: Config) -> anyhow::Result<Prepared> {
        let sockets = self.sockets.borrow().change(&config)?;
        let mode = loading::mode(&config);
        let interfaces = mode.map(|mode| Interfaces::listen(&config.gate.interfaces, mode));
        let interfaces = interfaces.transpose()?;
        let leases = u32::try_from(self.state.leases.borrow().count()).unwrap_or(u32::MAX);
        let room = leases.max(config.firewall.max_leases);
        let mut gate = match &self.kernel {
            None => None,
            Some(_) => Some(loading::load(Object::embedded()?, &config, room)?),
        };
        let messages = match &mut gate {
            Some(gate) => gate.messages(log::logger())?,
            None => None,
        };
        let knocks = match &gate {
            Some(gate) => knocks(&config, gate)?,
            None => None,
        };
        self.gatekeeper
            .prepare(&config, &sockets, knocks.as_ref())
            .await?;
        Ok(Prepared {
            config,
            sockets,
            interfaces,
            gate,
            messages,
        })
    }

    /// The other two phases.
    async fn change(&self, prepared: Prepared) -> Result<(), Failure> {
        let Prepared {
            config,
            sockets,
            interfaces,
            mut gate,
            messages,
        } = prepared;
        let mut touched = false;
        let replaced = self.replace(&config, gate.as_mut(), &mut touched);
        let (leases, followed) = match replaced {
            Ok(replaced) => replaced,
            Err(error) => {
                let back = self.put_back(gate.as_mut().filter(|_| touched));
                let back = back.and(self.gatekeeper.discard().await);
                return Err(refusal(error, back));
            }
        };
        let followed = Followed {
            interfaces,
            messages,
            ..followed
        };
        self.state.replace(config, leases);
        self.sockets.replace(Rc::new(sockets));
        if let (Some(kernel), Some(gate)) = (&self.kernel, gate) {
            drop(mem::replace(&mut *kernel.borrow_mut(), gate));
        }
        self.follow(followed);
        self.gatekeeper.apply().await.map_err(Failure::Fatal)
    }

    /// The second phase. `touched` tells whether any interface may have the new program.
    fn replace(
        &self,
        config: &Config,
        gate: Option<&mut KernelGate>,
        touched: &mut bool,
    ) -> anyhow::Result<(Leases, Followed)> {
        let firewall = Firewall::install(&config.firewall_plan())?;
        let watch = firewall.watch()?;
        let (mut leases, settlement) =
            Leases::survey(firewall, config, self.known(), Some(&self.state.leases.borrow()))?;
        let mut table = None;
        if let (Some(gate), Some(kernel), Some(mode)) = (gate, &self.kernel, loading::mode(config)) {
            loading::fill(gate, &mut leases)?;
            if config.gate.silent && gate.remembers() {
                table = Some(tags(config, gate, &self.state.unknown)?);
            }
            *touched = true;
            gate.succeed(&mut kernel.borrow_mut())?;
            loading::attach(config, gate, mode, &self.state.config().gate.interfaces)?;
            gate.count_on(&kernel.borrow())?;
            if config.gate.silent && table.is_none() {
                // Nobody knows what was accepted up to here.
                self.state.unknown.doubt(clock::monotonic());
                table = Some(tags(config, gate, &self.state.unknown)?);
            }
        }
        leases
            .settle(&settlement)
            .context("leases that are no longer allowed cannot be closed")?;
        let followed = Followed {
            watch,
            interfaces: None,
            tags: table,
            messages: None,
        };
        Ok((leases, followed))
    }

    /// The leases that live, if they are so many that reading them takes long.
    fn known(&self) -> Option<Vec<LeaseKey>> {
        let known = self.state.leases.borrow().keys();
        (known.len() >= MANY).then_some(known)
    }

    /// Undoes what [`replace`](Self::replace) has done, as far as it came. `gate` is the new program, if it may be anywhere.
    fn put_back(&self, gate: Option<&mut KernelGate>) -> anyhow::Result<()> {
        let records = self.keep_records();
        let config = self.state.config();
        let attached = match (gate, &self.kernel, loading::mode(&config)) {
            (Some(gate), Some(kernel), Some(mode)) => reattach(&config, gate, kernel, mode),
            _ => Ok(()),
        };
        let reinstated = self.state.leases.borrow_mut().reinstate();
        records?;
        attached.context("the XDP program is not as it was")?;
        reinstated.context("the firewall is not as it was")
    }

    fn keep_records(&self) -> anyhow::Result<()> {
        match &self.kernel {
            Some(kernel) => Ok(kernel.borrow().keep_records()?),
            None => Ok(()),
        }
    }
}

/// The refusal for this reason, if what was done up to there could be undone.
fn refusal(error: anyhow::Error, undone: anyhow::Result<()>) -> Failure {
    match undone {
        Ok(()) => Failure::Refused(error),
        Err(undoing) => Failure::Fatal(anyhow!("{error:#}; putting it back: {undoing:#}")),
    }
}

/// Puts the program that ran before in the place of this one.
fn reattach(
    config: &Config,
    gate: &mut KernelGate,
    kernel: &RefCell<KernelGate>,
    mode: Mode,
) -> anyhow::Result<()> {
    let mut kernel = kernel.borrow_mut();
    kernel.succeed(gate)?;
    loading::attach(config, &mut kernel, mode, &config.gate.interfaces)?;
    Ok(())
}

/// All tags that are valid now, in the table of this program. Each of them has to be there.
fn tags(config: &Config, gate: &mut KernelGate, unknown: &Unknown) -> anyhow::Result<TagTable> {
    let mut complete = true;
    let table = silent::begin(config, unknown.clone(), &mut |change| {
        gate.change_tag(change).inspect_err(|_| complete = false)
    });
    ensure!(
        complete,
        "the XDP program does not take all tags of silent knocks"
    );
    Ok(table)
}

/// What the two processes were started with, and cannot be changed any more.
fn check_changeable(before: &Config, now: &Config) -> anyhow::Result<()> {
    let is_off = |config: &Config| loading::mode(config).is_none();
    let changed = [
        ("daemon.user", before.daemon.user != now.daemon.user),
        ("section [operator]", before.operator != now.operator),
        (
            "daemon.log-format",
            before.daemon.log_format != now.daemon.log_format,
        ),
        ("daemon.seccomp", before.daemon.seccomp != now.daemon.seccomp),
        (
            "gate.pin-directory",
            before.gate.pin_directory != now.gate.pin_directory,
        ),
        ("gate.xdp from or to \"off\"", is_off(before) != is_off(now)),
    ];
    for (what, is_changed) in changed {
        if is_changed {
            bail!("a change of {what} takes a restart; leases live on through it");
        }
    }
    Ok(())
}

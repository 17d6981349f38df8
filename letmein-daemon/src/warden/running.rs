//! What a configuration has set up, and how another one takes its place while the gate serves.
//!
//! A reload builds all of it anew: sockets, XDP program with its maps, rules, mirror of the leases. What can fail without
//! a trace comes first; then one transaction replaces the rules, and each link gets the new program. If any of that
//! fails, it is put back. Nobody is served meanwhile, so nobody meets a half of it.

use super::{gatekeeper::Gatekeeper, quotas, sockets::Sockets};
use crate::{
    clock,
    config::Config,
    firewall::{Firewall, LeaseKey, Watch},
    healing,
    interfaces::Interfaces,
    leases::{self, Leases, Settlement},
    loading,
    operator::protocol::Reloaded,
    remembered::MANY,
    server::State,
    silent::{self, tags::TagTable},
    xdp::{KernelGate, Object, RingBuffer},
};
use anyhow::{Context as _, bail};
use std::{cell::RefCell, mem, path::Path, rc::Rc};
use tokio::{
    sync::Mutex,
    task::{AbortHandle, JoinHandle, spawn_local},
};
use tracing::{error, info, warn};

/// The running gate.
pub struct Running {
    /// What is valid now.
    pub state: Rc<State>,
    /// The XDP program; none with `xdp = "off"`.
    pub kernel: Option<Rc<RefCell<KernelGate>>>,
    /// Who talks to the network.
    pub gatekeeper: Rc<Gatekeeper>,
    sockets: RefCell<Rc<Sockets>>,
    /// What ends when another configuration comes.
    tasks: RefCell<Vec<AbortHandle>>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

/// What has to be followed while a configuration is valid.
pub struct Followed {
    /// What others do to rules and leases.
    pub watch: Watch,
    /// What becomes of the interfaces, if there is an XDP program on them.
    pub interfaces: Option<Interfaces>,
    /// Time, with silent knocks: the table as it is. None where there is no record of earlier knocks: what comes now has
    /// to be later than any of those.
    pub tags: Option<TagTable>,
}

impl Running {
    /// Follows what it has to. Needs a runtime.
    pub fn new(
        state: Rc<State>,
        kernel: Option<Rc<RefCell<KernelGate>>>,
        gatekeeper: Rc<Gatekeeper>,
        sockets: Sockets,
        followed: Followed,
    ) -> anyhow::Result<Self> {
        let running = Self {
            state,
            kernel,
            gatekeeper,
            sockets: RefCell::new(Rc::new(sockets)),
            tasks: RefCell::default(),
            reloading: Mutex::default(),
        };
        running.follow(followed)?;
        Ok(running)
    }

    /// Has the gatekeeper work by what is valid now. Somebody has to listen to it meanwhile.
    pub async fn configure(&self) -> anyhow::Result<()> {
        let config = self.state.config();
        let sockets = Rc::clone(&self.sockets.borrow());
        let knocks = self.knocks(&config)?;
        self.gatekeeper
            .configure(&config, &sockets, knocks.as_ref())
            .await
    }

    fn knocks(&self, config: &Config) -> anyhow::Result<Option<RingBuffer>> {
        match &self.kernel {
            Some(kernel) if config.gate.silent => Ok(Some(kernel.borrow().knocks()?)),
            _ => Ok(None),
        }
    }

    /// Reads the configuration again, and works by it from then on. If that cannot be, nothing has changed. Somebody has to
    /// listen to the gatekeeper meanwhile.
    pub async fn reload(&self) -> anyhow::Result<Reloaded> {
        let _only = self.reloading.lock().await;
        let before = self.state.config();
        let config = before
            .read_again()
            .context("the configuration was not in a file")??;
        let warnings = config.warnings();
        for warning in &warnings {
            warn!("{warning}");
        }
        check_changeable(&before, &config)?;
        let sockets = self.sockets.borrow().change(&config)?;
        self.change(config, sockets)?;
        self.configure().await?;
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

    fn change(&self, config: Config, sockets: Sockets) -> anyhow::Result<()> {
        let mode = loading::mode(&config);
        let interfaces = mode.map(|mode| Interfaces::listen(&config.gate.interfaces, mode));
        let interfaces = interfaces.transpose()?;
        let known = self.state.leases.borrow().keys();
        let room = u32::try_from(known.len())
            .unwrap_or(u32::MAX)
            .max(config.firewall.max_leases);
        let known = (known.len() >= MANY).then_some(known);
        let mut gate = match &self.kernel {
            None => None,
            Some(kernel) => {
                let gate = Object::embedded()
                    .map_err(Into::into)
                    .and_then(|object| loading::load(object, &config, room));
                // It may have come as far as to pin a record of another size.
                Some(gate.inspect_err(|_| Self::keep_records(kernel))?)
            }
        };
        let (leases, settlement, followed) = self
            .replace(&config, gate.as_mut(), known)
            .inspect_err(|_| self.put_back(gate.as_mut()))?;
        let followed = Followed {
            interfaces,
            ..followed
        };

        for task in self.tasks.borrow_mut().drain(..) {
            task.abort();
        }
        self.state.replace(config, leases);
        self.sockets.replace(Rc::new(sockets));
        if let (Some(kernel), Some(gate)) = (&self.kernel, gate) {
            let before = mem::replace(&mut *kernel.borrow_mut(), gate);
            kernel.borrow_mut().count_on(&before)?;
        }
        self.follow(followed)?;
        let settled = self.state.leases.borrow_mut().settle(&settlement);
        settled.context("leases that are no longer allowed cannot be closed")
    }

    /// Installs the rules, and puts `gate` in the place of the XDP program that runs.
    fn replace(
        &self,
        config: &Config,
        gate: Option<&mut KernelGate>,
        known: Option<Vec<LeaseKey>>,
    ) -> anyhow::Result<(Leases, Settlement, Followed)> {
        let firewall = Firewall::install(&config.firewall_plan())?;
        let watch = firewall.watch()?;
        let (mut leases, settlement) =
            Leases::survey(firewall, config, known, Some(&self.state.leases.borrow()))?;
        let mut tags = None;
        if let (Some(gate), Some(kernel), Some(mode)) = (gate, &self.kernel, loading::mode(config)) {
            loading::fill(gate, &mut leases)?;
            if config.gate.silent && gate.remembers() {
                tags = Some(silent::begin(config, None, &mut |change| gate.change_tag(change)));
            }
            gate.succeed(&mut kernel.borrow_mut())?;
            loading::attach(config, gate, mode, &self.state.config().gate.interfaces)?;
        }
        let followed = Followed {
            watch,
            interfaces: None,
            tags,
        };
        Ok((leases, settlement, followed))
    }

    /// Undoes what [`replace`](Self::replace) has done, as far as it came.
    fn put_back(&self, gate: Option<&mut KernelGate>) {
        let config = self.state.config();
        if let (Some(gate), Some(kernel), Some(mode)) = (gate, &self.kernel, loading::mode(&config)) {
            Self::keep_records(kernel);
            let mut kernel = kernel.borrow_mut();
            let attached = kernel
                .succeed(gate)
                .and_then(|()| loading::attach(&config, &mut kernel, mode, &config.gate.interfaces));
            if let Err(error) = attached {
                let error = anyhow::Error::from(error);
                error!("the XDP program is not as it was: {error:#}; restart letmeind");
            }
        }
        if let Err(error) = self.state.leases.borrow_mut().reinstate() {
            let error = anyhow::Error::from(error);
            error!("the firewall is not as it was: {error:#}; restart letmeind");
        }
    }

    fn keep_records(kernel: &RefCell<KernelGate>) {
        if let Err(error) = kernel.borrow().keep_records() {
            error!("{:#}; restart letmeind", anyhow::Error::from(error));
        }
    }

    fn follow(&self, followed: Followed) -> anyhow::Result<()> {
        let mut tasks = self.tasks.borrow_mut();
        let mut spawn = |task: JoinHandle<()>| tasks.push(task.abort_handle());
        spawn(spawn_local(leases::serve_cuts(Rc::clone(&self.state))));
        spawn(spawn_local(healing::serve(
            Rc::clone(&self.state),
            followed.watch,
        )));
        let Some(kernel) = &self.kernel else {
            return Ok(());
        };
        if let Some(messages) = kernel.borrow_mut().messages(log::logger())? {
            warn!("this XDP program was built for debugging: it logs every packet that it refuses");
            spawn(spawn_local(messages.follow()));
        }
        if let Some(interfaces) = followed.interfaces {
            spawn(spawn_local(interfaces.keep(Rc::clone(kernel))));
        }
        spawn(spawn_local(quotas::tell(
            Rc::clone(&self.state),
            Rc::clone(kernel),
        )));
        if let Some(nonces) = kernel.borrow_mut().nonces() {
            spawn(spawn_local(nonces.keep_tidy()));
        }
        let config = self.state.config();
        if config.gate.silent {
            let kernel = Rc::clone(kernel);
            let mut change = move |change: &_| kernel.borrow_mut().change_tag(change);
            let begin = || silent::begin(&*config, Some(clock::monotonic()), &mut change);
            let table = followed.tags.unwrap_or_else(begin);
            let gatekeeper = Rc::clone(&self.gatekeeper);
            let tell_time = async move |now| gatekeeper.tell_time(now).await;
            spawn(spawn_local(silent::renew(config, table, tell_time, change)));
        }
        Ok(())
    }
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

//! What a configuration has set up, and what has to be followed while it is valid.

use super::{gatekeeper::Gatekeeper, quotas, sockets::Sockets};
use crate::{
    clock,
    config::Config,
    firewall::Watch,
    healing,
    interfaces::Interfaces,
    leases,
    server::State,
    silent::{self, tags::TagTable},
    xdp::{KernelGate, PacketLog, RingBuffer},
};
use log::Log;
use std::{cell::RefCell, rc::Rc};
use tokio::{
    sync::Mutex,
    task::{AbortHandle, JoinHandle, spawn_local},
};
use tracing::warn;

/// The running gate.
pub struct Running {
    /// What is valid now.
    pub state: Rc<State>,
    /// The XDP program; none with `xdp = "off"`.
    pub kernel: Option<Rc<RefCell<KernelGate>>>,
    /// Who talks to the network.
    pub gatekeeper: Rc<Gatekeeper>,
    pub(super) sockets: RefCell<Rc<Sockets>>,
    /// What ends when another configuration comes.
    tasks: RefCell<Vec<AbortHandle>>,
    /// One reload at a time.
    pub(super) reloading: Mutex<()>,
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
    /// What an XDP program logs that was built for debugging.
    pub messages: Option<PacketLog<&'static dyn Log>>,
}

impl Running {
    /// Follows what it has to. Needs a runtime.
    pub fn new(
        state: Rc<State>,
        kernel: Option<Rc<RefCell<KernelGate>>>,
        gatekeeper: Rc<Gatekeeper>,
        sockets: Sockets,
        followed: Followed,
    ) -> Self {
        let running = Self {
            state,
            kernel,
            gatekeeper,
            sockets: RefCell::new(Rc::new(sockets)),
            tasks: RefCell::default(),
            reloading: Mutex::default(),
        };
        running.follow(followed);
        running
    }

    /// Has the gatekeeper work by what is valid now. Somebody has to listen to it meanwhile.
    pub async fn configure(&self) -> anyhow::Result<()> {
        let config = self.state.config();
        let sockets = Rc::clone(&self.sockets.borrow());
        let knocks = match &self.kernel {
            Some(kernel) => knocks(&config, &kernel.borrow())?,
            None => None,
        };
        self.gatekeeper
            .prepare(&config, &sockets, knocks.as_ref())
            .await?;
        self.gatekeeper.apply().await
    }

    /// Follows what has to be followed from now on, and nothing else.
    pub(super) fn follow(&self, followed: Followed) {
        let mut tasks = self.tasks.borrow_mut();
        for task in tasks.drain(..) {
            task.abort();
        }
        let mut spawn = |task: JoinHandle<()>| tasks.push(task.abort_handle());
        spawn(spawn_local(leases::serve_cuts(Rc::clone(&self.state))));
        spawn(spawn_local(healing::serve(
            Rc::clone(&self.state),
            followed.watch,
        )));
        let Some(kernel) = &self.kernel else {
            return;
        };
        if let Some(messages) = followed.messages {
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
            let unknown = &self.state.unknown;
            let begin = || {
                unknown.doubt(clock::monotonic());
                silent::begin(&*config, unknown.clone(), &mut change)
            };
            let table = followed.tags.unwrap_or_else(begin);
            let gatekeeper = Rc::clone(&self.gatekeeper);
            let tell_time = async move |now| gatekeeper.tell_time(now).await;
            spawn(spawn_local(silent::renew(config, table, tell_time, change)));
        }
    }
}

/// The silent knocks that this program hands on, if the configuration takes any.
pub(super) fn knocks(config: &Config, kernel: &KernelGate) -> anyhow::Result<Option<RingBuffer>> {
    let silent = config.gate.silent;
    Ok(silent.then(|| kernel.knocks()).transpose()?)
}

//! The warden from its start to its end: bringing the gate up, keeping it up, and taking it down.

mod report;

use crate::{
    clocks::Clocks,
    config::Config,
    firewall::Firewall,
    instance::{self, Instance},
    interfaces::Interfaces,
    leases::Leases,
    loading, logging, notify,
    operator::{self, protocol::Reloaded, reload::Asked},
    remembered,
    sandbox::{self, Account, Files},
    silent::{self, tags::Unknown},
    trial::{Before, on_trial},
    warden::{Doer, Failure, Followed, Gatekeeper, Running, Sockets},
    xdp::{self, KernelGate, Object},
};
use anyhow::anyhow;
use letmein_common::reason::Counters;
use report::{counters_line, report_clock};
use std::{cell::RefCell, io, rc::Rc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    task::{LocalSet, spawn_local},
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tracing::{error, info, warn};

/// How often ended leases are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Within this time after the gatekeeper has ended, it is known how.
const MOMENT: Duration = Duration::from_secs(2);

/// How long an operator's answer may take to leave before the process ends.
const TELLING: Duration = Duration::from_millis(200);

/// What all tasks of the warden share.
pub struct State {
    config: RefCell<Rc<Config>>,
    /// What is open.
    pub leases: RefCell<Leases>,
    /// What is not known of accepted silent knocks.
    pub unknown: Unknown,
}

impl State {
    /// What is valid from now on.
    #[must_use]
    pub fn new(config: Config, leases: Leases) -> Self {
        Self {
            config: RefCell::new(Rc::new(config)),
            leases: RefCell::new(leases),
            unknown: Unknown::default(),
        }
    }

    /// The configuration that is valid now.
    #[must_use]
    pub fn config(&self) -> Rc<Config> {
        Rc::clone(&self.config.borrow())
    }

    /// Something else is valid from now on.
    pub fn replace(&self, config: Config, leases: Leases) {
        self.config.replace(Rc::new(config));
        self.leases.replace(leases);
    }
}

/// Runs until SIGTERM or SIGINT. Protected ports are closed before anything else happens, and stay closed, unless all
/// of it is on trial and not confirmed within `trial`.
pub fn run(config: Config, trial: Option<Duration>) -> anyhow::Result<()> {
    logging::switch_to(config.daemon.log_format);
    for warning in config.warnings() {
        warn!("{warning}");
    }
    let account = Account::find(&config.daemon.user)?;
    let instance = Instance::claim()?;
    let serving = async {
        match trial {
            None => Box::pin(serve(config, account, &instance)).await,
            Some(time) => {
                let before = Before::of(&config);
                on_trial(before?, time, |_confirmation| serve(config, account, &instance)).await
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, serving)
}

/// Closes the protected ports, as `run` does, and serves nobody.
pub fn up(config: &Config, trial: Option<Duration>) -> anyhow::Result<()> {
    logging::switch_to(config.daemon.log_format);
    for warning in config.warnings() {
        warn!("{warning}");
    }
    let _only = Instance::claim()?;
    let Some(time) = trial else {
        return close(config);
    };
    let trying = on_trial(Before::of(config)?, time, |confirmation| async {
        close(config)?;
        Ok(confirmation.await?)
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(trying)
}

/// Closes the protected ports. A shield that an earlier run has left gets to know which these are now.
fn close(config: &Config) -> anyhow::Result<()> {
    let firewall = Firewall::install(&config.firewall_plan())?;
    if !xdp::is_attached(&config.gate.pin_directory)? {
        return Ok(());
    }
    match loading::mode(config) {
        None => drop(xdp::forget(&config.gate.pin_directory)?),
        Some(mode) => {
            let mut leases = Leases::take_over(firewall, config)?;
            let mut gate = loading::load(Object::embedded()?, config, leases.most())?;
            loading::fill(&mut gate, &mut leases)?;
            loading::attach(config, &mut gate, mode, &[])?;
        }
    }
    Ok(())
}

async fn serve(config: Config, account: Account, instance: &Instance) -> anyhow::Result<()> {
    let firewall = Firewall::install(&config.firewall_plan())?;
    let watch = firewall.watch()?;
    let known = remembered::take(&instance.remembered());
    let mut leases = Leases::take_over_known(firewall, &config, known)?;
    let clocks = Clocks::take_over(instance.asleep(), &mut leases)?;
    let sockets = Sockets::bind(&config)?;
    let mut kernel = load(&config, &mut leases)?;
    // The program of an earlier run may take silent knocks up to here. Where its record is gone on with, this one takes
    // them from here on; otherwise it must be later than any of those.
    let recording = kernel
        .as_mut()
        .filter(|kernel| config.gate.silent && kernel.remembers());
    let unknown = Unknown::default();
    let tags = recording
        .map(|kernel| silent::begin(&config, unknown.clone(), &mut |change| kernel.change_tag(change)));
    let (mut interfaces, mut messages) = (None, None);
    if let (Some(kernel), Some(mode)) = (&mut kernel, loading::mode(&config)) {
        interfaces = Some(Interfaces::listen(&config.gate.interfaces, mode)?);
        messages = kernel.messages(log::logger())?;
        loading::attach(&config, kernel, mode, &[])?;
    }
    let gatekeeper = Rc::new(Gatekeeper::start(&config, account)?);
    // Whose group it is cannot be changed any more afterwards.
    let for_metrics = operator::listen_for_metrics(&config.operator);
    let for_operators = operator::bind(&config.operator.socket, config.operator.group.as_deref());
    let files = Files {
        readable: config.folders().to_vec(),
        writable: vec![instance::FOLDER.into(), config.gate.pin_directory.clone()],
    };
    sandbox::confine_warden(config.daemon.seccomp, &files)?;

    let state = Rc::new(State {
        unknown,
        ..State::new(config, leases)
    });
    let kernel = kernel.map(|kernel| Rc::new(RefCell::new(kernel)));
    let followed = Followed {
        watch,
        interfaces,
        tags,
        messages,
    };
    let running = Running::new(state, kernel, gatekeeper, sockets, followed);
    spawn_local(sweep(Rc::clone(&running.state)));
    spawn_local(logging::refusals::tell_the_rest());
    spawn_local(clocks.keep(Rc::clone(&running.state)));
    let (reloads, asked) = operator::reload::channel();
    operators(&running, for_operators, for_metrics, reloads);
    let (ended, mut end) = oneshot::channel();
    let doer = Doer::new(Rc::clone(&running.state), running.kernel.clone());
    spawn_local(listen(Rc::clone(&running.gatekeeper), doer, ended));
    // Whoever waits for the line below may send a signal right after it.
    let signals = Signals::register()?;
    let configured = tokio::select! {
        why = &mut end => return Err(reason(why)),
        configured = running.configure() => configured,
    };
    if let Err(error) = configured {
        // If it has ended, why says more than that it cannot be configured.
        return Err(timeout(MOMENT, end).await.map_or(error, reason));
    }
    tell_ready(&running);
    until_stopped(&running, signals, asked, end).await?;
    remembered::leave(&instance.remembered(), &running.state.leases.borrow_mut().keys());
    Ok(())
}

/// Serves operators. That it cannot be done is no reason to leave the ports alone.
fn operators(
    running: &Running,
    listener: anyhow::Result<operator::Listener>,
    metrics: Option<anyhow::Result<operator::MetricsListener>>,
    reloads: mpsc::Sender<Asked>,
) {
    let probe = match &running.kernel {
        Some(kernel) => operator::Probe::Kernel(Rc::clone(kernel), Rc::clone(&running.gatekeeper)),
        None => operator::Probe::Gatekeeper(Rc::clone(&running.gatekeeper)),
    };
    let desk = Rc::new(operator::Desk::new(Rc::clone(&running.state), probe, reloads));
    spawn_local(Rc::clone(&desk).watch());
    match metrics {
        None => {}
        Some(Ok(listener)) => drop(spawn_local(operator::serve_metrics(listener, Rc::clone(&desk)))),
        Some(Err(error)) => error!("metrics cannot be served: {error:#}"),
    }
    match listener {
        Ok(listener) => drop(spawn_local(operator::serve(listener, desk))),
        Err(error) => error!("operators cannot be served: {error:#}"),
    }
}

/// Hears the gatekeeper, and tells why there is nothing more to hear.
async fn listen(gatekeeper: Rc<Gatekeeper>, doer: Doer, ended: oneshot::Sender<anyhow::Error>) {
    let why = gatekeeper.listen(doer).await;
    // Nobody waits for it who is about to end anyway.
    let _unheard = ended.send(why);
}

fn reason(end: Result<anyhow::Error, oneshot::error::RecvError>) -> anyhow::Error {
    end.unwrap_or_else(|_| anyhow!("nobody hears the gatekeeper any more"))
}

/// Forgets ended leases for good.
async fn sweep(state: Rc<State>) {
    let mut clock = interval_at(Instant::now() + SWEEP_EVERY, SWEEP_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        state.leases.borrow_mut().sweep();
    }
}

/// The checks in front of the gatekeeper, unless it makes them itself. With them there is the shield in front of
/// everything else, too; it knows all leases before it sees a packet.
fn load(config: &Config, leases: &mut Leases) -> anyhow::Result<Option<KernelGate>> {
    if loading::mode(config).is_none() {
        info!("xdp = \"off\": knocks are checked in userspace");
        xdp::forget(&config.gate.pin_directory)?;
        return Ok(None);
    }
    let mut kernel = loading::load(Object::embedded()?, config, leases.most())?;
    loading::fill(&mut kernel, leases)?;
    Ok(Some(kernel))
}

/// What the daemon listens to besides knocks.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    report: Signal,
}

impl Signals {
    /// From now on none of them ends the process by itself.
    fn register() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            report: signal(SignalKind::user_defined1())?,
        })
    }
}

/// Signals and the log's regular report.
async fn until_stopped(
    running: &Running,
    mut signals: Signals,
    mut asked_to_reload: mpsc::Receiver<Asked>,
    mut ended: oneshot::Receiver<anyhow::Error>,
) -> anyhow::Result<()> {
    let mut clock = report_clock();
    let mut reported = Counters::default();
    let mut watchdog = notify::Watchdog::asked_for();
    loop {
        let asked = tokio::select! {
            () = watchdog.due() => None,
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => {
                // Nobody else waits to be told.
                if let Err(failure @ Failure::Fatal(_)) = reload(running, &mut ended).await? {
                    return Err(failure.told());
                }
                continue;
            }
            Some(operator) = asked_to_reload.recv() => {
                let outcome = reload(running, &mut ended).await?;
                let fatal = matches!(outcome, Err(Failure::Fatal(_)));
                let outcome = outcome.map_err(Failure::told);
                let told = outcome.as_ref().err().map(|error| anyhow!("{error:#}"));
                // The operator may have gone meanwhile.
                let _unheard = operator.send(outcome);
                if let Some(error) = told.filter(|_| fatal) {
                    sleep(TELLING).await;
                    return Err(error);
                }
                continue;
            }
            why = &mut ended => return Err(reason(why)),
            _ = signals.report.recv() => Some(true),
            _ = clock.tick() => Some(false),
        };
        // All goes on if it does in both processes.
        let counted = tokio::select! {
            why = &mut ended => return Err(reason(why)),
            counters = timeout(MOMENT, running.gatekeeper.counters()) => counters,
        };
        let Ok(counted) = counted else {
            warn!("the gatekeeper does not answer within {MOMENT:?}");
            continue;
        };
        let Some(asked) = asked else {
            notify::alive();
            continue;
        };
        let now = match &running.kernel {
            Some(kernel) => {
                let mut counters = kernel.borrow().counters()?;
                counters.add(&counted?);
                counters
            }
            None => counted?,
        };
        if asked || now != reported {
            let refused = now.refused.iter().sum::<u64>();
            info!(
                event = "counters",
                genuine = now.genuine,
                refused,
                "{}",
                counters_line(&now)
            );
            reported = now;
        }
    }
    notify::stopping();
    info!(
        event = "stopping",
        "stopping; protected ports stay closed and leases run on"
    );
    Ok(())
}

/// Reads the configuration again. The outer error is that the gatekeeper has ended.
async fn reload(
    running: &Running,
    ended: &mut oneshot::Receiver<anyhow::Error>,
) -> anyhow::Result<Result<Reloaded, Failure>> {
    notify::reloading();
    let outcome = tokio::select! {
        why = ended => return Err(reason(why)),
        outcome = running.reload() => outcome,
    };
    match &outcome {
        Ok(_) => tell_ready(running),
        // The process ends with this error.
        Err(Failure::Fatal(_)) => {}
        Err(Failure::Refused(error)) => {
            error!(
                event = "reload-refused",
                "the configuration goes on as it was: {error:#}"
            );
            notify::ready("serving knocks; the last reload was refused, the log says why");
        }
    }
    Ok(outcome)
}

fn tell_ready(running: &Running) {
    let port = running.state.config().gate.port;
    info!(event = "ready", port, "ready on port {port}");
    notify::ready(&format!("serving knocks on port {port}"));
}

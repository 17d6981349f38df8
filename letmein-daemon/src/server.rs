//! The warden from its start to its end: bringing the gate up, keeping it up, and taking it down.

use crate::{
    clock,
    config::{Config, XdpMode},
    firewall::Firewall,
    forwarding, healing,
    instance::Instance,
    interfaces::{self, Interfaces},
    leases::{self, Leases},
    notify, operator, remembered,
    sandbox::{self, Account},
    silent,
    trial::on_trial,
    warden::{Doer, Gatekeeper, Sockets},
    xdp::{self, KernelGate, Mode, Object, Plan, ShieldPlan, SilentPlan},
};
use anyhow::{Context as _, anyhow};
use letmein_common::reason::{Counters, Reason};
use std::{cell::RefCell, fmt::Write as _, io, os::unix::net::UnixListener, rc::Rc, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::{LocalSet, spawn_local},
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use tracing::{error, info, warn};

/// How often the log says what was refused, if anything was.
const REPORT_EVERY: Duration = Duration::from_mins(1);

/// How often ended leases are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Within this time after the gatekeeper has ended, it is known how.
const MOMENT: Duration = Duration::from_secs(2);

/// What all tasks of the warden share.
pub struct State {
    /// The configuration this process runs with.
    pub config: Rc<Config>,
    /// What is open.
    pub leases: RefCell<Leases>,
}

/// Runs until SIGTERM or SIGINT. Protected ports are closed before anything else happens, and stay closed, unless all
/// of it is on trial and not confirmed within `trial`.
pub fn run(config: Config, trial: Option<Duration>) -> anyhow::Result<()> {
    for warning in config.warnings() {
        warn!("{warning}");
    }
    let account = Account::find(&config.daemon.user)?;
    let instance = Instance::claim()?;
    let plan = config.firewall_plan();
    let serving = async {
        match trial {
            None => serve(config, account, &instance).await,
            Some(time) => on_trial(&plan, time, |_confirmation| serve(config, account, &instance)).await,
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, serving)
}

/// Closes the protected ports, as `run` does, and serves nobody.
pub fn up(config: &Config, trial: Option<Duration>) -> anyhow::Result<()> {
    for warning in config.warnings() {
        warn!("{warning}");
    }
    let _only = Instance::claim()?;
    let plan = config.firewall_plan();
    let Some(time) = trial else {
        Firewall::install(&plan)?;
        return Ok(());
    };
    let trying = on_trial(&plan, time, |confirmation| {
        let plan = plan.clone();
        async move {
            Firewall::install(&plan)?;
            Ok(confirmation.await?)
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(trying)
}

async fn serve(config: Config, account: Account, instance: &Instance) -> anyhow::Result<()> {
    let firewall = Firewall::install(&config.firewall_plan())?;
    let watch = firewall.watch()?;
    let known = remembered::take(&instance.remembered());
    let mut leases = Leases::take_over_known(firewall, &config, known)?;
    let sockets = Sockets::bind(&config)?;
    let kernel = load(&config, &mut leases)?;
    let knocks = match &kernel {
        Some(kernel) if config.gate.silent => Some(kernel.borrow().knocks()?),
        _ => None,
    };
    let gatekeeper = Rc::new(Gatekeeper::start(&config, account)?);
    // Whose group it is cannot be changed any more afterwards.
    let for_metrics = config.operator.metrics.as_ref();
    let for_metrics =
        for_metrics.map(|address| operator::listen_for_metrics(address, config.operator.metrics_group));
    let for_operators = operator::bind(&config.operator.socket, config.operator.group);
    sandbox::keep_the_wardens_privileges()?;

    let state = Rc::new(State {
        config: Rc::new(config),
        leases: RefCell::new(leases),
    });
    spawn_local(leases::serve_cuts(Rc::clone(&state)));
    spawn_local(healing::serve(Rc::clone(&state), watch));
    if let Some(kernel) = kernel.as_ref().filter(|_| state.config.gate.silent) {
        let unknown_before = (!kernel.borrow().remembers()).then(clock::monotonic);
        let kernel = Rc::clone(kernel);
        let mut change = move |change: &_| kernel.borrow_mut().change_tag(change);
        let table = silent::begin(&*state.config, unknown_before, &mut change);
        spawn_local(silent::renew(Rc::clone(&state.config), table, change));
    }
    spawn_local(sweep(Rc::clone(&state)));
    operators(kernel.as_ref(), &gatekeeper, &state, for_operators, for_metrics)?;
    let (ended, mut end) = oneshot::channel();
    spawn_local(listen(
        Rc::clone(&gatekeeper),
        Doer::new(Rc::clone(&state), kernel.clone()),
        ended,
    ));
    // Whoever waits for the line below may send a signal right after it.
    let signals = Signals::register()?;
    let configured = tokio::select! {
        why = &mut end => return Err(reason(why)),
        configured = gatekeeper.configure(&state.config, &sockets, knocks.as_ref()) => configured,
    };
    if let Err(error) = configured {
        // If it has ended, why says more than that it cannot be configured.
        return Err(timeout(MOMENT, end).await.map_or(error, reason));
    }
    info!("ready on port {}", state.config.gate.port);
    notify::ready(&format!("serving knocks on port {}", state.config.gate.port));
    until_stopped(kernel.as_deref(), &gatekeeper, signals, end).await?;
    remembered::leave(&instance.remembered(), &state.leases.borrow_mut().keys());
    Ok(())
}

/// Serves operators. That it cannot be done is no reason to leave the ports alone.
fn operators(
    kernel: Option<&Rc<RefCell<KernelGate>>>,
    gatekeeper: &Rc<Gatekeeper>,
    state: &Rc<State>,
    listener: anyhow::Result<UnixListener>,
    metrics: Option<anyhow::Result<operator::MetricsListener>>,
) -> anyhow::Result<()> {
    let probe = match kernel {
        Some(kernel) => operator::Probe::kernel(Rc::clone(kernel))?,
        None => operator::Probe::Gatekeeper(Rc::clone(gatekeeper)),
    };
    let desk = Rc::new(operator::Desk::new(Rc::clone(state), probe));
    spawn_local(Rc::clone(&desk).watch());
    match metrics {
        None => {}
        Some(Ok(listener)) => drop(spawn_local(operator::serve_metrics(listener, Rc::clone(&desk)))),
        Some(Err(error)) => error!("metrics cannot be served: {error:#}"),
    }
    match listener {
        Ok(listener) => {
            let group = state.config.operator.group;
            spawn_local(operator::serve(listener, group, desk));
        }
        Err(error) => error!("operators cannot be served: {error:#}"),
    }
    Ok(())
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
fn load(config: &Config, leases: &mut Leases) -> anyhow::Result<Option<Rc<RefCell<KernelGate>>>> {
    let mode = match config.gate.xdp {
        XdpMode::Off => {
            info!("xdp = \"off\": knocks are checked in userspace");
            xdp::forget(&config.gate.pin_directory)
                .with_context(|| format!("cannot clear {}", config.gate.pin_directory.display()))?;
            return Ok(None);
        }
        XdpMode::Auto => Mode::Auto,
        XdpMode::Native => Mode::Native,
        XdpMode::Generic => Mode::Generic,
    };
    let interfaces = Interfaces::listen(&config.gate.interfaces, mode)?;
    let plan = Plan {
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
            pin_directory: Some(config.gate.pin_directory.clone()),
        }),
        shield: shield_plan(config, leases),
    };
    let mut kernel = KernelGate::load(Object::embedded()?, &plan)?;
    if let Some(shield) = kernel.shield() {
        leases.stand_behind(shield)?;
        info!(
            "shield: who holds no lease begins nothing at {}",
            config.shielded_ports()
        );
    }
    if let Some(messages) = kernel.messages(log::logger())? {
        warn!("this XDP program was built for debugging: it logs every packet that it refuses");
        spawn_local(messages.follow());
    }
    for interface in &config.gate.interfaces {
        if forwarding::forwards(interface) && plan.shield.is_some() {
            warn!(
                "{interface} forwards packets, and the shield does not tell them apart: connections through this \
                 machine to port {} of others are dropped, too; shield = \"off\" leaves them alone",
                config.shielded_ports()
            );
        }
        interfaces::tell("attached", &kernel.attach(interface, mode)?);
    }
    let kernel = Rc::new(RefCell::new(kernel));
    spawn_local(interfaces.keep(Rc::clone(&kernel)));
    Ok(Some(kernel))
}

fn shield_plan(config: &Config, leases: &Leases) -> Option<ShieldPlan> {
    let rules = config.port_rules();
    (!rules.is_empty()).then(|| ShieldPlan {
        rules,
        leases: leases.most(),
    })
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
    kernel: Option<&RefCell<KernelGate>>,
    gatekeeper: &Gatekeeper,
    mut signals: Signals,
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
                warn!("a changed configuration takes a restart; leases live on through it");
                continue;
            }
            why = &mut ended => return Err(reason(why)),
            _ = signals.report.recv() => Some(true),
            _ = clock.tick() => Some(false),
        };
        // All goes on if it does in both processes.
        let counted = tokio::select! {
            why = &mut ended => return Err(reason(why)),
            counters = timeout(MOMENT, gatekeeper.counters()) => counters,
        };
        let Ok(counted) = counted else {
            warn!("the gatekeeper does not answer within {MOMENT:?}");
            continue;
        };
        let Some(asked) = asked else {
            notify::alive();
            continue;
        };
        let now = match kernel {
            Some(kernel) => kernel.borrow().counters()?,
            None => counted?,
        };
        if asked || now != reported {
            info!("{}", counters_line(&now));
            reported = now;
        }
    }
    notify::stopping();
    info!("stopping; protected ports stay closed and leases run on");
    Ok(())
}

fn report_clock() -> Interval {
    let mut clock = interval_at(Instant::now() + REPORT_EVERY, REPORT_EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

/// `counters genuine=2 auth=7`: how many control datagrams were let through, and why others were not.
fn counters_line(counters: &Counters) -> String {
    let mut line = format!("counters genuine={}", counters.genuine);
    for reason in Reason::ALL {
        let count = counters.of(*reason);
        if count > 0 {
            // Writing to a string does not fail.
            let _infallible = write!(line, " {}={count}", reason.name());
        }
    }
    line
}

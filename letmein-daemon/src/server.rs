//! Bringing the gate up, keeping it up, and taking it down.

use crate::{
    config::{Config, XdpMode},
    control::{limits::Connections, tcp, udp},
    exchange::Exchanges,
    firewall::Firewall,
    forwarding, healing,
    instance::Instance,
    interfaces::{self, Interfaces},
    leases::{self, Leases},
    notify, operator, remembered, silent,
    trial::on_trial,
    userspace_gate::UserspaceGate,
    xdp::{self, KernelGate, Mode, Object, Plan, ShieldPlan, SilentPlan},
};
use anyhow::Context as _;
use letmein_common::reason::{Counters, Reason};
use std::{cell::RefCell, fmt::Write as _, io, net::SocketAddr, rc::Rc, time::Duration};
use tokio::{
    net::{TcpListener, UdpSocket},
    signal::unix::{Signal, SignalKind, signal},
    task::{LocalSet, spawn_local},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use tracing::{error, info, warn};

/// How often the log says what was refused, if anything was.
const REPORT_EVERY: Duration = Duration::from_mins(1);

/// How often ended leases are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What every socket needs to serve a knock.
pub struct State {
    /// The configuration this process runs with.
    pub config: Config,
    /// What is open.
    pub leases: RefCell<Leases>,
}

/// Runs until SIGTERM or SIGINT. Protected ports are closed before anything else happens, and stay closed, unless all
/// of it is on trial and not confirmed within `trial`.
pub fn run(config: Config, trial: Option<Duration>) -> anyhow::Result<()> {
    for warning in config.warnings() {
        warn!("{warning}");
    }
    let instance = Instance::claim()?;
    let plan = config.firewall_plan();
    let serving = async {
        match trial {
            None => serve(config, &instance).await,
            Some(time) => on_trial(&plan, time, |_confirmation| serve(config, &instance)).await,
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

async fn serve(config: Config, instance: &Instance) -> anyhow::Result<()> {
    let firewall = Firewall::install(&config.firewall_plan())?;
    let watch = firewall.watch()?;
    let known = remembered::take(&instance.remembered());
    let mut leases = Leases::take_over_known(firewall, &config, known)?;
    let udp_sockets = if config.udp_socket() {
        bind_udp(&config)?
    } else {
        Vec::new()
    };
    let tcp_sockets = if config.gate.tcp {
        bind_tcp(&config)?
    } else {
        Vec::new()
    };
    let gate = Rc::new(gate(&config, &mut leases)?);
    let knocks = match &*gate {
        udp::Gate::Kernel(kernel) if config.gate.silent => Some(kernel.borrow_mut().knocks()?),
        _ => None,
    };

    let state = Rc::new(State {
        config,
        leases: RefCell::new(leases),
    });
    spawn_local(leases::serve_cuts(Rc::clone(&state)));
    spawn_local(healing::serve(Rc::clone(&state), watch));
    let settings = &state.config.gate;
    let exchanges = Rc::new(RefCell::new(Exchanges::new(settings.pending_challenges as usize)));
    if state.config.gate.silent {
        let remembers = matches!(&*gate, udp::Gate::Kernel(kernel) if kernel.borrow().remembers());
        let table = silent::begin(&state, &gate, remembers);
        spawn_local(silent::renew(Rc::clone(&state), Rc::clone(&gate), table));
    }
    spawn_local(sweep(Rc::clone(&state)));
    if let Some(knocks) = knocks {
        spawn_local(silent::serve(Rc::clone(&state), knocks));
    }
    for socket in udp_sockets {
        let server = udp::Server::new(socket, Rc::clone(&gate), Rc::clone(&exchanges), Rc::clone(&state));
        spawn_local(server.serve());
    }
    let connections = Connections::new(
        settings.max_connections,
        settings.max_connections_per_source,
        settings.prefixes,
    );
    let connections = Rc::new(RefCell::new(connections));
    for listener in tcp_sockets {
        spawn_local(tcp::serve(listener, Rc::clone(&connections), Rc::clone(&state)));
    }
    operators(&gate, &state)?;
    // Whoever waits for this line may send a signal right after it.
    let signals = Signals::register()?;
    info!("ready on port {}", settings.port);
    notify::ready(&format!("serving knocks on port {}", settings.port));
    until_stopped(&gate, signals).await?;
    remembered::leave(&instance.remembered(), &state.leases.borrow_mut().keys());
    Ok(())
}

/// Serves operators. That it cannot be done is no reason to leave the ports alone.
fn operators(gate: &Rc<udp::Gate>, state: &Rc<State>) -> anyhow::Result<()> {
    let settings = &state.config.operator;
    let (socket, group) = (&settings.socket, settings.group);
    let refused: Box<dyn FnMut() -> anyhow::Result<_>> = match &**gate {
        udp::Gate::Kernel(kernel) => {
            let mut refused = kernel.borrow_mut().refused()?;
            Box::new(move || Ok(refused.next_round()?))
        }
        udp::Gate::Userspace(gate) => {
            let gate = Rc::clone(gate);
            Box::new(move || Ok(gate.next_round()))
        }
    };
    let probe = operator::Probe {
        program: match &**gate {
            udp::Gate::Kernel(kernel) => Some(kernel.borrow().program_id()?),
            udp::Gate::Userspace(_) => None,
        },
        counters: {
            let gate = Rc::clone(gate);
            Box::new(move || counters(&gate))
        },
        refused: RefCell::new(refused),
    };
    let desk = Rc::new(operator::Desk::new(Rc::clone(state), probe));
    spawn_local(Rc::clone(&desk).watch());
    match operator::bind(socket, group) {
        Ok(listener) => drop(spawn_local(operator::serve(listener, group, desk))),
        Err(error) => error!("operators cannot be served: {error:#}"),
    }
    Ok(())
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

/// The checks in front of the UDP sockets: in the kernel, or here. In the kernel there is the shield in front of
/// everything else, too; it knows all leases before it sees a packet.
fn gate(config: &Config, leases: &mut Leases) -> anyhow::Result<udp::Gate> {
    let mode = match config.gate.xdp {
        XdpMode::Off => {
            info!("xdp = \"off\": knocks are checked in userspace");
            xdp::forget(&config.gate.pin_directory)
                .with_context(|| format!("cannot clear {}", config.gate.pin_directory.display()))?;
            return Ok(udp::Gate::Userspace(Rc::new(UserspaceGate::new(config))));
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
    Ok(udp::Gate::Kernel(kernel))
}

fn shield_plan(config: &Config, leases: &Leases) -> Option<ShieldPlan> {
    let rules = config.port_rules();
    (!rules.is_empty()).then(|| ShieldPlan {
        rules,
        leases: leases.most(),
    })
}

fn bind_udp(config: &Config) -> anyhow::Result<Vec<UdpSocket>> {
    listen_addresses(config)
        .map(|address| udp::bind(address).with_context(|| taken("udp", address)))
        .collect()
}

fn bind_tcp(config: &Config) -> anyhow::Result<Vec<TcpListener>> {
    listen_addresses(config)
        .map(|address| tcp::listen(address).with_context(|| taken("tcp", address)))
        .collect()
}

fn listen_addresses(config: &Config) -> impl Iterator<Item = SocketAddr> {
    config
        .gate
        .addresses
        .iter()
        .map(|address| SocketAddr::new(*address, config.gate.port))
}

fn taken(protocol: &str, address: SocketAddr) -> String {
    format!(
        "cannot listen on {protocol} {address}; is another program on that port (`ss -lnp`), or is the address \
         in gate.addresses not this machine's?"
    )
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
async fn until_stopped(gate: &udp::Gate, mut signals: Signals) -> anyhow::Result<()> {
    let mut clock = report_clock();
    let mut reported = Counters::default();
    let mut watchdog = notify::Watchdog::asked_for();
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => break,
            _ = signals.interrupt.recv() => break,
            _ = signals.hangup.recv() => warn!("a changed configuration takes a restart; leases live on through it"),
            () = watchdog.due() => notify::alive(),
            _ = signals.report.recv() => {
                reported = counters(gate)?;
                info!("{}", counters_line(&reported));
            }
            _ = clock.tick() => {
                let now = counters(gate)?;
                if now != reported {
                    info!("{}", counters_line(&now));
                    reported = now;
                }
            }
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

fn counters(gate: &udp::Gate) -> anyhow::Result<Counters> {
    Ok(match gate {
        udp::Gate::Kernel(kernel) => kernel.borrow().counters()?,
        udp::Gate::Userspace(gate) => gate.counters(),
    })
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

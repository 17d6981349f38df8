//! What the XDP program costs for each kind of packet, in nanoseconds, next to a program that only passes and to
//! the MAC computed by the `hmac` and `sha3` crates. `cargo xtask bench packet` runs it. Needs root.
//!
//! The kernel runs the program in a loop (`BPF_PROG_TEST_RUN`). All kinds take turns in every round, so that
//! whatever else this machine does hits all of them; medians over the rounds are compared, and nothing absolute.

mod cases;
mod cpus;
mod native;

use anyhow::{Context as _, bail, ensure};
use aya::{
    Ebpf,
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use cases::{Case, Cases, Counted};
use letmein_common::{
    bucket::Limit,
    reason::{Counters, Reason},
};
use letmein_daemon::{
    gatekeeper::ring::Knocks,
    xdp::{KernelGate, Object},
};
use letmein_tests::figures::{self, Figures};

const ROUNDS: u32 = 41;
const FORGED: &str = "forged_challenge_ns";
/// Runs in a row of a cheap packet, and of one that costs a MAC.
const CHEAP: u32 = 100_000;
const DEAR: u32 = 10_000;

fn main() -> anyhow::Result<()> {
    let bare = figures::object("bare.bpf.o")?;
    let mut bare = Ebpf::load(&bare)?;
    let bare: &mut Xdp = bare
        .program_mut("bare")
        .context("bare.bpf.o has no program")?
        .try_into()?;
    bare.load()?;

    let ours = figures::object("letmein.bpf.o")?;
    let mut cases = Cases::new();
    let mut gate = KernelGate::load(Object::new(&ours), &cases.plan())?;
    let (exchange, pending) = Cases::pending();
    gate.expect_response(&exchange, &pending)?;
    gate.change_tag(&cases.tag())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let ring = gate.knocks()?;
    let mut knocks = runtime.block_on(async { Knocks::new(ring.descriptor, ring.size as usize) })?;
    let (knock, replayed) = cases.replayed();
    run(gate.program()?, &knock, 1)?;
    let mut hot = cases.hot();
    hot.push(replayed);
    let mut shield = gate.shield().context("the gate has no shield")?;
    Cases::lease(&mut shield)?;
    for case in &hot {
        verify(&gate, case)?;
    }

    if std::env::args().any(|argument| argument == "--cpus") {
        return cpus::run(gate.program()?, &hot);
    }

    // One HMAC a second.
    let spent = KernelGate::load(Object::new(&ours), &cases.plan_with(Limit::new(1, 1)))?;
    let forged = hot.iter().find(|case| case.name == FORGED);
    let forged = forged.context("there is no forged knock")?;
    let mut figures = Figures::default();
    let rounds = if figures::quick() { 1 } else { ROUNDS };
    for _ in 0..rounds {
        figures.add("bare_ns", run(bare, &hot[0].frame, CHEAP)?.1);
        for case in &hot {
            let repeat = if case.is_dear() { DEAR } else { CHEAP };
            figures.add(case.name, run(gate.program()?, &case.frame, repeat)?.1);
        }
        figures.add("forged_over_budget_ns", over_budget(&spent, &forged.frame)?);
        // Each of these can be accepted only once, so they run one by one, and colder than the others.
        for knock in cases.knocks(50) {
            figures.add("genuine_knock_ns", run(gate.program()?, &knock, 1)?.1);
        }
        for knock in cases.silent_knocks(50) {
            figures.add("silent_genuine_ns", run(gate.program()?, &knock, 1)?.1);
        }
        // Or the ring buffer would overflow.
        runtime.block_on(knocks.ready(async |_: &_| ()))?;
        figures.add("native_hmac_ns", native::hmac(DEAR));
    }

    let bare = figures.median("bare_ns");
    let beyond = |name| format!("{name}: bare + {:.1} ns", figures.median(name) - bare);
    let ratio = figures.median(FORGED) / figures.median("native_hmac_ns");
    figures.print(&[
        beyond("other_traffic_ns"),
        beyond("other_tcp_ns"),
        beyond("other_syn_ns"),
        beyond("shield_drop_ns"),
        beyond("shield_lease_ns"),
        beyond("junk_ns"),
        beyond("unknown_user_ns"),
        beyond("forged_over_budget_ns"),
        beyond("silent_unknown_tag_ns"),
        beyond("silent_forged_ns"),
        beyond("silent_replay_ns"),
        format!("forged_challenge_ns: {ratio:.2} x native_hmac_ns"),
    ])
}

/// Runs the program on a frame. Returns its verdict and the nanoseconds for each run.
fn run(program: &Xdp, frame: &[u8], repeat: u32) -> anyhow::Result<(u32, f64)> {
    let result = program.test_run(TestRunOptions {
        data_in: Some(frame),
        repeat,
        ..TestRunOptions::default()
    })?;
    Ok((result.return_value, result.duration.as_secs_f64() * 1e9))
}

/// Nanoseconds for each forged knock while this CPU may compute no HMAC.
fn over_budget(gate: &KernelGate, frame: &[u8]) -> anyhow::Result<f64> {
    let refused = |counters: Counters| counters.of(Reason::Budget);
    // This CPU may have one left.
    run(gate.program()?, frame, 1)?;
    let before = refused(gate.counters()?);
    let (_, took) = run(gate.program()?, frame, CHEAP)?;
    let refused = refused(gate.counters()?) - before;
    // A second may have begun meanwhile, and the process may have moved to another CPU.
    ensure!(
        refused > u64::from(CHEAP) - 10,
        "only {refused} were over the budget"
    );
    Ok(took)
}

/// A case has to be what it is called: its verdict and its counter say so.
fn verify(gate: &KernelGate, case: &Case) -> anyhow::Result<()> {
    let mut expected = gate.counters()?;
    match case.counted {
        Counted::Nowhere => {}
        Counted::Genuine => expected.genuine += 1,
        Counted::Refused(reason) => expected.refuse(reason),
    }
    let (verdict, _) = run(gate.program()?, &case.frame, 1)?;
    let counters = gate.counters()?;
    if verdict != case.verdict || counters != expected {
        bail!(
            "{}: verdict {verdict}, {counters:?} instead of {expected:?}",
            case.name
        );
    }
    Ok(())
}

//! The steps of the demonstration.

use super::{
    counters::Counters,
    forge,
    interrupt::Interrupts,
    scan,
    screen::Screen,
    service,
    stage::{
        self, CLIENT, CONTROL_PORT, INTERFACES, PORT, SCANNER, SERVER_OF_CLIENT, SERVER_OF_SCANNER, Stage,
    },
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long a lease lasts here. In earnest it would be minutes or hours.
const LEASE: Duration = Duration::from_secs(6);

const OPEN: &str = "open";
const SILENT: &str = "no answer";
const CLIENT_CONNECTS: &str = "client connects to tcp/22";
const SCANNER_CONNECTS: &str = "scanner connects to tcp/22";

pub fn tell(stage: &mut Stage, screen: &mut Screen, interrupts: &Interrupts) -> anyhow::Result<()> {
    type Step = fn(&mut Stage, &mut Screen, &Interrupts) -> anyhow::Result<()>;
    const STEPS: [Step; 8] = [before, start, scan, forge, knock, lease_over, revoke, stop];
    introduce(screen)?;
    for step in STEPS {
        step(stage, screen, interrupts)?;
        interrupts.pause(Duration::ZERO)?;
    }
    Ok(())
}

fn introduce(screen: &mut Screen) -> anyhow::Result<()> {
    screen.note("\nThree hosts, each a network namespace; the packets between them are real.")?;
    screen.note(&format!(
        "   server   {SERVER_OF_CLIENT}, {SERVER_OF_SCANNER}   a service on tcp/{PORT}, and letmeind"
    ))?;
    screen.note(&format!("   client   {CLIENT}              has a key"))?;
    screen.note(&format!("   scanner  {SCANNER}              has none"))?;
    let hosts = stage::namespaces()?.len();
    anyhow::ensure!(
        hosts == 3,
        "three network namespaces were made, {hosts} are there"
    );
    Ok(())
}

fn before(stage: &mut Stage, screen: &mut Screen, _: &Interrupts) -> anyhow::Result<()> {
    screen.step("Without letmeind, the service is open to everybody")?;
    both_meet(stage, screen, OPEN)
}

fn start(stage: &mut Stage, screen: &mut Screen, _: &Interrupts) -> anyhow::Result<()> {
    screen.step("letmeind starts: its port is closed, to the client too")?;
    stage.start_letmeind(&format!("{}s", LEASE.as_secs()))?;
    let log = stage.log();
    for interface in INTERFACES {
        let attached = log.contains(&format!("attached to {interface}, native"));
        let seen = if attached {
            "in the driver (native)"
        } else {
            "not native"
        };
        screen.ensure(
            &format!("XDP program of {interface}"),
            seen,
            attached,
            "native XDP",
        )?;
    }
    both_meet(stage, screen, SILENT)
}

fn scan(stage: &mut Stage, screen: &mut Screen, _: &Interrupts) -> anyhow::Result<()> {
    let (first, last) = (scan::PORTS.start(), scan::PORTS.end());
    screen.step(&format!(
        "A scan of tcp/{first} to tcp/{last}, and junk to udp/{CONTROL_PORT}, the control port"
    ))?;
    let before = stage.letmeind()?.counters()?;
    let found = scan::tcp(&stage.lab.other)?;
    let after = stage.letmeind()?.counters()?;
    screen.ensure(
        "TCP ports",
        &format!(
            "{} without a service refuse, no answer from {:?}, open {:?}",
            found.refused.len(),
            found.silent,
            found.open
        ),
        scan::only_the_port_is_silent(&found),
        &format!("all refuse but {PORT}, which does not answer"),
    )?;
    let shielded = after.get("shield") - before.get("shield");
    screen.ensure(
        &format!("attempts at tcp/{PORT} dropped by XDP"),
        &shielded.to_string(),
        shielded > 0,
        "at least one",
    )?;
    screen.say(&format!(
        "(with `closed = \"reject\"`, {PORT} would refuse like all the others)"
    ))?;
    let scanner = &stage.lab.other;
    let unused = scan::UNUSED_PORT;
    screen.check(
        &format!("udp/{unused}, nothing listens there"),
        scan::udp(scanner, unused)?,
        "port unreachable",
    )?;
    screen.check(
        &format!("udp/{CONTROL_PORT}, letmeind listens there"),
        scan::udp(scanner, CONTROL_PORT)?,
        SILENT,
    )
}

fn forge(stage: &mut Stage, screen: &mut Screen, _: &Interrupts) -> anyhow::Result<()> {
    let (junk, strangers, guesses) = (forge::JUNK, forge::STRANGERS, forge::GUESSES);
    screen.step(&format!("{} forged knocks", junk + strangers + guesses))?;
    screen.say(&format!("{junk} of a wrong length"))?;
    screen.say(&format!("{strangers} of users that do not exist"))?;
    screen.say(&format!("{guesses} of the user that exists, with a wrong key"))?;
    let before = stage.letmeind()?.counters()?;
    let answers = forge::send(&stage.lab.other)?;
    let after = stage.letmeind()?.counters()?;
    screen.check("answers to the scanner", answers, 0)?;
    table(screen, &before, &after)?;
    let more = |name| after.get(name) - before.get(name);
    screen.check("dropped by XDP for their length", more("length"), junk.into())?;
    screen.check(
        "dropped for an unknown user",
        more("unknown-user"),
        strangers.into(),
    )?;
    let (rate, auth) = (more("rate-limit"), more("auth"));
    screen.ensure(
        "dropped with a wrong key",
        &format!("{auth} checked and wrong, {rate} unchecked for their rate"),
        auth > 0 && auth + rate == u64::from(guesses),
        &format!("{guesses} together, some of them checked"),
    )?;
    screen.check("let through to letmeind", more("genuine"), 0)
}

fn knock(stage: &mut Stage, screen: &mut Screen, _: &Interrupts) -> anyhow::Result<()> {
    screen.step("The client knocks: open, for its own address only")?;
    let before = stage.letmeind()?.counters()?;
    letmein(stage, screen, "knock")?;
    let server = SocketAddr::from((SERVER_OF_CLIENT, PORT));
    screen.check(
        "client connects and reads",
        service::greeting(&stage.lab.client, server)?.as_str(),
        service::GREETING,
    )?;
    screen.check(SCANNER_CONNECTS, stage.scanner_meets()?, SILENT)?;
    let after = stage.letmeind()?.counters()?;
    // The KNOCK and the RESPONSE; more, if one was sent again.
    let genuine = after.get("genuine") - before.get("genuine");
    screen.ensure(
        "let through by XDP",
        &format!("{genuine} datagrams"),
        genuine >= 2,
        "a KNOCK and a RESPONSE",
    )
}

fn lease_over(stage: &mut Stage, screen: &mut Screen, interrupts: &Interrupts) -> anyhow::Result<()> {
    screen.step(&format!("The lease ends by itself, after {} s", LEASE.as_secs()))?;
    letmein(stage, screen, "knock")?;
    let begun = Instant::now();
    let leases = stage.leases()?;
    let key = format!("{CLIENT} . tcp . {PORT} ");
    screen.ensure(
        "in nftables",
        &leases.join(", "),
        leases.len() == 1 && leases.iter().all(|lease| lease.starts_with(&key)),
        &format!("one lease, {key}"),
    )?;
    for (part, expected) in [(0.7, OPEN), (1.05, SILENT)] {
        interrupts.pause(LEASE.mul_f64(part).saturating_sub(begun.elapsed()))?;
        let seconds = begun.elapsed().as_secs_f64();
        screen.check(
            &format!("{CLIENT_CONNECTS} after {seconds:.1} s"),
            stage.client_meets()?,
            expected,
        )?;
    }
    screen.check("leases left in nftables", stage.leases()?.len(), 0)
}

fn revoke(stage: &mut Stage, screen: &mut Screen, _: &Interrupts) -> anyhow::Result<()> {
    screen.step("Knock and revoke: closed at once")?;
    letmein(stage, screen, "knock")?;
    screen.check(CLIENT_CONNECTS, stage.client_meets()?, OPEN)?;
    letmein(stage, screen, "revoke")?;
    screen.check(CLIENT_CONNECTS, stage.client_meets()?, SILENT)
}

fn stop(stage: &mut Stage, screen: &mut Screen, _: &Interrupts) -> anyhow::Result<()> {
    screen.step("letmeind is stopped by SIGTERM: the port stays closed")?;
    if let Some(letmeind) = stage.letmeind.take() {
        let status = letmeind.stop()?;
        screen.ensure(
            "letmeind",
            &format!("ended, {status}"),
            status.success(),
            "exit status: 0",
        )?;
    }
    both_meet(stage, screen, SILENT)
}

fn both_meet(stage: &Stage, screen: &mut Screen, expected: &str) -> anyhow::Result<()> {
    screen.check(CLIENT_CONNECTS, stage.client_meets()?, expected)?;
    screen.check(SCANNER_CONNECTS, stage.scanner_meets()?, expected)
}

/// Runs the client and shows what it says.
fn letmein(stage: &Stage, screen: &mut Screen, verb: &str) -> anyhow::Result<()> {
    let output = stage.letmein(verb).output()?;
    let said = [output.stdout, output.stderr].concat();
    screen.ensure(
        &format!("letmein {verb} gate ssh"),
        String::from_utf8_lossy(&said).trim(),
        output.status.success(),
        "success",
    )
}

fn table(screen: &mut Screen, before: &Counters, after: &Counters) -> anyhow::Result<()> {
    screen.say(&format!("{:<14}{:>7}{:>7}", "counter", "before", "after"))?;
    after.names().try_for_each(|name| {
        screen.say(&format!(
            "{name:<14}{:>7}{:>7}",
            before.get(name),
            after.get(name)
        ))
    })
}

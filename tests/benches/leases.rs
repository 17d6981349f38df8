//! What a lease costs while nobody else has one, and while a million are open: the daemon's own code against the
//! kernel.
//! `cargo xtask bench leases` runs it. Needs root.
//!
//! Microseconds of opening and closing one port; seconds until a daemon serves that finds a million leases, and until
//! they are back after a flush; MiB of the kernel and of the daemon.

use anyhow::{Context as _, bail, ensure};
use letmein_common::{ResourceId, UserId};
use letmein_daemon::{
    config::Config,
    firewall::{Firewall, Lease, LeaseKey, Protocol},
    instance::Instance,
    leases::{Leases, Opener},
    remembered,
};
use letmein_tests::{
    figures::{self, Figures},
    gate::{Gate, configuration},
    lab::{Host, Lab},
};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A hundred times fewer in a smoke run.
fn million() -> u32 {
    if figures::quick() { 10_000 } else { 1_000_000 }
}

const HOUR: Duration = Duration::from_hours(1);
const ROUNDS: u32 = 5000;
/// The kernel looks for what has expired once a second.
const SEVERAL_COLLECTIONS: Duration = Duration::from_secs(5);
const LIMITS: &str = "max-leases = 1200000";

fn main() -> anyhow::Result<()> {
    let lab = Lab::new()?;
    let mut figures = Figures::default();
    lab.server.enter(|| in_process(&mut figures))??;
    daemon(&lab.server, &mut figures)?;
    let ratio = figures.median("open_us_million") / figures.median("open_us_empty");
    figures.print(&[format!("open_us_million: {ratio:.2} x open_us_empty")])
}

fn in_process(figures: &mut Figures) -> anyhow::Result<()> {
    let folder = TempDir::new()?;
    let config = config(&folder)?;
    let mut leases = Leases::take_over(Firewall::install(&config.firewall_plan())?, &config)?;
    for number in 0..ROUNDS {
        let address = address(2 * million() + number);
        figures.add("open_us_empty", open(&config, &mut leases, address)?);
        close(&config, &mut leases, address)?;
    }
    drop(leases);

    let before = kernel_mib()?;
    let mut firewall = Firewall::install(&config.firewall_plan())?;
    fill(&mut firewall)?;
    figures.add("kernel_mib", kernel_mib()? - before);
    let keys = (0..million()).map(lease).map(|lease| lease.key).collect();
    let mut leases = Leases::take_over_known(firewall, &config, Some(keys))?;
    let begun = Instant::now();
    let mut samples = Vec::new();
    while begun.elapsed() < SEVERAL_COLLECTIONS {
        for _ in 0..ROUNDS / 10 {
            let address = address(3 * million() + u32::try_from(samples.len())? % ROUNDS);
            samples.push(open(&config, &mut leases, address)?);
            figures.add("close_us", close(&config, &mut leases, address)?);
        }
    }
    for sample in &samples {
        figures.add("open_us_million", *sample);
    }
    samples.sort_by(f64::total_cmp);
    let p99 = samples.get(samples.len() * 99 / 100).context("no samples")?;
    figures.add("open_p99_us_million", *p99);
    // As a daemon does that is stopped.
    let instance = Instance::claim()?;
    remembered::leave(&instance.remembered(), &leases.keys());
    Ok(())
}

/// A daemon on the host where a million leases are open.
fn daemon(host: &Host, figures: &mut Figures) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut gate = Gate::start_with(host, &configuration("xdp = \"off\"", LIMITS, "1h"))?;
    figures.add("rebuild_s", begun.elapsed().as_secs_f64());
    figures.add("daemon_rss_mib", rss_mib(gate.pid().as_raw())?);
    let begun = Instant::now();
    host.run("nft", &["flush ruleset"])?;
    figures.add("flush_s", begun.elapsed().as_secs_f64());
    let line = gate.wait_for("leases are put back")?;
    figures.add("heal_s", begun.elapsed().as_secs_f64());
    let expected = format!("rules and {} leases", million());
    ensure!(line.contains(&expected), "{line}");
    Ok(())
}

fn config(folder: &TempDir) -> anyhow::Result<Config> {
    let file = folder.path().join("letmeind.toml");
    let key = folder.path().join("alice.key");
    fs::write(&key, "5a".repeat(32))?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    fs::write(&file, configuration("xdp = \"off\"", LIMITS, "1h"))?;
    Ok(Config::load(&file)?)
}

fn fill(firewall: &mut Firewall) -> anyhow::Result<()> {
    let numbers: Vec<_> = (0..million()).collect();
    for numbers in numbers.chunks(4096) {
        let leases: Vec<_> = numbers.iter().map(|number| lease(*number)).collect();
        firewall.restore(&leases)?;
    }
    Ok(())
}

fn lease(number: u32) -> Lease {
    let key = LeaseKey::new(address(number), Protocol::Tcp, 22);
    Lease::of(key, HOUR, Opener::User(UserId(1)))
}

/// Microseconds.
fn open(config: &Config, leases: &mut Leases, address: IpAddr) -> anyhow::Result<f64> {
    let (Some(user), Some(resource)) = (config.user(UserId(1)), config.resource(ResourceId(1))) else {
        bail!("the configuration has no user or no resource");
    };
    let begun = Instant::now();
    leases.open(user, resource, address, HOUR)?;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}

/// Microseconds.
fn close(config: &Config, leases: &mut Leases, address: IpAddr) -> anyhow::Result<f64> {
    let (Some(user), Some(resource)) = (config.user(UserId(1)), config.resource(ResourceId(1))) else {
        bail!("the configuration has no user or no resource");
    };
    let begun = Instant::now();
    leases.close(user, resource, address)?;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0A00_0000 + number).into()
}

/// What the kernel has taken for itself, the slabs of elements and the hash tables among it.
fn kernel_mib() -> anyhow::Result<f64> {
    let file = fs::read_to_string("/proc/meminfo")?;
    Ok(kib(&file, "Slab:")? + kib(&file, "VmallocUsed:")?)
}

fn rss_mib(pid: i32) -> anyhow::Result<f64> {
    kib(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:")
}

/// A line such as `Slab: 1024 kB`, in MiB.
fn kib(file: &str, name: &str) -> anyhow::Result<f64> {
    let line = file.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = number.with_context(|| format!("there is no {name}"))?.parse()?;
    Ok(kib / 1024.0)
}

//! Rules on trial: they are put back to what they were unless somebody says in time that all is well.
//!
//! Who closes ports on a far machine may close the one that they came through. Open connections go on, so all seems well
//! until the next one. Then nobody is there to undo it; so it is undone by itself, also when the terminal is gone.

use crate::{
    config::{Config, duration},
    firewall::Snapshot,
    instance, xdp,
};
use anyhow::{Context as _, anyhow, bail};
use std::{fs, io, io::Read as _, ops::RangeInclusive, os::unix::net::UnixStream, thread, time::Duration};
use tokio::{
    io::AsyncWriteExt as _,
    net::UnixListener,
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::{Instant, sleep_until},
};
use tracing::{error, info, warn};

/// How long a trial may take.
const ALLOWED: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
/// What who confirms is told.
const CONFIRMED: &[u8] = b"confirmed\n";
/// How often, and with which pauses, the earlier rules are put back if that fails.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// Reads what `--confirm` is given.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    duration::parse(text, &ALLOWED)
}

/// What there is before a trial.
pub struct Before {
    firewall: Snapshot,
    program: xdp::Before,
}

impl Before {
    /// Takes note of it, as far as this configuration will change it.
    pub fn of(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            firewall: Snapshot::take(&config.firewall_plan())?,
            program: xdp::Before::take(&config.gate.pin_directory)?,
        })
    }

    fn restore(&self) -> anyhow::Result<()> {
        self.firewall.restore()?;
        Ok(self.program.restore()?)
    }
}

/// Does `work`, which changes the firewall, for as long as it takes. If it ends before `letmeind confirm`, or
/// if that does not come within `time`, everything is as before, and that is an error.
///
/// `work` gets to know of the confirmation. Needs the claim to this network namespace.
pub async fn on_trial<Work>(
    before: Before,
    time: Duration,
    work: impl FnOnce(oneshot::Receiver<()>) -> Work,
) -> anyhow::Result<()>
where
    Work: Future<Output = anyhow::Result<()>>,
{
    let mut signals = Signals::register()?;
    let door = Door::open()?;
    let deadline = Instant::now() + time;
    let (confirmed, confirmation) = oneshot::channel();
    warn!("on trial: in {time:?} everything is put back, unless `letmeind confirm` is run here before");

    let mut work = Box::pin(work(confirmation));
    let why = select! {
        ended = &mut work => ended.err().unwrap_or_else(|| anyhow!("ended before it was confirmed")),
        () = door.confirmed() => {
            info!("confirmed");
            // Whoever has no use for it has dropped the other end.
            let _unheard = confirmed.send(());
            drop(door);
            return work.await;
        }
        () = sleep_until(deadline) => anyhow!("not confirmed within {time:?}"),
        signal = signals.end() => anyhow!("{signal} before it was confirmed"),
    };
    drop(work);
    put_back(&before).with_context(|| format!("{why:#}"))?;
    Err(why.context("everything was put back"))
}

#[expect(clippy::disallowed_methods, reason = "the gate has ended by then")]
fn put_back(before: &Before) -> anyhow::Result<()> {
    for _ in 1..ATTEMPTS {
        match before.restore() {
            Ok(()) => return Ok(()),
            Err(error) => error!("{error:#}; once more"),
        }
        thread::sleep(PAUSE);
    }
    before
        .restore()
        .context("the earlier rules could not be put back; `letmeind down` opens the ports")
}

/// Says to the trial that runs in this network namespace that all is well.
pub fn confirm() -> anyhow::Result<()> {
    let path = instance::confirmation()?;
    let mut stream = match UnixStream::connect(&path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            bail!("nothing waits to be confirmed: it was confirmed already, or everything was put back")
        }
        outcome => outcome.with_context(|| format!("cannot reach {}; run as root", path.display()))?,
    };
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    if answer == CONFIRMED {
        Ok(())
    } else {
        bail!("too late: everything is being put back")
    }
}

/// Where `letmeind confirm` comes to.
struct Door(UnixListener);

impl Door {
    fn open() -> anyhow::Result<Self> {
        let path = instance::confirmation()?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
        let listener =
            UnixListener::bind(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(listener))
    }

    /// Somebody has come. Only root gets there.
    async fn confirmed(&self) {
        loop {
            match self.0.accept().await {
                Ok((mut stream, _)) => {
                    // If whoever came has gone already, it was meant all the same.
                    let _unread = stream.write_all(CONFIRMED).await;
                    return;
                }
                Err(error) => {
                    warn!("cannot take a confirmation: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Ok(path) = instance::confirmation() {
            let _gone = fs::remove_file(path);
        }
    }
}

/// What would end this process before it has put anything back.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    stop: Signal,
}

impl Signals {
    fn register() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))?,
        })
    }

    /// One that asks for an end. A terminal that is gone, or Ctrl-Z, does not: there may be another way in.
    async fn end(&mut self) -> &'static str {
        loop {
            select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.quit.recv() => return "SIGQUIT",
                _ = self.hangup.recv() => warn!("the terminal is gone; still waiting for `letmeind confirm`"),
                _ = self.stop.recv() => warn!("waiting in the foreground; Ctrl-C puts everything back at once"),
            }
        }
    }
}

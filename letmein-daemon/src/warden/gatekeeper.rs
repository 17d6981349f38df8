//! The gatekeeper, as the warden sees it: starting it, handing it what it works with, hearing its requests, and ending
//! with it.

use super::{requests::Doer, sockets::Sockets};
use crate::{
    channel::{self, Channel},
    config::Config,
    gatekeeper::policy,
    requests::{FromGatekeeper, LONGEST, ToGatekeeper},
    sandbox::Account,
    silent::tags::Clock,
    xdp::RingBuffer,
};
use anyhow::{Context as _, anyhow};
use letmein_common::{reason::Counters, sample::Refused};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fs::File,
    io,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::{
            fs::FileExt as _,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// This very program, even if another one lies at its place by now.
const SELF: &str = "/proc/self/exe";
/// The command of this program that makes a process the gatekeeper.
pub const COMMAND: &str = "gatekeeper";
/// How long it may take to end when it has been left alone.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);

/// The running process. It ends when this is dropped.
pub struct Gatekeeper {
    child: RefCell<Child>,
    channel: Channel,
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, oneshot::Sender<FromGatekeeper>>>,
    /// The clocks' offset that it knows.
    told: Cell<Option<i64>>,
}

/// Why there is nothing more to hear.
enum Silence {
    /// The other end is closed.
    Ended,
    /// What came is no message: whoever has sent it is not the gatekeeper that we know.
    Garbage,
    /// The kernel gives no more.
    Failed(io::Error),
}

impl Gatekeeper {
    /// Starts it. Needs a runtime, and the privilege to become another user.
    pub fn start(config: &Config, account: Account) -> anyhow::Result<Self> {
        let (ours, theirs) = channel::pair()?;
        let child = Command::new(SELF)
            .arg0("letmeind")
            .arg(COMMAND)
            .args(["--user", &account.user.to_string()])
            .args(["--group", &account.group.to_string()])
            .args(["--seccomp", config.daemon.seccomp.name()])
            .args(["--log-format", config.daemon.log_format.name()])
            .env_clear()
            // What a terminal sends (Ctrl-C) is for us.
            .process_group(0)
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start the gatekeeper")?;
        Self::with(child, ours)
    }

    /// A process that has the other end of this channel, whatever it is. Needs a runtime.
    pub fn with(child: Child, ours: OwnedFd) -> anyhow::Result<Self> {
        Ok(Self {
            child: RefCell::new(child),
            channel: Channel::new(ours)?,
            next: Cell::new(1),
            waiting: RefCell::default(),
            told: Cell::default(),
        })
    }

    /// Hands it this configuration and these descriptors, and waits until it has understood them. It works by them when
    /// they are [applied](Self::apply).
    ///
    /// Somebody has to [listen](Self::listen) meanwhile.
    pub async fn prepare(
        &self,
        config: &Config,
        sockets: &Sockets,
        knocks: Option<&RingBuffer>,
    ) -> anyhow::Result<()> {
        let doing = "cannot configure the gatekeeper";
        let policy = policy::encode(config);
        let memory = File::from(memfd_create(c"policy", MFdFlags::MFD_CLOEXEC).context(doing)?);
        memory.write_all_at(&policy, 0).context(doing)?;
        let sent = async {
            self.tell_time(Clock::now()).await;
            self.hand(ToGatekeeper::Policy(policy.len() as u64), memory.as_fd())
                .await?;
            for (_, socket) in &sockets.udp {
                self.hand(ToGatekeeper::Udp, socket.as_fd()).await?;
            }
            for (_, socket) in &sockets.tcp {
                self.hand(ToGatekeeper::Tcp, socket.as_fd()).await?;
            }
            if let Some(ring) = knocks {
                self.hand(ToGatekeeper::Ring(ring.size.into()), ring.descriptor.as_fd())
                    .await?;
            }
            self.ask(ToGatekeeper::Prepare).await
        };
        let outcome = sent.await;
        // It has read the keys, or never will.
        memory.write_all_at(&vec![0; policy.len()], 0).context(doing)?;
        confirmed(&outcome.context(doing)?)
    }

    /// Has it work by what it was handed last, and by nothing else. Exchanges that it has begun go on.
    ///
    /// Somebody has to [listen](Self::listen) meanwhile.
    pub async fn apply(&self) -> anyhow::Result<()> {
        let outcome = self.ask(ToGatekeeper::Apply).await;
        confirmed(&outcome.context("the gatekeeper does not change over")?)
    }

    /// Has it forget what it was handed and does not work by.
    ///
    /// Somebody has to [listen](Self::listen) meanwhile.
    pub async fn discard(&self) -> anyhow::Result<()> {
        let outcome = self.ask(ToGatekeeper::Discard).await;
        confirmed(&outcome.context("the gatekeeper does not forget the refused configuration")?)
    }

    /// Tells it what time it is, if that is something else than it was told. By this time it looks at the tags of silent
    /// knocks, so it has to know it before the XDP program takes tags of another.
    pub async fn tell_time(&self, now: Clock) {
        /// How far the clocks may drift apart until it is told: far less than matters.
        const DRIFT: u64 = 100_000_000;
        let offset = offset(now);
        if self.told.get().is_none_or(|told| told.abs_diff(offset) > DRIFT) {
            // If that fails the gatekeeper has ended, which is told elsewhere.
            let _failed = self.channel.send(&ToGatekeeper::Clock(offset).to_bytes()).await;
            self.told.set(Some(offset));
        }
    }

    /// What it has counted. Somebody has to [listen](Self::listen) meanwhile.
    pub async fn counters(&self) -> anyhow::Result<Counters> {
        match self.ask(ToGatekeeper::Count).await? {
            FromGatekeeper::Counters(_, counters) => Ok(counters),
            _ => Err(anyhow!("the gatekeeper does not tell its counters")),
        }
    }

    /// Some of what it has refused since it was asked last. Somebody has to [listen](Self::listen) meanwhile.
    pub async fn refused(&self) -> anyhow::Result<Vec<Refused>> {
        match self.ask(ToGatekeeper::Sample).await? {
            FromGatekeeper::Refused(_, refused) => Ok(refused),
            _ => Err(anyhow!("the gatekeeper does not tell what it refuses")),
        }
    }

    /// Does what it asks for, until it has ended: then this one has to end, too. Tells why.
    pub async fn listen(&self, mut doer: Doer) -> anyhow::Error {
        let silence = loop {
            let mut buffer = [0; LONGEST];
            let length = match self.channel.receive_bytes(&mut buffer).await {
                Ok(0) => break Silence::Ended,
                Ok(length) => length,
                Err(error) => break Silence::Failed(error),
            };
            match FromGatekeeper::parse(buffer.get(..length).unwrap_or_default()) {
                Err(_) => break Silence::Garbage,
                Ok(FromGatekeeper::Request(request)) => {
                    let outcome = doer.act(&request.action);
                    let answer = ToGatekeeper::Outcome(request.number, outcome);
                    if let Err(error) = self.channel.send(&answer.to_bytes()).await {
                        break Silence::Failed(error);
                    }
                }
                Ok(FromGatekeeper::Configured(number)) => {
                    self.settle(number, FromGatekeeper::Configured(number));
                }
                Ok(FromGatekeeper::Counters(number, counters)) => {
                    self.settle(number, FromGatekeeper::Counters(number, counters));
                }
                Ok(FromGatekeeper::Refused(number, refused)) => {
                    self.settle(number, FromGatekeeper::Refused(number, refused));
                }
            }
        };
        self.explain(silence)
    }

    async fn hand(&self, message: ToGatekeeper, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.channel
            .send_with(&message.to_bytes(), Some(descriptor))
            .await
    }

    async fn ask(&self, question: impl FnOnce(u64) -> ToGatekeeper) -> io::Result<FromGatekeeper> {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let (settle, settled) = oneshot::channel();
        self.waiting.borrow_mut().insert(number, settle);
        self.channel.send(&question(number).to_bytes()).await?;
        settled.await.map_err(io::Error::other)
    }

    fn settle(&self, number: u64, answer: FromGatekeeper) {
        if let Some(settle) = self.waiting.borrow_mut().remove(&number) {
            // Who asked may have given up meanwhile.
            let _unheard = settle.send(answer);
        }
    }

    fn explain(&self, silence: Silence) -> anyhow::Error {
        match silence {
            Silence::Ended => match self.wait(PATIENCE) {
                Ok(Some(status)) => anyhow!("the gatekeeper has ended: {}", ending(status)),
                Ok(None) => anyhow!("the gatekeeper has closed its connection, though it runs: it is killed"),
                Err(error) => anyhow!("the gatekeeper has ended: {error}"),
            },
            Silence::Garbage => anyhow!(
                "the gatekeeper has sent what is no request: it is killed, as somebody may have taken it over"
            ),
            Silence::Failed(error) => {
                anyhow!("the gatekeeper cannot be heard any more, and is killed: {error}")
            }
        }
    }

    /// How it has ended, if it does so in time.
    #[expect(
        clippy::disallowed_methods,
        reason = "without a gatekeeper nobody is served, and the warden is about to end"
    )]
    fn wait(&self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.child.borrow_mut().try_wait()?;
            if status.is_some() || Instant::now() >= deadline {
                return Ok(status);
            }
            sleep(PAUSE);
        }
    }
}

impl Drop for Gatekeeper {
    /// Its sockets are free afterwards.
    fn drop(&mut self) {
        // One that works as it should would end by itself as soon as we are gone; and it has nothing to put in order.
        let child = self.child.get_mut();
        let _ended = child.kill();
        let _reaped = child.wait();
    }
}

fn confirmed(answer: &FromGatekeeper) -> anyhow::Result<()> {
    match answer {
        FromGatekeeper::Configured(_) => Ok(()),
        _ => Err(anyhow!("the gatekeeper answers something else")),
    }
}

/// What has to be added to the monotonic clock, in nanoseconds, to get the time of day.
fn offset(now: Clock) -> i64 {
    i64::try_from(now.offset()).unwrap_or_default()
}

fn ending(status: ExitStatus) -> String {
    match status.signal() {
        Some(libc::SIGSYS) => "it was killed (SIGSYS), because it made a system call that its sandbox does not allow. \
                               Either letmeind lacks one in its list (seccomp = \"log\" in section [daemon] does \
                               without killing, and the kernel's log names the call), or somebody had taken it over"
            .to_owned(),
        Some(_) | None => status.to_string(),
    }
}

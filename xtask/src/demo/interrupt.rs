//! Ctrl-C, SIGTERM and a closed terminal, received in order instead of ending the process on the spot.

use anyhow::bail;
use std::{
    cell::Cell,
    io::{self, IsTerminal as _},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Where signals arrive.
pub struct Interrupts {
    events: Receiver<Event>,
    sender: Sender<Event>,
    seen: Cell<bool>,
}

enum Event {
    Signal,
    Enter,
}

impl Interrupts {
    /// From now on signals are received here.
    pub fn catch() -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        drop(entered);
        let (sender, events) = channel();
        let of_signals = sender.clone();
        thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                    if of_signals.send(Event::Signal).is_err() {
                        break;
                    }
                }
            });
        });
        Ok(Self {
            events,
            sender,
            seen: Cell::new(false),
        })
    }

    /// Whether a signal has been received.
    pub fn seen(&self) -> bool {
        self.seen.get() || self.pause(Duration::ZERO).is_err()
    }

    /// Waits. Fails at once when a signal arrives, or has arrived before.
    pub fn pause(&self, time: Duration) -> anyhow::Result<()> {
        if !self.seen.get() {
            match self.events.recv_timeout(time) {
                Err(RecvTimeoutError::Timeout) | Ok(Event::Enter) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) | Ok(Event::Signal) => self.seen.set(true),
            }
        }
        bail!("interrupted")
    }

    /// Waits for a signal, or for Enter where somebody sits at a terminal.
    pub fn wait(&self) {
        if self.seen.get() {
            return;
        }
        if io::stdin().is_terminal() {
            let sender = self.sender.clone();
            thread::spawn(move || {
                let mut line = String::new();
                if io::stdin().read_line(&mut line).is_ok() {
                    // Nobody listens any more when a signal was faster.
                    let _unheard = sender.send(Event::Enter);
                }
            });
        }
        if !matches!(self.events.recv(), Ok(Event::Enter)) {
            self.seen.set(true);
        }
    }
}

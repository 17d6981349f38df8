//! The terminal: taken over for as long as it is shown, and given back however that ends.

use super::{ask, past::Past, view};
use crate::operator::client::Client;
use anyhow::ensure;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    flag,
};
use std::{
    env,
    io::{self, IsTerminal as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Between two looks.
const TICK: Duration = Duration::from_secs(1);
/// How soon a signal is noticed.
const GLANCE: Duration = Duration::from_millis(200);

/// Shows the screen until `q` is pressed.
pub fn run(socket: &Path) -> anyhow::Result<()> {
    ensure!(
        io::stdout().is_terminal() && io::stdin().is_terminal(),
        "top needs a terminal; `letmeind status --json` is for programs"
    );
    let mut client = Client::connect(socket)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        flag::register(signal, Arc::clone(&stop))?;
    }
    // Also before a panic is told.
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, &mut client, &stop);
    ratatui::restore();
    shown
}

fn show(terminal: &mut DefaultTerminal, client: &mut Client, stop: &AtomicBool) -> anyhow::Result<()> {
    // https://no-color.org
    let colour = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut past = Past::default();
    loop {
        let next = Instant::now() + TICK;
        let top = ask(client)?;
        past.note(&top.status);
        terminal.draw(|frame| view::draw(frame, &top, &past, colour))?;
        while Instant::now() < next {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            match wait(next.saturating_duration_since(Instant::now()).min(GLANCE))? {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
                    match key.code {
                        KeyCode::Char('q' | 'Q') | KeyCode::Esc => return Ok(()),
                        KeyCode::Char('c') if with_control => return Ok(()),
                        _ => {}
                    }
                }
                Some(Event::Resize(..)) => {
                    terminal.draw(|frame| view::draw(frame, &top, &past, colour))?;
                }
                _ => {}
            }
        }
    }
}

/// Waits for a key, or a change of size.
fn wait(time: Duration) -> io::Result<Option<Event>> {
    match event::poll(time) {
        Ok(true) => event::read().map(Some),
        Ok(false) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

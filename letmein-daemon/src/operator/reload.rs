//! `letmeind reload`: has the letmeind that runs read its configuration again, and tells what came of it.

use super::{
    Desk,
    client::{Client, unexpected},
    format::number,
    protocol::{Answer, Reloaded, Request},
};
use anyhow::Context as _;
use std::{path::Path, time::Duration};
use tokio::sync::{mpsc, oneshot};
use tracing::info;

/// How long it may take: the kernel verifies the XDP program, and gets to know a million leases.
const PATIENCE: Duration = Duration::from_mins(5);
/// How many operators may wait for the one reload that is made at a time.
const WAITING: usize = 8;

/// Who waits to be told what came of it.
pub type Asked = oneshot::Sender<anyhow::Result<Reloaded>>;

/// Where operators ask for a reload, and where the daemon hears of it between two requests, as of SIGHUP.
#[must_use]
pub fn channel() -> (mpsc::Sender<Asked>, mpsc::Receiver<Asked>) {
    mpsc::channel(WAITING)
}

pub(super) async fn answer(desk: &Desk, operator: u32) -> anyhow::Result<Answer> {
    info!(
        event = "reload-asked",
        operator, "operator (uid {operator}) asks for a reload"
    );
    let ending = "letmeind is about to end";
    let (tell, told) = oneshot::channel();
    desk.reloads.send(tell).await.context(ending)?;
    told.await.context(ending)?.map(Answer::Reloaded)
}

/// Asks for it, and waits until it is done.
pub fn ask(socket: &Path) -> anyhow::Result<Reloaded> {
    let mut client = Client::connect(socket)?;
    client.be_patient(PATIENCE)?;
    match client.ask(&Request::Reload {})? {
        Answer::Reloaded(reloaded) => Ok(reloaded),
        other => unexpected(&other),
    }
}

/// The command.
pub fn run(socket: &Path) -> anyhow::Result<()> {
    let reloaded = ask(socket)?;
    for warning in &reloaded.warnings {
        eprintln!("letmeind: warning: {warning}");
    }
    println!("{}", text(&reloaded));
    Ok(())
}

/// What is told of it in a line.
#[must_use]
pub fn text(reloaded: &Reloaded) -> String {
    format!(
        "reloaded {}: {}, {}",
        reloaded.file.display(),
        number(reloaded.users, "user", "users"),
        number(reloaded.resources, "resource", "resources")
    )
}

//! `letmeind top`: a screen that shows what happens, second by second.

mod past;
mod screen;
mod view;

use super::{
    Desk,
    client::{Client, unexpected},
    leases::shown,
    protocol::{Answer, Count, Event, PAGE, Request, Source, Top},
    status::status,
};
use crate::clock;
pub use screen::run;

/// More than fit on a screen of any sensible height.
const SOURCES: usize = 64;

pub(super) async fn answer(desk: &Desk) -> anyhow::Result<Answer> {
    let status = status(desk).await?;
    let config = &*desk.state.config();
    let leases = desk.state.leases.borrow();
    let now = clock::monotonic();
    let page = leases.page(None, PAGE.min(SOURCES));
    let events = leases.recent().map(|event| Event {
        seconds_ago: event.age().as_secs(),
        who: event.who.clone(),
        what: event.what.to_owned(),
        resource: event.resource.clone(),
        address: event.address.clone(),
    });
    Ok(Answer::Top(Box::new(Top {
        leases: page.iter().map(|lease| shown(config, lease, now)).collect(),
        events: events.collect(),
        sources: sources(desk),
        status,
    })))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of packets: not negative and far below 2^64"
)]
fn sources(desk: &Desk) -> Vec<Source> {
    let control_port = desk.state.config().gate.port;
    let top = desk.sources.borrow().top(SOURCES);
    let told = top.into_iter().map(|(address, source)| Source {
        address,
        count: Count {
            total: source.total.round() as u64,
            per_second: source.per_second,
        },
        reason: source.reason.name().to_owned(),
        // Without XDP, there is no other one.
        port: if source.port == 0 {
            control_port
        } else {
            source.port
        },
    });
    told.collect()
}

/// Asks for what is shown.
fn ask(client: &mut Client) -> anyhow::Result<Top> {
    match client.ask(&Request::Top {})? {
        Answer::Top(top) => Ok(*top),
        other => unexpected(&other),
    }
}

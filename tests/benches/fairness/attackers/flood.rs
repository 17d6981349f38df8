//! Forged KNOCKs of a user who exists: the HMAC has to be computed to see that they are.

use super::{Arrives, Attack, CONTROL, GATE};
use crate::gates::Stage;
use letmein_tests::{
    flood::{Macs, Sender},
    knocker::Draft,
};
use std::net::Ipv4Addr;

/// What they pretend to come from.
#[derive(Clone, Copy)]
pub enum Sources {
    One(Ipv4Addr),
    Random,
}

/// So many a second.
pub fn forged_knocks(stage: &Stage, rate: u64, sources: Sources) -> anyhow::Result<Attack> {
    let (host, server) = (&stage.lab.other, &stage.lab.server);
    let macs = Macs::between((host, "to-server"), (server, "to-peer2"))?;
    // Salt and AUTH are random.
    let mut template = macs.udp(GATE, CONTROL, &Draft::default().sign(), 2..7);
    if let Sources::One(source) = sources {
        template = template.from(source);
    }
    let sender = Sender::new(host, "to-server", template)?;
    Ok(Attack {
        rate,
        arrives: Arrives::Packets,
        run: Box::new(move |tally| sender.run(Some(rate), &tally.progress)),
    })
}

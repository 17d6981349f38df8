//! The gatekeeper: the process that talks to the network. It verifies knocks and decides what they are for, and asks the
//! [warden](crate::warden) to do it. It has no privileges, and no more of the kernel than it needs
//! ([`sandbox`]).
//!
//! Its only ways to the outside, besides the log, are the descriptors that the warden hands it: the sockets, the ring
//! buffer, and the connection to the warden itself, which is its standard input; and a socket of netlink, by which it asks
//! whose an address is.

mod delivery;
pub mod policy;
pub mod ring;
mod serving;
pub mod warden;

pub use serving::Gatekeeper;

use crate::{
    channel::Channel,
    logging::{self, LogFormat},
    netlink::Routes,
    requests::{FromGatekeeper, TO_GATEKEEPER, ToGatekeeper},
    sandbox::{self, Seccomp},
};
use anyhow::{Context as _, anyhow, ensure};
use delivery::Delivery;
use letmein_common::reason::Counters;
use std::{
    os::fd::{AsFd as _, OwnedFd},
    rc::Rc,
};
use tokio::task::{LocalSet, spawn_local};
use warden::Warden;

/// Serves knocks until the warden is gone. Standard input is the connection to it.
pub fn run(user: u32, group: u32, seccomp: Seccomp, log: LogFormat) -> anyhow::Result<()> {
    sandbox::close_all_but_the_standard_ones()?;
    logging::switch_to(log);
    let warden = std::io::stdin().as_fd().try_clone_to_owned()?;
    sandbox::leave_signals_to_the_warden()?;
    sandbox::become_nobody(user, group)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    // It can ask with this, and change nothing.
    let routes = Rc::new(Routes::open().context("cannot ask the kernel for routes")?);
    sandbox::confine_gatekeeper(seccomp)?;
    LocalSet::new().block_on(&runtime, serve(warden, routes))
}

async fn serve(warden: OwnedFd, routes: Rc<Routes>) -> anyhow::Result<()> {
    let channel = Rc::new(Channel::new(warden)?);
    let warden = Rc::new(Warden::new(Rc::clone(&channel)));
    spawn_local(logging::refusals::tell_the_rest());
    let mut gatekeeper: Option<Rc<Gatekeeper>> = None;
    let mut delivery = Delivery::default();
    loop {
        let mut buffer = [0; TO_GATEKEEPER];
        let received = channel.receive(&mut buffer).await?;
        if received.length == 0 {
            return Ok(());
        }
        let message = buffer.get(..received.length).unwrap_or_default();
        let message =
            ToGatekeeper::parse(message).map_err(|_| anyhow!("the warden says what is no message"))?;
        match message {
            ToGatekeeper::Outcome(number, outcome) => warden.settle(number, outcome),
            ToGatekeeper::Prepare(number) => {
                ensure!(delivery.policy.is_some(), "the warden has sent no policy");
                tell(&warden, FromGatekeeper::Configured(number));
            }
            ToGatekeeper::Discard(number) => {
                delivery = Delivery::default();
                tell(&warden, FromGatekeeper::Configured(number));
            }
            ToGatekeeper::Apply(number) => {
                let delivered = std::mem::take(&mut delivery);
                gatekeeper = Some(Gatekeeper::apply(gatekeeper, &warden, &routes, delivered)?);
                tell(&warden, FromGatekeeper::Configured(number));
            }
            ToGatekeeper::Count(number) => {
                let counters = gatekeeper
                    .as_ref()
                    .map_or_else(Counters::default, |it| it.counters());
                tell(&warden, FromGatekeeper::Counters(number, counters));
            }
            ToGatekeeper::Sample(number) => {
                let refused = gatekeeper.as_ref().map_or_else(Vec::new, |it| it.refused());
                tell(&warden, FromGatekeeper::Refused(number, refused));
            }
            ToGatekeeper::Clock(offset) => warden.set_clock(offset),
            ToGatekeeper::Policy(_) | ToGatekeeper::Udp | ToGatekeeper::Tcp | ToGatekeeper::Ring(_) => {
                delivery.take(message, received.descriptor)?;
            }
        }
    }
}

/// Answers the warden, but goes on listening to it: it may be waiting for that.
fn tell(warden: &Rc<Warden>, message: FromGatekeeper) {
    let warden = Rc::clone(warden);
    spawn_local(async move { warden.tell(&message).await });
}

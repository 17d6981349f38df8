//! What the warden hands over, piece by piece, before it says that it is to be used.

use super::{policy::Policy, ring::Knocks};
use crate::requests::ToGatekeeper;
use anyhow::{Context as _, bail};
use std::{
    fs::File,
    io::{Read as _, Seek as _},
    os::fd::OwnedFd,
};
use tokio::net::{TcpListener, UdpSocket};
use zeroize::Zeroizing;

/// No policy is longer: those of a hundred thousand users are shorter.
const LONGEST_POLICY: u64 = 256 << 20;

/// What has come since it was last used.
#[derive(Default)]
pub(super) struct Delivery {
    pub policy: Option<Policy>,
    pub udp: Vec<UdpSocket>,
    pub tcp: Vec<TcpListener>,
    pub knocks: Option<Knocks>,
}

impl Delivery {
    /// Takes what came beside this message. Needs a runtime.
    pub fn take(&mut self, message: ToGatekeeper, descriptor: Option<OwnedFd>) -> anyhow::Result<()> {
        let descriptor = descriptor.context("the warden has left out a descriptor")?;
        match message {
            ToGatekeeper::Policy(length) => self.policy = Some(read(descriptor.into(), length)?),
            ToGatekeeper::Udp => self.udp.push(UdpSocket::from_std(descriptor.into())?),
            ToGatekeeper::Tcp => self.tcp.push(TcpListener::from_std(descriptor.into())?),
            ToGatekeeper::Ring(size) => self.knocks = Some(Knocks::new(descriptor, usize::try_from(size)?)?),
            ToGatekeeper::Outcome(..)
            | ToGatekeeper::Prepare(_)
            | ToGatekeeper::Discard(_)
            | ToGatekeeper::Apply(_)
            | ToGatekeeper::Count(_)
            | ToGatekeeper::Clock(_)
            | ToGatekeeper::Sample(_) => {
                bail!("a descriptor came with what needs none")
            }
        }
        Ok(())
    }
}

/// Reads the policy out of the memory that the warden has written it to, and wipes afterwards.
fn read(mut memory: File, length: u64) -> anyhow::Result<Policy> {
    if length > LONGEST_POLICY {
        bail!("a policy of {length} bytes is too long");
    }
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(length)?]);
    memory.rewind()?;
    memory.read_exact(&mut bytes)?;
    Ok(Policy::decode(&bytes)?)
}

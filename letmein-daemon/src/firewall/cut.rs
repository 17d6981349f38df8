//! Ending the connections of a lease.
//!
//! conntrack forgets them, so that the next packet from the client is one of no connection, and meets a closed port. The
//! server's next packet would make it a connection again, with the server as the one who began it. The chain in
//! `ruleset/cut.rs` drops that one. With TCP it can be told by its flags, but with UDP only by the flow, so that is
//! remembered.

use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use tracing::warn;

use super::conntrack::{self, Flow};
use super::elements::{ElementKey, read_flows, write_element, write_set};
use super::error::FirewallError;
use super::lease::{LeaseKey, Protocol, mask};
use super::lease_set::Family;
use super::message::Request;
use super::netlink::Refusal;
use super::plan::{CUT_FLOWS, Protected};
use super::{Firewall, netlink_error};

/// How long a UDP flow that was cut is remembered.
const REMEMBERED: Duration = Duration::from_hours(24);
/// How often a table is read that changes meanwhile.
const ATTEMPTS: usize = 5;

/// A lease whose connections are to end.
struct Ended {
    address: IpAddr,
    protected: Protected,
}

impl Ended {
    /// Whether it is this address that holds the lease.
    fn is_from(&self, address: IpAddr) -> bool {
        let masked = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(_) => mask(address, self.protected.ipv6_prefix),
        };
        masked == self.address
    }

    /// Whether this is a connection that the lease let in.
    fn let_in(&self, flow: &Flow, local: &[IpAddr]) -> bool {
        let (protected, original, reply) = (&self.protected, &flow.original, &flow.reply);
        let is_to = |port| protected.ports.contains(original.protocol, port);
        // To this machine, a lease is for the port where the service listens; behind it, for the one that was asked for.
        let fits = if local.contains(&reply.source) {
            is_to(reply.source_port)
        } else {
            protected.forward && is_to(original.destination_port)
        };
        fits && self.is_from(original.source)
    }
}

impl Firewall {
    /// Whether the connections of this lease end with it.
    #[must_use]
    pub fn cuts(&self, key: &LeaseKey) -> bool {
        self.layout.cut_by(key).is_some()
    }

    /// Ends the connections of leases that have been closed or have run out, and returns how many there were. Leases that
    /// do not cut are passed over.
    pub fn cut(&mut self, keys: &[LeaseKey]) -> Result<usize, FirewallError> {
        let doing = "ending connections";
        let failed = |errno| netlink_error(errno, doing);
        let ended = self.ended(keys);
        if ended.is_empty() {
            return Ok(0);
        }
        let local = local_addresses().map_err(failed)?;
        let mut cut = 0;
        for family in Family::BOTH {
            if !ended.iter().any(|ended| Family::of(ended.address) == family) {
                continue;
            }
            let mut flows = Vec::new();
            let wanted = |flow: &Flow| ended.iter().any(|ended| ended.let_in(flow, &local));
            let mut outcome = Err(Errno::EINTR);
            for _ in 0..ATTEMPTS {
                flows.clear();
                outcome = conntrack::flows(&mut self.transport, family, |flow| {
                    if wanted(&flow) {
                        flows.push(flow);
                    }
                });
                if outcome != Err(Errno::EINTR) {
                    break;
                }
            }
            outcome.map_err(failed)?;
            // First, so that there is no moment in which the server's next packet revives one.
            self.remember(family, &flows);
            for flow in &flows {
                let was_there = conntrack::delete(&mut self.transport, family, flow).map_err(failed)?;
                cut += usize::from(was_there);
            }
        }
        Ok(cut)
    }

    /// Lets flows live again that were cut: their leases are open again.
    pub(super) fn revive(&mut self, keys: &[LeaseKey]) -> Result<(), FirewallError> {
        let ended = self.ended(keys);
        for (family, set, _) in CUT_FLOWS {
            let ended: Vec<_> = ended
                .iter()
                .filter(|ended| Family::of(ended.address) == family && is_udp(ended))
                .collect();
            if ended.is_empty() {
                continue;
            }
            let set = self.layout.name(set);
            let mut elements = Vec::new();
            let (transport, table) = (&mut self.transport, &self.layout.table);
            let read = transport.dump(
                Request::Get,
                |outbox| write_set(outbox, table, &set),
                |answer| {
                    read_flows(family, answer, |address, client, here| {
                        // Behind this machine, the server's port may be another one than the lease's.
                        let is_of = |ended: &&Ended| {
                            let ports = ended.protected.ports;
                            ended.is_from(address)
                                && (ended.protected.forward || ports.contains(Protocol::Udp, here))
                        };
                        if ended.iter().any(is_of) {
                            elements.push(ElementKey::of_flow(address, client, here));
                        }
                    });
                },
            );
            match read {
                // Read incompletely, because something else changed: what is missed ends by itself.
                Ok(()) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(netlink_error(errno, "opening a lease")),
            }
            for element in &elements {
                // One by one: it may be gone already, which is no matter.
                let _gone = transport.transact(|transaction| {
                    transaction.push(Request::Delete, |outbox| {
                        write_element(outbox, table, &set, element, None);
                    });
                });
            }
        }
        Ok(())
    }

    /// Finds out now whether the kernel lets connections be ended.
    pub(super) fn check_cut(&mut self) -> Result<(), FirewallError> {
        if !self.layout.cuts() {
            return Ok(());
        }
        match conntrack::flows(&mut self.transport, Family::V4, |_| ()) {
            Ok(()) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(FirewallError::NoConntrack { errno }),
        }
    }

    fn ended(&self, keys: &[LeaseKey]) -> Vec<Ended> {
        keys.iter()
            .filter_map(|key| {
                let address = key.address.to_canonical();
                let protected = self.layout.cut_by(key)?;
                Some(Ended { address, protected })
            })
            .collect()
    }

    fn remember(&mut self, family: Family, flows: &[Flow]) {
        let Some((_, set, _)) = CUT_FLOWS.iter().find(|(of, _, _)| *of == family) else {
            return;
        };
        let (table, set) = (&self.layout.table, self.layout.name(set));
        let millis = u64::try_from(REMEMBERED.as_millis()).unwrap_or(u64::MAX);
        for flow in flows
            .iter()
            .filter(|flow| flow.original.protocol == Protocol::Udp)
        {
            let (client, here) = (flow.original.source_port, flow.reply.source_port);
            let element = ElementKey::of_flow(flow.original.source, client, here);
            let outcome = self.transport.transact(|transaction| {
                transaction.push(Request::New, |outbox| {
                    write_element(outbox, table, &set, &element, Some(millis));
                });
            });
            if let Err(Refusal { errno, .. }) = outcome {
                warn!(
                    "a UDP flow of {} may live on, if the server goes on sending: {errno}",
                    flow.original.source
                );
            }
        }
    }
}

fn is_udp(ended: &Ended) -> bool {
    ended.protected.ports.protocol == Protocol::Udp
}

/// The addresses of this machine, in the network namespace of this thread.
fn local_addresses() -> Result<Vec<IpAddr>, Errno> {
    let addresses = getifaddrs()?.filter_map(|interface| interface.address);
    Ok(addresses
        .filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
            v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
        })
        .collect())
}

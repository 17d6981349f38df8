//! Ending the connections of a lease.
//!
//! conntrack forgets them, so that the next packet from the client is one of no connection, and meets a closed port. The
//! server's next packet would make it a connection again, with the server as the one who began it. The chain in
//! `ruleset/cut.rs` drops that one. With TCP it can be told by its flags, but with UDP only by the flow, so that is
//! remembered.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use tracing::warn;

use super::conntrack::{self, Flow, Tuple};
use super::elements::{ElementKey, read_flows, write_element, write_set};
use super::error::FirewallError;
use super::layout::Layout;
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

/// Leases whose connections end, or may begin again: what each holder has had, by address. There may be many of both
/// leases and connections, so no connection is compared with every lease.
struct Holders {
    by_address: HashMap<IpAddr, Vec<Protected>>,
    /// The lengths of IPv6 prefixes among them.
    prefixes: BTreeSet<u8>,
}

/// Who talks to whom, as a packet of the server's has it that conntrack does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    client: IpAddr,
    client_port: u16,
    server_port: u16,
}

impl Holders {
    /// Of those among the leases that cut.
    fn of(layout: &Layout, keys: &[LeaseKey]) -> Self {
        let mut holders = Self {
            by_address: HashMap::new(),
            prefixes: BTreeSet::new(),
        };
        for key in keys {
            if let Some(protected) = layout.cut_by(key) {
                let address = key.address.to_canonical();
                holders.by_address.entry(address).or_default().push(protected);
                if address.is_ipv6() {
                    holders.prefixes.insert(protected.ipv6_prefix);
                }
            }
        }
        holders
    }

    fn has(&self, family: Family) -> bool {
        self.by_address
            .keys()
            .any(|address| Family::of(*address) == family)
    }

    /// What this address has had a lease of.
    fn had(&self, address: IpAddr) -> impl Iterator<Item = &Protected> {
        let prefixes = match address {
            IpAddr::V4(_) => vec![None],
            IpAddr::V6(_) => self.prefixes.iter().map(|prefix| Some(*prefix)).collect(),
        };
        prefixes.into_iter().flat_map(move |prefix| {
            let masked = prefix.map_or(address, |prefix| mask(address, prefix));
            let had = self.by_address.get(&masked).into_iter().flatten();
            had.filter(move |protected| prefix.is_none_or(|prefix| protected.ipv6_prefix == prefix))
        })
    }

    /// The flow to remember if one of the leases let this connection in.
    fn let_in(&self, flow: &Flow, local: &HashSet<IpAddr>) -> Option<Ends> {
        let (original, reply) = (&flow.original, &flow.reply);
        let protocol = original.protocol;
        // To this machine, a lease is for the port where the service listens; behind it, for the one that was asked for.
        let is_theirs = |client, server: &Tuple, asked| {
            let is_here = local.contains(&server.source);
            self.had(client).any(|protected| {
                let is_to = |port| protected.ports.contains(protocol, port);
                if is_here {
                    is_to(server.source_port)
                } else {
                    protected.forward && is_to(asked)
                }
            })
        };
        if is_theirs(original.source, reply, original.destination_port) {
            return Some(Ends {
                client: original.source,
                client_port: original.source_port,
                server_port: reply.source_port,
            });
        }
        // After a pause conntrack knows a UDP flow no more, and if the server is the next to send, that begins it. A TCP
        // connection of which the server sent the SYN is one that was begun here.
        let is_turned =
            protocol == Protocol::Udp && is_theirs(reply.source, original, reply.destination_port);
        is_turned.then_some(Ends {
            client: reply.source,
            client_port: reply.source_port,
            server_port: reply.destination_port,
        })
    }

    /// Whether one of the leases could have let in this UDP flow. Behind this machine, the server's port may be another one
    /// than the lease's.
    fn could_let_in(&self, address: IpAddr, here: u16) -> bool {
        self.had(address)
            .any(|protected| protected.forward || protected.ports.contains(Protocol::Udp, here))
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
        let holders = Holders::of(&self.layout, keys);
        let local = local_addresses().map_err(failed)?;
        let mut cut = 0;
        for family in Family::BOTH.into_iter().filter(|family| holders.has(*family)) {
            let mut flows = Vec::new();
            let mut outcome = Err(Errno::EINTR);
            for _ in 0..ATTEMPTS {
                flows.clear();
                outcome = conntrack::flows(&mut self.transport, family, |flow| {
                    if let Some(ends) = holders.let_in(&flow, &local) {
                        flows.push((flow, ends));
                    }
                });
                if outcome != Err(Errno::EINTR) {
                    break;
                }
            }
            outcome.map_err(failed)?;
            // First, so that there is no moment in which the server's next packet revives one.
            self.remember(family, &flows);
            for (flow, _) in &flows {
                let was_there = conntrack::delete(&mut self.transport, family, flow).map_err(failed)?;
                cut += usize::from(was_there);
            }
        }
        Ok(cut)
    }

    /// Lets flows live again that were cut: their leases are open again.
    pub(super) fn revive(&mut self, keys: &[LeaseKey]) -> Result<(), FirewallError> {
        let is_udp = |key: &&LeaseKey| key.port().is_some_and(|(protocol, _)| protocol == Protocol::Udp);
        let keys: Vec<_> = keys.iter().filter(is_udp).copied().collect();
        let holders = Holders::of(&self.layout, &keys);
        for (family, set, _) in CUT_FLOWS {
            if !holders.has(family) {
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
                        if holders.could_let_in(address, here) {
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

    fn remember(&mut self, family: Family, flows: &[(Flow, Ends)]) {
        let Some((_, set, _)) = CUT_FLOWS.iter().find(|(of, _, _)| *of == family) else {
            return;
        };
        let (table, set) = (&self.layout.table, self.layout.name(set));
        let millis = u64::try_from(REMEMBERED.as_millis()).unwrap_or(u64::MAX);
        let is_udp = |(flow, _): &&(Flow, Ends)| flow.original.protocol == Protocol::Udp;
        for (_, ends) in flows.iter().filter(is_udp) {
            let element = ElementKey::of_flow(ends.client, ends.client_port, ends.server_port);
            let outcome = self.transport.transact(|transaction| {
                transaction.push(Request::New, |outbox| {
                    write_element(outbox, table, &set, &element, Some((millis, &[])));
                });
            });
            if let Err(Refusal { errno, .. }) = outcome {
                warn!(
                    "a UDP flow of {} may live on, if the server goes on sending: {errno}",
                    ends.client
                );
            }
        }
    }
}

/// The addresses of this machine, in the network namespace of this thread.
fn local_addresses() -> Result<HashSet<IpAddr>, Errno> {
    let addresses = getifaddrs()?.filter_map(|interface| interface.address);
    Ok(addresses
        .filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|address| address.ip().into());
            v4.or_else(|| address.as_sockaddr_in6().map(|address| address.ip().into()))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::super::plan::FirewallPlan;
    use super::super::ports::PortRange;
    use super::*;

    fn tuple(source: &str, source_port: u16, destination_port: u16) -> Tuple {
        Tuple {
            protocol: Protocol::Tcp,
            source: source.parse().unwrap(),
            source_port,
            destination_port,
        }
    }

    /// SSH on this machine for a /64, and a port of others behind it.
    fn layout() -> Layout {
        let cut = |port, ipv6_prefix, forward| Protected {
            ports: PortRange::one(Protocol::Tcp, port),
            ipv6_prefix,
            forward,
            cut: true,
        };
        FirewallPlan {
            protected: vec![
                cut(22, 64, false),
                cut(8080, 128, true),
                PortRange::one(Protocol::Tcp, 80).into(),
            ],
            ..FirewallPlan::default()
        }
        .layout()
    }

    #[test]
    fn a_connection_belongs_to_the_lease_of_its_source_and_port() {
        let key = |address: &str, port| LeaseKey::new(address.parse().unwrap(), Protocol::Tcp, port);
        let keys = [
            key("192.0.2.1", 22),
            key("192.0.2.1", 80),
            key("2001:db8::1", 22).in_prefix(64),
            key("2001:db8::1", 8080),
        ];
        let holders = Holders::of(&layout(), &keys);
        let local: HashSet<IpAddr> = ["10.0.0.1", "fd00::1"]
            .map(|address| address.parse().unwrap())
            .into();
        let let_in = |source, asked, server, port| {
            let flow = Flow::new(tuple(source, 40000, asked), tuple(server, port, 40000));
            holders.let_in(&flow, &local).is_some()
        };
        assert!(let_in("192.0.2.1", 22, "10.0.0.1", 22));
        // Redirected to the port of the service, where the lease is.
        assert!(let_in("192.0.2.1", 2222, "10.0.0.1", 22));
        assert!(!let_in("192.0.2.1", 22, "10.0.0.1", 2222));
        assert!(!let_in("192.0.2.2", 22, "10.0.0.1", 22), "another source");
        assert!(!let_in("192.0.2.1", 80, "10.0.0.1", 80), "not to be cut");
        assert!(!let_in("192.0.2.1", 22, "10.0.0.9", 22), "forwarded");
        assert!(let_in("2001:db8::2", 22, "fd00::1", 22), "in the prefix");
        assert!(!let_in("2001:db8:0:1::2", 22, "fd00::1", 22));
        assert!(let_in("2001:db8::1", 8080, "fd00::9", 80), "translated");
        assert!(!let_in("2001:db8::2", 8080, "fd00::9", 80), "no prefix there");
        assert!(!let_in("2001:db8::1", 80, "fd00::9", 8080));
    }
    #[test]
    fn a_udp_flow_belongs_to_it_too_if_the_server_sent_first() {
        let ports = PortRange {
            protocol: Protocol::Udp,
            first: 60000,
            last: 61000,
        };
        let layout = FirewallPlan {
            protected: vec![Protected {
                cut: true,
                ..ports.into()
            }],
            ..FirewallPlan::default()
        }
        .layout();
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let holders = Holders::of(&layout, &[LeaseKey::new(client, Protocol::Udp, 60000)]);
        let local: HashSet<IpAddr> = ["10.0.0.1".parse().unwrap()].into();
        let let_in = |protocol, server: &str, port| {
            let tuple = |source: &str, source_port, destination_port| Tuple {
                protocol,
                ..tuple(source, source_port, destination_port)
            };
            let flow = Flow::new(tuple(server, port, 40000), tuple("192.0.2.1", 40000, port));
            holders.let_in(&flow, &local)
        };
        let ends = Ends {
            client,
            client_port: 40000,
            server_port: 60001,
        };
        assert_eq!(let_in(Protocol::Udp, "10.0.0.1", 60001), Some(ends));
        assert_eq!(let_in(Protocol::Udp, "10.0.0.1", 53), None, "another port");
        assert_eq!(let_in(Protocol::Udp, "10.0.0.9", 60001), None, "forwarded");
        assert_eq!(let_in(Protocol::Tcp, "10.0.0.1", 60001), None, "begun here");
    }
}

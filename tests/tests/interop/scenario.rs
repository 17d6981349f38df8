//! What a client and a server must do together, whichever implementation each of them is.

use letmein_tests::{
    gate::KEY,
    lab::{Lab, Outcome},
};
use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};

/// What the user with [`KEY`] may open.
pub const SSH: (u32, u16) = (1, 22);
/// What is only another user's.
pub const ADMIN: (u32, u16) = (2, 23);
/// What the user with [`KEY`] may open, but the servers are set up so that only one port may be open at one time.
pub const WEB: (u32, u16) = (3, 24);

/// The transport of a knock, and the address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    UdpIpv4,
    UdpIpv6,
    TcpIpv4,
    TcpIpv6,
}

/// Who is told that a knock failed. Both implementations call it the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    Always,
    BasicAuth,
    FullAuth,
}

/// One run of a client.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub verb: &'static str,
    pub user: u32,
    pub key: [u8; 32],
    pub resource: u32,
    /// How long the client shall wait for answers.
    pub patience: Duration,
}

/// How a client ended, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Done,
    /// By a GOAWAY.
    Refused,
    /// Nothing came, or the connection was closed.
    NoAnswer,
}

/// The hosts, and services that all listen all the time.
pub struct Scene {
    pub lab: Lab,
    pub way: Way,
    pub policy: Policy,
    _services: Vec<TcpListener>,
}

impl Way {
    /// The same in both clients.
    pub const fn option(self) -> &'static str {
        if self.is_udp() { "-U" } else { "-T" }
    }

    pub const fn is_udp(self) -> bool {
        matches!(self, Self::UdpIpv4 | Self::UdpIpv6)
    }

    /// The server as the client reaches it.
    pub fn server(self) -> IpAddr {
        self.server_on(1)
    }

    fn server_on(self, network: u8) -> IpAddr {
        match self {
            Self::UdpIpv4 | Self::TcpIpv4 => [10, 77, network, 1].into(),
            Self::UdpIpv6 | Self::TcpIpv6 => [0xFD77, network.into(), 0, 0, 0, 0, 0, 1].into(),
        }
    }

    const fn other_family(self) -> Self {
        match self {
            Self::UdpIpv4 => Self::UdpIpv6,
            Self::UdpIpv6 => Self::UdpIpv4,
            Self::TcpIpv4 => Self::TcpIpv6,
            Self::TcpIpv6 => Self::TcpIpv4,
        }
    }
}

impl Policy {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::BasicAuth => "basic-auth",
            Self::FullAuth => "full-auth",
        }
    }
}

impl Scene {
    pub fn new(way: Way, policy: Policy) -> Self {
        let lab = Lab::new().unwrap();
        let services = [SSH, ADMIN, WEB].map(|(_, port)| lab.server.listen(port).unwrap());
        Self {
            lab,
            way,
            policy,
            _services: services.into(),
        }
    }

    /// Plays it all. The server must be up, and refuse connections to what is closed. `client` runs on the lab's.
    pub fn play(&self, client: &(impl Fn(&Attempt) -> anyhow::Result<Ending> + Sync)) {
        let knock = |resource| attempt("knock", 1, KEY, resource);
        let stranger = refused(self.policy == Policy::Always);
        let not_yours = refused(self.policy != Policy::FullAuth);

        self.check_open(&[]);
        together(
            client,
            &[
                (attempt("knock", 1, [1; 32], SSH.0), stranger),
                (attempt("knock", 7, KEY, SSH.0), stranger),
                (knock(9), not_yours),
                (knock(ADMIN.0), not_yours),
            ],
        );
        self.check_open(&[]);
        together(client, &[(knock(SSH.0), Ending::Done)]);
        self.check_open(&[SSH.1]);
        together(
            client,
            &[
                (knock(WEB.0), Ending::Refused),
                (attempt("revoke", 1, [1; 32], SSH.0), stranger),
            ],
        );
        self.check_open(&[SSH.1]);
        together(client, &[(attempt("revoke", 1, KEY, SSH.0), Ending::Done)]);
        self.check_open(&[]);
    }

    /// These ports and no others are open, for the client's address of this family and for no other address.
    fn check_open(&self, expected: &[u16]) {
        let (client, other) = (&self.lab.client, &self.lab.other);
        for (_, port) in [SSH, ADMIN, WEB] {
            let at = |address| SocketAddr::new(address, port);
            let outcome = if expected.contains(&port) {
                Outcome::Open
            } else {
                Outcome::Refused
            };
            assert_eq!(client.connect(at(self.way.server())).unwrap(), outcome, "{port}");
            for (host, address) in [
                (client, self.way.other_family().server()),
                (other, self.way.server_on(2)),
            ] {
                assert_eq!(host.connect(at(address)).unwrap(), Outcome::Refused, "{port}");
            }
        }
    }
}

const fn refused(told: bool) -> Ending {
    if told { Ending::Refused } else { Ending::NoAnswer }
}

fn attempt(verb: &'static str, user: u32, key: [u8; 32], resource: u32) -> Attempt {
    Attempt {
        verb,
        user,
        key,
        resource,
        patience: Duration::ZERO,
    }
}

/// Runs the client once for each attempt, at the same time, and checks how each of them ends.
fn together(client: &(impl Fn(&Attempt) -> anyhow::Result<Ending> + Sync), attempts: &[(Attempt, Ending)]) {
    thread::scope(|scope| {
        for (attempt, ending) in attempts {
            let patience = match ending {
                // What is to come may take its time on a busy machine; what is not to come is not waited for long.
                Ending::Done | Ending::Refused => Duration::from_secs(15),
                Ending::NoAnswer => Duration::from_secs(1),
            };
            let attempt = Attempt { patience, ..*attempt };
            scope.spawn(move || assert_eq!(client(&attempt).unwrap(), *ending, "{attempt:?}"));
        }
    });
}

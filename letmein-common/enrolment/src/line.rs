//! The enrolment line, in version 1:
//!
//! `letmein://HOST[:PORT]/NAME?v=1&user=ID&key=KEY[&mode=silent][&gate-number=N][&transport=tcp]&resource=NAME:ID[:PORT]…`
//!
//! Everything has one way to be written: the order is this, what has its default is left out, and names are
//! percent-encoded (RFC 3986) wherever they need not be plain. What is written in any other way is refused.

use crate::{host::is_host, key::write_digits, percent};
use letmein_common::{DEFAULT_CONTROL_PORT, ResourceId, UserId, hmac::KEY_LEN};
use std::{
    fmt::{self, Write as _},
    net::Ipv6Addr,
    str::{FromStr, Split},
};
use thiserror::Error;
use zeroize::Zeroizing;

/// No line is longer: it has to fit into a QR code.
pub const LONGEST: usize = 2048;
/// No user opens more with one line.
pub const MOST_RESOURCES: usize = 64;
/// The longest name of a server or a resource, in bytes.
pub const LONGEST_NAME: usize = 64;

const SCHEME: &str = "letmein://";
const VERSION: &str = "1";

/// What a client has to know to knock on one gate as one user.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// What the client shall call the gate.
    pub name: String,
    /// The gate's name or address.
    pub host: String,
    /// Its control port.
    pub port: u16,
    /// Whether to knock silently.
    pub silent: bool,
    /// The gate's number, for silent knocks.
    pub gate_number: u32,
    /// Whether challenge knocks go over TCP.
    pub tcp: bool,
    /// Who knocks.
    pub user: UserId,
    /// The user's key.
    pub key: Zeroizing<[u8; KEY_LEN]>,
    /// What there is to open; at least one, no name twice.
    pub resources: Vec<Resource>,
}

/// Something to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What the client shall call it.
    pub name: String,
    /// Its id at the gate.
    pub id: ResourceId,
    /// The port that it opens, if it is one.
    pub port: Option<u16>,
}

/// Why this is no enrolment line. Never says what is in it: most of it is a key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LineError {
    /// Something else.
    #[error("this is no enrolment line: it begins with {SCHEME} and comes from `letmeind user add`")]
    NotALine,
    /// More than any gate writes.
    #[error(
        "an enrolment line has at most {LONGEST} bytes and {MOST_RESOURCES} resources; this is something else"
    )]
    TooLong,
    /// From the future.
    #[error("this enrolment line is not of version {VERSION}; a newer letmein understands it")]
    Version,
    /// Something is missing, unknown, or not written as a gate writes it.
    #[error(
        "this enrolment line is not as a gate writes it, from {0} on; was it copied completely, and in quotes?"
    )]
    Part(&'static str),
}

impl Enrolment {
    /// The line. `Err` names what cannot be in one.
    pub fn to_line(&self) -> Result<Zeroizing<String>, LineError> {
        self.check()?;
        // Room for all of it, so that no shorter buffer with a part of the secret is left behind by growing.
        let mut line = Zeroizing::new(String::with_capacity(2 * LONGEST));
        self.write(&mut line).map_err(|_| LineError::TooLong)?;
        if line.len() > LONGEST {
            return Err(LineError::TooLong);
        }
        Ok(line)
    }

    fn check(&self) -> Result<(), LineError> {
        let names = self.resources.iter().map(|resource| &resource.name);
        let twice = (1..self.resources.len()).any(|at| {
            self.resources[..at]
                .iter()
                .any(|one| one.name == self.resources[at].name)
        });
        if !is_host(&self.host) {
            Err(LineError::Part("the host"))
        } else if self.port == 0 {
            Err(LineError::Part("the port"))
        } else if !is_name(&self.name) {
            Err(LineError::Part("the server's name"))
        } else if self.key.iter().all(|byte| *byte == 0) {
            Err(LineError::Part("the key"))
        } else if self.silent && self.tcp {
            Err(LineError::Part("the transport"))
        } else if self.resources.len() > MOST_RESOURCES {
            Err(LineError::TooLong)
        } else if self.resources.is_empty()
            || twice
            || !names.map(String::as_str).all(is_name)
            || self.resources.iter().any(|resource| resource.port == Some(0))
        {
            Err(LineError::Part("the resources"))
        } else {
            Ok(())
        }
    }

    fn write(&self, line: &mut String) -> fmt::Result {
        line.push_str(SCHEME);
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(line, "[{}]", self.host)?;
        } else {
            line.push_str(&self.host);
        }
        if self.port != DEFAULT_CONTROL_PORT {
            write!(line, ":{}", self.port)?;
        }
        line.push('/');
        percent::encode(&self.name, line)?;
        write!(line, "?v={VERSION}&user={}&key=", self.user)?;
        write_digits(&self.key, line)?;
        if self.silent {
            line.push_str("&mode=silent");
        }
        if self.gate_number != 0 {
            write!(line, "&gate-number={}", self.gate_number)?;
        }
        if self.tcp {
            line.push_str("&transport=tcp");
        }
        for resource in &self.resources {
            line.push_str("&resource=");
            percent::encode(&resource.name, line)?;
            write!(line, ":{}", resource.id)?;
            if let Some(port) = resource.port {
                write!(line, ":{port}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Enrolment {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        let rest = text.strip_prefix(SCHEME).ok_or(LineError::NotALine)?;
        if text.len() > LONGEST {
            return Err(LineError::TooLong);
        }
        let (place, options) = rest.split_once('?').ok_or(LineError::Part("the server's name"))?;
        let (authority, name) = place.split_once('/').ok_or(LineError::Part("the host"))?;
        let (host, port) = host_and_port(authority).ok_or(LineError::Part("the host"))?;
        let mut options = Options::of(options);
        if options.take("v").ok_or(LineError::Part("the version"))? != VERSION {
            return Err(LineError::Version);
        }
        let enrolment = Self {
            name: percent::decode(name).ok_or(LineError::Part("the server's name"))?,
            host: host.to_owned(),
            port,
            user: options
                .take("user")
                .and_then(id)
                .map(UserId)
                .ok_or(LineError::Part("the user"))?,
            key: options
                .take("key")
                .and_then(key)
                .ok_or(LineError::Part("the key"))?,
            silent: options.take("mode").is_some(),
            gate_number: match options.take("gate-number") {
                Some(number) => number.parse().map_err(|_| LineError::Part("the gate's number"))?,
                None => 0,
            },
            tcp: options.take("transport").is_some(),
            resources: options.resources()?,
        };
        // Whatever was written in another way than the only one.
        if **enrolment.to_line()? != *text {
            return Err(LineError::Part("some value"));
        }
        Ok(enrolment)
    }
}

impl fmt::Debug for Enrolment {
    /// Shows no key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Enrolment")
            .field("name", &self.name)
            .field("host", &self.host)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// `KEY=VALUE` pairs, in the order in which they have to be.
struct Options<'a> {
    next: Option<&'a str>,
    others: Split<'a, char>,
}

impl<'a> Options<'a> {
    fn of(text: &'a str) -> Self {
        let mut others = text.split('&');
        let next = others.next();
        Self { next, others }
    }

    /// The value of the next option, if it is this one.
    fn take(&mut self, name: &str) -> Option<&'a str> {
        let value = self.next?.strip_prefix(name)?.strip_prefix('=')?;
        self.next = self.others.next();
        Some(value)
    }

    /// All that is left has to be resources.
    fn resources(mut self) -> Result<Vec<Resource>, LineError> {
        let mut resources = Vec::new();
        while self.next.is_some() {
            if resources.len() == MOST_RESOURCES {
                return Err(LineError::TooLong);
            }
            let found = self.take("resource").and_then(resource);
            resources.push(found.ok_or(LineError::Part("the resources"))?);
        }
        Ok(resources)
    }
}

fn host_and_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        (host, port.strip_prefix(':').or(port.is_empty().then_some(""))?)
    } else {
        authority.split_once(':').unwrap_or((authority, ""))
    };
    let port = if port.is_empty() {
        DEFAULT_CONTROL_PORT
    } else {
        port.parse().ok()?
    };
    Some((host, port))
}

fn resource(text: &str) -> Option<Resource> {
    let mut parts = text.split(':');
    let resource = Resource {
        name: percent::decode(parts.next()?)?,
        id: ResourceId(id(parts.next()?)?),
        port: parts.next().map(str::parse).transpose().ok()?,
    };
    parts.next().is_none().then_some(resource)
}

fn id(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

fn key(text: &str) -> Option<Zeroizing<[u8; KEY_LEN]>> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    let mut key = Zeroizing::new([0; KEY_LEN]);
    if text.len() != 2 * KEY_LEN {
        return None;
    }
    for (byte, [high, low]) in key.iter_mut().zip(digits) {
        *byte = percent::digit(*high)? << 4 | percent::digit(*low)?;
    }
    Some(key)
}

fn is_name(name: &str) -> bool {
    matches!(name.len(), 1..=LONGEST_NAME) && name != "*" && !name.chars().any(char::is_control)
}

//! Ports as the configuration writes them: `tcp/22`, `udp/60000-61000`.

use crate::firewall::{PortRange, Protocol};
use std::str::FromStr;
use thiserror::Error;

/// A text that is no port and no range of ports.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PortError {
    /// It has another shape.
    #[error(
        "{0:?} is no port; write protocol and number, such as \"tcp/22\", \"udp/51820\" or \"udp/60000-61000\""
    )]
    Shape(String),
    /// A range that is none.
    #[error(
        "{0:?} is a range that does not go up; write the lower port first, or a single one as in \"tcp/22\""
    )]
    Order(String),
    /// A number is 0 or too large.
    #[error("{0:?} has no port number from 1 to 65535")]
    Number(String),
}

impl FromStr for PortRange {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let shape = || PortError::Shape(text.to_owned());
        let (protocol, numbers) = text.split_once('/').ok_or_else(shape)?;
        let protocol = Protocol::from_name(protocol).ok_or_else(shape)?;
        let number = |part: &str| {
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(shape());
            }
            match part.parse() {
                Ok(port) if port != 0 => Ok(port),
                _ => Err(PortError::Number(text.to_owned())),
            }
        };
        let Some((first, last)) = numbers.split_once('-') else {
            return Ok(Self::one(protocol, number(numbers)?));
        };
        let (first, last) = (number(first)?, number(last)?);
        if first >= last {
            return Err(PortError::Order(text.to_owned()));
        }
        Ok(Self {
            protocol,
            first,
            last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_survive_the_round_trip() {
        for text in [
            "tcp/22",
            "udp/51820",
            "tcp/1",
            "udp/65535",
            "udp/60000-61000",
            "tcp/1-65535",
        ] {
            assert_eq!(text.parse::<PortRange>().unwrap().to_string(), text);
        }
        assert_eq!("tcp/22".parse(), Ok(PortRange::one(Protocol::Tcp, 22)));
    }

    #[test]
    fn what_is_no_port_is_refused_for_its_reason() {
        for text in [
            "",
            "22",
            "22/tcp",
            "sctp/22",
            "TCP/22",
            "tcp/",
            "tcp/ssh",
            "tcp/+22",
            "tcp/22/udp",
            "tcp/-1",
            "tcp/1-",
            "tcp/1-2-3",
            "tcp/1 - 2",
            "tcp/a-b",
        ] {
            assert_eq!(
                text.parse::<PortRange>(),
                Err(PortError::Shape(text.to_owned())),
                "{text}"
            );
        }
        for text in ["tcp/0", "tcp/65536", "tcp/99999999999", "tcp/0-9", "tcp/1-65536"] {
            assert_eq!(
                text.parse::<PortRange>(),
                Err(PortError::Number(text.to_owned())),
                "{text}"
            );
        }
        for text in ["tcp/90-80", "tcp/80-80"] {
            assert_eq!(
                text.parse::<PortRange>(),
                Err(PortError::Order(text.to_owned())),
                "{text}"
            );
        }
    }
}

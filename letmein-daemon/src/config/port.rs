//! Ports as the configuration writes them: `tcp/22`.

use crate::firewall::Protocol;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A port of one transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number, never 0.
    pub port: u16,
}

/// A text that is no port.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PortError {
    /// It has another shape.
    #[error("{0:?} is no port; write protocol and number, such as \"tcp/22\" or \"udp/51820\"")]
    Shape(String),
    /// It names more than one.
    #[error("{0:?} is a range; name each port by itself, such as [\"tcp/80\", \"tcp/81\"]")]
    Range(String),
    /// The number is 0 or too large.
    #[error("{0:?} has no port number from 1 to 65535")]
    Number(String),
}

impl FromStr for Port {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let (protocol, number) = text
            .split_once('/')
            .ok_or_else(|| PortError::Shape(text.to_owned()))?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(PortError::Shape(text.to_owned())),
        };
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        match number.split_once('-') {
            Some((first, last)) if is_number(first) && is_number(last) => {
                return Err(PortError::Range(text.to_owned()));
            }
            None if is_number(number) => {}
            _ => return Err(PortError::Shape(text.to_owned())),
        }
        match number.parse() {
            Ok(port) if port != 0 => Ok(Self { protocol, port }),
            _ => Err(PortError::Number(text.to_owned())),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.protocol, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_survive_the_round_trip() {
        for text in ["tcp/22", "udp/51820", "tcp/1", "udp/65535"] {
            assert_eq!(text.parse::<Port>().unwrap().to_string(), text);
        }
        assert_eq!(
            "tcp/22".parse(),
            Ok(Port {
                protocol: Protocol::Tcp,
                port: 22
            })
        );
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
        ] {
            assert_eq!(
                text.parse::<Port>(),
                Err(PortError::Shape(text.to_owned())),
                "{text}"
            );
        }
        for text in ["tcp/0", "tcp/65536", "tcp/99999999999"] {
            assert_eq!(
                text.parse::<Port>(),
                Err(PortError::Number(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!(
            "tcp/80-90".parse::<Port>(),
            Err(PortError::Range("tcp/80-90".to_owned()))
        );
    }
}

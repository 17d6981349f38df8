//! Asking this system for a name's addresses.

use std::{io, net::SocketAddr};

/// All addresses of a name, best first, with this port. Takes as long as the system's name service likes.
#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
pub fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    use std::net::ToSocketAddrs as _;
    Ok((host, port).to_socket_addrs()?.collect())
}

/// The same from a program that has the C library inside. glibc would load the system's modules for names into it, and
/// they fit only the very library that they came with; so the system's own `getent` is asked, which says what
/// `getaddrinfo` says.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
pub fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    getent::addresses(host, port)
}

#[cfg(any(test, all(target_env = "gnu", target_feature = "crt-static")))]
mod getent {
    use std::{
        io,
        net::{IpAddr, SocketAddr},
        process::{Command, Stdio},
    };

    pub fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let asked = Command::new("getent")
            .args(["ahosts", "--", host])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        let answer = asked.map_err(|error| {
            io::Error::other(format!(
                "this program looks names up with `getent`, which cannot be started ({error}); write the address itself"
            ))
        })?;
        match answer.status.code() {
            Some(0) => Ok(parse(&String::from_utf8_lossy(&answer.stdout), port)),
            Some(2) => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
            _ => Err(io::Error::other(format!("`getent ahosts`: {}", answer.status))),
        }
    }

    /// An address and a kind of socket in each line; so each address is there several times.
    fn parse(lines: &str, port: u16) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        for word in lines.lines().filter_map(|line| line.split_whitespace().next()) {
            let plain = word.parse().map(|address: IpAddr| SocketAddr::new(address, port));
            // `fe80::1%2`, with the interface's number.
            let address = plain.or_else(|_| format!("[{word}]:{port}").parse());
            found.extend(address.ok().filter(|address| !found.contains(address)));
        }
        found
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn each_address_is_found_once_and_in_order() {
            let lines = "2001:db8::1     STREAM gate.example\n2001:db8::1     DGRAM  \n192.0.2.1       STREAM \n\
                         fe80::1%2       STREAM \n\nnonsense STREAM\n";
            let found: Vec<_> = parse(lines, 22).iter().map(ToString::to_string).collect();
            assert_eq!(found, ["[2001:db8::1]:22", "192.0.2.1:22", "[fe80::1%2]:22"]);
        }

        #[test]
        fn getent_says_what_the_library_says() {
            use std::net::ToSocketAddrs as _;
            let mut found = addresses("localhost", 22).unwrap();
            let mut expected: Vec<_> = ("localhost", 22).to_socket_addrs().unwrap().collect();
            found.sort();
            expected.sort();
            expected.dedup();
            assert_eq!(found, expected);
            for name in ["no-such-name.invalid", "-h", "--help"] {
                let error = addresses(name, 22).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::NotFound, "{name}: {error}");
            }
        }
    }
}

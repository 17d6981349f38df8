//! From a host's name to the addresses to knock on.

use super::{Failure, gate::left_until, name_service};
use crate::plan::Families;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::mpsc::channel,
    thread,
    time::Instant,
};

/// The first address of each family that is asked for, with this port.
pub fn addresses(
    host: &str,
    port: u16,
    families: Families,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, Failure> {
    let found = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => look_up(host, port, deadline).map_err(|error| Failure::Name {
            host: host.to_owned(),
            reason: error.to_string(),
        })?,
    };
    choose(families, &found).map_err(|(family, option)| Failure::Family {
        host: host.to_owned(),
        family,
        option,
    })
}

/// Asks the system, on a thread of its own: it has no time limit, and may take longer than we have.
fn look_up(host: &str, port: u16, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the name service did not answer in time");
    let host = host.to_owned();
    let (sender, answer) = channel();
    thread::spawn(move || sender.send(name_service::addresses(&host, port)));
    let left = left_until(deadline).ok_or_else(late)?;
    let found = answer.recv_timeout(left).map_err(|_| late())??;
    if found.is_empty() {
        return Err(io::Error::other("the name is known, but nothing else about it"));
    }
    Ok(found)
}

/// The first address of each family; or the family that is missing, and the option that asks for it.
fn choose(families: Families, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, (&'static str, &'static str)> {
    let v4 = found.iter().copied().find(SocketAddr::is_ipv4);
    let v6 = found.iter().copied().find(SocketAddr::is_ipv6);
    match (families, v6, v4) {
        (Families::V4 | Families::Both, _, None) => Err(("IPv4", "-4")),
        (Families::V6 | Families::Both, None, _) => Err(("IPv6", "-6")),
        (Families::V4, _, v4) => Ok(v4.into_iter().collect()),
        (Families::V6, v6, _) => Ok(v6.into_iter().collect()),
        (Families::Any | Families::Both, v6, v4) => Ok(v6.into_iter().chain(v4).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_of_each_family_that_is_asked_for() {
        let [a4, b4, a6, b6] = ["192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1"]
            .map(|address| address.parse::<SocketAddr>().unwrap());
        let all = [a4, b4, a6, b6];
        assert_eq!(choose(Families::Any, &all), Ok(vec![a6, a4]));
        assert_eq!(choose(Families::Both, &all), Ok(vec![a6, a4]));
        assert_eq!(choose(Families::V4, &all), Ok(vec![a4]));
        assert_eq!(choose(Families::V6, &all), Ok(vec![a6]));
        assert_eq!(choose(Families::Any, &[b4]), Ok(vec![b4]));
        assert_eq!(choose(Families::Any, &[b6]), Ok(vec![b6]));
        assert_eq!(choose(Families::V4, &[a6]).unwrap_err().0, "IPv4");
        assert_eq!(choose(Families::V6, &[a4]).unwrap_err().0, "IPv6");
        assert_eq!(choose(Families::Both, &[a4]).unwrap_err().0, "IPv6");
        assert_eq!(choose(Families::Both, &[a6]).unwrap_err().0, "IPv4");
    }
}

//! Whether the warden does what the gatekeeper asks for: whoever has taken the gatekeeper over asks as well.

use crate::{
    config::{Config, Resource, User},
    requests::{Action, Challenge},
};
use letmein_common::{ResourceId, UserId, maps::PendingKey, source::Address};
use std::{net::IpAddr, time::Duration};
use thiserror::Error;

/// A request that may be done.
#[derive(Debug)]
pub enum Allowed<'a> {
    /// Open the resource, for the address and this long.
    Open(&'a User, &'a Resource, IpAddr, Duration),
    /// Close it.
    Close(&'a User, &'a Resource, IpAddr),
    /// Let a RESPONSE pass.
    Expect(PendingKey, Challenge),
}

/// Why a request is not done. A gatekeeper that works as it should asks for nothing of the kind, unless the configuration
/// has changed a moment ago.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Forbidden {
    /// There is no such user.
    #[error("there is no user {0}")]
    User(UserId),
    /// There is such a user, but not for that.
    #[error("user {0} may not open resource {1}")]
    Resource(UserId, ResourceId),
    /// The lease is of no length.
    #[error("a lease of resource {0} is for {1:?} at the most, and longer than nothing")]
    Lease(ResourceId, Duration),
    /// Nobody has this address.
    #[error("{0} is no address to open for")]
    Address(IpAddr),
    /// The challenge would be valid for too long.
    #[error("a challenge for user {0} would be valid for longer than gate.control-timeout")]
    Late(UserId),
    /// Too many requests of this user.
    #[error("that is more than user {0} may have of firewall.max-opens-per-second")]
    Rate(UserId),
}

impl Forbidden {
    /// The same without who and what.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::User(_) => "a request for a user that there is not",
            Self::Resource(..) => "a request for a resource that the user may not open",
            Self::Lease(..) => "a request for a lease of the wrong length",
            Self::Address(_) => "a request for an address that nobody has",
            Self::Late(_) => "a request to expect a response for too long",
            Self::Rate(_) => "more requests than firewall.max-opens-per-second",
        }
    }
}

/// Checks a request against the configuration. `now` is that of `CLOCK_MONOTONIC`, in nanoseconds.
pub fn judge<'a>(config: &'a Config, action: &Action, now: u64) -> Result<Allowed<'a>, Forbidden> {
    match action {
        Action::Open {
            user,
            resource,
            address,
            lease,
        } => {
            let (user, found) = permitted(config, *user, *resource)?;
            check_address(*address)?;
            if lease.is_zero() || *lease > found.lease {
                return Err(Forbidden::Lease(*resource, found.lease));
            }
            Ok(Allowed::Open(user, found, *address, *lease))
        }
        Action::Close {
            user,
            resource,
            address,
        } => {
            let (user, found) = permitted(config, *user, *resource)?;
            check_address(*address)?;
            Ok(Allowed::Close(user, found, *address))
        }
        Action::Expect(exchange, challenge) => {
            permitted(config, exchange.user, exchange.resource)?;
            let timeout = u64::try_from(config.gate.control_timeout.as_nanos()).unwrap_or(u64::MAX);
            if challenge.expires > now.saturating_add(timeout) {
                return Err(Forbidden::Late(exchange.user));
            }
            Ok(Allowed::Expect(*exchange, *challenge))
        }
    }
}

fn permitted(config: &Config, user: UserId, resource: ResourceId) -> Result<(&User, &Resource), Forbidden> {
    let found = config.user(user).ok_or(Forbidden::User(user))?;
    let resource_found = config.resource(resource).filter(|_| found.permits(resource));
    let resource_found = resource_found.ok_or(Forbidden::Resource(user, resource))?;
    Ok((found, resource_found))
}

/// Nobody comes from such an address but the machine itself, to which all is open anyway.
fn check_address(address: IpAddr) -> Result<(), Forbidden> {
    if Address::from(address).is_martian() {
        return Err(Forbidden::Address(address));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const NOW: u64 = 1 << 40;

    fn config() -> Config {
        let text = format!(
            "[gate]\nxdp = \"off\"\ncontrol-timeout = \"5s\"\n\
             [resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\nlease = \"90s\"\n\
             [resources.web]\nid = \"2\"\nports = [\"tcp/443\"]\n\
             [users.alice]\nid = \"1\"\nkey = \"{}\"\nresources = [\"ssh\"]\n",
            "5a".repeat(32)
        );
        Config::parse(&text, Path::new("f"), Path::new("/")).unwrap()
    }

    fn open(user: u32, resource: u32, address: &str, lease: Duration) -> Result<(), Forbidden> {
        let action = Action::Open {
            user: UserId(user),
            resource: ResourceId(resource),
            address: address.parse().unwrap(),
            lease,
        };
        judge(&config(), &action, NOW).map(drop)
    }

    #[test]
    fn only_what_the_configuration_allows_is_opened() {
        let most = Duration::from_secs(90);
        assert_eq!(open(1, 1, "192.0.2.1", most), Ok(()));
        assert_eq!(open(1, 1, "192.0.2.1", Duration::from_nanos(1)), Ok(()));
        assert_eq!(open(2, 1, "192.0.2.1", most), Err(Forbidden::User(UserId(2))));
        for resource in [2, 3] {
            let not_hers = Forbidden::Resource(UserId(1), ResourceId(resource));
            assert_eq!(open(1, resource, "192.0.2.1", most), Err(not_hers));
        }
        for lease in [Duration::ZERO, most + Duration::from_nanos(1), Duration::MAX] {
            let wrong = Forbidden::Lease(ResourceId(1), most);
            assert_eq!(open(1, 1, "192.0.2.1", lease), Err(wrong));
        }
        for nobody in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "127.0.0.1",
            "::1",
            "240.0.0.1",
            "0.0.0.7",
            "::192.0.2.1",
        ] {
            let wrong = Forbidden::Address(nobody.parse().unwrap());
            assert_eq!(open(1, 1, nobody, most), Err(wrong));
        }
    }

    #[test]
    fn nothing_is_closed_by_who_could_not_open_it() {
        let close = |user, resource, address: &str| {
            let action = Action::Close {
                user: UserId(user),
                resource: ResourceId(resource),
                address: address.parse().unwrap(),
            };
            judge(&config(), &action, NOW).is_ok()
        };
        assert!(close(1, 1, "192.0.2.1"));
        assert!(!close(2, 1, "192.0.2.1") && !close(1, 2, "192.0.2.1") && !close(1, 1, "::"));
    }

    #[test]
    fn no_challenge_is_valid_for_longer_than_an_exchange_may_take() {
        let expect = |user, resource, expires| {
            let address: IpAddr = "192.0.2.1".parse().unwrap();
            let exchange = PendingKey::new(&address.into(), 7, UserId(user), ResourceId(resource));
            let token = [1; 32];
            judge(
                &config(),
                &Action::Expect(exchange, Challenge { token, expires }),
                NOW,
            )
            .map(drop)
        };
        let last = NOW + 5_000_000_000;
        assert_eq!(expect(1, 1, last), Ok(()));
        assert_eq!(expect(1, 1, last + 1), Err(Forbidden::Late(UserId(1))));
        assert!(expect(2, 1, last).is_err() && expect(1, 2, last).is_err());
    }
}

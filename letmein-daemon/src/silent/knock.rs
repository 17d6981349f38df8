//! What a silent knock does that has proved a key.

use super::martian;
use crate::{
    config::User,
    gatekeeper::{Gatekeeper, policy::Policy},
    requests::Action,
};
use letmein_common::{
    maps::SilentKnock,
    wire::{
        challenge::Operation,
        silent::{Keys, Request, View, epoch},
    },
};
use std::{
    net::IpAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tracing::{error, warn};

/// Verifies the knock once more, and has the warden open or close what it asks for. Nobody is answered.
pub async fn act(gatekeeper: &Gatekeeper, knock: &SilentKnock) {
    let policy = gatekeeper.policy();
    // Whoever keeps the table of tags knows what time it is.
    let time = if policy.gate.in_userspace {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    } else {
        gatekeeper.warden.time()
    };
    if !is_for_us(gatekeeper, &policy, knock) {
        return;
    }
    if let Some(action) = read(&policy, time, knock) {
        // The warden's log tells if it did not.
        let _outcome = gatekeeper.warden.ask(action).await;
    }
}

/// Whether the kernel would have delivered it. In doubt, it would not.
fn is_for_us(gatekeeper: &Gatekeeper, policy: &Policy, knock: &SilentKnock) -> bool {
    let source = IpAddr::from(knock.source);
    let user = policy.user(knock.user).map_or("somebody", |user| &user.name);
    match martian::check(&gatekeeper.routes, knock) {
        Ok(Ok(())) => return true,
        Ok(Err(martian)) => {
            gatekeeper.count_martian();
            warn!(
                event = "refused",
                user,
                address = %source,
                "a silent knock of {user} is refused: {martian}"
            );
        }
        Err(error) => error!(
            event = "refused",
            user,
            address = %source,
            "a silent knock of {user} from {source} is refused, for the kernel does not tell whose its addresses are: {error}"
        ),
    }
    false
}

/// What a genuine knock asks for.
fn read(policy: &Policy, time: Duration, knock: &SilentKnock) -> Option<Action> {
    let source = IpAddr::from(knock.source);
    let user = policy.user(knock.user)?;
    let keys = user
        .silent
        .as_ref()
        .filter(|keys| verify(policy, time, keys, knock));
    let resource = policy
        .resource(knock.resource)
        .filter(|_| user.permits(knock.resource));
    let (Some(keys), Some(resource)) = (keys, resource) else {
        // The XDP program has verified all of it, so this is no attack but something gone wrong.
        error!(
            event = "refused",
            user = user.name,
            address = %source,
            "a silent knock of {} from {source} does not verify; was the clock just set?",
            user.name
        );
        return None;
    };
    let Ok(request) = keys.open(&View::of(&knock.message)) else {
        warn!(
            event = "refused",
            user = user.name,
            address = %source,
            "a silent knock of {} from {source} proves the key, but asks for nothing that a knock can ask for",
            user.name
        );
        return None;
    };
    let address = match address(user, &request, source) {
        Ok(address) => address,
        Err(wanted) => {
            warn!(
                event = "refused",
                user = user.name,
                address = %source,
                wanted = %wanted,
                "{} knocked from {source} for {wanted}, but may not open for other addresses \
                 (other-addresses in section [users.{}])",
                user.name, user.name
            );
            return None;
        }
    };
    let (user, resource_id) = (knock.user, knock.resource);
    if request.operation == Operation::Revoke {
        return Some(Action::Close {
            user,
            resource: resource_id,
            address,
        });
    }
    let wanted = Duration::from_secs(request.lease_seconds.into());
    let lease = if wanted.is_zero() {
        resource.lease
    } else {
        wanted.min(resource.lease)
    };
    Some(Action::Open {
        user,
        resource: resource_id,
        address,
        lease,
    })
}

/// As the XDP program did, from the tag on.
fn verify(policy: &Policy, time: Duration, keys: &Keys, knock: &SilentKnock) -> bool {
    let view = View::of(&knock.message);
    let current = epoch(time.as_secs());
    // One more on either side: an epoch may have ended since.
    let of_this_time = (current.saturating_sub(2)..=current + 2)
        .any(|epoch| keys.tag(epoch, policy.gate.number, knock.user, knock.resource) == view.tag());
    of_this_time && view.checks(&keys.check) && view.proves(&keys.mac)
}

/// The address to open for; `Err` is one that this user may not open for.
fn address(user: &User, request: &Request, source: IpAddr) -> Result<IpAddr, IpAddr> {
    let Some(wanted) = request.address.map(IpAddr::from) else {
        return Ok(source);
    };
    if wanted == source || user.other_addresses {
        Ok(wanted)
    } else {
        Err(wanted)
    }
}

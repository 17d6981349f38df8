//! What a silent knock does that has proved a key.

use super::martian;
use crate::{
    config::User,
    gatekeeper::{Gatekeeper, policy::Policy},
    logging::refusals,
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
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::task::spawn_local;
use tracing::{error, warn};

/// Verifies the knock once more, and has the warden open or close what it asks for, when it is the user's turn. Nobody
/// is answered.
pub fn act(gatekeeper: &Rc<Gatekeeper>, knock: &SilentKnock) {
    let policy = gatekeeper.policy();
    let Some(user) = policy.user(knock.user) else {
        return;
    };
    // First, as it is cheap: who has checked the knock before knows whose it is.
    if !gatekeeper.charge(user, knock.source.into()) {
        return;
    }
    // Whoever keeps the table of tags knows what time it is.
    let time = if policy.gate.in_userspace {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    } else {
        gatekeeper.warden.time()
    };
    if !is_for_us(gatekeeper, user, knock) {
        return;
    }
    let Some(action) = read(&policy, user, time, knock) else {
        return;
    };
    if let Ok(place) = gatekeeper.enter(user, knock.source.into()) {
        let gatekeeper = Rc::clone(gatekeeper);
        spawn_local(async move {
            // The warden's log tells if it did not.
            let _outcome = gatekeeper.warden.ask(place, action).await;
        });
    }
}

/// Whether the kernel would have delivered it. In doubt, it would not.
fn is_for_us(gatekeeper: &Gatekeeper, user: &User, knock: &SilentKnock) -> bool {
    let source = IpAddr::from(knock.source);
    match martian::check(&gatekeeper.routes, knock) {
        Ok(Ok(())) => return true,
        Ok(Err(martian)) => {
            gatekeeper.count_martian();
            if let Some(untold) = refusals::count("the kernel would not deliver a packet like it", Some(user))
            {
                warn!(
                    event = "refused",
                    user = user.name,
                    address = %source,
                    "a silent knock of {} is refused: {martian}{untold}",
                    user.name
                );
            }
        }
        Err(error) => {
            if let Some(untold) = refusals::count("the kernel does not tell whose addresses are", Some(user))
            {
                error!(
                    event = "refused",
                    user = user.name,
                    address = %source,
                    "a silent knock of {} from {source} is refused: the kernel does not tell whose its addresses \
                     are: {error}{untold}",
                    user.name
                );
            }
        }
    }
    false
}

/// What a genuine knock asks for.
fn read(policy: &Policy, user: &User, time: Duration, knock: &SilentKnock) -> Option<Action> {
    let source = IpAddr::from(knock.source);
    let keys = user
        .silent
        .as_ref()
        .filter(|keys| verify(policy, time, keys, knock));
    let resource = policy
        .resource(knock.resource)
        .filter(|_| user.permits(knock.resource));
    let (Some(keys), Some(resource)) = (keys, resource) else {
        // The XDP program has verified all of it, so this is no attack but something gone wrong.
        if let Some(untold) = refusals::count("a silent knock does not verify", Some(user)) {
            error!(
                event = "refused",
                user = user.name,
                address = %source,
                "a silent knock of {} from {source} does not verify; was the clock just set?{untold}",
                user.name
            );
        }
        return None;
    };
    let Ok(request) = keys.open(&View::of(&knock.message)) else {
        if let Some(untold) = refusals::count("a silent knock asks for nothing", Some(user)) {
            warn!(
                event = "refused",
                user = user.name,
                address = %source,
                "a silent knock of {} from {source} proves the key, but asks for nothing that a knock can ask \
                 for{untold}",
                user.name
            );
        }
        return None;
    };
    let address = match address(user, &request, source) {
        Ok(address) => address,
        Err(wanted) => {
            if let Some(untold) = refusals::count("the user may not open for other addresses", Some(user)) {
                warn!(
                    event = "refused",
                    user = user.name,
                    address = %source,
                    wanted = %wanted,
                    "{} knocked from {source} for {wanted}, but may not open for other addresses \
                     (other-addresses in section [users.{}]){untold}",
                    user.name, user.name
                );
            }
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

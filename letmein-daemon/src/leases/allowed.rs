//! Which grants a configuration allows: those that somebody could open by it now.

use super::Opener;
use crate::{
    config::{Config, Resource},
    firewall::{LeaseKey, Target},
};
use letmein_common::ResourceId;
use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

pub(super) struct Allowed<'a> {
    config: &'a Config,
    by_target: HashMap<Target, (ResourceId, &'a Resource)>,
}

impl<'a> Allowed<'a> {
    pub fn by(config: &'a Config) -> Self {
        let by_target = config
            .resources()
            .flat_map(|(id, resource)| targets(id, resource).map(move |target| (target, (id, resource))));
        Self {
            config,
            by_target: by_target.collect(),
        }
    }

    /// The longest that this opener's grant may still last; `None` if it may not be at all. Of one whose opener nobody
    /// knows, only the resource is asked for: somebody has added it with `nft`, for as long as it was meant to be.
    pub fn limit(&self, key: &LeaseKey, opener: Opener) -> Option<Duration> {
        let (id, resource) = self.by_target.get(&key.target)?;
        match opener {
            Opener::Unknown | Opener::Operator(_) => Some(Duration::MAX),
            Opener::User(user) => {
                let user = self.config.user(user).filter(|user| user.permits(*id))?;
                user.lease(resource.lease, SystemTime::now())
            }
        }
    }
}

fn targets(id: ResourceId, resource: &Resource) -> impl Iterator<Item = Target> {
    let ports = resource.ports.iter();
    let ports = ports.map(|ports| Target::Port(ports.protocol, ports.first));
    let jumps = [Target::Jump(id), Target::JumpForAll(id)];
    ports.chain(jumps.into_iter().filter(|_| resource.jump.is_some()))
}

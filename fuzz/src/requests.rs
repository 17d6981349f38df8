//! What a gatekeeper that somebody has taken over sends the warden: only what says one thing in one way is understood, and
//! only what the configuration allows is done.

use letmein_daemon::{
    config::Config,
    requests::{Action, FromGatekeeper, LONGEST},
    warden::judge::{Allowed, judge},
};
use std::{path::Path, sync::LazyLock};

#[expect(clippy::expect_used, reason = "it is written here")]
static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = format!(
        "[gate]\nxdp = \"off\"\n[resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\nlease = \"1m\"\n\
         [resources.vpn]\nid = \"2\"\nports = [\"udp/1\"]\n\
         [users.alice]\nid = \"1\"\nkey = \"{}\"\nresources = [\"ssh\"]\n",
        "5a".repeat(32)
    );
    Config::parse(&text, Path::new("requests"), Path::new("/")).expect("a good configuration")
});

/// Reads any bytes as a message of the gatekeeper. What is understood is written again as the same bytes.
pub fn requests(bytes: &[u8]) {
    let Ok(message) = FromGatekeeper::parse(bytes) else {
        return;
    };
    assert!(bytes.len() <= LONGEST);
    assert_eq!(message.to_bytes(), bytes);
    if let FromGatekeeper::Request(request) = message {
        decide(&request.action);
    }
}

/// Alice may open ssh, for a minute at the most, and nobody may do anything else.
fn decide(action: &Action) {
    const NOW: u64 = 1 << 40;
    let Ok(allowed) = judge(&CONFIG, action, NOW) else {
        return;
    };
    let (user, resource) = match action {
        Action::Open { user, resource, .. } | Action::Close { user, resource, .. } => (user, resource),
        Action::Expect(exchange, challenge) => {
            let latest = u64::try_from(CONFIG.gate.control_timeout.as_nanos()).unwrap_or(0) + NOW;
            assert!(challenge.expires <= latest);
            (&exchange.user, &exchange.resource)
        }
    };
    assert_eq!((user.0, resource.0), (1, 1));
    if let Allowed::Open(_, resource, address, lease) = allowed {
        assert!(!lease.is_zero() && lease <= resource.lease);
        assert!(!address.is_unspecified() && !address.is_multicast());
    }
}

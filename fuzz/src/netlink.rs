//! Datagrams as the kernel sends them: about leases, about rules, about interfaces.

use letmein_daemon::fuzzing;

/// Reads any bytes as each of them. A lease that is read is written again, and read as the same;
/// so is the name of a set.
pub fn netlink(bytes: &[u8]) {
    fuzzing::links(bytes);
    fuzzing::notifications(bytes);
    fuzzing::shape(bytes);
    for (leases, again) in fuzzing::leases(bytes) {
        assert_eq!(leases.len(), again.len());
        for (lease, again) in leases.iter().zip(again) {
            assert_eq!(lease.key.address.to_canonical(), again.key.address.to_canonical());
            assert_eq!(lease.key.target, again.key.target);
            assert_eq!(lease.remaining, again.remaining);
        }
    }
    if let Some((name, set)) = str::from_utf8(bytes)
        .ok()
        .and_then(|name| Some((name, fuzzing::lease_set(name)?)))
    {
        assert_eq!(name, set);
    }
}

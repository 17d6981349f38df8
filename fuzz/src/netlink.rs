//! Datagrams as the kernel sends them: about leases, about rules, about interfaces.

use letmein_daemon::fuzzing;

/// Reads any bytes as each of them. A lease that is read is written again, and read as the same.
pub fn netlink(bytes: &[u8]) {
    fuzzing::links(bytes);
    fuzzing::notifications(bytes);
    fuzzing::shape(bytes);
    let leases = fuzzing::leases(bytes);
    let again = fuzzing::leases(&fuzzing::elements(&leases));
    assert_eq!(leases.len(), again.len());
    for (lease, again) in leases.iter().zip(again) {
        assert_eq!(lease.key.address.to_canonical(), again.key.address.to_canonical());
        assert_eq!(
            (lease.key.protocol, lease.key.port),
            (again.key.protocol, again.key.port)
        );
        assert_eq!(lease.remaining, again.remaining);
    }
}

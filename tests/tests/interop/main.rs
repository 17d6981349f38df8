//! letmein 12.6.2 and this implementation, each as the other's client and server: same scenario, all transports,
//! address families and error policies. Needs root, and letmein 12.6.2 as `cargo xtask test` installs it.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

/// A module with one test for each transport and address family, which calls `$check` with that and more.
macro_rules! each_way {
    ($name:ident: $check:ident($($argument:expr),*)) => {
        mod $name {
            use super::*;

            #[test]
            fn udp_ipv4() {
                $check(Way::UdpIpv4, $($argument),*);
            }

            #[test]
            fn udp_ipv6() {
                $check(Way::UdpIpv6, $($argument),*);
            }

            #[test]
            fn tcp_ipv4() {
                $check(Way::TcpIpv4, $($argument),*);
            }

            #[test]
            fn tcp_ipv6() {
                $check(Way::TcpIpv6, $($argument),*);
            }
        }
    };
}

mod imported;
mod keys;
mod our_client;
mod scenario;
mod their_client;

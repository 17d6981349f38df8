//! Each network interface: its driver, and what stands in the way of native XDP.

use super::{Finding, drivers};
use crate::sh;
use serde_json::Value;
use std::{fs, path::Path, process::Command};

/// What native XDP takes in one buffer: a page of 4096 bytes less 256 of headroom and 320 for the kernel's
/// `skb_shared_info`, less an Ethernet and two VLAN headers. Above it, a driver has to support multi-buffer frames.
const ONE_BUFFER_MTU: u64 = 3498;

/// An interface, as far as it matters here.
#[derive(Debug, Default)]
struct Interface {
    name: String,
    /// The driver, or the kind if it is virtual.
    driver: String,
    mtu: u64,
    up: bool,
    /// The id of an XDP program that is attached already.
    program: Option<u64>,
    /// Large receive offload is on.
    lro: bool,
}

pub(super) fn check(kernel: Option<(u32, u32)>) -> Vec<Finding> {
    let json = sh::output(Command::new("ip").args(["-details", "-json", "link", "show"]));
    let Some(interfaces) = json.as_deref().and_then(parse) else {
        return vec![Finding::warn(
            "interfaces",
            "not looked at: `ip -json link` does not work: apt-get install iproute2",
        )];
    };
    if interfaces.is_empty() {
        return vec![Finding::warn(
            "interfaces",
            "there are none but loopback, so none for the gate: `ip link` lists them",
        )];
    }
    interfaces
        .into_iter()
        .map(|mut interface| {
            if let Some(driver) = driver(&interface.name) {
                interface.driver = driver;
            }
            interface.lro = lro(&interface.name);
            judge(&interface, kernel)
        })
        .collect()
}

/// The interfaces in what `ip -details -json link` prints, without loopback.
fn parse(json: &str) -> Option<Vec<Interface>> {
    let list: Vec<Value> = serde_json::from_str(json).ok()?;
    Some(list.iter().filter_map(interface).collect())
}

fn interface(link: &Value) -> Option<Interface> {
    let has = |flag: &str| {
        link["flags"]
            .as_array()
            .is_some_and(|flags| flags.iter().any(|have| have == flag))
    };
    if has("LOOPBACK") {
        return None;
    }
    Some(Interface {
        name: link["ifname"].as_str()?.to_owned(),
        driver: link["linkinfo"]["info_kind"]
            .as_str()
            .unwrap_or("unknown")
            .to_owned(),
        mtu: link["mtu"].as_u64().unwrap_or(0),
        up: has("UP"),
        program: link["xdp"]["prog"]["id"].as_u64(),
        lro: false,
    })
}

/// The driver of a device on some bus.
fn driver(interface: &str) -> Option<String> {
    let link = fs::read_link(Path::new("/sys/class/net").join(interface).join("device/driver")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

fn lro(interface: &str) -> bool {
    sh::output(Command::new("ethtool").args(["-k", interface])).is_some_and(|features| lro_is_on(&features))
}

fn lro_is_on(features: &str) -> bool {
    features
        .lines()
        .filter_map(|line| line.trim().strip_prefix("large-receive-offload:"))
        .any(|state| state.split_whitespace().next() == Some("on"))
}

fn judge(interface: &Interface, kernel: Option<(u32, u32)>) -> Finding {
    let name = &interface.name;
    let since = drivers::native_since(&interface.driver);
    let native = since.is_some_and(|since| kernel >= Some(since));
    let driver = &interface.driver;
    let mut parts = vec![match since {
        Some((major, minor)) if native => {
            format!("driver {driver}, native XDP since Linux {major}.{minor}; tried when attached")
        }
        Some((major, minor)) => {
            format!("driver {driver}, native XDP from Linux {major}.{minor} on; until then generic, slower")
        }
        None => {
            format!(
                "driver {driver}, not known to have native XDP; tried when attached, else generic, slower"
            )
        }
    }];
    // Nobody guards an interface that is down.
    let mut good = native || !interface.up;
    if !interface.up {
        parts.push("is down".to_owned());
    }
    if interface.mtu > ONE_BUFFER_MTU {
        parts.push(format!(
            "MTU {}: if the driver does not take multi-buffer XDP, ip link set {name} mtu {ONE_BUFFER_MTU}",
            interface.mtu
        ));
    }
    if interface.lro {
        good = false;
        parts.push(format!(
            "LRO is on, which XDP does not go with: ethtool -K {name} lro off"
        ));
    }
    if let Some(id) = interface.program {
        good = false;
        parts.push(format!(
            "XDP program {id} is attached already: `bpftool prog show id {id}` tells what, `ip link set {name} xdp \
             off` removes it"
        ));
    }
    let text = parts.join("; ");
    if good {
        Finding::ok(name, text)
    } else {
        Finding::warn(name, text)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::Level::{Ok, Warn},
        Interface, judge, lro_is_on, parse,
    };

    const LINKS: &str = r#"[
        {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "mtu": 65536},
        {"ifname": "eth0", "flags": ["BROADCAST", "UP"], "mtu": 1500},
        {"ifname": "to-peer", "flags": ["UP"], "mtu": 9000, "xdp": {"mode": 1, "prog": {"id": 289}},
         "linkinfo": {"info_kind": "veth"}},
        {"ifname": "ifb0", "flags": [], "mtu": 1500, "linkinfo": {"info_kind": "ifb"}}
    ]"#;

    #[test]
    fn links_are_read_without_loopback() {
        let interfaces = parse(LINKS).unwrap_or_default();
        let seen: Vec<_> = interfaces
            .iter()
            .map(|i| (i.name.as_str(), i.driver.as_str(), i.mtu, i.up, i.program))
            .collect();
        assert_eq!(
            seen,
            [
                ("eth0", "unknown", 1500, true, None),
                ("to-peer", "veth", 9000, true, Some(289)),
                ("ifb0", "ifb", 1500, false, None),
            ]
        );
        assert!(parse("no JSON").is_none());
    }

    fn up(driver: &str) -> Interface {
        Interface {
            name: "eth0".to_owned(),
            driver: driver.to_owned(),
            mtu: 1500,
            up: true,
            ..Interface::default()
        }
    }

    #[test]
    fn native_drivers_are_good_and_others_slower() {
        let new = Some((6, 18));
        assert_eq!(judge(&up("virtio_net"), new).level, Ok);
        assert_eq!(judge(&up("vmxnet3"), Some((6, 1))).level, Warn);
        assert_eq!(judge(&up("e1000e"), new).level, Warn);
        let down = Interface {
            up: false,
            ..up("ifb")
        };
        assert_eq!(judge(&down, new).level, Ok);
    }

    #[test]
    fn what_stands_in_the_way_is_told() {
        let new = Some((6, 18));
        let lro = Interface {
            lro: true,
            ..up("ixgbe")
        };
        assert!(judge(&lro, new).found.ends_with("ethtool -K eth0 lro off"));
        let taken = Interface {
            program: Some(7),
            ..up("veth")
        };
        assert_eq!(judge(&taken, new).level, Warn);
        let jumbo = Interface {
            mtu: 9000,
            ..up("ice")
        };
        assert!(judge(&jumbo, new).found.contains("mtu 3498"));
        assert!(!judge(&up("ice"), new).found.contains("MTU"));
    }

    #[test]
    fn ethtool_is_read() {
        let features =
            |state| format!("Features for eth0:\nrx-checksumming: on\nlarge-receive-offload: {state}\n");
        assert!(lro_is_on(&features("on")));
        assert!(!lro_is_on(&features("off [fixed]")));
        assert!(!lro_is_on(""));
    }
}

//! Drivers with native XDP, and the kernel release that brought it, as the kernel's history has them.

/// Names as in `/sys/class/net/IF/device/driver`, or the kind of a virtual interface as `ip -details link` calls it.
const NATIVE: &[(&str, (u32, u32))] = &[
    ("bnxt_en", (4, 11)),
    ("bond", (5, 15)),
    ("cpsw", (5, 3)),
    ("ena", (5, 6)),
    ("fec", (6, 2)),
    ("fsl_dpaa2_eth", (5, 0)),
    ("fsl_enetc", (5, 13)),
    ("funeth", (5, 18)),
    ("gve", (6, 4)),
    ("hv_netvsc", (5, 6)),
    ("i40e", (4, 13)),
    ("ice", (5, 5)),
    ("igb", (5, 10)),
    ("igc", (5, 13)),
    ("intel-eth-pci", (5, 13)),
    ("ionic", (6, 9)),
    ("ixgbe", (4, 12)),
    ("ixgbevf", (4, 17)),
    ("lan966x-switch", (6, 2)),
    ("mana", (5, 17)),
    ("mlx4_core", (4, 8)),
    ("mlx5_core", (4, 9)),
    ("mtk_soc_eth", (6, 0)),
    ("mvneta", (5, 5)),
    ("mvpp2", (5, 9)),
    ("netsec", (5, 3)),
    ("nfp", (4, 10)),
    ("nicvf", (4, 12)),
    ("qede", (4, 10)),
    ("rvu_nicpf", (5, 16)),
    ("rvu_nicvf", (5, 16)),
    ("sfc", (5, 5)),
    ("stmmaceth", (5, 13)),
    ("tsnep", (6, 3)),
    ("tun", (4, 14)),
    ("veth", (4, 19)),
    ("vif", (5, 9)),
    ("virtio_net", (4, 10)),
    ("vmxnet3", (6, 6)),
];

/// The release since which `driver` is known to have native XDP.
pub(super) fn native_since(driver: &str) -> Option<(u32, u32)> {
    let found = NATIVE.iter().find(|(name, _)| *name == driver)?;
    Some(found.1)
}

#[cfg(test)]
mod tests {
    use super::{NATIVE, native_since};

    #[test]
    fn the_table_is_in_order_and_says_nothing_twice() {
        assert!(NATIVE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn drivers_are_found_by_their_whole_name() {
        assert_eq!(native_since("veth"), Some((4, 19)));
        assert_eq!(native_since("ixgbe"), Some((4, 12)));
        assert_eq!(native_since("ixgbevf"), Some((4, 17)));
        for driver in ["", "e1000e", "bridge", "virtio"] {
            assert_eq!(native_since(driver), None, "{driver:?}");
        }
    }

    #[test]
    fn the_document_has_every_driver() {
        let text = include_str!("../../../docs/operations.md");
        for (name, (major, minor)) in NATIVE {
            let (_, after) = text.split_once(&format!("`{name}`")).expect(name);
            let since = after.split(',').next().unwrap();
            // The XDP program takes Linux 5.18.
            let newer = (*major, *minor) > (5, 18);
            assert!(!newer || since.contains(&format!(" {major}.{minor}")), "{name}");
        }
    }
}

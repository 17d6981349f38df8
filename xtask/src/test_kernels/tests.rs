//! Which tests run on which kernel. Emulation is slow: what takes minutes there, or programs that are not, is left out.

/// A test program of the workspace.
pub struct Test {
    pub package: &'static str,
    pub name: &'static str,
    /// Only tests whose names contain one of these; all if there is none.
    pub only: &'static [&'static str],
}

const GATE: Test = Test {
    package: "letmein-tests",
    name: "gate",
    only: &[],
};
const SILENT: Test = Test {
    package: "letmein-tests",
    name: "silent",
    only: &[
        "lease::native",
        "lease::generic",
        "forged::each",
        "replay::at_once",
        "replay::after_a_restart",
    ],
};
const RESOURCES: Test = Test {
    package: "letmein-tests",
    name: "resources",
    only: &[
        "forward::the_guard_closes",
        "jump::",
        "cut::a_revocation",
        "cut::a_lease_that_runs_out_ends_connections_in_guard",
        "cut::a_udp_flow",
    ],
};
const FIREWALL: Test = Test {
    package: "letmein-daemon",
    name: "firewall",
    only: &[],
};
const LEASES: Test = Test {
    package: "letmein-daemon",
    name: "leases",
    only: &[],
};

pub const ALL: &[Test] = &[GATE, SILENT, RESOURCES, FIREWALL, LEASES];

/// Where nothing is expected to differ from the kernels before and after.
pub const FEW: &[Test] = &[GATE, FIREWALL];

/// For kernels that are too old for the XDP program.
pub const WITHOUT_XDP: &[Test] = &[
    Test {
        package: "letmein-tests",
        name: "gate",
        only: &["without_xdp"],
    },
    FIREWALL,
];

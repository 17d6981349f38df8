//! Whether the kernel takes the XDP program.

use super::{Finding, is_root, read};
use crate::paths;
use aya::{EbpfLoader, programs::Xdp};
use letmein_common::{bucket::Limit, maps::Settings, source::Prefixes};
use std::fs;

const WHAT: &str = "BPF";
/// Of `linux/capability.h`.
const CAPABILITIES: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_BPF", 39)];
const CAP_SYS_ADMIN: u32 = 21;

pub(super) fn check() -> Vec<Finding> {
    let missing = missing(&read("/proc/self/status").unwrap_or_default());
    if !missing.is_empty() {
        let missing = missing.join(" and ");
        return vec![if is_root() {
            Finding::fail(
                WHAT,
                format!(
                    "root without {missing}: allow this container more, or set xdp = \"off\" in section [gate]"
                ),
            )
        } else {
            Finding::warn(WHAT, format!("not tried without {missing}; run as root"))
        }];
    }
    let object = paths::target().join("ebpf/letmein.bpf.o");
    let Ok(bytes) = fs::read(&object) else {
        return vec![Finding::warn(
            WHAT,
            "not tried: the XDP program is not built yet: cargo xtask build-ebpf",
        )];
    };
    vec![match load(&bytes) {
        Ok(()) => Finding::ok(WHAT, "the kernel takes the XDP program"),
        Err(error) => Finding::fail(
            WHAT,
            format!(
                "the kernel refuses the XDP program ({error}): upgrade the kernel, or set xdp = \"off\" in section [gate]"
            ),
        ),
    }]
}

/// Loads the program as letmeind would, with every branch of it alive, and lets go of it again.
fn load(object: &[u8]) -> Result<(), String> {
    let settings = Settings {
        limit: Limit::new(20, 40),
        budget: Limit::new(0, 0),
        drained: Limit::new(0, 0),
        quota: Limit::new(0, 0),
        answers: Limit::new(0, 0),
        prefixes: Prefixes::ALL,
        control_port: u32::from(letmein_common::DEFAULT_CONTROL_PORT),
        answer_strangers: 1,
        challenge: 1,
        silent: 1,
        shield_tcp: 1,
        shield_udp: 1,
    };
    let mut ebpf = EbpfLoader::new()
        .override_global("SETTINGS", &settings, true)
        .load(object)
        .map_err(|error| in_short(&error))?;
    let program = ebpf.program_mut("letmein").ok_or("it is not in the object")?;
    let program: &mut Xdp = program.try_into().map_err(|error| in_short(&error))?;
    program.load().map_err(|error| in_short(&error))
}

/// The causes of an error on one line, without the verifier's log of many.
fn in_short(error: &dyn std::error::Error) -> String {
    let mut told = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        let text = text.lines().next().unwrap_or_default();
        // Some errors repeat what caused them.
        if !told.contains(text) {
            told = if told.is_empty() {
                text.to_owned()
            } else {
                format!("{told}: {text}")
            };
        }
        cause = error.source();
    }
    told
}

/// The capabilities that letmeind needs and this process lacks, from `/proc/self/status`.
fn missing(status: &str) -> Vec<&'static str> {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    let has = |number: u32| effective >> number & 1 == 1;
    CAPABILITIES
        .into_iter()
        // CAP_SYS_ADMIN includes CAP_BPF, which is younger.
        .filter(|(name, number)| !(has(*number) || *name == "CAP_BPF" && has(CAP_SYS_ADMIN)))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn capabilities_are_read() {
        let status =
            |mask: &str| format!("Name:\txtask\nCapPrm:\t000001ffffffffff\nCapEff:\t{mask}\nCapBnd:\t0\n");
        assert!(missing(&status("000001ffffffffff")).is_empty());
        // NET_ADMIN and SYS_ADMIN; NET_ADMIN and BPF; BPF alone; NET_ADMIN alone.
        assert!(missing(&status("0000000000201000")).is_empty());
        assert!(missing(&status("0000008000001000")).is_empty());
        assert_eq!(missing(&status("0000008000000000")), ["CAP_NET_ADMIN"]);
        assert_eq!(missing(&status("0000000000001000")), ["CAP_BPF"]);
        assert_eq!(missing(""), ["CAP_NET_ADMIN", "CAP_BPF"]);
    }
}

//! A gate that runs, and its two processes.

use letmein_tests::{
    bpffs::BpfFs,
    gate::{Gate, KEY, configuration},
    lab::Lab,
    processes::processes,
};
use nix::unistd::Pid;
use std::fs;

pub struct Scene {
    // The daemon goes before its hosts.
    pub gate: Gate,
    pub lab: Lab,
    _bpffs: BpfFs,
}

impl Scene {
    /// With both kinds of knock, so that the gatekeeper has all that there is to have.
    pub fn new() -> Self {
        let lab = Lab::new().unwrap();
        let bpffs = BpfFs::mount().unwrap();
        let gate = format!("silent = true\n{}", bpffs.setting());
        Self {
            gate: Gate::start_with(&lab.server, &configuration(&gate, "", "1h")).unwrap(),
            lab,
            _bpffs: bpffs,
        }
    }

    pub fn warden(&self) -> Pid {
        self.gate.pid()
    }

    /// The only child of the warden.
    pub fn gatekeeper(&self) -> Pid {
        let mut all = processes(&self.gate).unwrap();
        all.remove(&self.warden().as_raw());
        assert_eq!(all.len(), 1, "{all:?}");
        Pid::from_raw(all.pop_first().unwrap())
    }

    pub fn knock(&self) -> i32 {
        self.gate
            .letmein(&self.lab.client, "10.77.1.1", &KEY, &["knock", "gate", "ssh"])
            .unwrap()
    }
}

/// A field of `/proc/PID/status`, its values separated by one blank.
pub fn status(process: Pid, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

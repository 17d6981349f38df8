//! Our server, with silent knocks and with challenge knocks.

use super::{
    contestant::{self, Contestant},
    kinds,
};
use letmein_tests::{
    bpffs::BpfFs,
    gate::{Client, Gate, KEY, configuration},
};

/// Knocks that are one datagram each.
pub fn silent() -> anyhow::Result<Contestant> {
    start("silent", "", kinds::of_silent())
}

/// Challenge knocks, each from an address that is new to the gate.
pub fn challenge() -> anyhow::Result<Contestant> {
    start("challenge", "", kinds::of_challenge())
}

/// Challenge knocks from a network that has knocked before.
pub fn acquainted() -> anyhow::Result<Contestant> {
    let network = "source-prefix-ipv4 = 16\nrate = 1000\nburst = 1000";
    start("challenge", network, kinds::of_challenge())
}

fn start(mode: &str, gate: &str, kinds: Vec<kinds::Kind>) -> anyhow::Result<Contestant> {
    let (lab, service) = contestant::lab()?;
    let bpffs = BpfFs::mount()?;
    let gate = format!("xdp = \"native\"\nsilent = true\n{}\n{gate}", bpffs.setting());
    let text = configuration(&gate, "", "10m");
    // A first start takes no silent knock for a while.
    Gate::start_with(&lab.server, &text)?.stop()?;
    let gate = Gate::start_with(&lab.server, &text)?;
    let client = Client::new(
        &format!(
            "[servers.gate]\nhost = \"10.77.1.1\"\nuser = \"1\"\nkey-file = \"alice.key\"\nmode = \"{mode}\"\n\
             [servers.gate.resources]\nssh = {{ id = \"1\", port = 22 }}\n"
        ),
        &KEY,
    )?;
    Ok(Contestant {
        kinds,
        lab,
        processes: vec![gate.pid()],
        knock: Box::new(move |_| client.command(&["knock", "gate", "22", "-U"])),
        _keep: vec![Box::new(gate), Box::new(service), Box::new(bpffs)],
    })
}

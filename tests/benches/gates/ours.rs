//! Our server, with silent knocks and with challenge knocks.

use super::{
    contestant::{self, Contestant},
    kinds, taken,
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
    let mut kinds = kinds::of_challenge();
    kinds.push(kinds::of_shield());
    start("challenge", "", kinds)
}

/// Challenge knocks from a network that has knocked before. That makes a difference where HMACs are computed.
pub fn acquainted() -> anyhow::Result<Contestant> {
    let network = "source-prefix-ipv4 = 16\nrate = 1000\nburst = 1000";
    start("challenge", network, vec![kinds::forged()])
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
        knock: Some(Box::new(move |_| client.command(&["knock", "gate", "22", "-U"]))),
        taken: Box::new(move || taken::by_us(&gate)),
        _keep: vec![Box::new(service), Box::new(bpffs)],
    })
}

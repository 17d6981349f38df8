//! The token bucket of each source. A forged knock of a known user takes a token; without one it is not checked.

use crate::{
    network::{CONTROL_PORT, SERVER_V4, SERVER_V6},
    site::Site,
};
use letmein_common::wire::challenge::LEN;
use letmein_tests::lab::{Host, Lab};
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

const RATE: u64 = 1;
const BURST: u64 = 20;
/// More than fit in a bucket, fewer than a veth pair holds.
const FLOOD: usize = 200;
/// HMACs a second on each CPU. A source without tokens gets some of a quarter of that.
const BUDGET: u64 = 3000;
/// How many of them are saved up for such sources on each CPU: 20 ms' worth.
const SAVED_UP: u64 = BUDGET / 4 / 50 + 1;
const PATIENCE: Duration = Duration::from_secs(30);
/// The last bytes of these fields of a knock.
const MAGIC: usize = 3;
const OPERATION: usize = 7;
const USER: usize = 11;

#[test]
fn with_native_xdp() {
    all("native");
}

#[test]
fn with_generic_xdp() {
    all("generic");
}

fn all(xdp: &str) {
    let mut site = site(xdp, "");
    each_ipv4_address_has_its_own(&mut site);
    an_ipv6_network_shares_one(&mut site);
    what_is_not_checked_takes_no_token(&mut site);
    it_fills_again(&mut site);
}

/// Three more addresses on the client, which the server can reach: another one in the same IPv4 network, another /64
/// in the same IPv6 /56, and another /56.
fn site(xdp: &str, gate: &str) -> Site {
    let lab = Lab::new().unwrap();
    ip(&lab.client, &["addr", "add", "10.77.1.3/24", "dev", "to-server"]);
    for address in ["fd77:1:0:1::2/64", "fd77:1:0:100::2/64"] {
        ip(
            &lab.client,
            &["addr", "add", address, "dev", "to-server", "nodad"],
        );
    }
    for network in ["fd77:1:0:1::/64", "fd77:1:0:100::/64"] {
        ip(&lab.server, &["route", "add", network, "dev", "to-peer1"]);
    }
    Site::with(
        lab,
        &format!("xdp = \"{xdp}\"\nrate = {RATE}\nburst = {BURST}\nhmac-budget = {BUDGET}\n{gate}"),
    )
}

fn ip(host: &Host, arguments: &[&str]) {
    let status = host.command("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

/// Sends forged knocks from these sources in turn. Returns how many of them were checked, and how many can have been
/// without a token from the full bucket: with one that has come back meanwhile, or from what drained sources share.
fn flood(site: &mut Site, sources: &[&str]) -> (u64, u64) {
    let frames: Vec<_> = (0..FLOOD)
        .map(|number| {
            let knock = site.forged();
            frame(site, sources[number % sources.len()], &knock)
        })
        .collect();
    let begin = Instant::now();
    site.send_at_once(&frames);
    let mut counts = site.counts();
    loop {
        let count = |name| counts.get(name).copied().unwrap_or_default();
        let (checked, refused) = (count("auth"), count("rate-limit"));
        if checked + refused == FLOOD as u64 {
            assert!(
                counts
                    .keys()
                    .all(|name| ["auth", "rate-limit"].contains(&name.as_str()))
            );
            let cpus = thread::available_parallelism().unwrap().get() as u64;
            let millis = u64::try_from(begin.elapsed().as_millis()).unwrap() + 10;
            let more = millis * (RATE + cpus * BUDGET / 4) / 1000;
            return (checked, more + 1 + cpus * SAVED_UP);
        }
        assert!(begin.elapsed() < PATIENCE, "{counts:?}");
        for (name, count) in site.counts() {
            *counts.entry(name).or_default() += count;
        }
    }
}

fn frame(site: &mut Site, source: &str, payload: &[u8]) -> Vec<u8> {
    let source: IpAddr = source.parse().unwrap();
    let port = site.port();
    site.plain_from((source, port).into(), payload)
}

/// Whether a genuine knock from there is answered.
fn answers(site: &mut Site, source: &str, patience: Duration) -> bool {
    let source: IpAddr = source.parse().unwrap();
    let server: IpAddr = if source.is_ipv4() {
        SERVER_V4.into()
    } else {
        SERVER_V6.into()
    };
    let bind = || UdpSocket::bind(SocketAddr::new(source, 0));
    let socket = site.lab.client.enter(bind).unwrap().unwrap();
    socket.connect((server, CONTROL_PORT)).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send(&site.knock()).unwrap();
    let answered = socket.recv(&mut [0; LEN]).is_ok();
    site.counts();
    answered
}

/// One full bucket was emptied, and no more was checked than that and what drained sources share.
fn one_bucket((checked, refilled): (u64, u64)) {
    assert!(checked >= BURST, "{checked} knocks were checked");
    assert!(
        checked <= BURST + refilled,
        "{checked} knocks were checked: a bucket and more than {refilled}"
    );
}

fn each_ipv4_address_has_its_own(site: &mut Site) {
    one_bucket(flood(site, &["10.77.1.2"]));
    assert!(
        answers(site, "10.77.1.3", PATIENCE),
        "another address has to suffer"
    );
    let (checked, _) = flood(site, &["10.77.1.2", "10.77.1.3"]);
    assert!(
        checked >= BURST - 1,
        "{checked} of the other address were checked"
    );
}

fn an_ipv6_network_shares_one(site: &mut Site) {
    one_bucket(flood(site, &["fd77:1::2", "fd77:1:0:1::2"]));
    assert!(
        answers(site, "fd77:1:0:100::2", PATIENCE),
        "another network has to suffer"
    );
}

/// Neither junk, nor a knock of nobody, nor a RESPONSE to nothing; so that it cannot shut out who shares the address.
fn what_is_not_checked_takes_no_token(site: &mut Site) {
    let source = "fd77:1:0:100::2";
    let harmless: Vec<_> = (0..=BURST)
        .map(|number| {
            let mut knock = site.knock();
            match number % 5 {
                0 => knock[MAGIC] ^= 1,
                1 => knock[OPERATION] = 9,
                2 => knock[OPERATION] = 2,
                3 => knock[USER] = 9,
                _ => knock.truncate(LEN - 1),
            }
            frame(site, source, &knock)
        })
        .collect();
    site.send_at_once(&harmless);
    assert!(answers(site, source, PATIENCE), "the bucket is empty");
}

fn it_fills_again(site: &mut Site) {
    let deadline = Instant::now() + PATIENCE;
    for source in ["10.77.1.2", "fd77:1::2"] {
        while !answers(site, source, Duration::from_millis(300)) {
            assert!(Instant::now() < deadline, "{source} is shut out for ever");
        }
    }
}

/// As the configuration says, and no address for itself.
#[test]
fn the_prefix_is_as_configured() {
    let mut site = site("native", "source-prefix-ipv4 = 24\nsource-prefix-ipv6 = 64");
    one_bucket(flood(&mut site, &["10.77.1.2", "10.77.1.3"]));
    let (checked, _) = flood(&mut site, &["fd77:1::2", "fd77:1:0:1::2"]);
    assert!(checked >= 2 * BURST, "{checked} of two networks were checked");
}

//! Jumbo frames, which the XDP program gets in several buffers.

use crate::{
    craft::pattern,
    extensions::{DESTINATION_OPTIONS, chained, options},
    network::{CONTROL_PORT, FAMILIES},
    site::{Counts, Site},
};
use letmein_tests::lab::{Host, Lab};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

const MTU: usize = 9000;
const PATIENCE: Duration = Duration::from_secs(20);
/// More than all buffers on the way hold.
const STREAM: usize = 16 << 20;

#[test]
fn native_xdp() {
    all("native");
}

#[test]
fn generic_xdp() {
    all("generic");
}

fn all(xdp: &str) {
    let lab = Lab::new().unwrap();
    widen(&lab.server, "to-peer1");
    widen(&lab.client, "to-server");
    let mut site = Site::with(lab, &format!("xdp = \"{xdp}\"\nrate = 0"));
    datagrams_of_others_pass_intact(&mut site);
    a_stream_of_others_passes_intact(&mut site);
    knocks_are_told_apart(&mut site);
    a_knock_behind_more_headers_than_one_buffer_holds_is_not_let_in_unseen(&mut site);
}

fn widen(host: &Host, interface: &str) {
    let mut command = host.command("ip");
    command.args(["link", "set", interface, "mtu", &MTU.to_string()]);
    assert!(command.status().unwrap().success());
}

fn datagrams_of_others_pass_intact(site: &mut Site) {
    for family in FAMILIES {
        let server = SocketAddr::new(family.server(), CONTROL_PORT + 1);
        let listener = site
            .lab
            .server
            .enter(|| UdpSocket::bind(server))
            .unwrap()
            .unwrap();
        listener.set_read_timeout(Some(PATIENCE)).unwrap();
        let client = SocketAddr::new(family.client(), 0);
        let sender = site
            .lab
            .client
            .enter(|| UdpSocket::bind(client))
            .unwrap()
            .unwrap();
        // From one page over the fullest frame to a fragmented datagram.
        for length in [3000, 4096, MTU - 48, 30_000] {
            let sent = pattern(length);
            sender.send_to(&sent, server).unwrap();
            let mut received = vec![0; length + 1];
            let count = listener.recv(&mut received).unwrap();
            assert!(
                received[..count] == sent,
                "{count} of {length} bytes, or not the same"
            );
        }
    }
    assert_eq!(site.counts(), Counts::new());
}

fn a_stream_of_others_passes_intact(site: &mut Site) {
    for family in FAMILIES {
        let server = SocketAddr::new(family.server(), CONTROL_PORT + 1);
        let listener = site
            .lab
            .server
            .enter(|| TcpListener::bind(server))
            .unwrap()
            .unwrap();
        let connect = || TcpStream::connect_timeout(&server, PATIENCE);
        let mut sender = site.lab.client.enter(connect).unwrap().unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        receiver.set_read_timeout(Some(PATIENCE)).unwrap();
        sender.set_write_timeout(Some(PATIENCE)).unwrap();
        let sent = pattern(STREAM);
        let mut received = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                sender.write_all(&sent).unwrap();
                drop(sender);
            });
            receiver.read_to_end(&mut received).unwrap();
        });
        site.forget();
        assert!(
            received == sent,
            "{} of {STREAM} bytes, or not the same",
            received.len()
        );
    }
    assert_eq!(site.counts(), Counts::new());
}

fn knocks_are_told_apart(site: &mut Site) {
    for family in FAMILIES {
        let room = MTU - 48;
        let junk: Vec<_> = [room, room - 1, 4096, 3000]
            .map(|length| site.plain(family, &pattern(length)))
            .into();
        site.dropped("length", &junk);
        let padded = |mut frame: Vec<u8>| {
            frame.resize(MTU, 0);
            frame
        };
        let (forged, knock) = (site.forged(), site.knock());
        let forged = padded(site.plain(family, &forged));
        site.dropped("auth", &[forged]);
        let knock = padded(site.plain(family, &knock));
        site.opened(&[knock]);
    }
}

/// The program reads the first buffer only, which holds no more than a page.
fn a_knock_behind_more_headers_than_one_buffer_holds_is_not_let_in_unseen(site: &mut Site) {
    let chain = vec![options(DESTINATION_OPTIONS, 120); 8];
    let forged = site.forged();
    let frame = chained(site, chain.clone(), &forged);
    site.dropped("header-chain", &[frame]);
    let knock = site.knock();
    let frame = chained(site, chain, &knock);
    site.dropped("header-chain", &[frame]);
}

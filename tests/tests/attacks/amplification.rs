//! What the gate sends for what it is sent, in bytes.

use crate::{
    frames::{Mixture, Random, source},
    scene::{Attacker, CONTROL_OF_OTHER, Scene, send_until},
};
use letmein_common::wire::challenge::LEN;
use letmein_tests::frames::{ETHERNET_LEN, UDP};
use std::collections::HashMap;

const KINDS: u32 = 20_000;
const PACKETS: u64 = 100_000;

/// Bytes that each address has sent or is sent: lengths of IP packets.
type Bytes = HashMap<Vec<u8>, usize>;

fn add(bytes: &mut Bytes, packet: &[u8], is_question: bool) {
    let (source, destination) = match packet[0] >> 4 {
        4 => (&packet[12..16], &packet[16..20]),
        _ => (&packet[8..24], &packet[24..40]),
    };
    let stranger = if is_question { source } else { destination };
    *bytes.entry(stranger.to_vec()).or_default() += packet.len();
}

/// Everything that somebody without a key can send over UDP: no byte comes back.
#[test]
fn strangers_get_no_byte_back() {
    let scene = Scene::new();
    let mut gate = scene.start("xdp = \"native\"");
    let mixture = Mixture::record(&scene, &mut gate);
    let mut attacker = scene.attacker();
    let frames = mixture.frames(&attacker, KINDS);
    send_until(&mut gate, PACKETS, &attacker, &frames, Vec::new);
    assert_eq!(attacker.received(), Vec::<Vec<u8>>::new());
}

/// Where everybody is told, nobody gets more than was sent in that name, no answer is longer than a question, and
/// questions that are shorter than an answer are not answered.
#[test]
fn where_everybody_is_told_nobody_gets_more_than_was_sent() {
    let scene = Scene::new();
    let mut gate = scene.start("xdp = \"native\"\nerror-policy = \"always\"");
    let mixture = Mixture::record(&scene, &mut gate);
    let mut attacker = scene.attacker();
    let mut frames = mixture.frames(&attacker, KINDS);
    frames.extend(short(&attacker));
    let mut sent = Bytes::new();
    for frame in &frames {
        add(&mut sent, &frame[ETHERNET_LEN..], true);
    }
    // Each of them once, and some of them more than once only where that makes no difference to the comparison.
    attacker.tap.send_all(&frames).unwrap();
    let shorts = short(&attacker);
    send_until(&mut gate, 10, &attacker, &shorts, Vec::new);
    let answers = attacker.received();
    // How many there are depends on how fast datagrams are taken out of the socket.
    assert!(answers.len() > 100, "only {} answers", answers.len());
    let mut got = Bytes::new();
    for answer in &answers {
        let (protocol, header) = match answer[0] >> 4 {
            4 => (answer[9], 20),
            _ => (answer[6], 40),
        };
        assert_eq!((protocol, answer.len()), (UDP, header + 8 + LEN));
        add(&mut got, answer, false);
    }
    for (stranger, bytes) in got {
        let most = sent.get(&stranger).copied().unwrap_or_default();
        assert!(bytes <= most, "{stranger:?} sent {most} bytes and got {bytes}");
    }
}

/// Datagrams shorter than any message.
fn short(attacker: &Attacker) -> Vec<Vec<u8>> {
    let mut random = Random(13);
    (0..LEN)
        .map(|length| {
            let source = source(KINDS + u32::try_from(length).unwrap());
            attacker.udp(source, CONTROL_OF_OTHER.parse().unwrap(), &random.bytes(length))
        })
        .collect()
}

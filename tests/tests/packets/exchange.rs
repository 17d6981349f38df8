//! Knocks that are replayed, and responses that answer no challenge or another one's.

use crate::{
    answer::Answer,
    modes::native_and_generic,
    network::{FAMILIES, Family, SERVER_V4},
    site::{Counts, Site},
};
use letmein_common::{
    ResourceId, UserId,
    hmac::{Auth, KeyedStates},
    wire::challenge::{Message, NO_TOKEN, Operation},
};
use letmein_tests::{
    gate::KEY,
    lab::{Lab, Outcome},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    thread::sleep,
    time::Duration,
};

native_and_generic!(
    // The first: the others leave the port open.
    a_response_counts_once,
    a_knock_counts_once_wherever_it_comes_from,
    a_response_without_a_challenge_is_dropped,
    a_response_from_elsewhere_is_dropped,
    a_response_to_another_challenge_is_dropped,
);

/// Somebody else on the client's networks.
const ELSEWHERE: [(Family, IpAddr); 2] = [
    (Family::V4, IpAddr::V4(Ipv4Addr::new(10, 77, 1, 3))),
    (Family::V6, IpAddr::V6(Ipv6Addr::new(0xFD77, 1, 0, 0, 0, 0, 0, 3))),
];
const RESOURCE: u32 = 1;

impl Site {
    /// Sends it from there, and returns the answers.
    fn say(&mut self, from: SocketAddr, message: &Message) -> Vec<Answer> {
        let frame = self.plain_from(from, &message.to_bytes());
        self.send(&[frame]).answers
    }

    /// Knocks from there, and returns the token of the challenge.
    fn challenge(&mut self, from: SocketAddr) -> Auth {
        let knock = self.genuine(Operation::Knock, RESOURCE, &NO_TOKEN);
        let answers = self.say(from, &knock);
        assert_eq!(answers.len(), 1);
        assert!(answers[0].is_challenge() && answers[0].to == from, "{answers:?}");
        answers[0].message.auth
    }

    fn genuine(&mut self, operation: Operation, resource: u32, token: &Auth) -> Message {
        let salt = self.salt();
        let key = KeyedStates::new(&KEY);
        Message::authenticated(operation, UserId(1), ResourceId(resource), salt, &key, token)
    }

    fn client(&mut self, family: Family) -> SocketAddr {
        (family.client(), self.port()).into()
    }
}

fn counted(pairs: &[(&str, u64)]) -> Counts {
    pairs
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

fn come_in(answers: &[Answer], to: SocketAddr) {
    assert_eq!(answers.len(), 1);
    assert_eq!(
        (answers[0].to, answers[0].message.operation),
        (to, Operation::ComeIn)
    );
}

fn a_knock_counts_once_wherever_it_comes_from(site: &mut Site) {
    for (family, stranger) in ELSEWHERE {
        let from = site.client(family);
        let knock = site.genuine(Operation::Knock, RESOURCE, &NO_TOKEN);
        assert_eq!(site.say(from, &knock).len(), 1);
        assert_eq!(site.say(from, &knock), []);
        let other_port = site.client(family);
        assert_eq!(site.say(other_port, &knock), []);
        assert_eq!(site.say((stranger, from.port()).into(), &knock), []);
        // The same salt in another message is as good as the same message.
        let key = KeyedStates::new(&KEY);
        let (user, resource) = (knock.user, knock.resource);
        let revoke = Message::authenticated(Operation::Revoke, user, resource, knock.salt, &key, &NO_TOKEN);
        assert_eq!(site.say(from, &revoke), []);
        assert_eq!(site.counts(), counted(&[("genuine", 1), ("replay", 4)]));
        // All at once.
        let knock = site.genuine(Operation::Knock, RESOURCE, &NO_TOKEN);
        let frame = site.plain_from(from, &knock.to_bytes());
        assert_eq!(site.send(&vec![frame; 20]).answers.len(), 1);
        assert_eq!(site.counts(), counted(&[("genuine", 1), ("replay", 19)]));
    }
}

fn a_response_without_a_challenge_is_dropped(site: &mut Site) {
    for family in FAMILIES {
        let from = site.client(family);
        for token in [NO_TOKEN, [0x5A; 32]] {
            let response = site.genuine(Operation::Response, RESOURCE, &token);
            assert_eq!(site.say(from, &response), []);
        }
        assert_eq!(site.counts(), counted(&[("no-challenge", 2)]));
    }
}

/// The right token, but from another port, from another address, or about another resource.
fn a_response_from_elsewhere_is_dropped(site: &mut Site) {
    for (family, stranger) in ELSEWHERE {
        let from = site.client(family);
        let token = site.challenge(from);
        let response = site.genuine(Operation::Response, RESOURCE, &token);
        let other_port = site.client(family);
        assert_eq!(site.say(other_port, &response), []);
        assert_eq!(site.say((stranger, from.port()).into(), &response), []);
        let other_resource = site.genuine(Operation::Response, 2, &token);
        assert_eq!(site.say(from, &other_resource), []);
        assert_eq!(site.counts(), counted(&[("genuine", 1), ("no-challenge", 3)]));
        come_in(&site.say(from, &response), from);
        assert_eq!(site.counts(), counted(&[("genuine", 1)]));
    }
}

fn a_response_to_another_challenge_is_dropped(site: &mut Site) {
    for family in FAMILIES {
        let (from, other) = (site.client(family), site.client(family));
        let (token, others) = (site.challenge(from), site.challenge(other));
        assert_ne!(token, others);
        for wrong in [others, NO_TOKEN, token.map(|byte| byte ^ 1)] {
            let response = site.genuine(Operation::Response, RESOURCE, &wrong);
            assert_eq!(site.say(from, &response), []);
        }
        let mut changed = site.genuine(Operation::Response, RESOURCE, &token);
        changed.auth[31] ^= 0x80;
        assert_eq!(site.say(from, &changed), []);
        assert_eq!(site.counts(), counted(&[("genuine", 2), ("auth", 4)]));
        // Guesses use up nothing.
        let response = site.genuine(Operation::Response, RESOURCE, &token);
        come_in(&site.say(from, &response), from);
        let response = site.genuine(Operation::Response, RESOURCE, &others);
        come_in(&site.say(other, &response), other);
        assert_eq!(site.counts(), counted(&[("genuine", 2)]));
    }
}

/// When the COMEIN is lost a client asks again. It is told so, and a revoked lease stays revoked.
fn a_response_counts_once(site: &mut Site) {
    let _listener = site.lab.server.listen(22).unwrap();
    let ssh = SocketAddr::from((SERVER_V4, 22));
    let from = site.client(Family::V4);
    let token = site.challenge(from);
    assert_eq!(site.lab.client.connect(ssh).unwrap(), Outcome::Silent);
    let response = site.genuine(Operation::Response, RESOURCE, &token);
    come_in(&site.say(from, &response), from);
    assert_eq!(site.lab.client.connect(ssh).unwrap(), Outcome::Open);

    let closer = site.client(Family::V4);
    let revoke = site.genuine(Operation::Revoke, RESOURCE, &NO_TOKEN);
    let answers = site.say(closer, &revoke);
    let token = answers[0].message.auth;
    let revoke = site.genuine(Operation::Response, RESOURCE, &token);
    come_in(&site.say(closer, &revoke), closer);
    assert_eq!(site.lab.client.connect(ssh).unwrap(), Outcome::Silent);

    come_in(&site.say(from, &response), from);
    assert_eq!(site.lab.client.connect(ssh).unwrap(), Outcome::Silent);
    let mut counts = site.counts();
    // The attempts to connect, each perhaps more than once.
    assert!(counts.remove("shield") >= Some(3), "{counts:?}");
    assert_eq!(counts, counted(&[("genuine", 5)]));
}

#[test]
fn a_challenge_lapses() {
    let lab = Lab::new().unwrap();
    let timeout = "xdp = \"native\"\nrate = 0\ncontrol-timeout = \"100ms\"";
    let mut site = Site::with(lab, timeout);
    for family in FAMILIES {
        let from = site.client(family);
        let token = site.challenge(from);
        sleep(Duration::from_millis(150));
        let response = site.genuine(Operation::Response, RESOURCE, &token);
        assert_eq!(site.say(from, &response), []);
        assert_eq!(site.counts(), counted(&[("genuine", 1), ("no-challenge", 1)]));
    }
}

//! `error-policy`: who is told that a knock failed, and who hears nothing, over both transports, with XDP and without.
//! Needs root.

#![expect(
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]

mod messages;

use letmein_common::{
    ResourceId, UserId,
    wire::challenge::{LEN, Message, Operation},
};
use letmein_tests::{
    gate::Gate,
    knocker::{Draft, Tcp, Udp},
    lab::{Host, Lab},
};
use messages::{Bad, Proved, Told};

const GATE: &str = "10.77.1.1:5800";
const GATE_OF_OTHER: &str = "10.77.2.1:5800";

/// A gate with one of the policies.
struct Scene {
    lab: Lab,
    gate: Gate,
    /// What the policy wants proved.
    least: Proved,
}

impl Scene {
    fn new(policy: &str, least: Proved, xdp: &str) -> Self {
        let lab = Lab::new().unwrap();
        let settings = format!("xdp = \"{xdp}\"\nerror-policy = \"{policy}\"\nrate = 0");
        let gate = Gate::start(&lab.server, &settings, "max-leases = 1", "1h").unwrap();
        Self { lab, gate, least }
    }

    fn udp(&self) -> Udp {
        Udp::new(&self.lab.client, GATE.parse().unwrap()).unwrap()
    }

    fn tcp(&self) -> Tcp {
        Tcp::new(&self.lab.client, GATE.parse().unwrap()).unwrap()
    }

    fn expected(&self, told: Told) -> Option<Operation> {
        told.is_some_and(|proved| proved >= self.least)
            .then_some(Operation::GoAway)
    }

    /// What came back over UDP is a GOAWAY if the policy says so, and else nothing.
    #[track_caller]
    fn check_udp(&self, name: &str, socket: &Udp, told: Told) -> Option<Message> {
        let answer = socket.answer_by_now(&self.lab.client).unwrap();
        let operation = answer.map(|answer| answer.operation);
        assert_eq!(operation, self.expected(told), "{name} over UDP");
        answer
    }

    /// The same for TCP, where nothing is the end of the connection. And after a GOAWAY comes that end.
    #[track_caller]
    fn check_tcp(&self, name: &str, connection: &mut Tcp, told: Told) -> Option<Message> {
        let answer = connection.answer().unwrap();
        let operation = answer.map(|answer| answer.operation);
        assert_eq!(operation, self.expected(told), "{name} over TCP");
        assert_eq!(connection.answer().unwrap(), None, "{name} over TCP");
        answer
    }

    fn first_messages(&self) {
        for bad in messages::first() {
            let Bad { name, message, .. } = bad;
            let socket = self.udp();
            socket.send(&message).unwrap();
            let over_udp = self.check_udp(name, &socket, bad.udp);
            let mut connection = self.tcp();
            connection.send(&message).unwrap();
            connection.finish().unwrap();
            let over_tcp = self.check_tcp(name, &mut connection, bad.tcp);
            for answer in [over_udp, over_tcp].into_iter().flatten() {
                assert_is_about(&answer, &message);
            }
        }
    }

    /// Longer than a message. (Over TCP, the second message would begin there.)
    fn too_long(&self) {
        for length in [LEN + 1, 2 * LEN, 1400] {
            let mut message = Draft::default().sign().to_vec();
            message.resize(length, 0);
            let socket = self.udp();
            socket.send(&message).unwrap();
            self.check_udp("too long", &socket, None);
        }
    }

    /// A recorded KNOCK. Over UDP the XDP program drops it; over TCP whoever sends it is a stranger.
    fn replay(&self) {
        let knock = Draft::default().sign();
        let socket = self.udp();
        socket.send(&knock).unwrap();
        assert_eq!(socket.answer().unwrap().operation, Operation::Challenge);
        let socket = self.udp();
        socket.send(&knock).unwrap();
        self.check_udp("replay", &socket, None);
        let mut connection = self.tcp();
        connection.send(&knock).unwrap();
        self.check_tcp("replay", &mut connection, Some(Proved::Nothing));
    }

    fn wrong_responses(&self) {
        for bad in messages::responses() {
            let Bad { name, message, .. } = bad;
            let socket = self.udp();
            socket.send(&Draft::default().sign()).unwrap();
            let challenge = socket.answer().unwrap();
            socket.send(&message(&challenge).sign()).unwrap();
            self.check_udp(name, &socket, bad.udp);
            let mut connection = self.tcp();
            connection.send(&Draft::default().sign()).unwrap();
            let challenge = connection.answer().unwrap().unwrap();
            connection.send(&message(&challenge).sign()).unwrap();
            self.check_tcp(name, &mut connection, bad.tcp);
        }
    }

    /// Who proves everything is told by every policy, here that there is no room for another lease.
    fn no_room(&self) {
        let first = knock_over_udp(&self.lab.other, GATE_OF_OTHER);
        assert_eq!(first.operation, Operation::ComeIn);
        let second = knock_over_udp(&self.lab.client, GATE);
        assert_eq!(second.operation, Operation::GoAway);
        assert_is_about(&second, &Draft::default().sign());
        let mut connection = self.tcp();
        connection.send(&Draft::default().sign()).unwrap();
        let challenge = connection.answer().unwrap().unwrap();
        connection
            .send(&Draft::default().response(&challenge).sign())
            .unwrap();
        self.check_tcp("no room", &mut connection, Some(Proved::Challenge));
    }
}

/// A genuine knock. Returns what comes of it.
fn knock_over_udp(host: &Host, gate: &str) -> Message {
    let socket = Udp::new(host, gate.parse().unwrap()).unwrap();
    socket.send(&Draft::default().sign()).unwrap();
    let challenge = socket.answer().unwrap();
    socket
        .send(&Draft::default().response(&challenge).sign())
        .unwrap();
    socket.answer().unwrap()
}

/// The answer names user and resource of the question, if it was a question at all.
#[track_caller]
fn assert_is_about(answer: &Message, question: &[u8]) {
    let (user, resource) = Message::parse(question).map_or((UserId(0), ResourceId(0)), |question| {
        (question.user, question.resource)
    });
    assert_eq!((answer.user, answer.resource), (user, resource));
}

fn policy(name: &str, least: Proved, xdp: &str) {
    let scene = Scene::new(name, least, xdp);
    scene.first_messages();
    scene.too_long();
    scene.replay();
    scene.wrong_responses();
    scene.no_room();
    scene.gate.stop().unwrap();
}

#[test]
fn always_with_xdp() {
    policy("always", Proved::Nothing, "native");
}

#[test]
fn always_without_xdp() {
    policy("always", Proved::Nothing, "off");
}

#[test]
fn basic_auth_with_xdp() {
    policy("basic-auth", Proved::Key, "native");
}

#[test]
fn basic_auth_without_xdp() {
    policy("basic-auth", Proved::Key, "off");
}

#[test]
fn full_auth_with_xdp() {
    policy("full-auth", Proved::Challenge, "native");
}

#[test]
fn full_auth_without_xdp() {
    policy("full-auth", Proved::Challenge, "off");
}

//! Forged knocks: as many as one who has no key can make.

use super::stage::{CONTROL_PORT, SERVER_OF_SCANNER};
use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    wire::challenge::{LEN, Message, NO_TOKEN, Operation},
};
use letmein_tests::lab::Host;
use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    thread::sleep,
    time::Duration,
};

/// Datagrams that have the length of no knock.
pub const JUNK: u32 = 1000;
/// Well-formed knocks of users that do not exist.
pub const STRANGERS: u32 = 500;
/// Well-formed knocks of the user that exists, made with another key.
pub const GUESSES: u32 = 500;

/// A veth pair queues 256 packets; what comes in smaller bursts is not lost before XDP sees it.
const BURST: usize = 32;
const BREATH: Duration = Duration::from_millis(1);

/// Sends all of them from `scanner`, and tells how many answers came.
pub fn send(scanner: &Host) -> anyhow::Result<u32> {
    let datagrams: Vec<_> = datagrams().collect();
    let answers = scanner.enter(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((SERVER_OF_SCANNER, CONTROL_PORT))?;
        for burst in datagrams.chunks(BURST) {
            for datagram in burst {
                socket.send(datagram)?;
            }
            sleep(BREATH);
        }
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        let mut answers = 0;
        while socket.recv(&mut [0; LEN]).is_ok() {
            answers += 1;
        }
        io::Result::Ok(answers)
    })?;
    Ok(answers?)
}

fn datagrams() -> impl Iterator<Item = Vec<u8>> {
    let lengths = (0..2 * LEN).filter(|length| *length != LEN).cycle();
    let junk = lengths.take(JUNK as usize).map(|length| vec![0x5A; length]);
    let wrong = KeyedStates::new(b"thirty-two bytes, and not theirs");
    let forged = move |user, number: u32| {
        let salt = u64::from(number).to_be_bytes();
        let (operation, resource) = (Operation::Knock, ResourceId(1));
        Message::authenticated(operation, UserId(user), resource, salt, &wrong, &NO_TOKEN)
            .to_bytes()
            .to_vec()
    };
    let knocks = (0..STRANGERS).map(|number| (0x1000 + number, number));
    let knocks = knocks.chain((0..GUESSES).map(|number| (1, number)));
    junk.chain(knocks.map(move |(user, number)| forged(user, number)))
}

#[cfg(test)]
mod tests {
    use super::{GUESSES, JUNK, LEN, Message, STRANGERS, datagrams};

    #[test]
    fn there_are_as_many_of_each_as_announced() {
        let all: Vec<_> = datagrams().collect();
        assert_eq!(all.len(), (JUNK + STRANGERS + GUESSES) as usize);
        assert_eq!(
            all.iter().filter(|datagram| datagram.len() != LEN).count(),
            JUNK as usize
        );
        let users: Vec<_> = all
            .iter()
            .filter_map(|datagram| Message::parse(datagram).ok())
            .map(|message| message.user.0)
            .collect();
        assert_eq!(users.iter().filter(|user| **user == 1).count(), GUESSES as usize);
        assert_eq!(
            users.iter().filter(|user| **user != 1).count(),
            STRANGERS as usize
        );
    }
}

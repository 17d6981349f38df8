//! Whose connection ends, and whose does not.

use super::*;
use std::future::pending;
use tokio::task::{JoinHandle, yield_now};

const ALICE: UserId = UserId(1);
const MALLORY: UserId = UserId(13);

/// A connection that does nothing.
fn connect(connections: &mut Connections, source: &str) -> (Number, JoinHandle<()>) {
    let task = tokio::spawn(pending::<()>());
    let number = connections.number();
    connections.add(number, source.parse().unwrap(), task.abort_handle());
    (number, task)
}

/// One that proves a key at once.
fn knock(connections: &mut Connections, source: &str, user: UserId) -> (Number, JoinHandle<()>) {
    let (number, task) = connect(connections, source);
    connections.prove(number, user);
    (number, task)
}

/// Whether it was ended.
async fn is_over((_, task): &(Number, JoinHandle<()>)) -> bool {
    // Of those that were told to end, the runtime lets some dozens at a time.
    for _ in 0..100 {
        yield_now().await;
    }
    task.is_finished()
}

fn connections(total: u32, per_source: u32) -> Connections {
    Connections::new(total, per_source, Prefixes::new(32, 56))
}

#[tokio::test]
async fn a_source_has_its_share_and_its_oldest_stranger_makes_way() {
    let mut connections = connections(16, 2);
    let first = connect(&mut connections, "192.0.2.1");
    let second = connect(&mut connections, "192.0.2.1");
    let other = connect(&mut connections, "2001:db8:0:0100::1");
    assert!(!is_over(&first).await);
    let third = connect(&mut connections, "::ffff:192.0.2.1");
    assert!(is_over(&first).await && !is_over(&second).await && !is_over(&third).await);
    // Two of the same /56, beside the one that there is.
    connect(&mut connections, "2001:db8:0:01ff::1");
    assert!(!is_over(&other).await);
    connect(&mut connections, "2001:db8:0:0142::1");
    assert!(is_over(&other).await);
}

/// 256 networks of a /48, or all addresses of a /24.
#[tokio::test]
async fn one_network_pushes_out_nobody_of_another() {
    for (guests, strangers) in [
        (["192.0.2.1", "2001:db8:7::1"], "2001:db8:8:XX00::1"),
        (["192.0.2.1", "2001:db8:7::1"], "198.51.100.YY"),
        (["198.51.101.1", "2001:db8:7::1"], "198.51.100.YY"),
    ] {
        let mut connections = connections(32, 4);
        let guests = guests.map(|guest| connect(&mut connections, guest));
        let mut last = None;
        for number in 0..2560_u32 {
            let byte = number % 256;
            let source = strangers
                .replace("XX", &format!("{byte:02x}"))
                .replace("YY", &byte.to_string());
            last = Some(connect(&mut connections, &source));
        }
        for guest in &guests {
            assert!(!is_over(guest).await, "{strangers}");
        }
        assert!(!is_over(&last.unwrap()).await);
        assert_eq!((connections.strangers.len(), connections.paths.len()), (32, 32));
        // A newcomer is let in, and stays.
        let newcomer = connect(&mut connections, "203.0.113.1");
        connect(
            &mut connections,
            &strangers.replace("XX", "00").replace("YY", "9"),
        );
        assert!(!is_over(&newcomer).await);
    }
}

#[tokio::test]
async fn strangers_push_out_nobody_who_has_proved_a_key() {
    let mut connections = connections(8, 4);
    let proved = [0, 1, 2].map(|_| knock(&mut connections, "192.0.2.1", ALICE));
    for number in 0..500_u32 {
        let source = std::net::Ipv4Addr::from(0x0100_0000 + number * 0x0001_0000);
        connect(&mut connections, &source.to_string());
    }
    for connection in &proved {
        assert!(!is_over(connection).await);
    }
    assert_eq!(connections.strangers.len(), 5);
}

#[tokio::test]
async fn a_user_with_many_connections_pushes_out_nobody() {
    let mut connections = connections(9, 4);
    let alice = knock(&mut connections, "192.0.2.1", ALICE);
    let mallorys: Vec<_> = (0..500)
        .map(|_| knock(&mut connections, "198.51.100.1", MALLORY))
        .collect();
    assert!(!is_over(&alice).await && is_over(&mallorys[0]).await);
    // She has all the rest, and strangers get a half of that back.
    assert_eq!(connections.users.largest(), Some((8, MALLORY)));
    let stranger = connect(&mut connections, "203.0.113.1");
    for number in 2..100 {
        connect(&mut connections, &format!("203.0.{number}.1"));
        knock(&mut connections, "198.51.100.1", MALLORY);
        assert!(connections.users.largest().unwrap().0 >= 4);
    }
    let bob = knock(&mut connections, "203.0.113.1", UserId(2));
    for _ in 0..100 {
        knock(&mut connections, "198.51.100.1", MALLORY);
    }
    assert!(is_over(&stranger).await && !is_over(&bob).await && !is_over(&alice).await);
}

#[tokio::test]
async fn what_is_over_takes_no_place() {
    let mut connections = connections(2, 2);
    for _ in 0..3 {
        let (stranger, _task) = connect(&mut connections, "192.0.2.1");
        let (guest, _task) = knock(&mut connections, "192.0.2.1", ALICE);
        connections.remove(stranger);
        connections.remove(guest);
        // Twice is no harm.
        connections.remove(guest);
    }
    assert_eq!(connections.strangers.len() + connections.users.len(), 0);
    assert!(connections.paths.is_empty());
}

/// As strangers were told to leave, they may prove a key just then.
#[tokio::test]
async fn who_had_to_make_way_stays_out() {
    let mut connections = connections(1, 1);
    let first = connect(&mut connections, "192.0.2.1");
    let second = connect(&mut connections, "192.0.2.2");
    connections.prove(first.0, ALICE);
    assert!(connections.users.is_empty());
    assert!(is_over(&first).await && !is_over(&second).await);
}

//! `letmein proxy`: what one side says gets to the other, and so does that it has no more to say.

use crate::{
    client::Client,
    gate::{RESOURCE, USER, UdpGate, answer, now},
};
use letmein_common::wire::challenge::Operation::{GoAway, Knock, Response};
use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    thread,
};

/// A service on loopback, and a client that reaches it through this gate.
fn service(gate: SocketAddr) -> (TcpListener, Client, u16) {
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = service.local_addr().unwrap().port();
    let client = Client::with_config(&format!(
        "[servers.gate]\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{USER}\"\nkey-file = \"gate.key\"\n\
         resources = {{ service = {{ id = \"{RESOURCE}\", port = {port} }} }}\n",
        gate.port()
    ));
    (service, client, port)
}

fn proxy(client: &Client, port: u16) -> Child {
    client
        .command(&format!("proxy 127.0.0.1 {port}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn read(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

/// Larger than what sockets and pipes hold.
fn much() -> Vec<u8> {
    (0_u32..1_000_000).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn the_service_may_answer_after_the_end_of_input() {
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let (service, client, port) = service(gate.address);
    let mut proxy = proxy(&client, port);
    let (mut connection, _) = service.accept().unwrap();
    let mut input = proxy.stdin.take().unwrap();
    let sending = thread::spawn(move || input.write_all(&much()).unwrap());
    assert!(read(&mut connection) == much());
    sending.join().unwrap();
    let answering = thread::spawn(move || connection.write_all(&much()).unwrap());
    let output = proxy.wait_with_output().unwrap();
    answering.join().unwrap();
    assert!(output.stdout == much());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(gate.finish().operations(), [Knock, Response]);
}

#[test]
fn input_may_go_on_after_the_service_has_said_all() {
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let (service, client, port) = service(gate.address);
    let mut proxy = proxy(&client, port);
    let (mut connection, _) = service.accept().unwrap();
    connection.write_all(b"all there is").unwrap();
    connection.shutdown(Shutdown::Write).unwrap();
    let mut said = String::new();
    // Ends, although the program goes on.
    proxy.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "all there is");
    assert_eq!(proxy.try_wait().unwrap(), None);
    proxy.stdin.take().unwrap().write_all(b"more").unwrap();
    assert_eq!(read(&mut connection), b"more");
    assert_eq!(proxy.wait().unwrap().code(), Some(0));
}

#[test]
fn each_word_is_passed_on_at_once() {
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let (service, client, port) = service(gate.address);
    let mut proxy = proxy(&client, port);
    let (mut connection, _) = service.accept().unwrap();
    let (mut input, mut output) = (proxy.stdin.take().unwrap(), proxy.stdout.take().unwrap());
    let mut word = [0; 4];
    for _ in 0..3 {
        input.write_all(b"ping").unwrap();
        connection.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"ping");
        connection.write_all(b"pong").unwrap();
        output.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"pong");
    }
    drop((input, connection));
    assert_eq!(proxy.wait().unwrap().code(), Some(0));
}

#[test]
fn without_a_section_there_is_no_knock() {
    let gate = UdpGate::start(|_, _, honest| now(honest));
    let (service, _, port) = service(gate.address);
    let elsewhere = Client::with_config("");
    let mut proxy = proxy(&elsewhere, port);
    drop((service.accept().unwrap(), proxy.stdin.take()));
    assert_eq!(proxy.wait().unwrap().code(), Some(0));
    drop(service);
    let closed = elsewhere.run(&format!("proxy 127.0.0.1 {port}"));
    closed.ended(4, "Nothing was knocked");
    // Port 0 is nobody's resource.
    let other = Client::new(gate.address, "1s");
    other
        .run(&format!("proxy 127.0.0.1 {port}"))
        .ended(4, "Nothing was knocked");
    assert!(gate.finish().got.is_empty());
}

#[test]
fn a_refused_knock_connects_to_nothing() {
    let gate = UdpGate::start(|_, _, _| now([answer(GoAway, [0; 32])]));
    let (service, client, port) = service(gate.address);
    client
        .run(&format!("proxy 127.0.0.1 {port}"))
        .ended(1, "the gate refused");
    service.set_nonblocking(true).unwrap();
    assert!(service.accept().is_err());
}

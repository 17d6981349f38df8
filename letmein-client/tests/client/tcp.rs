//! Over TCP, with gates that close, stall or are none.

use crate::{
    client::{Client, Run},
    gate::{Honest, answer},
};
use letmein_common::{
    UserId,
    wire::challenge::{
        LEN, Message, NO_TOKEN,
        Operation::{Challenge, ComeIn, GoAway, Knock, Response, Revoke},
    },
};
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

fn receive(stream: &mut TcpStream) -> Message {
    let mut bytes = [0; LEN];
    stream.read_exact(&mut bytes).unwrap();
    Message::parse(&bytes).unwrap()
}

/// An exchange as it should be.
fn serve(stream: &mut TcpStream) -> Honest {
    let mut honest = Honest::new();
    for _ in 0..2 {
        let answer = honest.take(&receive(stream), 1).unwrap();
        stream.write_all(&answer.to_bytes()).unwrap();
    }
    honest
}

/// Runs the client against a gate that does this with its one connection.
fn against<T: Send + 'static>(
    words: &str,
    timeout: &str,
    gate: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (Run, T) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || gate(listener.accept().unwrap().0));
    let run = Client::new(address, timeout).run(words);
    (run, thread.join().unwrap())
}

#[test]
fn knock_and_revoke() {
    for (words, told, operation) in [
        ("knock gate ssh -T", "ssh on 127.0.0.1 is open\n", Knock),
        ("revoke gate -r 2b -T", "2b on 127.0.0.1 is closed\n", Revoke),
    ] {
        let (run, honest) = against(words, "4s", |mut stream| serve(&mut stream));
        run.ended(0, told);
        assert_eq!(honest.operations(), [operation, Response]);
        assert_eq!((honest.bad, honest.done), (0, vec![operation]));
    }
}

#[test]
fn goaway_refuses() {
    let goaway = answer(GoAway, NO_TOKEN).to_bytes();
    let (run, ()) = against("knock gate ssh -T", "4s", move |mut stream| {
        receive(&mut stream);
        stream.write_all(&goaway).unwrap();
    });
    run.ended(1, "the gate refused");
    let (run, ()) = against("knock gate ssh -T", "4s", move |mut stream| {
        let knock = receive(&mut stream);
        let challenge = Message {
            operation: Challenge,
            ..knock
        };
        stream.write_all(&challenge.to_bytes()).unwrap();
        receive(&mut stream);
        stream.write_all(&goaway).unwrap();
    });
    run.ended(1, "the gate refused");
}

#[test]
fn closing_without_an_answer() {
    let read_first = |mut stream: TcpStream| _ = receive(&mut stream);
    let (run, ()) = against("knock gate ssh -T", "4s", read_first);
    run.ended(3, "closed without an answer");
    let (run, ()) = against("knock gate ssh -T", "4s", drop);
    run.ended(3, "closed without an answer");
    let (run, ()) = against("knock gate ssh -T", "4s", |mut stream| {
        receive(&mut stream);
        stream
            .write_all(&answer(Challenge, [1; 32]).to_bytes()[..LEN - 1])
            .unwrap();
    });
    run.ended(3, "closed without an answer");
}

#[test]
fn nothing_that_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = Client::new(address, "4s").run("knock gate ssh -T");
    run.ended(4, "Nothing takes connections there: is letmeind running");
    assert!(run.took < Duration::from_secs(3), "{run:?}");
}

#[test]
fn what_is_no_gate() {
    // Shorter than a message, and then it waits for an answer: it must not take the whole timeout.
    let (run, ()) = against("knock gate ssh -T", "10s", |mut stream| {
        stream.write_all(b"SSH-2.0-\x1b[31mserver\r\n").unwrap();
        let _until_closed = stream.read_to_end(&mut Vec::new());
    });
    run.ended(4, "no letmein gate: it sent \"SSH-2.0-\\x1b[31mser\"");
    assert!(run.took < Duration::from_secs(5), "{run:?}");

    let other_user = Message {
        user: UserId(7),
        ..answer(Challenge, [1; 32])
    };
    let mut no_operation = answer(Challenge, [1; 32]).to_bytes();
    no_operation[7] = 6;
    for (bytes, text) in [
        (other_user.to_bytes(), "answered for another user or resource"),
        (no_operation, "a message of no known kind"),
        (answer(ComeIn, NO_TOKEN).to_bytes(), "sent ComeIn out of turn"),
    ] {
        let (run, ()) = against("knock gate ssh -T", "4s", move |mut stream| {
            receive(&mut stream);
            stream.write_all(&bytes).unwrap();
        });
        run.ended(4, text);
    }
}

#[test]
fn stalling_ends_with_the_timeout() {
    let until_closed = |mut stream: TcpStream| drop(stream.read_to_end(&mut Vec::new()));
    let (run, ()) = against("knock gate ssh -T", "400ms", until_closed);
    run.ended(3, "no answer over TCP within 400ms");
    assert!(
        run.took >= Duration::from_millis(400) && run.took < Duration::from_secs(3),
        "{run:?}"
    );

    // Each byte comes within the timeout, all of them do not.
    let (run, ()) = against("knock gate ssh -T", "600ms", |mut stream| {
        receive(&mut stream);
        for byte in answer(Challenge, [1; 32]).to_bytes() {
            thread::sleep(Duration::from_millis(100));
            if stream.write_all(&[byte]).is_err() {
                break;
            }
        }
    });
    run.ended(3, "no answer over TCP within 600ms");
    assert!(run.took < Duration::from_secs(3), "{run:?}");

    let (run, ()) = against("knock gate ssh -T", "400ms", |mut stream| {
        receive(&mut stream);
        stream.write_all(&answer(Challenge, [1; 32]).to_bytes()).unwrap();
        let _until_closed = stream.read_to_end(&mut Vec::new());
    });
    run.ended(3, "the gate took the knock, but nothing came back");
}

//! A control connection over TCP: whatever a client sends, in whatever pieces, it gets no more than its messages are
//! worth, and something is opened only for who has answered the challenge.

use crate::input::Input;
use letmein_common::{
    ResourceId, UserId,
    hmac::KeyedStates,
    wire::challenge::{LEN, Message, NO_TOKEN, Operation},
};
use letmein_daemon::{
    config::{Config, ErrorPolicy},
    control::tcp::serve_stream,
    gatekeeper::policy::Policy,
    protocol::{check_response, come_in},
};
use std::{cell::Cell, net::IpAddr, path::Path, sync::LazyLock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    runtime::{Builder, Runtime},
};

const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
const POLICIES: [&str; 3] = ["always", "basic-auth", "full-auth"];

#[expect(clippy::expect_used, reason = "they are written here")]
static GATES: LazyLock<[Policy; 3]> = LazyLock::new(|| {
    POLICIES.map(|policy| {
        let text = format!(
            "[gate]\nxdp = \"off\"\nerror-policy = \"{policy}\"\n\
             [resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\n[resources.vpn]\nid = \"2\"\nports = [\"udp/1\"]\n\
             [users.alice]\nid = \"1\"\nkey = \"{}\"\nresources = [\"ssh\"]\n",
            "5a".repeat(32)
        );
        let config = Config::parse(&text, Path::new("stream"), Path::new("/")).expect("a good configuration");
        Policy::of(&config).expect("a policy that was just written")
    })
});

thread_local! {
    #[expect(clippy::expect_used, reason = "it takes no more than memory")]
    static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
}

/// Plays the client that the input describes.
pub fn stream(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let policy = &GATES[usize::from(input.byte()) % GATES.len()];
    RUNTIME.with(|runtime| runtime.block_on(play(policy, input)));
}

/// One of the client's messages: bytes, and what they are if nobody has changed them.
fn message(input: &mut Input<'_>, token: &[u8; LEN]) -> Vec<u8> {
    let how = input.byte();
    if how == 0xFF {
        let length = usize::from(input.byte());
        return input.bytes(length).to_vec();
    }
    let operations = [
        Operation::Knock,
        Operation::Response,
        Operation::Revoke,
        Operation::Challenge,
    ];
    let answered = token.last_chunk().unwrap_or(&NO_TOKEN);
    let message = Message::authenticated(
        operations[usize::from(how & 3)],
        UserId(1 + u32::from(how >> 2 & 1)),
        ResourceId(1 + u32::from(how >> 3 & 1)),
        [how; 8],
        &KeyedStates::new(&[if how & 0x10 == 0 { 0x5A } else { 0xA5 }; 32]),
        if how & 0x20 == 0 { answered } else { &NO_TOKEN },
    );
    let mut bytes = message.to_bytes().to_vec();
    if how & 0x40 != 0 {
        let at = usize::from(input.byte()) % LEN;
        bytes[at] = input.byte();
    }
    if how & 0x80 != 0 {
        bytes.truncate(input.byte().into());
    }
    bytes
}

async fn play(policy: &Policy, mut input: Input<'_>) {
    let (mut client, mut server) = duplex(1 << 10);
    let opened = Cell::new(false);
    let finish = async |begun_with, token: &_, response: &Message| {
        check_response(policy, token, response)?;
        assert!(matches!(begun_with, Operation::Knock | Operation::Revoke));
        opened.set(true);
        Ok(come_in(response))
    };
    let serve = async {
        // That the client hangs up early is an error, and no harm.
        let _hung_up = serve_stream(&mut server, SOURCE, policy, |_, _| Ok(()), finish).await;
        drop(server);
    };
    let knock = async {
        let first = message(&mut input, &[0; LEN]);
        let answer = talk(&mut client, &first, !input.is_empty()).await;
        let challenge = Message::parse(&answer)
            .ok()
            .filter(|answer| answer.operation == Operation::Challenge);
        let parsed = Message::parse(first.get(..LEN).unwrap_or_default());
        let genuine = parsed.is_ok_and(|first| may_begin(policy, &first));
        assert_eq!(challenge.is_some(), genuine, "{first:02x?}");
        if challenge.is_none() {
            let goaway = Message::parse(&answer).is_ok_and(|answer| answer.operation == Operation::GoAway);
            assert!(answer.is_empty() || goaway, "{answer:02x?}");
            let strangers = policy.gate.error_policy == ErrorPolicy::Always;
            let known = parsed.is_ok_and(|first| is_genuine(policy, &first));
            let basic = known && policy.gate.error_policy == ErrorPolicy::BasicAuth;
            assert!(answer.is_empty() || strangers || basic, "{first:02x?}");
            return None;
        }
        let mut token = [0; LEN];
        token.copy_from_slice(&answer);
        let second = message(&mut input, &token);
        // What came with the first message is the beginning of the second.
        let sent = [first.get(LEN..).unwrap_or_default(), &second].concat();
        let answer = talk(&mut client, &second, false).await;
        Some((parsed, token, sent, answer))
    };
    let ((), told) = tokio::join!(serve, knock);
    let Some((Ok(first), token, sent, answer)) = told else {
        assert!(!opened.get(), "without a second message");
        return;
    };
    let response = Message::parse(sent.get(..LEN).unwrap_or_default());
    let token = token.last_chunk().unwrap_or(&NO_TOKEN);
    let proved = response.is_ok_and(|response| {
        let same = (response.user, response.resource) == (first.user, first.resource);
        let key = policy.user(response.user).map(|user| &user.key);
        same && response.operation == Operation::Response
            && key.is_some_and(|key| response.proves(key, token))
    });
    assert_eq!(opened.get(), proved, "{sent:02x?}");
    let welcome = Message::parse(&answer).is_ok_and(|answer| answer.operation == Operation::ComeIn);
    assert_eq!(welcome, proved, "{answer:02x?}");
}

fn is_genuine(policy: &Policy, first: &Message) -> bool {
    let begins = matches!(first.operation, Operation::Knock | Operation::Revoke);
    let user = policy.user(first.user);
    begins && user.is_some_and(|user| first.proves(&user.key, &NO_TOKEN))
}

fn may_begin(policy: &Policy, first: &Message) -> bool {
    let user = policy.user(first.user);
    is_genuine(policy, first) && user.is_some_and(|user| user.permits(first.resource))
}

/// Sends, and reads one answer, or what there is of it. Who has nothing more to say hangs up.
async fn talk(client: &mut DuplexStream, bytes: &[u8], more: bool) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 3);
    for piece in [first, second] {
        let _closed = client.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    if !more || bytes.len() < LEN {
        let _closed = client.shutdown().await;
    }
    let mut answer = Vec::new();
    let _end = client.take(LEN as u64).read_to_end(&mut answer).await;
    answer
}

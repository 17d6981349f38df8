//! The screen as text.

use super::*;
use crate::operator::protocol::{Count, Interface, Leases};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

fn counted(total: u64, per_second: f64) -> Count {
    Count { total, per_second }
}

fn refusal(reason: &str, total: u64, per_second: f64) -> Refusal {
    Refusal {
        reason: reason.to_owned(),
        count: counted(total, per_second),
    }
}

fn source(address: &str, per_second: f64, reason: &str, port: u16) -> Source {
    Source {
        address: address.parse().unwrap(),
        count: counted(0, per_second),
        reason: reason.to_owned(),
        port,
    }
}

fn lease(address: &str, user: Option<&str>, operator: Option<u32>, seconds_left: u64) -> Lease {
    Lease {
        address: Some(address.to_owned()),
        resource: "ssh".to_owned(),
        opens: "tcp/22".to_owned(),
        user: user.map(ToOwned::to_owned),
        operator,
        seconds_left,
    }
}

/// A gate that is being scanned.
fn busy() -> Top {
    let interfaces = [("eth0", Some("native")), ("wlan0", None)];
    Top {
        status: Status {
            version: "1.2.3".to_owned(),
            uptime_seconds: 3700,
            port: 5800,
            interfaces: interfaces
                .map(|(name, hook)| Interface {
                    name: name.to_owned(),
                    hook: hook.map(ToOwned::to_owned),
                    covered_by: None,
                })
                .into(),
            leases: Leases {
                now: 3,
                limit: 65_536,
            },
            genuine: counted(14, 0.4),
            refused: counted(1_302_000, 12_345.6),
            reasons: vec![
                refusal("truncated", 0, 0.0),
                refusal("not-permitted", 2, 0.0),
                refusal("unknown-user", 2000, 0.8),
                refusal("shield", 1_300_000, 12_344.8),
            ],
            ..Status::default()
        },
        sources: vec![
            source("203.0.113.7", 12_000.0, "shield", 22),
            source(
                "2001:db8:1234:5678:9abc:def0:1234:5678",
                41.5,
                "unknown-tag",
                5800,
            ),
        ],
        events: vec![Event {
            seconds_ago: 61,
            who: "alice".to_owned(),
            what: "opened".to_owned(),
            resource: "ssh".to_owned(),
            address: "198.51.100.23".to_owned(),
        }],
        leases: vec![
            lease("198.51.100.23", Some("alice"), None, 3539),
            lease("2001:db8:1:2::/64", None, Some(0), 59),
            lease("198.51.100.99", None, None, 1),
        ],
    }
}

fn drawn(width: u16, height: u16, colour: bool) -> Buffer {
    shown(&busy(), width, height, colour)
}

fn shown(top: &Top, width: u16, height: u16, colour: bool) -> Buffer {
    let mut past = Past::default();
    for second in 0..100 {
        let mut status = Status::default();
        status.refused.total = second * second * second;
        status.genuine.total = second / 10;
        past.note(&status);
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, top, &past, colour)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let symbols: Vec<_> = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
    symbols.chunks(width).map(<[&str]>::concat).collect()
}

/// All that matters is there and whole, at either size.
#[test]
fn everything_fits() {
    for (width, height) in [(80, 24), (120, 40), (250, 70)] {
        let lines = lines(&drawn(width, height, true));
        let text = lines.join("\n");
        println!("{text}");
        for part in [
            "letmeind 1.2.3   up 1h 1m   port 5800   eth0 native  wlan0 WITHOUT XDP",
            "12 346",
            "1 300 000",
            "unknown-user",
            "203.0.113.7",
            "12 000  shield",
            "unknown-tag",
            "5800",
            "leases: 3 of 65 536",
            "198.51.100.23",
            "58m 59s",
            "2001:db8:1:2::/64",
            "alice",
            "1m 1s",
            "opened",
            "q quits",
        ] {
            assert!(text.contains(part), "{width}x{height} lacks {part}:\n{text}");
        }
        assert!(!text.contains("truncated"), "{text}");
        // What happens now is above what has happened.
        let place = |part| lines.iter().position(|line| line.contains(part)).unwrap();
        assert!(place(" shield  ") < place(" unknown-user  "), "{text}");
        assert!(place(" unknown-user  ") < place(" not-permitted  "), "{text}");
    }
}

/// Nothing has happened yet: each panel says what that means.
#[test]
fn what_is_empty_says_so() {
    let text = lines(&shown(&Top::default(), 80, 24, true)).join("\n");
    for part in [
        "no XDP: knocks are checked in userspace",
        " nothing since the start ",
        " nobody is refused at the moment ",
        " nobody may come in: leases come of knocks, and of `letmeind open RESOURCE",
        " nobody has knocked since the start or the last reload ",
    ] {
        assert!(text.contains(part), "no {part}:\n{text}");
    }
    assert!(!text.contains("address") && !text.contains("ago"), "{text}");
}

/// The longest of everything: what has no room tells so, and no number is cut.
#[test]
fn nothing_is_cut_without_a_sign() {
    let mut top = busy();
    let long = "a-user-with-a-name-that-is-very-long";
    top.leases = vec![lease(
        "2001:db8:1234:5678:9abc:def0:1234:5678",
        Some(long),
        None,
        273_600,
    )];
    top.leases[0].resource = "a-resource-with-a-name".to_owned();
    top.events[0].who = long.to_owned();
    top.events[0].address = "2001:db8:1234:5678:9abc:def0:1234:5678".to_owned();
    let hooks = ["native", "native", "generic", ""];
    let interfaces = hooks.into_iter().enumerate().map(|(number, hook)| Interface {
        name: format!("enp{number}s0f0np0v10"),
        hook: (!hook.is_empty()).then(|| hook.to_owned()),
        covered_by: None,
    });
    top.status.interfaces = interfaces.collect();
    let narrow = lines(&shown(&top, 80, 24, true));
    assert!(
        narrow[0].contains("1x WITHOUT XDP  1x generic  2x native"),
        "{}",
        narrow[0]
    );
    let leases = narrow.iter().find(|line| line.contains("3d 4h")).unwrap();
    assert!(leases.matches('…').count() >= 2, "{leases}");
    assert!(leases.contains("tcp/22"), "{leases}");
    let wide = lines(&shown(&top, 139, 40, true)).join("\n");
    for part in [
        long,
        "a-resource-with-a-name",
        "2001:db8:1234:5678:9abc:def0:1234:5678",
    ] {
        assert!(wide.contains(part), "{wide}");
    }
    let names = lines(&shown(&top, 250, 40, true));
    assert!(names[0].contains("enp3s0f0np0v10 WITHOUT XDP"), "{}", names[0]);
}

#[test]
fn no_colour_is_none() {
    let coloured = |buffer: &Buffer| {
        let cells = buffer.content.iter();
        cells
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
            .count()
    };
    assert!(coloured(&drawn(80, 24, true)) > 0);
    assert_eq!(coloured(&drawn(80, 24, false)), 0);
}

#[test]
fn a_window_that_is_too_small_is_told_so() {
    for (width, height) in [(79, 24), (80, 23), (1, 1)] {
        let text = lines(&drawn(width, height, true)).join("\n");
        assert!(
            width < 30 || text.contains("too small, 80x24 is needed"),
            "{text}"
        );
    }
}

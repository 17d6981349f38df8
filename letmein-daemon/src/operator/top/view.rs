//! What is where on the screen.

mod table;

use super::{
    super::{
        format::{count, rate, time},
        leases::{NO_LEASES, opened_by},
        protocol::{Event, Lease, Refusal, Source, Status, Top},
    },
    past::Past,
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph, Sparkline},
};
use std::time::Duration;
use table::{Column, Table, plain};

/// The smallest window that all of it fits into.
const SMALLEST: (u16, u16) = (80, 24);
/// From this width on, leases and knocks are beside each other.
const WIDE: u16 = 140;
/// The width of the reasons.
const REASONS: u16 = 35;
/// The width of a name in front of a curve, and of a rate.
const NAME: u16 = 11;
const RATE: u16 = 11;

/// Draws all of it.
pub fn draw(frame: &mut Frame<'_>, top: &Top, past: &Past, colour: bool) {
    let area = frame.area();
    let paint = Paint(colour);
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (width, height) = SMALLEST;
        let text = format!(
            "{}x{}: too small, {width}x{height} is needed",
            area.width, area.height
        );
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let rows = [
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Fill(1),
        Constraint::Fill(2),
        Constraint::Length(1),
    ];
    let [head, curves, middle, bottom, foot] = Layout::vertical(rows).areas(area);
    let reasons_and_sources = [Constraint::Length(REASONS), Constraint::Fill(1)];
    let [reasons, sources] = Layout::horizontal(reasons_and_sources).spacing(2).areas(middle);
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let [leases, events] = if area.width >= WIDE {
        Layout::horizontal(halves).spacing(2).areas(bottom)
    } else {
        Layout::vertical(halves).areas(bottom)
    };
    frame.render_widget(header(&top.status, paint, head.width), head);
    draw_curves(frame, curves, &top.status, past, paint);
    draw_reasons(frame, reasons, &top.status, paint);
    draw_sources(frame, sources, &top.sources, paint);
    draw_leases(frame, leases, top, paint);
    draw_events(frame, events, &top.events, paint);
    frame.render_widget(Line::styled(" q quits", QUIET), foot);
}

/// Styles, with colours or without.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    const fn coloured(self, colour: Color) -> Style {
        if self.0 {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn bad(self) -> Style {
        self.coloured(Color::Red)
    }

    fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    fn title(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }
}

/// Not a colour: what is beside the point, whatever the terminal's colours are.
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);

fn header(status: &Status, paint: Paint, room: u16) -> Line<'static> {
    let up = time(Duration::from_secs(status.uptime_seconds));
    let mut spans = vec![
        Span::styled(format!(" letmeind {}", status.version), paint.title()),
        Span::raw(format!("   up {up}   port {}   ", status.port)),
    ];
    if status.interfaces.is_empty() {
        spans.push(Span::raw("no XDP: knocks are checked in userspace"));
    }
    let each = status.interfaces.iter().map(|it| (it.name.clone(), &it.hook));
    let all = Line::from([spans.clone(), hooks(each, paint)].concat());
    if all.width() <= usize::from(room) {
        return all;
    }
    // How many there are of each kind, the worst kind first: none sorts before all hooks.
    let mut kinds: Vec<_> = status.interfaces.iter().map(|it| &it.hook).collect();
    kinds.sort();
    let groups = kinds
        .chunk_by(|one, other| one == other)
        .filter_map(|alike| Some((format!("{}x", alike.len()), *alike.first()?)));
    spans.extend(hooks(groups, paint));
    Line::from(spans)
}

/// Interfaces, or how many of them, with their hooks.
fn hooks<'s>(
    interfaces: impl Iterator<Item = (String, &'s Option<String>)>,
    paint: Paint,
) -> Vec<Span<'static>> {
    let spans = interfaces.flat_map(|(what, hook)| {
        let (hook, style) = match hook.as_deref() {
            Some("native") => ("native", paint.good()),
            Some(other) => (other, Style::new()),
            None => ("WITHOUT XDP", paint.bad().add_modifier(Modifier::BOLD)),
        };
        [
            Span::raw(format!("{what} ")),
            Span::styled(hook.to_owned(), style),
            Span::raw("  "),
        ]
    });
    let mut spans: Vec<_> = spans.collect();
    // No gap behind the last one.
    spans.pop();
    spans
}

fn panel(title: &str, paint: Paint) -> Block<'static> {
    Block::new()
        .borders(Borders::TOP)
        .border_style(QUIET)
        .title(Span::styled(
            format!(" {title} "),
            paint.title().remove_modifier(Modifier::DIM),
        ))
}

fn draw_curves(frame: &mut Frame<'_>, area: Rect, status: &Status, past: &Past, paint: Paint) {
    let block = panel("packets per second", paint);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [refused, genuine] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(inner);
    let columns = [
        Constraint::Length(NAME),
        Constraint::Length(RATE),
        Constraint::Length(2),
        Constraint::Fill(1),
    ];
    let rows = [
        (refused, " refused", status.refused.per_second, paint.bad()),
        (genuine, " genuine", status.genuine.per_second, paint.good()),
    ];
    for (row, name, per_second, style) in rows {
        let [name_at, rate_at, _gap, curve_at] = Layout::horizontal(columns).areas(row);
        let values = if row == refused {
            past.refused(curve_at.width)
        } else {
            past.genuine(curve_at.width)
        };
        frame.render_widget(Line::raw(name), name_at);
        frame.render_widget(Line::styled(rate(per_second), style).right_aligned(), rate_at);
        frame.render_widget(Sparkline::default().data(values).style(style), curve_at);
    }
}

/// What happens now first, and then what has happened at all.
fn draw_reasons(frame: &mut Frame<'_>, area: Rect, status: &Status, paint: Paint) {
    let mut reasons: Vec<&Refusal> = status
        .reasons
        .iter()
        .filter(|reason| reason.count.total > 0)
        .collect();
    reasons.sort_by(|a, b| {
        let by_rate = b.count.per_second.total_cmp(&a.count.per_second);
        by_rate.then(b.count.total.cmp(&a.count.total))
    });
    let rows = reasons.into_iter().map(|reason| {
        let style = if reason.count.per_second > 0.0 {
            paint.bad()
        } else {
            Style::new()
        };
        [
            plain(&reason.reason),
            (rate(reason.count.per_second), style),
            plain(count(reason.count.total)),
        ]
    });
    let table = Table {
        block: panel("refused", paint),
        columns: [
            Column::left("reason", 13),
            Column::right("per s"),
            Column::right("total"),
        ],
        rows: rows.collect(),
        nothing: "nothing since the start",
    };
    table.draw(frame, area);
}

fn draw_sources(frame: &mut Frame<'_>, area: Rect, sources: &[Source], paint: Paint) {
    let rows = sources.iter().map(|source| {
        [
            plain(source.address.to_string()),
            plain(rate(source.count.per_second)),
            plain(&source.reason),
            plain(source.port.to_string()),
        ]
    });
    let table = Table {
        block: panel("top sources", paint),
        columns: [
            Column::left("source", 10),
            Column::right("~per s"),
            Column::left("reason", 13),
            Column::right("port"),
        ],
        rows: rows.collect(),
        nothing: "nobody is refused at the moment",
    };
    table.draw(frame, area);
}

fn draw_leases(frame: &mut Frame<'_>, area: Rect, top: &Top, paint: Paint) {
    let title = format!(
        "leases: {} of {}",
        count(u64::try_from(top.status.leases.now).unwrap_or(u64::MAX)),
        count(top.status.leases.limit.into())
    );
    let rows = top.leases.iter().map(|lease: &Lease| {
        [
            plain(lease.address.as_deref().unwrap_or("everybody")),
            plain(&lease.resource),
            plain(&lease.opens),
            plain(time(Duration::from_secs(lease.seconds_left))),
            plain(opened_by(lease)),
        ]
    });
    let table = Table {
        block: panel(&title, paint),
        columns: [
            Column::left("address", 18),
            Column::left("resource", 8),
            Column::left("opens", 8),
            Column::right("left"),
            Column::left("by", 8),
        ],
        rows: rows.collect(),
        nothing: NO_LEASES,
    };
    table.draw(frame, area);
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, events: &[Event], paint: Paint) {
    let rows = events.iter().map(|event| {
        let style = if event.what == "opened" {
            paint.good()
        } else {
            Style::new()
        };
        [
            plain(time(Duration::from_secs(event.seconds_ago))),
            plain(&event.who),
            (event.what.clone(), style),
            plain(&event.resource),
            plain(&event.address),
        ]
    });
    let table = Table {
        block: panel("recent knocks", paint),
        columns: [
            Column::right("ago"),
            Column::left("who", 8),
            Column::left("did", 7),
            Column::left("resource", 8),
            Column::left("for", 18),
        ],
        rows: rows.collect(),
        nothing: "nobody has knocked since the start or the last reload",
    };
    table.draw(frame, area);
}

#[cfg(test)]
mod tests;

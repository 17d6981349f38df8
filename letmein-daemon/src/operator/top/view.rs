//! What is where on the screen.

use super::{
    super::{
        format::{count, rate, time},
        leases::opened_by,
        protocol::{Event, Lease, Refusal, Source, Status, Top},
    },
    past::Past,
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph, Row, Sparkline, Table},
};
use std::time::Duration;

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
    frame.render_widget(header(&top.status, paint), head);
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

fn header(status: &Status, paint: Paint) -> Line<'static> {
    let up = time(Duration::from_secs(status.uptime_seconds));
    let mut spans = vec![
        Span::styled(format!(" letmeind {}", status.version), paint.title()),
        Span::raw(format!("   up {up}   port {}   ", status.port)),
    ];
    if status.interfaces.is_empty() {
        spans.push(Span::raw("no XDP: knocks are checked in userspace"));
    }
    for interface in &status.interfaces {
        let (hook, style) = match interface.hook.as_deref() {
            Some("native") => ("native", paint.good()),
            Some(other) => (other, Style::new()),
            None => ("WITHOUT XDP", paint.bad().add_modifier(Modifier::BOLD)),
        };
        spans.push(Span::raw(format!("{} ", interface.name)));
        spans.push(Span::styled(hook.to_owned(), style));
        spans.push(Span::raw("  "));
    }
    Line::from(spans)
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

/// The beginning of a text that has no room: it tells where the rest is missing.
fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let beginning = text.chars().take(room.saturating_sub(1));
    beginning.chain(['…']).collect()
}

fn right(text: String) -> Line<'static> {
    Line::from(text).right_aligned()
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
        Row::new([
            Line::raw(format!(" {}", reason.reason)),
            Line::styled(rate(reason.count.per_second), style).right_aligned(),
            right(count(reason.count.total)),
        ])
    });
    let widths = [Constraint::Length(15), Constraint::Length(9), Constraint::Fill(1)];
    let header = Row::new([
        Line::raw(" reason"),
        right("per s".to_owned()),
        right("total".to_owned()),
    ]);
    let table = Table::new(rows, widths).header(header.style(QUIET));
    frame.render_widget(table.block(panel("refused", paint)), area);
}

fn draw_sources(frame: &mut Frame<'_>, area: Rect, sources: &[Source], paint: Paint) {
    let room = usize::from(area.width.saturating_sub(7 + 13 + 5 + 3));
    let rows = sources.iter().map(|source| {
        Row::new([
            Line::raw(shortened(&source.address.to_string(), room)),
            right(rate(source.count.per_second)),
            Line::raw(source.reason.clone()),
            right(source.port.to_string()),
        ])
    });
    let widths = [
        Constraint::Max(39),
        Constraint::Length(7),
        Constraint::Length(13),
        Constraint::Length(5),
    ];
    let header = Row::new([
        Line::raw("source"),
        right("~per s".to_owned()),
        Line::raw("reason"),
        right("port".to_owned()),
    ]);
    let table = Table::new(rows, widths).header(header.style(QUIET));
    frame.render_widget(table.block(panel("top sources", paint)), area);
}

fn draw_leases(frame: &mut Frame<'_>, area: Rect, top: &Top, paint: Paint) {
    let title = format!(
        "leases: {} of {}",
        count(u64::try_from(top.status.leases.now).unwrap_or(u64::MAX)),
        count(top.status.leases.limit.into())
    );
    let rows = top.leases.iter().map(|lease: &Lease| {
        Row::new([
            Line::raw(format!(" {}", lease.address.as_deref().unwrap_or("everybody"))),
            Line::raw(lease.resource.clone()),
            right(time(Duration::from_secs(lease.seconds_left))),
            Line::raw(opened_by(lease)),
        ])
    });
    let widths = [
        Constraint::Max(34),
        Constraint::Max(16),
        Constraint::Length(7),
        Constraint::Min(20),
    ];
    let header = Row::new([
        Line::raw(" address"),
        Line::raw("resource"),
        right("left".to_owned()),
        Line::raw("by"),
    ]);
    let table = Table::new(rows, widths).header(header.style(QUIET));
    frame.render_widget(table.block(panel(&title, paint)), area);
}

fn draw_events(frame: &mut Frame<'_>, area: Rect, events: &[Event], paint: Paint) {
    let rows = events.iter().map(|event| {
        let style = if event.what == "opened" {
            paint.good()
        } else {
            Style::new()
        };
        Row::new([
            right(time(Duration::from_secs(event.seconds_ago))),
            Line::raw(event.who.clone()),
            Line::styled(event.what.clone(), style),
            Line::raw(event.resource.clone()),
            Line::raw(event.address.clone()),
        ])
    });
    let widths = [
        Constraint::Length(8),
        Constraint::Max(20),
        Constraint::Length(7),
        Constraint::Max(16),
        Constraint::Min(20),
    ];
    let header = Row::new([
        right("ago".to_owned()),
        Line::raw("who"),
        Line::raw("did"),
        Line::raw("resource"),
        Line::raw("for"),
    ]);
    let table = Table::new(rows, widths).header(header.style(QUIET));
    frame.render_widget(table.block(panel("recent knocks", paint)), area);
}

#[cfg(test)]
mod tests;

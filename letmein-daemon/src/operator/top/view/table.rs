//! Tables whose columns are as wide as what is in them, as far as there is room, and what is there instead of an empty
//! one.

use super::QUIET;
use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Rect},
    style::Style,
    text::Line,
    widgets::{self, Block, Paragraph, Row, Wrap},
};

/// Between two columns.
const GAP: u16 = 2;

/// A column: what it is called, and how narrow it can become before others have to.
pub struct Column {
    pub name: &'static str,
    pub least: usize,
    pub alignment: Alignment,
}

impl Column {
    pub const fn left(name: &'static str, least: usize) -> Self {
        let alignment = Alignment::Left;
        Self {
            name,
            least,
            alignment,
        }
    }

    /// Of numbers, which are never shortened.
    pub const fn right(name: &'static str) -> Self {
        Self {
            name,
            least: usize::MAX,
            alignment: Alignment::Right,
        }
    }
}

/// A cell's text, and how it is to look.
pub type Cell = (String, Style);

/// What is not to stand out.
pub fn plain(text: impl Into<String>) -> Cell {
    (text.into(), Style::new())
}

/// What is in a panel.
pub struct Table<const N: usize> {
    pub block: Block<'static>,
    pub columns: [Column; N],
    pub rows: Vec<[Cell; N]>,
    /// What it means that there are no rows.
    pub nothing: &'static str,
}

impl<const N: usize> Table<N> {
    pub fn draw(self, frame: &mut Frame<'_>, area: Rect) {
        let inner = self.block.inner(area);
        let inner = Rect {
            x: inner.x.saturating_add(1),
            width: inner.width.saturating_sub(1),
            ..inner
        };
        frame.render_widget(self.block, area);
        if self.rows.is_empty() {
            let text = Paragraph::new(self.nothing).style(QUIET);
            frame.render_widget(text.wrap(Wrap { trim: true }), inner);
            return;
        }
        let widths = widths(&self.columns, &self.rows, usize::from(inner.width));
        let header = self.columns.iter().zip(widths).map(|(column, width)| {
            let name = Line::styled(shortened(column.name, width), QUIET);
            name.alignment(column.alignment)
        });
        let header = Row::new(header);
        let body = self.rows.iter().map(|row| {
            let cells = row.iter().zip(self.columns.iter().zip(widths));
            Row::new(cells.map(|((text, style), (column, width))| {
                Line::styled(shortened(text, width), *style).alignment(column.alignment)
            }))
        });
        let lengths = widths.map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)));
        let table = widgets::Table::new(body, lengths).header(header);
        frame.render_widget(table.column_spacing(GAP), inner);
    }
}

/// As wide as the widest cell; if that is too much together, the widest one that can be narrower gives way.
fn widths<const N: usize>(columns: &[Column; N], rows: &[[Cell; N]], room: usize) -> [usize; N] {
    let mut widths = std::array::from_fn::<_, N, _>(|column| {
        let cells = rows.iter().map(|row| row[column].0.chars().count());
        cells
            .max()
            .unwrap_or_default()
            .max(columns[column].name.chars().count())
    });
    while widths.iter().sum::<usize>() + usize::from(GAP) * N.saturating_sub(1) > room {
        let narrower = (0..N).filter(|column| widths[*column] > columns[*column].least);
        let Some(widest) = narrower.max_by_key(|column| widths[*column]) else {
            break;
        };
        widths[widest] -= 1;
    }
    widths
}

/// The beginning of a text that has no room: it tells where the rest is missing.
fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let beginning = text.chars().take(room.saturating_sub(1));
    beginning.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_column_gives_way_and_numbers_do_not() {
        let columns = [Column::left("a", 3), Column::right("n"), Column::left("b", 8)];
        let rows = [
            [plain("x".repeat(20)), plain("1 000 000"), plain("y".repeat(10))],
            [plain("x"), plain("1"), plain("y")],
        ];
        assert_eq!(widths(&columns, &rows, 80), [20, 9, 10]);
        assert_eq!(widths(&columns, &rows, 35), [12, 9, 10]);
        assert_eq!(widths(&columns, &rows, 28), [7, 9, 8]);
        assert_eq!(widths(&columns, &rows, 5), [3, 9, 8]);
        assert_eq!(shortened("äbcdef", 4), "äbc…");
    }
}

//! Manual pages of section 5, made from the documents that tests hold to the code.
//!
//! Of Markdown this knows what those documents use: headings, paragraphs, lists, tables, code, links, bold.

use std::fmt::Write as _;

/// What stands at the top of a page.
pub struct Title<'a> {
    pub name: &'a str,
    pub about: &'a str,
    pub version: &'a str,
}

/// The page, with this text and what it refers to.
pub fn page(title: &Title<'_>, markdown: &str, see_also: &str) -> String {
    let Title { name, about, version } = title;
    let mut page = format!(
        ".TH \"{name}\" 5 \"\" \"letmein {version}\" \"File formats\"\n.SH NAME\n{name} \\- {about}\n.SH DESCRIPTION\n"
    );
    let mut lines = markdown.lines().peekable();
    let mut fresh = true;
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        if line.starts_with("# ") || trimmed.is_empty() {
            fresh = true;
            continue;
        }
        if let Some(heading) = line.strip_prefix("## ") {
            section(&mut page, ".SH", &heading.to_uppercase());
        } else if let Some(heading) = line.strip_prefix("### ") {
            section(&mut page, ".SS", heading);
        } else if trimmed.starts_with("```") {
            let block: Vec<_> = lines
                .by_ref()
                .take_while(|line| !line.trim_start().starts_with("```"))
                .collect();
            verbatim(&mut page, &block);
        } else if line.starts_with("    ") && fresh {
            let mut block = vec![&line[4..]];
            while let Some(next) = lines.next_if(|next| next.starts_with("    ")) {
                block.push(&next[4..]);
            }
            verbatim(&mut page, &block);
        } else if line.starts_with('|') {
            let mut rows = vec![line];
            while let Some(next) = lines.next_if(|next| next.starts_with('|')) {
                rows.push(next);
            }
            table(&mut page, &rows);
        } else {
            let item = trimmed.strip_prefix("- ");
            if item.is_some() {
                page.push_str(".IP \\(bu 2\n");
            } else if fresh {
                page.push_str(".PP\n");
            }
            text(&mut page, item.unwrap_or(trimmed));
        }
        fresh = false;
    }
    let _infallible = writeln!(page, ".SH SEE ALSO\n{see_also}");
    page
}

fn section(page: &mut String, request: &str, heading: &str) {
    let _infallible = writeln!(page, "{request} {}", inline(heading));
}

fn verbatim(page: &mut String, lines: &[&str]) {
    page.push_str(".PP\n.RS 4\n.nf\n");
    for line in lines {
        let _infallible = writeln!(page, "{}", guarded(&escaped(line)));
    }
    page.push_str(".fi\n.RE\n");
}

/// Each row is a paragraph under its first cell; the cells between are in a line of their own, with their headings.
fn table(page: &mut String, rows: &[&str]) {
    let cells = |row: &str| -> Vec<String> {
        let row = row
            .trim()
            .trim_start_matches('|')
            .trim_end_matches('|')
            .replace("\\|", "\u{0}");
        row.split(" | ")
            .map(|cell| cell.trim().replace('\u{0}', "|"))
            .collect()
    };
    let headings = rows.first().map(|row| cells(row)).unwrap_or_default();
    for row in rows.iter().skip(2) {
        let row = cells(row);
        let Some((first, rest)) = row.split_first() else {
            continue;
        };
        let _infallible = writeln!(page, ".TP\n{}", guarded(&inline(first)));
        let Some((last, between)) = rest.split_last() else {
            continue;
        };
        for (heading, cell) in headings.iter().skip(1).zip(between) {
            let _infallible = writeln!(page, "{}: {}.\n.br", inline(heading), inline(cell));
        }
        text(page, last);
    }
}

fn text(page: &mut String, line: &str) {
    let _infallible = writeln!(page, "{}", guarded(&inline(line)));
}

/// Code and bold words in bold, links as their text.
fn inline(line: &str) -> String {
    let mut shown = String::new();
    for (number, part) in line.split('`').enumerate() {
        if number % 2 == 1 {
            let _infallible = write!(shown, "\\fB{}\\fR", escaped(part));
            continue;
        }
        let plain = part.replace("**", "\u{1}");
        for (number, part) in plain.split('\u{1}').enumerate() {
            if number % 2 == 1 {
                let _infallible = write!(shown, "\\fB{}\\fR", escaped(part));
            } else {
                shown.push_str(&escaped(part));
            }
        }
    }
    without_targets(&shown)
}

/// `[text](target)` is `text`.
fn without_targets(line: &str) -> String {
    let mut rest = line;
    let mut shown = String::new();
    while let Some((before, after)) = rest.split_once("](") {
        let text = before.rfind('[').map_or(before.to_owned(), |at| {
            format!("{}{}", &before[..at], &before[at + 1..])
        });
        shown.push_str(&text);
        rest = after.split_once(')').map_or("", |(_target, after)| after);
    }
    shown + rest
}

/// So that groff shows what is written.
fn escaped(text: &str) -> String {
    let text = text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('^', "\\(ha");
    text.replace('~', "\\(ti")
        .replace('"', "\\(dq")
        .replace('\'', "\\(aq")
}

/// A line that would be a request is none.
fn guarded(line: &str) -> String {
    if line.starts_with(['.', '\'']) {
        format!("\\&{line}")
    } else {
        line.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Title, page};

    fn of(markdown: &str) -> String {
        let title = Title {
            name: "x.toml",
            about: "y",
            version: "1",
        };
        let page = page(&title, markdown, ".BR z (1)");
        let (_, body) = page.split_once(".SH DESCRIPTION\n").unwrap();
        body.strip_suffix(".SH SEE ALSO\n.BR z (1)\n").unwrap().to_owned()
    }

    #[test]
    fn an_option_is_a_paragraph_with_its_type_and_default() {
        let table = "| Option | Type | Default | Meaning |\n| --- | --- | --- | --- |\n\
                     | `a-b` | `\"x\"`\\|`\"y\"` | `\"x\"` | What [it](z.md#q) *is*. |\n";
        assert_eq!(
            of(table),
            ".TP\n\\fBa\\-b\\fR\nType: \\fB\\(dqx\\(dq\\fR|\\fB\\(dqy\\(dq\\fR.\n.br\nDefault: \\fB\\(dqx\\(dq\\fR.\n.br\n\
             What it *is*.\n"
        );
    }

    #[test]
    fn blocks_lists_and_headings() {
        assert_eq!(
            of(
                "# Title\n\nText\nmore.\n\n## `[gate]`\n\n- **One**, a\n  b\n- two\n\n```toml\n.x = 'y'\n```\n\n    code\n"
            ),
            ".PP\nText\nmore.\n.SH \\fB[GATE]\\fR\n.IP \\(bu 2\n\\fBOne\\fR, a\nb\n.IP \\(bu 2\ntwo\n\
             .PP\n.RS 4\n.nf\n\\&.x = \\(aqy\\(aq\n.fi\n.RE\n.PP\n.RS 4\n.nf\ncode\n.fi\n.RE\n"
        );
    }
}

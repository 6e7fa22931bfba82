//! stdout is data, stderr is talk. All printing goes through here.

use std::io::{self, IsTerminal, Write};

use phasegate_core::domain::shown::{visible, visible_json, visible_lines};
use serde::Serialize;

use crate::log;

/// Writes text for people to stderr. A closed stderr is nobody's problem.
pub fn talk(text: &str) {
    log::talk(text);
}

/// Writes text for people to stdout. What is in it may come from anywhere: nothing of it steers a terminal.
///
/// # Errors
/// When stdout is closed or full.
pub fn data(text: &str) -> io::Result<()> {
    write(&visible_lines(text))
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a value to stdout as indented JSON and a line break.
///
/// # Errors
/// When stdout is closed or full.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = pretty_json(value)?;
    text.push('\n');
    Ok(write(&text)?)
}

/// Writes a value to stdout as JSON in one line.
///
/// # Errors
/// When stdout is closed or full.
pub fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(json_text(&serde_json::to_string(value)?)?)
}

/// Writes JSON that is in one line already to stdout.
///
/// # Errors
/// When stdout is closed or full.
pub fn json_text(json: &str) -> io::Result<()> {
    write(&format!("{}\n", visible_json(json)))
}

/// A value as indented JSON that can be shown.
///
/// # Errors
/// When it is no JSON.
pub fn pretty_json(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(visible_json(&serde_json::to_string_pretty(value)?).into_owned())
}

/// Whether an error is that of a reader who went away, as `| head` does.
#[must_use]
pub fn is_closed_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether progress may be drawn: on a terminal that can go back over what it has shown.
#[must_use]
pub fn stderr_is_terminal() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !dumb
}

/// Whether stdout is a terminal, and stderr one that progress may be drawn on.
#[must_use]
pub fn both_are_terminals() -> bool {
    io::stdout().is_terminal() && stderr_is_terminal()
}

/// Lays out rows under headings: columns two spaces apart, the last one as long as it is.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let line = |row: &Vec<String>| row.iter().map(|cell| visible(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(line).collect();
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut row = String::new();
        for (cell, width) in cells.zip(&widths) {
            row.push_str(cell);
            let pad = (width + 2).saturating_sub(cell.chars().count());
            row.extend(std::iter::repeat_n(' ', pad));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    line(&mut headings.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

/// One row whose columns have at least these widths; those behind them are as long as they are.
#[must_use]
pub fn in_columns(row: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(widths.iter().map(Some).chain(std::iter::repeat(None))) {
        let cell = visible(cell);
        text.push_str(&cell);
        let pad = width.map_or(0, |width| width.saturating_sub(cell.chars().count()) + 2);
        text.extend(std::iter::repeat_n(' ', pad));
    }
    format!("{}\n", text.trim_end())
}

/// A value, or a dash.
#[must_use]
pub fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), T::to_string)
}

/// `90` is `1 min 30 s`.
#[must_use]
pub fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds % 3600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_alone_has_its_columns() {
        let row = ["a".to_owned(), "longer".to_owned(), "x\ny".to_owned(), "end".to_owned()];
        assert_eq!(in_columns(&row, &[3, 3, 3]), "a    longer  x\\ny  end\n");
    }

    #[test]
    fn tables_line_up() {
        let rows = [vec!["1".to_owned(), "a b".to_owned()], vec!["100".to_owned(), "c\n\u{202e}".to_owned()]];
        insta::assert_snapshot!(table(&["ID", "WHAT"], &rows), @r"
        ID   WHAT
        1    a b
        100  c\n\u{202e}
        ");
    }
}

//! Tables for people: columns aligned by spaces, as ls(1) and systemctl(1) write them.

use comfy_table::{CellAlignment, ContentArrangement, presets};
use indicatif::{HumanBytes, HumanDuration};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// A table, filled row by row.
pub struct Table(comfy_table::Table);

impl Table {
    /// A table with these column titles; a title that begins with a space is of a column of numbers,
    /// which stand to the right.
    pub fn new(titles: &[&str]) -> Self {
        let mut table = comfy_table::Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(titles.iter().map(|title| title.trim_start()));
        for (column, title) in table.column_iter_mut().zip(titles) {
            column.set_padding((0, 2));
            if title.starts_with(' ') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self(table)
    }

    /// Adds a row, a cell for each title.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.add_row(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.0.trim_fmt())
    }
}

/// A size, e.g. `1.20 GiB`.
pub fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// A point in time on the reader's clock, e.g. `2026-11-21 03:30:00 CET`.
pub fn time(time: Timestamp) -> String {
    let zoned = time.to_zoned(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// How long ago `time` was, e.g. `3h`.
pub fn age(time: Timestamp, now: Timestamp) -> String {
    let age: SignedDuration = now.duration_since(time);
    match std::time::Duration::try_from(age) {
        Ok(age) => format!("{:#}", HumanDuration(age)),
        Err(_) => "future".to_owned(),
    }
}

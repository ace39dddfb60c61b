//! What manifests and indexes tell: rows that are gone, and tables and files that must be there.

use super::sources::shrank;
use super::{Policy, Row, is_volume};
use crate::catalog::Backup;
use crate::error::Result;
use crate::manifest::{Content, content};
use crate::monitor::{Note, Severity};
use crate::postgres::restore::listing;
use crate::stream::Reader;
use crate::volume::Select;
use crate::words::count;

impl Policy {
    pub(super) fn content(
        &self,
        rows: &[Row<'_>],
        jobs: usize,
        findings: &mut Vec<Note>,
    ) -> Result<()> {
        let mut tables: Vec<String> = Vec::new();
        for row in rows.iter().filter(|row| row.wanted) {
            let mut good = row.good();
            let Some(newest) = good.next().and_then(database) else {
                continue;
            };
            if let Some(before) = good.next().and_then(database) {
                self.lost_rows(row, &before, &newest, findings);
            }
            let name = |table: &content::Table| format!("{}.{}", table.schema, table.name);
            tables.extend(newest.tables.iter().map(name));
        }
        for wanted in &self.tables {
            let is = |table: &String| {
                table == wanted || table.strip_prefix("public.") == Some(wanted.as_str())
            };
            if !tables.iter().any(is) {
                findings.push(
                    Note::new(
                        Severity::High,
                        "table-missing",
                        wanted,
                        "no newest dump has this table",
                    )
                    .with_hint("Bring it back from an older one: sg-restore db FILE --table. If it is gone on purpose, change SG_EXPECT_TABLES."),
                );
            }
        }
        self.missing_files(rows, jobs, findings)
    }

    /// Rows that the newest dump has no more, of all tables together: single ones are emptied every day.
    fn lost_rows(
        &self,
        row: &Row<'_>,
        before: &content::Database,
        newest: &content::Database,
        findings: &mut Vec<Note>,
    ) {
        let rows = |database: &content::Database| -> u64 {
            database.tables.iter().map(|table| table.rows).sum()
        };
        let (was, is) = (rows(before), rows(newest));
        if shrank(was, is, self.shrink) {
            findings.push(
                row.finding(
                    Severity::High,
                    "rows-dropped",
                    format!("its tables have {} where they had {was}", count(is, "row")),
                )
                .with_hint(
                    "See whether somebody deleted them on purpose, before the older backups go.",
                ),
            );
        }
    }

    fn missing_files(&self, rows: &[Row<'_>], jobs: usize, findings: &mut Vec<Note>) -> Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        let mut wanted: Vec<(&String, Select)> = Vec::new();
        for pattern in &self.files {
            wanted.push((pattern, Select::new(std::slice::from_ref(pattern))?));
        }
        for row in rows.iter().filter(|row| row.wanted) {
            let Some(newest) = row.newest().filter(|newest| is_volume(&newest.name.kind)) else {
                continue;
            };
            let listed = Reader::open(&newest.path).and_then(|reader| {
                listing::list(&reader, jobs, |path, _| {
                    wanted.retain(|(_, select)| !select.wants(path));
                    Ok(())
                })
            });
            if let Err(error) = listed {
                let path = newest.path.display().to_string();
                findings.push(Note::new(
                    Severity::High,
                    "unreadable",
                    path,
                    error.to_string(),
                ));
            }
        }
        for (pattern, _) in wanted {
            findings.push(
                Note::new(
                    Severity::High,
                    "file-missing",
                    pattern,
                    "no newest archive has such a file",
                )
                .with_hint("Bring it back from an older one: sg-restore volume FILE --file. If it is gone on purpose, change SG_EXPECT_FILES."),
            );
        }
        Ok(())
    }
}

fn database(backup: &Backup) -> Option<Box<content::Database>> {
    if backup.name.kind != "db" {
        return None;
    }
    match backup.manifest().ok()?.content {
        Content::Database(database) => Some(database),
        _ => None,
    }
}

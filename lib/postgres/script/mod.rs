//! SQL scripts as pg_dump writes and psql reads them, understood well enough to judge a dump before
//! anything is touched, to take it apart, and to put it back without psql.

pub mod entry;
pub mod judge;
pub mod lexer;
mod parser;
pub mod relation;
mod seen;
pub mod statement;
pub mod token;

pub use entry::Entry;
pub use judge::{Guard, Verdict, judge, judge_with};
pub use lexer::{Element, Lexer};
pub use relation::{Relation, literal, quote};
pub use statement::{Summary, What, summary};

//! The command line, and the `SG_…` variables that stand in for it.
//!
//! A variable comes from a file that people edit. There `SG_QUIET=1` has to mean yes, and
//! `SG_KEEP_MONTHLY=` has to take back what a file before it said; clap by itself takes nothing but
//! `true`, and an empty value for a wrong one.

use clap::builder::{FalseyValueParser, Resettable};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, Parser};
use std::ffi::OsString;

/// The arguments of this process. Ends it where they are wrong, or only help is asked for.
pub fn parse<A: Parser>() -> A {
    parse_with(|matches| A::from_arg_matches_mut(matches))
}

/// The arguments in `line`, the program's name first.
///
/// # Errors
/// They are wrong.
pub fn parse_from<A: Parser>(line: Vec<OsString>) -> Result<A, clap::Error> {
    let mut matches = prepared(A::command()).try_get_matches_from(line)?;
    A::from_arg_matches_mut(&mut matches)
}

/// As [`parse`], for a program that wants to know more of them than their values: where they are from.
pub fn parse_with<A: CommandFactory>(
    read: impl FnOnce(&mut ArgMatches) -> Result<A, clap::Error>,
) -> A {
    let mut command = prepared(A::command());
    let mut matches = command.get_matches_mut();
    read(&mut matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

/// Makes several values of one that a variable gave the argument `id`: those in it with blanks between.
/// On the command line a blank belongs to the value, as each of several is given by itself.
pub fn split_variable(matches: &ArgMatches, id: &str, values: &mut Vec<String>) {
    if matches.value_source(id) == Some(ValueSource::EnvVariable) {
        let words = values.iter().flat_map(|value| value.split_whitespace());
        *values = words.map(str::to_owned).collect();
    }
}

/// `command`, reading variables as people write them.
fn prepared(command: Command) -> Command {
    command
        .mut_args(|arg| understanding(forgetting(arg)))
        .mut_subcommands(prepared)
}

/// An empty variable counts for nothing.
fn forgetting(arg: Arg) -> Arg {
    let variable = arg.get_env().and_then(std::env::var_os);
    if variable.is_some_and(|value| value.is_empty()) {
        arg.env(Resettable::Reset)
    } else {
        arg
    }
}

/// A switch is off by `no`, `off`, `false` or `0`, and else on.
fn understanding(arg: Arg) -> Arg {
    if arg.get_env().is_some() && matches!(arg.get_action(), ArgAction::SetTrue) {
        arg.value_parser(FalseyValueParser::new())
    } else {
        arg
    }
}

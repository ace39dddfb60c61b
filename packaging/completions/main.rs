//! Writes the completions of all programs for bash, zsh and fish, from the same definitions by which
//! the programs parse their arguments: `completions DIRECTORY`. They are made when the project is
//! built, not kept in it, so they can't be of another version than the programs beside them.
//!
//! Below DIRECTORY everything lies as it does below `/usr/share`.

use clap_complete::aot::{Shell, generate_to};
use std::path::Path;
use std::{env, fs, io};

#[path = "../../bins/commands.rs"]
mod commands;

/// Where each shell looks, below `/usr/share`, and how it wants the file of a program to be called.
const SHELLS: [(Shell, &str, &str, &str); 3] = [
    (Shell::Bash, "bash-completion/completions", "", ""),
    (Shell::Zsh, "zsh/site-functions", "_", ""),
    (Shell::Fish, "fish/vendor_completions.d", "", ".fish"),
];

fn main() -> io::Result<()> {
    let directory = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("usage: completions DIRECTORY"))?;
    for (shell, place, before, after) in SHELLS {
        let place = Path::new(&directory).join(place);
        fs::create_dir_all(&place)?;
        for mut command in commands::all() {
            let program = command.get_name().to_owned();
            let written = generate_to(shell, &mut command, &program, &place)?;
            fs::rename(written, place.join(format!("{before}{program}{after}")))?;
        }
    }
    Ok(())
}

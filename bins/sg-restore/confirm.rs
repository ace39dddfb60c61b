//! Nothing is replaced before somebody has said so: `RESTORE`, typed on a terminal, or `--yes`.

use sg::{Context, Error, Kind, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};

/// Asks on the terminal, whatever standard input is: that may be the pipe that named the backup.
pub(crate) fn confirm(yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let refused = || {
        Error::new(Kind::Usage, "nobody confirmed the restore")
            .with_hint("Give --yes where there is no terminal to ask on.")
    };
    if !std::io::stderr().is_terminal() {
        return Err(refused());
    }
    let Ok(mut terminal) = File::options().read(true).write(true).open("/dev/tty") else {
        return Err(refused());
    };
    terminal
        .write_all(b"Type RESTORE to go on: ")
        .context(|| "cannot ask on the terminal")?;
    let mut answer = String::new();
    BufReader::new(terminal)
        .read_line(&mut answer)
        .context(|| "cannot read the answer from the terminal")?;
    if answer.trim() == "RESTORE" {
        Ok(())
    } else {
        Err(Error::new(
            Kind::Usage,
            "the restore was not confirmed; nothing was done",
        ))
    }
}

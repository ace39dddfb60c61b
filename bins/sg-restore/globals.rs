//! sg-restore globals.

use super::NAME;
use super::args::GlobalsArgs;
use super::confirm::confirm;
use sg::Result;
use sg::audit::Outcome;
use sg::postgres::Conninfo;
use sg::postgres::restore::globals::apply;
use sg::program::{Auditor, Console, Exit, operands};
use sg::stream::Reader;
use sg::words::count;

/// Applies roles and tablespaces.
pub(crate) fn run(args: &GlobalsArgs, console: &Console, audit: &Auditor<'_>) -> Result<Exit> {
    let path = operands::path_of_one(args.common.file.as_ref(), &args.common.lines)?;
    let reader = Reader::open(&path)?;
    let to = Conninfo::new(args.to.as_deref())?.with_application(NAME);
    console.say(
        &format!(
            "{}: roles and tablespaces that are missing will be created{}",
            path.display(),
            if args.overwrite {
                "; those present get the attributes and passwords of the dump"
            } else {
                ""
            }
        ),
        &[],
    );
    confirm(args.confirm.yes)?;
    let server = to.get("host").unwrap_or("the local server").to_owned();
    let deed = audit.deed(Outcome::Begun).backup(&path).target(server);
    let applied = audit.around(&deed, || {
        let contents = reader.contents(args.common.jobs.jobs())?;
        apply(contents, &to, args.overwrite, console)
    })?;
    console.say(
        &format!(
            "created {} and {}; there before: {} and {}",
            count(applied.roles.len(), "role"),
            count(applied.tablespaces.len(), "tablespace"),
            count(applied.roles_present.len(), "role"),
            count(applied.tablespaces_present.len(), "tablespace")
        ),
        &[],
    );
    Ok(Exit::Done)
}

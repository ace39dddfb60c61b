//! What a scratch server can reach, whatever the dump in it makes it do.
//!
//! A dump is code: functions in checks, indexes and triggers run while it is restored, as the server's
//! administrator, and as the user who owns the store. The kernel (Landlock, Linux 5.13) keeps the server
//! to its own directory, to the programs and libraries of the host, and from the network; later kernels
//! keep it from more. Where the kernel can't, the unit's sandbox is what there is.

use crate::error::{Error, Kind, Result};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};
use std::path::{Path, PathBuf};

/// The newest that is made use of; an older kernel does what it can.
const KERNEL: ABI = ABI::V6;
/// What programs and libraries need to read.
const READ: [&str; 10] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/proc",
    "/sys",
    "/var/cache/postgresql",
];
/// Devices that everybody uses.
const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];
/// Memory that the processes of a server share.
const SHARED_MEMORY: &str = "/dev/shm";

/// Runs `act` on a thread that, with whatever it starts, reaches nothing but `directory` and what belongs
/// to `programs`, a directory of programs. The thread lives as long as `act` runs.
pub(super) fn behind<T: Send + 'static>(
    directory: &Path,
    programs: &Path,
    act: impl FnOnce() -> Result<T> + Send + 'static,
) -> std::thread::JoinHandle<Result<T>> {
    let (directory, programs) = (directory.to_owned(), programs.to_owned());
    std::thread::spawn(move || {
        close(&directory, &programs).map_err(|cause| {
            Error::new(Kind::Config, "cannot fence in the scratch server").with_source(cause)
        })?;
        act()
    })
}

/// Closes the calling thread in, for ever.
fn close(directory: &Path, programs: &Path) -> Result<(), RulesetError> {
    let everything = AccessFs::from_all(KERNEL);
    // Programs lie in bin, what they load in lib and share beside it.
    let release = programs.parent().unwrap_or(programs);
    let read = READ.iter().map(PathBuf::from).chain([release.to_owned()]);
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)?
        .handle_access(AccessNet::from_all(KERNEL))?
        .scope(Scope::from_all(KERNEL))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(KERNEL)))?
        .add_rules(path_beneath_rules(DEVICES, AccessFs::from_file(KERNEL)))?
        .add_rules(path_beneath_rules([SHARED_MEMORY], everything))?
        .add_rules(path_beneath_rules([directory], everything))?
        .restrict_self()?;
    Ok(())
}

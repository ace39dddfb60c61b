//! A place where a test can cut a run off: with `SG_CRASH_AT=n` in its environment, a program built for
//! tests is killed at the n-th such place, as the kernel kills, without a chance to tidy up. With
//! `SG_CRASH_BY=COMMAND` it is not killed: the shell runs that, which fills the disk, say, or stops the
//! server, and then the program goes on. What people install has none of this.

/// Between two steps: what `SG_CRASH_AT` counts.
#[cfg(debug_assertions)]
pub(crate) fn point() {
    use std::sync::atomic::AtomicU64;
    static PASSED: AtomicU64 = AtomicU64::new(0);
    pass("SG_CRASH_AT", &PASSED);
}

/// In the middle of one, where a part of its work is done: what `SG_CRASH_WITHIN` counts.
#[cfg(debug_assertions)]
pub(crate) fn within() {
    use std::sync::atomic::AtomicU64;
    static PASSED: AtomicU64 = AtomicU64::new(0);
    pass("SG_CRASH_WITHIN", &PASSED);
}

#[cfg(debug_assertions)]
fn pass(variable: &str, passed: &std::sync::atomic::AtomicU64) {
    use nix::sys::signal::{Signal, kill};
    use std::process::Command;
    use std::sync::atomic::Ordering;
    let passed = passed.fetch_add(1, Ordering::SeqCst) + 1;
    let at = std::env::var(variable).ok();
    if at.and_then(|at| at.parse().ok()) != Some(passed) {
        return;
    }
    // If that should fail, the run ends well, and the test does not.
    match std::env::var("SG_CRASH_BY") {
        Ok(command) => drop(Command::new("sh").args(["-c", &command]).status()),
        Err(_) => drop(kill(nix::unistd::getpid(), Signal::SIGKILL)),
    };
}

/// Between two steps.
#[cfg(not(debug_assertions))]
pub(crate) fn point() {}

/// In the middle of one.
#[cfg(not(debug_assertions))]
pub(crate) fn within() {}

//! A disk that is soon full: a real one, small, in memory. Needs the right to mount.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system, unmounted when dropped.
pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    /// Mounts one of `size`, as mount(8) writes it, on a directory. `None`, and a word about it,
    /// where mounting is not permitted.
    pub(crate) fn mount(on: &Path, size: &str) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={size},mode=0700"))
            .arg("tmpfs")
            .arg(on)
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(on.to_owned())),
            refused => {
                // Past the capture of test output: a test that did not happen has to be seen.
                let _ = writeln!(
                    std::io::stderr().lock(),
                    "NOT TESTED: a full disk, as mounting one is not permitted here: {refused:?}"
                );
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

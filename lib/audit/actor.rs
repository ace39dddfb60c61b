//! Who it was: the user we run as, the person behind sudo, and the unit that systemd started.

use crate::manifest::Git;
use serde::{Deserialize, Serialize};
use std::fs;

/// `/proc/self/loginuid` of what nobody logged in for.
const NOBODY: u32 = u32::MAX;

/// Who did it, by what, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The program, with version.
    pub tool: String,
    /// The host.
    pub host: String,
    /// The user it ran as.
    pub user: String,
    /// Who called sudo, if that was how it came to run as another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sudo_user: Option<String>,
    /// Who logged in, by the kernel's own record, which no variable changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_user: Option<String>,
    /// The unit it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// systemd's name for this run of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// Why, if somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
}

impl Actor {
    /// This process, as `tool`; `reason` and `git` are what the caller says.
    pub fn this(tool: &str, reason: Option<String>, git: Option<Git>) -> Self {
        let unit = fs::read_to_string("/proc/self/cgroup").ok();
        let unit = unit.as_deref().and_then(unit_of);
        // Inherited by what is started by hand in a session; it means something in a unit alone.
        let invocation = std::env::var("INVOCATION_ID").ok();
        Self {
            tool: tool.to_owned(),
            host: crate::manifest::host(),
            user: crate::manifest::user(),
            sudo_user: ["SUDO_USER", "DOAS_USER"]
                .iter()
                .find_map(|name| std::env::var(name).ok()),
            login_user: login_user(),
            invocation: invocation.filter(|_| unit.is_some()),
            unit,
            reason,
            git,
        }
    }
}

fn login_user() -> Option<String> {
    let id: u32 = fs::read_to_string("/proc/self/loginuid")
        .ok()?
        .trim()
        .parse()
        .ok()?;
    let id = Some(id).filter(|&id| id != NOBODY)?;
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(id));
    Some(
        user.ok()
            .flatten()
            .map_or_else(|| id.to_string(), |user| user.name),
    )
}

/// The service whose control group it is; of version 1's many lines, systemd's own.
fn unit_of(cgroup: &str) -> Option<String> {
    let mut paths = cgroup.lines().filter_map(|line| {
        let named = || line.split_once(":name=systemd:").map(|(_, path)| path);
        line.strip_prefix("0::").or_else(named)
    });
    let path = paths.find(|path| *path != "/")?;
    let unit = path.rsplit('/').next()?;
    unit.ends_with(".service").then(|| unit.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_group_tells_the_unit() {
        for (cgroup, unit) in [
            (
                "0::/sg.slice/sg-backup.slice/sg-dump-db@shop.service\n",
                Some("sg-dump-db@shop.service"),
            ),
            (
                "11:memory:/x\n1:name=systemd:/sg.slice/sg-prune@a.service\n0::/\n",
                Some("sg-prune@a.service"),
            ),
            (
                "9:name=systemd:/\n8:pids:/\n0::/sg-verify@a.service\n",
                Some("sg-verify@a.service"),
            ),
            ("0::/user.slice/user-0.slice/session-3.scope\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(unit_of(cgroup).as_deref(), unit, "{cgroup}");
        }
    }
}

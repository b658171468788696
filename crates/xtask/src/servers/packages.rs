//! Packages of Debian and its relatives, installed where root rights take no password.
//! It leaves what is needed, and what to say where this is not possible, to those who need it.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Whether [`install`] can be tried on this machine.
pub(super) fn installable() -> bool {
    rights().is_some() && succeeds(Command::new("apt-get").arg("--version"))
}

/// Installs packages with apt-get.
///
/// # Errors
/// When we may not, or it fails.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let rights = rights().context("root rights take a password")?;
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    for args in [&["update"][..], &install] {
        let command = [rights, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"], args].concat();
        let status = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).stdout(std::io::stderr()).status();
        let status = status.with_context(|| format!("{} did not start", command[0]))?;
        ensure!(status.success(), "`{}` failed ({status})", command.join(" "));
    }
    Ok(())
}

/// Whether we are root.
pub(super) fn root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// What to put before a command so that root runs it, if that takes no password.
fn rights() -> Option<&'static [&'static str]> {
    if root() { Some(&[]) } else { succeeds(Command::new("sudo").args(["-n", "true"])).then_some(&["sudo", "-n"]) }
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

//! The logins of the sample shop as they are printed and written to the data directory. Leaves making the people to `sample`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// One login.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) roles: Vec<Role>,
}

/// One role of a login.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Role {
    pub(crate) role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<String>,
}

/// All of them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Logins {
    pub(crate) admin: Login,
    pub(crate) staff: Vec<Login>,
    pub(crate) couriers: Vec<Login>,
    pub(crate) shoppers: Vec<Login>,
}

impl Logins {
    /// Writes them to `path`, readable by the owner alone: whole, or not at all.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        let part = path.with_extension("json.part");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let cause = || format!("the logins cannot be written to {}", path.display());
        let mut file = options.open(&part).with_context(cause)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(cause)?;
        kernel::fail_point("swiftcart.logins-before-rename");
        std::fs::rename(&part, path).with_context(cause)?;
        kernel::fail_point("swiftcart.logins-written");
        Ok(())
    }
}

/// A password of 24 letters and digits from the operating system's chance.
pub(crate) fn random_password() -> anyhow::Result<String> {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789__--..,,";
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the operating system gives no chance"))?;
    // 64 characters, so that every byte falls on one of them evenly.
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect())
}

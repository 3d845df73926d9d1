//! `longshore env`: what a shell needs to talk to a server.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::cli::Data;
use crate::exit::Exit;

/// `DIR/client.json`, mode 0600: written by `up` when it serves, read by `env` and `watch`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Client {
    /// `http://127.0.0.1:4566`.
    pub endpoint: String,
    /// The default region.
    pub region: String,
    /// The root user's key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

impl Client {
    /// Reads what `up` left.
    pub fn load(data: &Data) -> Result<Self, Exit> {
        let path = data.dir.join("client.json");
        let text = std::fs::read(&path).map_err(|e| {
            Exit::data(format!(
                "{}: {e}; start `longshore up --data {}` first",
                path.display(),
                data.dir.display()
            ))
        })?;
        serde_json::from_slice(&text).map_err(|e| Exit::data(format!("{}: {e}", path.display())))
    }

    /// Leaves it for `env` and `watch`, readable by this user alone.
    pub fn save(&self, data: &Data) -> std::io::Result<()> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let (path, new) = (data.dir.join("client.json"), data.dir.join("client.json.new"));
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(new, path)
    }
}

/// Prints the lines.
pub fn print(data: &Data) -> Result<ExitCode, Exit> {
    let client = Client::load(data)?;
    for (name, value) in [
        ("AWS_ENDPOINT_URL", &client.endpoint),
        ("AWS_REGION", &client.region),
        ("AWS_DEFAULT_REGION", &client.region),
        ("AWS_ACCESS_KEY_ID", &client.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", &client.secret_access_key),
    ] {
        println!("export {name}={}", quoted(value));
    }
    println!("unset AWS_PROFILE AWS_SESSION_TOKEN");
    // Git takes configuration from numbered variables: nothing of the user's own configuration changes.
    let helper = format!("credential.{}.helper", client.endpoint);
    let path = format!("credential.{}.UseHttpPath", client.endpoint);
    let settings = [(&helper, "!aws codecommit credential-helper --ignore-host-check $@"), (&path, "true")];
    println!("export GIT_CONFIG_COUNT={}", settings.len());
    for (i, (key, value)) in settings.iter().enumerate() {
        println!("export GIT_CONFIG_KEY_{i}={}", quoted(key));
        println!("export GIT_CONFIG_VALUE_{i}={}", quoted(value));
    }
    Ok(ExitCode::SUCCESS)
}

/// One shell word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_word_stays_a_word() {
        assert_eq!(super::quoted("!aws $@"), "'!aws $@'");
        assert_eq!(super::quoted("it's"), r"'it'\''s'");
    }
}

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
    let exported = |name: &str| std::env::var(name).ok();
    for (name, value) in git(&client.endpoint, exported) {
        println!("export {name}={}", quoted(&value));
    }
    Ok(ExitCode::SUCCESS)
}

/// Git takes configuration from numbered variables: nothing of the user's own files changes. What the shell has exported
/// of them stays, and what is there already is not added again.
fn git(endpoint: &str, exported: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let settings =
        [("helper", "!aws codecommit credential-helper --ignore-host-check $@"), ("UseHttpPath", "true")];
    let settings = settings.map(|(name, value)| (format!("credential.{endpoint}.{name}"), value.to_owned()));
    let mut count = exported("GIT_CONFIG_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0_u32);
    let at =
        |i| Some((exported(&format!("GIT_CONFIG_KEY_{i}"))?, exported(&format!("GIT_CONFIG_VALUE_{i}"))?));
    let there: Vec<_> = (0..count).map_while(at).collect();
    let mut variables = Vec::new();
    for (key, value) in settings.into_iter().filter(|setting| !there.contains(setting)) {
        variables.push((format!("GIT_CONFIG_KEY_{count}"), key));
        variables.push((format!("GIT_CONFIG_VALUE_{count}"), value));
        count += 1;
    }
    variables.push(("GIT_CONFIG_COUNT".into(), count.to_string()));
    variables
}

/// One shell word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    #[test]
    fn a_word_stays_a_word() {
        assert_eq!(super::quoted("!aws $@"), "'!aws $@'");
        assert_eq!(super::quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn what_git_was_told_before_stays_and_nothing_is_told_twice() {
        let mut shell = BTreeMap::from(
            [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "user.name"), ("GIT_CONFIG_VALUE_0", "Dev")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        for (endpoint, count) in
            [("http://a:1", "3"), ("http://a:1", "3"), ("http://b:2", "5"), ("http://a:1", "5")]
        {
            let printed = super::git(endpoint, |name| shell.get(name).cloned());
            shell.extend(printed);
            assert_eq!(shell["GIT_CONFIG_COUNT"], count, "{shell:?}");
        }
        assert_eq!((&*shell["GIT_CONFIG_KEY_0"], &*shell["GIT_CONFIG_VALUE_0"]), ("user.name", "Dev"));
        assert_eq!(shell["GIT_CONFIG_KEY_1"], "credential.http://a:1.helper");
        assert_eq!(
            (&*shell["GIT_CONFIG_KEY_4"], &*shell["GIT_CONFIG_VALUE_4"]),
            ("credential.http://b:2.UseHttpPath", "true")
        );
        assert_eq!(shell.len(), 11);
        // What is no number git refuses as well.
        let anew = super::git("http://a:1", |name| (name == "GIT_CONFIG_COUNT").then(|| "many".into()));
        assert_eq!(anew.last().unwrap().1, "2");
    }
}

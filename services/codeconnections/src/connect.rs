//! What AWS leaves to its console: a connection is told where its repositories are, and with which credential.
use kernel::{Access, Cx, PrincipalKind};
use serde::Deserialize;
use store::Batch;

use crate::error::{Error, Result};
use crate::hooks::Provider;
use crate::records::{Connection, arn};
use crate::remote::{Credential, Remote, Transport, template};
use crate::{CodeConnections, git};

/// What a caller says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asked {
    /// Where its repositories are.
    url: String,
    /// Who git is, over HTTPS.
    username: Option<String>,
    /// What proves it; never log it.
    token: Option<String>,
    /// A private key for SSH; never log it.
    ssh_key: Option<String>,
    /// The host keys that are trusted, as in a known_hosts file.
    known_hosts: Option<String>,
}

/// A connection as its owner sees it.
pub struct Shown {
    /// Its ARN.
    pub arn: String,
    /// PENDING or AVAILABLE.
    pub status: &'static str,
    /// Where its repositories are.
    pub url: Option<String>,
    /// Its provider delivers to webhooks.
    pub delivers: bool,
    /// The unguessable part of its webhook's URL.
    pub hook: String,
    /// The webhook's secret.
    pub secret: String,
}

impl CodeConnections {
    /// Says where a connection's repositories are, if `asked`, and shows it. AWS names the permission
    /// `UpdateConnectionInstallation`.
    pub(crate) async fn connect(&self, cx: &Cx, id: &str, asked: Option<Asked>) -> Result<Shown> {
        let resource = arn(cx.account(), &cx.region, &format!("connection/{id}"));
        let action = match asked {
            Some(_) => "codeconnections:UpdateConnectionInstallation",
            // The webhook's secret is shown: reading it is no less than setting it.
            None => "codeconnections:GetInstallationUrl",
        };
        cx.authorize(&[Access::new(action, &*resource)]).await?;
        let key = Connection::key(cx.account(), &cx.region, id);
        let sealing = Connection::sealing(&key);
        let remote = asked.map(|asked| self.remote(cx, &sealing, asked)).transpose()?;
        let connection = self
            .store
            .update(|| async {
                let found = self.store.get::<Connection>(&key).await?;
                let mut row = found.ok_or_else(|| Error::NotFound(resource.clone()))?;
                let Some(remote) = &remote else { return Ok((Batch::new(), row.value)) };
                row.value.remote = Some(remote.clone());
                Ok::<_, Error>((Batch::new().update(&row), row.value))
            })
            .await?;
        let secret = self.sealer.open_text(&sealing, &connection.hook_secret)?;
        Ok(Shown {
            arn: resource,
            status: connection.status(),
            url: connection.remote.map(|remote| remote.url),
            delivers: Provider::of(&connection.provider).is_some(),
            hook: connection.hook,
            secret,
        })
    }

    fn remote(&self, cx: &Cx, sealing: &str, asked: Asked) -> Result<Remote> {
        let trusted = cx.caller.kind == PrincipalKind::Root;
        let (url, transport) = template(&asked.url, trusted).map_err(Error::Invalid)?;
        let invalid = |text: &str| Err(Error::Invalid(text.into()));
        let line = |text: &String| !text.is_empty() && !text.chars().any(char::is_control);
        if !asked.username.iter().chain(&asked.token).all(line) {
            return invalid("username and token must each be one line of text");
        }
        let credential = match (transport, asked.token, asked.ssh_key, asked.known_hosts) {
            (Transport::Ssh, None, Some(key), Some(known_hosts)) => {
                if !key.contains("PRIVATE KEY") {
                    return invalid(
                        "sshKey must be a private key, as ssh-keygen writes it, without a passphrase",
                    );
                }
                Credential::Key { key: self.sealer.seal_text(sealing, &key)?, known_hosts }
            }
            (Transport::Ssh, ..) => {
                return invalid(
                    "an ssh url takes sshKey and knownHosts, the server's keys as `ssh-keyscan HOST` prints them, and no token",
                );
            }
            (_, Some(token), None, None) => Credential::Token(self.sealer.seal_text(sealing, &token)?),
            (_, None, None, None) => Credential::None,
            _ => {
                return invalid("an https url takes a token, with its username, and no sshKey or knownHosts");
            }
        };
        Ok(Remote { url, username: asked.username, credential })
    }

    /// How git gets at a repository of a connection.
    pub(crate) fn access(
        &self,
        connection: &Connection,
        sealing: &str,
        repository: &str,
    ) -> Result<git::Access> {
        let remote = connection.remote.as_ref().ok_or_else(|| Error::Pending(connection.name.clone()))?;
        let url = remote.of(repository).ok_or_else(|| {
            Error::Invalid(format!("'{repository}' is no name of a repository, as in owner/repository"))
        })?;
        let proof = match &remote.credential {
            Credential::None => git::Proof::None,
            Credential::Token(token) => {
                // Providers take any user with a token, and some insist that there is one.
                let user = remote.username.clone().unwrap_or_else(|| "x-access-token".into());
                git::Proof::Token(user, self.sealer.open_text(sealing, token)?)
            }
            Credential::Key { key, known_hosts } => {
                git::Proof::Key(self.sealer.open_text(sealing, key)?, known_hosts.clone())
            }
        };
        let (transport, origin) = (remote.transport(), remote.origin().to_owned());
        Ok(git::Access { url, transport, origin, proof })
    }
}

impl Connection {
    /// PENDING until it is said where its repositories are.
    pub fn status(&self) -> &'static str {
        if self.remote.is_some() { "AVAILABLE" } else { "PENDING" }
    }
}

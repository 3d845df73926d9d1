//! Images: pulled as their policy says, looked at, named, imported.
use std::pin::pin;
use std::sync::PoisonError;

use bollard::auth::DockerCredentials;
use bollard::models::ImageInspect;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use bytes::Bytes;
use engine::{Error, Image, ImageConfig, ImageSource, PullPolicy, Result};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::time::timeout;

use crate::client::{code, error, fine, words};
use crate::names::PAUSE_IMAGE;
use crate::{Inner, limits};

impl Inner {
    pub(crate) async fn image(&self, reference: &str) -> Result<Option<Image>> {
        match self.client.get().await?.inspect_image(reference).await {
            Ok(found) => Ok(Some(read(reference, found))),
            Err(e) if code(&e) == Some(404) => Ok(None),
            Err(e) => Err(error(e)),
        }
    }

    pub(crate) async fn pull(&self, source: &ImageSource) -> Result<Image> {
        let copy = self.image(&source.reference).await?.filter(|copy| !is_id(&source.reference, copy));
        let once = |pulled: &std::collections::BTreeSet<String>| pulled.contains(&source.reference);
        let ask = match source.pull {
            PullPolicy::Default | PullPolicy::Always => true,
            PullPolicy::Once => !once(&self.pulled.lock().unwrap_or_else(PoisonError::into_inner)),
            PullPolicy::PreferCached => copy.is_none(),
            PullPolicy::Never => false,
        };
        if let (false, Some(copy)) = (ask, &copy) {
            return Ok(copy.clone());
        }
        let reason = "the engine has no copy, and its pull policy forbids asking a registry";
        if source.pull == PullPolicy::Never {
            return Err(Error::NoImage { reference: source.reference.clone(), reason: reason.into() });
        }
        match (self.ask_registry(source).await, copy) {
            (Ok(()), _) => {
                self.pulled.lock().unwrap_or_else(PoisonError::into_inner).insert(source.reference.clone());
                let missing =
                    || Error::Engine(format!("image '{}' vanished after its pull", source.reference));
                self.image(&source.reference).await?.ok_or_else(missing)
            }
            (Err(e), Some(copy)) if falls_back(source, &e) => {
                tracing::info!(image = source.reference, reason = %e, "using the engine's copy of an image");
                Ok(copy)
            }
            (Err(e), _) => Err(e),
        }
    }

    async fn ask_registry(&self, source: &ImageSource) -> Result<()> {
        let (name, tag) = split(&source.reference);
        let options = CreateImageOptionsBuilder::new().from_image(name).tag(tag).build();
        let registry = name.split_once('/').map(|(registry, _)| registry.to_owned());
        let credentials = source.auth.as_ref().map(|auth| DockerCredentials {
            username: Some(auth.username.clone()),
            password: Some(auth.password.clone()),
            serveraddress: registry,
            ..DockerCredentials::default()
        });
        let progress = self.client.get().await?.create_image(Some(options), None, credentials);
        pulled(&source.reference, progress).await
    }

    pub(crate) async fn tag(&self, reference: &str, further: &str) -> Result<()> {
        let (repository, tag) = split(further);
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        match self.client.get().await?.tag_image(reference, Some(options)).await {
            Err(e) if code(&e) == Some(404) => {
                Err(Error::NoImage { reference: reference.to_owned(), reason: words(&e) })
            }
            other => other.map_err(error),
        }
    }

    pub(crate) async fn import(
        &self,
        reference: &str,
        config: ImageConfig,
        tar: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<Image> {
        let (repository, tag) = split(reference);
        let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag);
        let options = options.changes(changes(&config)).build();
        let body = bollard::body_try_stream(tar);
        let mut progress = self.client.get().await?.create_image(Some(options), Some(body), None);
        while let Some(step) = progress.next().await {
            step.map_err(error)?;
        }
        let missing = || Error::Engine(format!("image '{reference}' vanished after its import"));
        self.image(reference).await?.ok_or_else(missing)
    }

    pub(crate) async fn remove_image(&self, reference: &str) -> Result<()> {
        let options = RemoveImageOptionsBuilder::new().build();
        fine(self.client.get().await?.remove_image(reference, Some(options), None).await.map(|_| ()))
    }

    /// The image of pauses holds nothing: the binary is mounted.
    pub(crate) async fn ensure_pause_image(&self) -> Result<()> {
        if self.image(PAUSE_IMAGE).await?.is_some() {
            return Ok(());
        }
        let empty = crate::exec::archive([])?;
        let tar = futures::stream::iter([Ok(empty)]).boxed();
        self.import(PAUSE_IMAGE, ImageConfig::default(), tar).await.map(|_| ())
    }
}

/// Whether it was found by its id, or the beginning of that: whoever names an image so would have what a registry's
/// policy denies.
fn is_id(reference: &str, copy: &Image) -> bool {
    let bare = |text: &str| text.strip_prefix("sha256:").unwrap_or(text).to_ascii_lowercase();
    let asked = bare(reference);
    !asked.is_empty() && asked.bytes().all(|b| b.is_ascii_hexdigit()) && bare(&copy.id).starts_with(&asked)
}

/// Until a pull has ended. One that says nothing any more has failed: nothing else would end it.
async fn pulled<T>(
    reference: &str,
    progress: impl Stream<Item = std::result::Result<T, bollard::errors::Error>>,
) -> Result<()> {
    let mut progress = pin!(progress);
    loop {
        match timeout(limits::PULL_SILENCE, progress.next()).await {
            Ok(Some(step)) => {
                step.map_err(|e| refused(reference, e))?;
            }
            Ok(None) => return Ok(()),
            Err(_) => {
                let minutes = limits::PULL_SILENCE.as_secs() / 60;
                let reason = format!("the pull made no progress for {minutes} minutes");
                return Err(Error::Pull { reference: reference.to_owned(), reason });
            }
        }
    }
}

/// The engine's copy stands in for any failure, as with the ECS agent; but where credentials were given, a refusal or
/// a missing image is the registry's answer.
fn falls_back(source: &ImageSource, failure: &Error) -> bool {
    let answered = matches!(failure, Error::PullDenied { .. } | Error::NoImage { .. });
    source.pull != PullPolicy::Always && !(answered && source.auth.is_some())
}

/// What a failed pull means, told by the status where there is one and else by the words that engines use.
fn refused(reference: &str, failure: bollard::errors::Error) -> Error {
    let (status, text) = (code(&failure), words(&failure));
    let (reference, reason) = (reference.to_owned(), text.clone());
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.to_lowercase().contains(phrase));
    if status.is_none() && !matches!(failure, bollard::errors::Error::DockerStreamError { .. }) {
        return error(failure);
    }
    if says(&["unauthorized", "denied", "no basic auth", "forbidden"]) {
        Error::PullDenied { reference, reason }
    } else if status == Some(404)
        || says(&["manifest unknown", "not found", "name unknown", "does not exist"])
    {
        Error::NoImage { reference, reason }
    } else {
        Error::Pull { reference, reason }
    }
}

/// Repository, and tag or digest as the API's `tag` takes either. No tag means `latest`, as everywhere but in the API,
/// where it means all of them.
fn split(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (untagged(name).0, digest);
    }
    let (name, tag) = untagged(reference);
    (name, tag.unwrap_or("latest"))
}

/// A colon before the last slash is a registry's port.
fn untagged(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => (before, Some(tag)),
        _ => (name, None),
    }
}

fn read(reference: &str, found: ImageInspect) -> Image {
    let config = found.config.unwrap_or_default();
    let repository = untagged(reference.split('@').next().unwrap_or(reference)).0;
    let digests = found.repo_digests.unwrap_or_default();
    let digest = digests.iter().filter_map(|d| d.split_once('@')).find(|(name, _)| *name == repository);
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    Image {
        id: found.id.unwrap_or_default(),
        digest: digest.map(|(_, digest)| digest.to_owned()),
        size: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        architecture: found.architecture.unwrap_or_default(),
        config: ImageConfig {
            entrypoint: config.entrypoint.unwrap_or_default(),
            command: config.cmd.unwrap_or_default(),
            env: config.env.unwrap_or_default(),
            workdir: some(config.working_dir),
            user: some(config.user),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
        },
    }
}

/// The configuration as Dockerfile lines, which is how an import takes it.
fn changes(config: &ImageConfig) -> Vec<String> {
    let quoted = |text: &str| serde_json::json!(text).to_string();
    let mut lines = Vec::new();
    if !config.entrypoint.is_empty() {
        lines.push(format!("ENTRYPOINT {}", serde_json::json!(config.entrypoint)));
    }
    if !config.command.is_empty() {
        lines.push(format!("CMD {}", serde_json::json!(config.command)));
    }
    for (name, value) in config.env.iter().filter_map(|pair| pair.split_once('=')) {
        lines.push(format!("ENV {name}={}", quoted(value)));
    }
    lines.extend(config.workdir.iter().map(|folder| format!("WORKDIR {folder}")));
    lines.extend(config.user.iter().map(|user| format!("USER {user}")));
    lines.extend(
        config.labels.iter().map(|(name, value)| format!("LABEL {}={}", quoted(name), quoted(value))),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_come_apart() {
        let check = |reference, name, tag| assert_eq!(split(reference), (name, tag), "{reference}");
        check("debian", "debian", "latest");
        check("debian:12", "debian", "12");
        check("127.0.0.1:4566/app", "127.0.0.1:4566/app", "latest");
        check("127.0.0.1:4566/a/b:v1", "127.0.0.1:4566/a/b", "v1");
        check("h:1/a:v1@sha256:00", "h:1/a", "sha256:00");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_may_be_slow_but_not_silent() {
        let slow = futures::stream::iter(0..3).then(|step| async move {
            tokio::time::sleep(limits::PULL_SILENCE - std::time::Duration::from_secs(1)).await;
            Ok(step)
        });
        assert!(pulled("i", slow).await.is_ok());
        let silent = futures::stream::iter([Ok(0)]).chain(futures::stream::pending());
        let told = pulled("i", silent).await.unwrap_err();
        assert!(matches!(&told, Error::Pull { reference, .. } if reference == "i"), "{told}");
    }

    #[test]
    fn an_id_is_no_name() {
        let image = Image { id: "sha256:cafe0123".into(), ..Image::default() };
        for id in ["cafe0123", "CAFE", "sha256:cafe", "c"] {
            assert!(is_id(id, &image), "{id}");
        }
        for name in ["cafe:1", "cafe/app", "beef", "cafe0123f", "sha256:"] {
            assert!(!is_id(name, &image), "{name}");
        }
    }

    #[test]
    fn a_registrys_own_answer_is_not_papered_over() {
        let fails =
            |text: &str| refused("i", bollard::errors::Error::DockerStreamError { error: text.into() });
        let (denied, missing, away) = (
            fails("unauthorized: authentication required"),
            fails("manifest for x:1 not found: manifest unknown"),
            fails("Get \"http://127.0.0.1:1/v2/\": dial tcp: connection refused"),
        );
        let anonymous = ImageSource::new("i");
        let auth = Some(engine::Auth { username: "AWS".into(), password: "p".into() });
        let signed_in = ImageSource { auth, ..anonymous.clone() };
        assert!(falls_back(&anonymous, &denied) && falls_back(&anonymous, &missing));
        assert!(!falls_back(&signed_in, &denied) && !falls_back(&signed_in, &missing));
        assert!(falls_back(&signed_in, &away));
        assert!(!falls_back(&ImageSource { pull: PullPolicy::Always, ..anonymous }, &away));
    }
}

//! Build ECRBuildAndPublish: an image built from the source's Dockerfile, and pushed under the action's role.
use kernel::Fut;

use super::{Action, Failed, builds};
use crate::catalog::{ActionType, Carrier, Form, anything, optional, required};
use crate::engine::Output;
use crate::job::Job;

/// The type.
pub static TYPE: ActionType = ActionType {
    category: "Build",
    provider: "ECRBuildAndPublish",
    inputs: 1..=1,
    outputs: 0..=0,
    timeout: 60,
    timeout_key: None,
    properties: &[
        required("ECRRepositoryName", Form::Checked(repository)),
        optional("DockerFilePath", Form::Text),
        optional("ImageTags", Form::Checked(|text| tags(text).map(drop))),
        optional("RegistryType", Form::Only("private", "there is no public registry")),
    ],
    check: anything,
    carrier: Carrier::Provider(&Publish),
};

/// A repository's name, as ECR takes it: nothing in it means anything to a shell.
fn repository(name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    match !name.is_empty() && name.len() <= 256 && name.chars().all(fine) {
        true => Ok(()),
        false => Err("must be the name of a repository, such as team/app, without the registry".into()),
    }
}

/// The tags of a comma-separated list: `latest` if it is empty.
fn tags(list: &str) -> Result<Vec<String>, String> {
    let tags: Vec<String> =
        list.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()).collect();
    let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fine = |tag: &&String| {
        (1..=128).contains(&tag.len()) && tag.chars().all(inner) && !tag.starts_with(['.', '-'])
    };
    match tags.iter().find(|tag| !fine(tag)) {
        Some(tag) => Err(format!("names '{tag}', which is no tag of an image")),
        None if tags.is_empty() => Ok(vec!["latest".into()]),
        None => Ok(tags),
    }
}

struct Publish;

impl Action for Publish {
    fn run<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<Output, Failed>> {
        Box::pin(run(job))
    }
}

async fn run(job: &Job) -> Result<Output, Failed> {
    let wrong = |key: &str, what: String| {
        Failed::new("ConfigurationError", format!("The configuration key '{key}' {what}"))
    };
    let name = job.need("ECRRepositoryName")?;
    // Checked when it was declared, unless variables were in it.
    repository(name).map_err(|what| wrong("ECRRepositoryName", what))?;
    let tags = tags(job.get("ImageTags").unwrap_or_default()).map_err(|what| wrong("ImageTags", what))?;
    let registry = format!("{}.dkr.ecr.{}.amazonaws.com", job.account(), job.region());
    let place = job.get("DockerFilePath").filter(|path| !path.is_empty()).unwrap_or(".");
    let commands = builds::Commands {
        commands: commands(&registry, name, &tags),
        variables: vec![
            ("DOCKERFILE".to_owned(), place.to_owned()),
            ("ECRRepositoryName".to_owned(), name.to_owned()),
        ],
        exported: vec!["ECRImageDigestId".into(), "ECRRepositoryName".into()],
        privileged: true,
        ..builds::Commands::default()
    };
    builds::run(job, commands).await
}

/// What is run. The Dockerfile's path is a folder with one, or the file itself.
fn commands(registry: &str, name: &str, tags: &[String]) -> Vec<String> {
    let image = format!("{registry}/{name}");
    let named: String = tags.iter().map(|tag| format!(" -t {image}:{tag}")).collect();
    let mut commands = vec![
        format!("aws ecr get-login-password | docker login --username AWS --password-stdin {registry}"),
        format!(
            "if [ -f \"$DOCKERFILE\" ]; then docker build -f \"$DOCKERFILE\"{named} .; else docker build{named} \"$DOCKERFILE\"; fi"
        ),
    ];
    commands.extend(tags.iter().map(|tag| format!("docker push {image}:{tag}")));
    let first = tags.first().map_or("latest", String::as_str);
    commands.push(format!(
        "ECRImageDigestId=$(docker image inspect --format '{{{{range .RepoDigests}}}}{{{{println .}}}}{{{{end}}}}' {image}:{first} | sed -n 's|^{image}@||p')"
    ));
    commands.push("test -n \"$ECRImageDigestId\"".into());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_tags_mean_nothing_to_a_shell() {
        assert!(repository("team/app-1").is_ok());
        for name in ["", "App", "a b", "a;b", "$(a)"] {
            assert!(repository(name).is_err(), "{name}");
        }
        assert_eq!(tags("").unwrap(), ["latest"]);
        assert_eq!(tags("v1, v2").unwrap(), ["v1", "v2"]);
        for list in ["v1,-x", "a b", "a;b", "$(a)"] {
            assert!(tags(list).is_err(), "{list}");
        }
    }
}

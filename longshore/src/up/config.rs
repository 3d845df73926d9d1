//! The configuration file: what has no option of its own. docs/configuration.md describes it.
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::exit::Exit;

/// Largest configuration file, in bytes.
const SIZE: u64 = 1 << 20;

/// The file's content; an empty file is fine.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Which image stands for the build images whose names begin so, the longest such name deciding:
    /// `aws/codebuild/standard:7.0: registry/my-image`.
    pub build_images: BTreeMap<String, String>,
    /// `ECS_IMAGE_PULL_BEHAVIOR` of the ECS agent: default, always, once, prefer-cached.
    pub image_pull_behavior: Option<String>,
    /// How often the repositories of connections are looked at, in seconds.
    pub repository_poll_seconds: Option<u64>,
    /// What stands for Lambda.
    pub lambda: Lambda,
    /// The HTTP endpoint that stands for an SNS topic, by the topic's ARN.
    pub sns_topics: BTreeMap<String, String>,
    /// How long the past of pipelines is kept.
    pub pipeline_history: History,
}

/// The functions that Invoke Lambda actions may call.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lambda {
    /// By name.
    pub functions: BTreeMap<String, Function>,
}

/// A function.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Function {
    /// Where it is called.
    pub url: String,
}

impl Lambda {
    /// As CodePipeline takes them.
    pub fn functions(&self) -> Result<codepipeline::Functions, Exit> {
        let function = |(name, function): (&String, &Function)| {
            let wrong = |why| Exit::configuration(format!("lambda.functions.{name}.url: {why}"));
            Ok((name.clone(), codepipeline::Function::at(&function.url).map_err(wrong)?))
        };
        self.functions.iter().map(function).collect()
    }
}

/// How long the past of pipelines is kept, in days.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct History {
    /// Executions, their actions and events: AWS's 12 months unless it is given.
    pub executions: Option<u32>,
    /// The artifacts of executions: as long as these unless it is given.
    pub artifacts: Option<u32>,
}

impl History {
    /// As CodePipeline takes it.
    pub fn keep(&self) -> Result<codepipeline::Keep, Exit> {
        let wrong = |what: &str| Exit::configuration(format!("pipeline-history: {what}"));
        let days = |days: u32| std::time::Duration::from_secs(u64::from(days) * 24 * 3600);
        let default = codepipeline::Keep::default();
        let executions = self.executions.map_or(default.executions, days);
        let artifacts = self.artifacts.map_or(executions, days);
        if self.executions == Some(0) || self.artifacts == Some(0) {
            return Err(wrong("executions and artifacts are kept for one day at least"));
        }
        if artifacts > executions {
            return Err(wrong("artifacts cannot be kept for longer than executions"));
        }
        Ok(codepipeline::Keep { executions, artifacts })
    }
}

impl Config {
    /// The endpoints of topics.
    pub fn topics(&self) -> Result<codepipeline::Topics, Exit> {
        let topic = |(arn, url): (&String, &String)| {
            let wrong =
                || Exit::configuration(format!("sns-topics: '{arn}': '{url}' is not an http or https URL"));
            let uri: http::Uri = url.parse().map_err(|_| wrong())?;
            match uri.scheme_str() {
                Some("http" | "https") => Ok((arn.clone(), uri)),
                _ => Err(wrong()),
            }
        };
        self.sns_topics.iter().map(topic).collect()
    }

    /// How often the repositories of connections are looked at.
    pub fn repository_poll_interval(&self) -> Result<Duration, String> {
        match self.repository_poll_seconds {
            None => Ok(codeconnections::limits::POLL),
            Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
            Some(other) => Err(format!("repository-poll-seconds '{other}' is not from 1 to 86400")),
        }
    }

    /// Reads it, if one is named.
    pub fn load(path: Option<&Path>) -> Result<Self, Exit> {
        let Some(path) = path else { return Ok(Self::default()) };
        let wrong = |e: &dyn std::fmt::Display| Exit::configuration(format!("{}: {e}", path.display()));
        let size = std::fs::metadata(path).map_err(|e| wrong(&e))?.len();
        if size > SIZE {
            return Err(wrong(&format!("it is larger than {SIZE} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        Self::read(&text).map_err(|e| wrong(&e))
    }

    /// An error is one line that names line and column: the lines around them stand in the file.
    fn read(text: &str) -> Result<Self, String> {
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| error.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn what_is_wrong_with_a_file_is_one_line_with_its_place() {
        for (text, place) in [
            ("build-images:\n  - a\n", "line 2, column 3"),
            ("lambda:\n  functions:\n    f: {url: x, more: y}\n", "line 3, column 17"),
            ("image-pull-behavior: once\nrepository-poll-seconds: soon\n", "line 2, column 26"),
            ("sns-topics:\n  \"open: x\n", "line 2, column 3"),
            ("unknown: 1\n", "line 1, column 1"),
        ] {
            let error = Config::read(text).unwrap_err();
            assert!(error.contains(place) && !error.contains('\n'), "{text}: {error}");
        }
        assert!(Config::read("# Nothing but a comment.\n").is_ok());
    }
}

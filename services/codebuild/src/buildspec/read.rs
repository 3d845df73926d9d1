//! From the tree to the buildspec: which keys exist, what each may hold.
use super::{
    ArtifactSet, Artifacts, Buildspec, Env, OnFailure, Phase, PhaseName, Shell, Version, YamlError,
    yaml::{self, At, Entry, Node, Value},
};

type Result<T> = std::result::Result<T, YamlError>;

/// Reads a buildspec.
///
/// # Errors
/// See [`YamlError`].
pub fn parse(text: &str) -> Result<Buildspec> {
    let root = yaml::read(text)?;
    let mut warnings = Vec::new();
    let top = Fields::of(&root, "", &mut warnings, &TOP_KEYS)?;
    let spec = Buildspec {
        version: version(&top)?,
        run_as: top.text("run-as")?,
        env: top.block("env", &mut warnings, &ENV_KEYS)?.map_or(Ok(Env::default()), |env| read_env(&env))?,
        phases: phases(&top, &mut warnings)?,
        artifacts: artifacts(&top, &mut warnings)?,
        warnings: Vec::new(),
    };
    top.refuse_unserved("reports", "test reports are not served yet")?;
    proxy(&top, &mut warnings)?;
    Ok(Buildspec { warnings, ..spec })
}

const TOP_KEYS: [&str; 9] =
    ["version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"];
const ENV_KEYS: [&str; 6] = [
    "shell",
    "variables",
    "parameter-store",
    "secrets-manager",
    "exported-variables",
    "git-credential-helper",
];
const PHASE_KEYS: [&str; 5] = ["run-as", "on-failure", "runtime-versions", "commands", "finally"];
const ARTIFACT_KEYS: [&str; 8] = [
    "files",
    "base-directory",
    "discard-paths",
    "exclude-paths",
    "name",
    "enable-symlinks",
    "s3-prefix",
    "secondary-artifacts",
];

fn version(top: &Fields<'_>) -> Result<Version> {
    let Some(text) = top.text("version")? else {
        return Err(YamlError::whole("version is missing: the buildspec must begin with version: 0.2"));
    };
    match text.as_str() {
        "0.2" => Ok(Version::V02),
        "0.1" => Ok(Version::V01),
        other => Err(top.wrong("version", format!("{other:?} is not known, use 0.2 (or 0.1)"))),
    }
}

fn read_env(env: &Fields<'_>) -> Result<Env> {
    env.refuse_unserved("parameter-store", "Parameter Store is not served yet")?;
    env.refuse_unserved("secrets-manager", "Secrets Manager is not served yet")?;
    let shell = match env.text("shell")?.as_deref() {
        None | Some("/bin/sh" | "sh") => Shell::Sh,
        Some("bash" | "/bin/bash") => Shell::Bash,
        Some(other) => {
            return Err(env.wrong("shell", format!("{other:?} is not served, use bash or /bin/sh")));
        }
    };
    let variables = env.strings("variables")?;
    for (name, _) in &variables {
        if !is_variable(name) {
            return Err(env.wrong("variables", format!("{name:?} is not a variable's name")));
        }
    }
    let exported = env.list("exported-variables")?;
    for name in &exported {
        if !is_variable(name) || name.starts_with("AWS_") {
            return Err(env.wrong("exported-variables", format!("{name:?} cannot be exported")));
        }
    }
    let git_credential_helper = env.yes_no("git-credential-helper")?;
    Ok(Env { shell, variables, exported, git_credential_helper })
}

/// Letters, digits and `_`, no digit first: what a shell can name.
pub(crate) fn is_variable(name: &str) -> bool {
    let head = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    head && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn phases(top: &Fields<'_>, warnings: &mut Vec<String>) -> Result<Vec<(PhaseName, Phase)>> {
    let Some(node) = top.get("phases") else {
        return Err(YamlError::whole(
            "phases is missing: name at least one of install, pre_build, build, post_build",
        ));
    };
    let Value::Map(entries) = &node.value else {
        return Err(expected(node, "phases", "a mapping of phases"));
    };
    let mut found = Vec::new();
    for Entry { key, at, value } in entries {
        let Some(name) = PhaseName::ALL.into_iter().find(|p| p.key() == key) else {
            return Err(YamlError::at(
                *at,
                format!("Invalid buildspec phase name: {key}. Expecting: build,install,post_build,pre_build"),
            ));
        };
        let path = format!("phases/{key}");
        found.push((name, phase(name, &Fields::of(value, &path, warnings, &PHASE_KEYS)?)?));
    }
    found.sort_by_key(|(name, _)| *name);
    Ok(found)
}

fn phase(name: PhaseName, fields: &Fields<'_>) -> Result<Phase> {
    if name != PhaseName::Install && fields.get("runtime-versions").is_some() {
        return Err(fields.wrong("runtime-versions", "stands under phases/install only".into()));
    }
    let on_failure = match fields.text("on-failure")? {
        None => OnFailure::Default,
        Some(text) => on_failure(&text).map_err(|why| fields.wrong("on-failure", why))?,
    };
    Ok(Phase {
        run_as: fields.text("run-as")?,
        on_failure,
        runtime_versions: fields.strings("runtime-versions")?,
        commands: fields.commands("commands")?,
        finally: fields.commands("finally")?,
    })
}

/// `ABORT`, `CONTINUE`, `RETRY`, `RETRY-count`, `RETRY-regex`, `RETRY-count-regex`.
fn on_failure(text: &str) -> std::result::Result<OnFailure, String> {
    let (mut count, mut pattern) = (3, ".*");
    match text {
        "ABORT" => return Ok(OnFailure::Abort),
        "CONTINUE" => return Ok(OnFailure::Continue),
        "RETRY" => {}
        _ => {
            let Some(rest) = text.strip_prefix("RETRY-") else {
                return Err(format!(
                    "{text:?} is not one of ABORT, CONTINUE, RETRY, RETRY-count, RETRY-regex, RETRY-count-regex"
                ));
            };
            let (head, tail) = rest.split_once('-').unwrap_or((rest, ""));
            match head.parse::<u32>() {
                Ok(n) if n <= 100 => {
                    count = n;
                    pattern = if tail.is_empty() { ".*" } else { tail };
                }
                Ok(n) => return Err(format!("{n} retries are too many, at most 100 are allowed")),
                Err(_) => pattern = rest,
            }
        }
    }
    match regex::RegexBuilder::new(pattern).size_limit(1 << 20).build() {
        Ok(_) => Ok(OnFailure::Retry { count, pattern: pattern.to_owned() }),
        Err(error) => Err(format!("the expression {pattern:?} cannot be used: {error}")),
    }
}

fn artifacts(top: &Fields<'_>, warnings: &mut Vec<String>) -> Result<Artifacts> {
    let Some(fields) = top.block("artifacts", warnings, &ARTIFACT_KEYS)? else {
        return Ok(Artifacts::default());
    };
    let mut secondary = Vec::new();
    if let Some(node) = fields.get("secondary-artifacts") {
        let Value::Map(entries) = &node.value else {
            return Err(expected(node, "artifacts/secondary-artifacts", "a mapping of artifact identifiers"));
        };
        for Entry { key, value, .. } in entries {
            let path = format!("artifacts/secondary-artifacts/{key}");
            let set = artifact(&Fields::of(value, &path, warnings, &ARTIFACT_KEYS[..7])?)?;
            if set.files.is_empty() {
                return Err(YamlError::at(value.at, format!("{path}: files is missing")));
            }
            secondary.push((key.clone(), set));
        }
    }
    let primary = artifact(&fields)?;
    if primary.files.is_empty() && secondary.is_empty() {
        return Err(fields.wrong("files", "at least one file or pattern must be named".into()));
    }
    Ok(Artifacts { primary: (!primary.files.is_empty()).then_some(primary), secondary })
}

fn artifact(fields: &Fields<'_>) -> Result<ArtifactSet> {
    Ok(ArtifactSet {
        files: fields.list("files")?,
        base_directory: fields.text("base-directory")?,
        discard_paths: fields.yes_no("discard-paths")?,
        exclude_paths: fields.list("exclude-paths")?,
        name: fields.text("name")?,
        enable_symlinks: fields.yes_no("enable-symlinks")?,
        s3_prefix: fields.text("s3-prefix")?,
    })
}

fn proxy(top: &Fields<'_>, warnings: &mut Vec<String>) -> Result<()> {
    let Some(proxy) = top.block("proxy", warnings, &["upload-artifacts", "logs"])? else { return Ok(()) };
    for key in ["upload-artifacts", "logs"] {
        if proxy.yes_no(key)? {
            return Err(proxy.wrong(key, "an explicit proxy is not served yet".into()));
        }
    }
    Ok(())
}

/// The entries of one mapping, and the path that messages name.
struct Fields<'a> {
    path: String,
    at: At,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    /// Unknown keys are ignored, as AWS does, but not silently.
    fn of(node: &'a Node, path: &str, warnings: &mut Vec<String>, known: &[&str]) -> Result<Self> {
        let entries: &[Entry] = match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                return Err(expected(
                    node,
                    if path.is_empty() { "the buildspec" } else { path },
                    "a mapping",
                ));
            }
        };
        let fields = Self { path: path.to_owned(), at: node.at, entries };
        for entry in entries.iter().filter(|e| !known.contains(&e.key.as_str())) {
            warnings.push(format!(
                "{} at {} is not a key of a buildspec and is ignored",
                fields.name(&entry.key),
                entry.at
            ));
        }
        Ok(fields)
    }

    fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}/{key}", self.path) }
    }

    /// The value, unless it is absent or null.
    fn get(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|e| e.key == key)?;
        (!matches!(entry.value.value, Value::Null)).then_some(&entry.value)
    }

    fn wrong(&self, key: &str, why: String) -> YamlError {
        let at = self.entries.iter().find(|e| e.key == key).map_or(self.at, |e| e.at);
        YamlError::at(at, format!("{}: {why}", self.name(key)))
    }

    fn refuse_unserved(&self, key: &str, why: &str) -> Result<()> {
        let empty = |node: &Node| match &node.value {
            Value::Map(entries) => entries.is_empty(),
            Value::List(items) => items.is_empty(),
            _ => false,
        };
        match self.get(key) {
            Some(node) if !empty(node) => Err(self.wrong(key, why.to_owned())),
            _ => Ok(()),
        }
    }

    fn block(&self, key: &str, warnings: &mut Vec<String>, known: &[&str]) -> Result<Option<Fields<'a>>> {
        self.get(key).map(|node| Fields::of(node, &self.name(key), warnings, known)).transpose()
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        match self.get(key) {
            None => Ok(None),
            Some(Node { value: Value::Text(text), .. }) => Ok(Some(text.clone())),
            Some(node) => Err(expected(node, &self.name(key), "a string")),
        }
    }

    fn yes_no(&self, key: &str) -> Result<bool> {
        match self.text(key)?.map(|t| t.to_ascii_lowercase()).as_deref() {
            None | Some("no" | "false") => Ok(false),
            Some("yes" | "true") => Ok(true),
            Some(other) => Err(self.wrong(key, format!("{other:?} is neither yes nor no"))),
        }
    }

    fn list(&self, key: &str) -> Result<Vec<String>> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        let Value::List(items) = &node.value else {
            return Err(expected(node, &self.name(key), "a list of strings"));
        };
        let text = |(i, item): (usize, &Node)| match &item.value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(expected(item, &format!("{}[{i}]", self.name(key)), "a string")),
        };
        items.iter().enumerate().map(text).collect()
    }

    fn strings(&self, key: &str) -> Result<Vec<(String, String)>> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        let Value::Map(entries) = &node.value else {
            return Err(expected(node, &self.name(key), "a mapping of strings"));
        };
        let text = |entry: &Entry| match &entry.value.value {
            Value::Text(text) => Ok((entry.key.clone(), text.clone())),
            Value::Null => Ok((entry.key.clone(), String::new())),
            _ => Err(expected(&entry.value, &format!("{}/{}", self.name(key), entry.key), "a string")),
        };
        entries.iter().map(text).collect()
    }

    /// Commands fail in one way more than all others: `echo a: b` is a mapping to YAML.
    fn commands(&self, key: &str) -> Result<Vec<String>> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        let Value::List(items) = &node.value else {
            return Err(expected(node, &self.name(key), "a list of commands"));
        };
        let text = |(i, item): (usize, &Node)| match &item.value {
            Value::Text(text) => Ok(text.clone()),
            other => {
                let (label, found) = (if key == "finally" { "Finally" } else { "Commands" }, what(other));
                Err(YamlError::at(
                    item.at,
                    format!(
                        "Expected {label}[{i}] to be of string type: found {found} instead ({}; a command with \": \" or \" #\" in it must be quoted)",
                        self.name(key)
                    ),
                ))
            }
        };
        items.iter().enumerate().map(text).collect()
    }
}

fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Text(_) => "a string",
        Value::List(_) => "a list",
        Value::Map(_) => "subkeys",
    }
}

fn expected(node: &Node, name: &str, kind: &str) -> YamlError {
    YamlError::at(node.at, format!("{name}: expected {kind}, found {}", what(&node.value)))
}

//! The agent for real: `/bin/sh` in temporary folders.
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::journal::{Body, Context, Event, Record, parse};
use super::plan::{BuildspecAt, Plan, Source, VERSION, Wanted};

struct Build {
    dir: TempDir,
    plan: Plan,
}

/// What a finished build left.
struct Left {
    dir: TempDir,
    records: Vec<Record>,
}

impl Build {
    fn new(buildspec: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        let plan = Plan {
            version: VERSION,
            out: dir.path().join("out"),
            work: dir.path().join("work"),
            sources: Vec::new(),
            buildspec: BuildspecAt::Inline(buildspec.to_owned()),
            set: vec![("CODEBUILD_BUILD_SUCCEEDING".into(), "1".into())],
            variables: Vec::new(),
            secrets: Vec::new(),
            deadline_ms: super::now_ms() + 60_000,
            dockerd: None,
            artifacts: Vec::new(),
        };
        Self { dir, plan }
    }

    fn with(mut self, change: impl FnOnce(&mut Plan, &Path)) -> Self {
        change(&mut self.plan, self.dir.path());
        self
    }

    fn run(self) -> Left {
        self.run_with(|_| Ok(()))
    }

    fn run_with(self, stoppable: impl FnOnce(PathBuf) -> std::io::Result<()>) -> Left {
        let file = self.dir.path().join("plan.json");
        fs::write(&file, serde_json::to_vec(&self.plan).unwrap()).unwrap();
        super::build(&file, stoppable).unwrap();
        let journal = fs::read(self.plan.out.join("journal")).unwrap();
        let lines = journal.strip_suffix(b"\n").unwrap().split(|b| *b == b'\n');
        let records = lines.map(|line| parse(line).expect("the agent wrote it")).collect();
        Left { dir: self.dir, records }
    }
}

impl Left {
    /// What the commands wrote, and the further lines of commands that have several.
    fn output(&self) -> Vec<&str> {
        let text = |r: &'_ Record| matches!(&r.body, Body::Output(text) if !text.starts_with("[Container]"));
        self.records
            .iter()
            .filter(|r| text(r))
            .filter_map(|r| match &r.body {
                Body::Output(text) => Some(text.as_str()),
                Body::Event(_) => None,
            })
            .collect()
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.records.iter().filter_map(|r| match &r.body {
            Body::Event(event) => Some(event),
            Body::Output(_) => None,
        })
    }

    /// Phases as they ended, shortly: `BUILD FAILED`.
    fn phases(&self) -> Vec<String> {
        let ended = |event: &Event| match event {
            Event::PhaseEnded { phase, status, .. } => Some(format!("{phase} {}", status.api())),
            Event::Ended { status, retry } => {
                Some(format!("= {}{}", status.api(), retry.map_or(String::new(), |n| format!(" again {n}"))))
            }
            _ => None,
        };
        self.events().filter_map(ended).collect()
    }

    fn contexts(&self) -> Vec<Context> {
        let of = |event: &Event| match event {
            Event::PhaseEnded { contexts, .. } => contexts.clone(),
            _ => Vec::new(),
        };
        self.events().flat_map(of).collect()
    }
}

fn spec(phases: &str) -> String {
    format!("version: 0.2\nphases:\n{phases}")
}

const GOOD: [&str; 6] = [
    "DOWNLOAD_SOURCE SUCCEEDED",
    "INSTALL SUCCEEDED",
    "PRE_BUILD SUCCEEDED",
    "BUILD SUCCEEDED",
    "POST_BUILD SUCCEEDED",
    "= SUCCEEDED",
];

fn check_shell(shell: &str) {
    let phases = spec(
        r#"
  install:
    commands:
      - plain=kept; export EXPORTED="a 'b' $plain"; mkdir sub; cd sub
      - greet() { echo "hello $1"; }
  build:
    commands:
      - echo $plain $EXPORTED; basename "$PWD"; greet you
      - |
        if true; then
          echo "several: lines"
        fi
      - cat; echo nothing on stdin
      - echo to stderr >&2
"#,
    );
    let left = Build::new(&format!("env: {{shell: {shell}}}\n{phases}")).run();
    assert_eq!(left.phases(), GOOD);
    let want = [
        "kept a 'b' kept",
        "sub",
        "hello you",
        "  echo \"several: lines\"",
        "fi",
        "several: lines",
        "nothing on stdin",
        "to stderr",
    ];
    assert_eq!(left.output(), want);
    let ran = left
        .records
        .iter()
        .filter(|r| matches!(&r.body, Body::Output(t) if t.contains("Running command")))
        .count();
    assert_eq!(ran, 6);
}

#[test]
fn all_commands_share_one_shell() {
    check_shell("/bin/sh");
    check_shell("bash");
}

#[test]
fn exit_ends_a_command_and_the_environment_survives() {
    let left = Build::new(&spec(
        r#"
  build:
    commands:
      - cd /; export A=1
      - export B=2; cd /tmp; exit 0
      - echo $A $B $PWD
      - set -e; export C=3; true
      - echo $C; false; echo not reached
      - echo skipped
    finally:
      - echo finally $A $B $C
  post_build:
    commands: ["echo succeeding: $CODEBUILD_BUILD_SUCCEEDING"]
"#,
    ))
    .run();
    assert_eq!(left.output(), ["1 2 /tmp", "3", "finally 1 2 3", "succeeding: 0"]);
    assert_eq!(
        left.contexts(),
        [Context::new(
            "COMMAND_EXECUTION_ERROR",
            "Error while executing command: echo $C; false; echo not reached. Reason: exit status 1"
        )]
    );
    assert_eq!(left.phases()[3..], ["BUILD FAILED", "POST_BUILD SUCCEEDED", "= FAILED"]);
}

#[test]
fn version_0_1_has_a_shell_for_each_command() {
    let left = Build::new("version: 0.1\nphases:\n  build:\n    commands:\n      - export A=1; cd /\n      - echo \"A=$A $(basename $PWD)\"\n").run();
    assert_eq!(left.output(), ["A= src"]);
}

fn check_failure(phases: &str, want: &[&str]) {
    assert_eq!(Build::new(&spec(phases)).run().phases()[1..], *want, "{phases}");
}

#[test]
fn failures_lead_where_aws_leads() {
    check_failure("  install: {commands: ['false']}\n", &["INSTALL FAILED", "= FAILED"]);
    check_failure(
        "  pre_build: {commands: ['false'], on-failure: CONTINUE}\n",
        &["INSTALL SUCCEEDED", "PRE_BUILD FAILED", "BUILD SUCCEEDED", "POST_BUILD SUCCEEDED", "= FAILED"],
    );
    check_failure(
        "  build: {commands: ['false'], on-failure: ABORT}\n",
        &["INSTALL SUCCEEDED", "PRE_BUILD SUCCEEDED", "BUILD FAILED", "= FAILED"],
    );
    check_failure(
        "  install: {commands: ['echo oops; exit 3'], on-failure: RETRY-2-oo+ps}\n",
        &["INSTALL FAILED", "= FAILED again 2"],
    );
    check_failure(
        "  install: {commands: ['false'], on-failure: RETRY-2-never}\n",
        &["INSTALL FAILED", "= FAILED"],
    );
    check_failure("  install: {commands: ['(']}\n", &["INSTALL FAILED", "= FAILED"]);
    check_failure("  install: {commands: ['kill -9 $$']}\n", &["INSTALL FAILED", "= FAILED"]);
    check_failure(
        "  install: {run-as: nobody-at-all, commands: ['true']}\n",
        &["INSTALL FAILED", "= FAILED"],
    );
}

#[test]
fn the_start_wins_over_the_project_file_and_values_are_literal() {
    let left = Build::new("version: 0.2\nenv: {variables: {A: spec, B: $HOME, C: spec}, exported-variables: [OUT, MISSING]}\nphases: {build: {commands: ['echo $A $B $C', 'export OUT=\"two\n  lines\"']}}")
        .with(|plan, _| plan.variables = vec![("A".into(), "start".into())])
        .run();
    assert_eq!(left.output(), ["start $HOME spec"]);
    let exported = left.events().find_map(|e| match e {
        Event::Exported { variables } => Some(variables.clone()),
        _ => None,
    });
    assert_eq!(exported, Some(vec![("OUT".to_owned(), "two lines".to_owned())]));
}

#[test]
fn secrets_stay_out_of_the_journal() {
    let left = Build::new(&spec("  build: {commands: ['echo hunter2', 'echo $S']}\n"))
        .with(|plan, _| {
            plan.secrets = vec!["hunter2".into(), "s3cr3t".into()];
            plan.variables = vec![("S".into(), "s3cr3t".into())];
        })
        .run();
    assert_eq!(left.output(), ["***", "***"]);
    let journal = fs::read_to_string(left.dir.path().join("out/journal")).unwrap();
    assert!(!journal.contains("hunter2") && journal.contains("Running command echo ***"));
}

#[test]
fn a_stop_kills_what_runs() {
    let left = Build::new(&spec("  build: {commands: ['echo up; sleep 600 & sleep 600', 'echo never']}\n"))
        .run_with(|control| {
            // As a signal would: while the command runs.
            std::thread::spawn(move || {
                let journal =
                    control.parent().unwrap().parent().unwrap().with_file_name("out").join("journal");
                while !fs::read_to_string(&journal).unwrap_or_default().contains(" o up\n") {
                    std::thread::yield_now();
                }
                fs::OpenOptions::new().write(true).open(control).unwrap().write_all(b"stop\n").unwrap();
            });
            Ok(())
        });
    assert_eq!(left.phases()[3..], ["BUILD STOPPED", "= STOPPED"]);
    assert_eq!(left.output(), ["up"]);
}

#[test]
fn a_deadline_is_a_timeout() {
    let left = Build::new(&spec("  build: {commands: ['sleep 600']}\n"))
        .with(|plan, _| plan.deadline_ms = super::now_ms() + 300)
        .run();
    assert_eq!(left.phases()[3..], ["BUILD TIMED_OUT", "= TIMED_OUT"]);
}

#[test]
fn a_malformed_buildspec_fails_the_download() {
    let left = Build::new("version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b\n").run();
    assert_eq!(left.phases(), ["DOWNLOAD_SOURCE FAILED", "= FAILED"]);
    assert_eq!(left.contexts()[0].code, "YAML_FILE_ERROR");
    assert!(left.contexts()[0].message.ends_with("at line 5, column 9"), "{:?}", left.contexts());
    let left =
        Build::new("").with(|plan, _| plan.buildspec = BuildspecAt::File("buildspec.yml".into())).run();
    assert!(left.contexts()[0].message.starts_with("YAML file does not exist: "), "{:?}", left.contexts());
}

#[test]
fn a_build_runs_once() {
    let build = Build::new(&spec("  build: {commands: ['true']}\n"));
    fs::write(build.plan.out.join("journal"), "").unwrap();
    let file = build.dir.path().join("plan.json");
    fs::write(&file, serde_json::to_vec(&build.plan).unwrap()).unwrap();
    assert_eq!(super::build(&file, |_| Ok(())).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
}

fn zip_of(path: &Path, entries: &[(&str, &str)]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, text) in entries {
        let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
        zip.start_file(*name, zip::write::SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn with_sources(build: Build, entries: &[(&str, &str)]) -> Build {
    build.with(|plan, dir| {
        zip_of(&dir.join("0.zip"), entries);
        zip_of(&dir.join("1.zip"), &[("second.txt", "two")]);
        plan.sources = vec![
            Source { identifier: None, at: dir.join("0.zip") },
            Source { identifier: Some("Other".into()), at: dir.join("1.zip") },
        ];
        plan.buildspec = BuildspecAt::File("ci/spec.yml".into());
    })
}

#[test]
fn sources_are_unpacked_and_artifacts_packed() {
    let text = "version: 0.2\nphases: {build: {commands: ['./run.sh', 'cat $CODEBUILD_SRC_DIR_Other/second.txt; echo', 'V=7; mkdir -p target/deep; echo jar >target/app-$V.jar; echo c >target/deep/c.txt; echo h >target/.hidden; ln -s app-7.jar target/link']}}\nartifacts:\n  files: ['**/*']\n  base-directory: target\n  exclude-paths: ['**/c.*']\n  name: app-$(echo \"$V\")\n  secondary-artifacts:\n    flat: {files: [target/deep/c.txt, 'target/*.jar', missing], discard-paths: yes}\n    links: {files: ['**/*'], base-directory: 'targ*', enable-symlinks: yes}\n";
    let build =
        with_sources(Build::new(""), &[("ci/spec.yml", text), ("run.sh", "echo ran $0")]).with(|plan, _| {
            let wanted = |id: Option<&str>, file: &str| Wanted {
                identifier: id.map(str::to_owned),
                file: file.into(),
            };
            plan.artifacts =
                vec![wanted(None, "a0.zip"), wanted(Some("flat"), "a1.zip"), wanted(Some("links"), "a2.zip")];
        });
    let left = build.run();
    assert_eq!(left.phases(), GOOD, "{:?}", left.contexts());
    assert_eq!(left.output(), ["ran ./run.sh", "two"]);
    let packed = left.events().find_map(|e| match e {
        Event::Packed { artifacts } => Some(artifacts.clone()),
        _ => None,
    });
    let packed = packed.unwrap();
    assert_eq!(packed[0].name.as_deref(), Some("app-7"));
    let names = |file: &str| {
        let mut zip =
            zip::ZipArchive::new(fs::File::open(left.dir.path().join("out").join(file)).unwrap()).unwrap();
        let name = |i| {
            let entry = zip.by_index(i).unwrap();
            format!("{}{}", entry.name().unwrap(), if entry.is_symlink() { "@" } else { "" })
        };
        (0..packed.iter().find(|p| p.file == file).unwrap().files as usize).map(name).collect::<Vec<_>>()
    };
    assert_eq!(names("a0.zip"), [".hidden", "app-7.jar", "link"]);
    assert_eq!(names("a1.zip"), ["app-7.jar", "c.txt"]);
    assert_eq!(names("a2.zip"), [".hidden", "app-7.jar", "deep/c.txt", "link@"]);
}

/// A privileged build with this script to start its engine.
fn with_engine(build: Build, script: &str) -> Build {
    build.with(|plan, dir| {
        let path = dir.join("dockerd-entrypoint.sh");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        plan.set.push(("HERE".into(), dir.display().to_string()));
        plan.dockerd = Some(path);
    })
}

#[test]
fn what_the_engine_says_is_in_the_log_even_after_its_start() {
    let script = r#"
echo "engine: starts" >&2
{ until [ -e "$HERE/go" ]; do sleep 0.02; done; echo "engine: ended" >&2; touch "$HERE/told"; } &"#;
    let commands = r#"
  build:
    commands:
      - echo first; touch "$HERE/go"
      - until [ -e "$HERE/told" ]; do sleep 0.02; done; echo last"#;
    let left = with_engine(Build::new(&spec(commands)), script).run();
    assert_eq!(left.phases(), GOOD);
    assert_eq!(left.output(), ["engine: starts", "first", "engine: ended", "last"]);
}

#[test]
fn an_engine_that_does_not_start_fails_the_build() {
    let build = Build::new(&spec("  build: {commands: ['true']}"));
    let left = with_engine(build, "echo 'no overlay' >&2; exit 3").run();
    assert_eq!(left.phases(), ["DOWNLOAD_SOURCE FAILED", "= FAILED"]);
    let message = "the Docker daemon did not start (exit status 3); the build's log has what it said";
    assert_eq!(left.contexts(), [Context::new("CLIENT_ERROR", message)]);
    assert_eq!(left.output(), ["no overlay"]);
    // One that hangs does not outlast the build's time.
    let build = Build::new(&spec("  build: {commands: ['true']}"));
    let build = build.with(|plan, _| plan.deadline_ms = super::now_ms() + 300);
    let left = with_engine(build, "exec sleep 5").run();
    assert_eq!(left.phases(), ["DOWNLOAD_SOURCE TIMED_OUT", "= TIMED_OUT"]);
}

#[test]
fn a_source_cannot_leave_its_folder() {
    for name in ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil"] {
        let left = with_sources(Build::new(""), &[(name, "x")]).run();
        assert_eq!(left.phases(), ["DOWNLOAD_SOURCE FAILED", "= FAILED"], "{name}");
        assert!(left.contexts()[0].message.contains("outside of the source folder"), "{:?}", left.contexts());
        assert!(!left.dir.path().join("evil").exists() && !left.dir.path().join("work/evil").exists());
    }
}

#[test]
fn missing_artifacts_fail_their_phase() {
    let fails = |artifacts: &str, identifier: Option<&str>, want: &str| {
        let text =
            format!("version: 0.2\nphases: {{build: {{commands: ['true']}}}}\nartifacts: {artifacts}\n");
        let left = Build::new(&text)
            .with(|plan, _| {
                plan.artifacts = vec![Wanted { identifier: identifier.map(str::to_owned), file: "a".into() }]
            })
            .run();
        assert_eq!(left.phases()[5..], ["UPLOAD_ARTIFACTS FAILED", "= FAILED"], "{artifacts}");
        assert_eq!(left.contexts(), [Context::new("CLIENT_ERROR", want)]);
    };
    fails("{files: [none.jar]}", None, "no matching artifact paths found");
    fails("{files: [x], base-directory: nowhere}", None, "no matching base directory path found for nowhere");
    fails(
        "{files: [../x]}",
        None,
        "artifacts/files: \"../x\" leaves the base directory; set base-directory instead",
    );
    fails(
        "{files: [x]}",
        Some("docs"),
        "there is no artifact \"docs\" under artifacts/secondary-artifacts in the buildspec",
    );
}

#[test]
fn what_no_agent_wrote_is_not_believed() {
    for line in
        ["", "x o y", "12 z y", "12 e {}", "12 e {\"event\":\"ended\",\"status\":\"GREAT\"}", "-1 o y"]
    {
        assert_eq!(parse(line.as_bytes()), None, "{line}");
    }
    assert!(parse(b"12 o ").is_some());
}

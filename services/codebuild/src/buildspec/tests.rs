use std::collections::BTreeMap;

use super::*;

fn fails(text: &str, want: &str) {
    let error = parse(text).expect_err(text).to_string();
    assert_eq!(error, want, "for\n{text}");
}

#[test]
fn reads_what_aws_documents() {
    let spec = parse(
        r#"
version: 0.2
run-as: builder
env:
  shell: bash
  variables: {JAVA: "17", PY: 3.10, ON: yes, NOTHING: }
  exported-variables: [TAG]
  git-credential-helper: yes
phases:
  post_build:
    commands: [echo done]
  install:
    on-failure: RETRY-2-timed-out
    runtime-versions: {python: 3.10, java: corretto17}
    commands:
      - apt-get update
      - |
        if true; then
          echo "a: b"
        fi
    finally:
      - 'echo "x: y"'
cache: {paths: ['/var/cache/m2/**/*']}
artifacts:
  files: ['**/*']
  base-directory: target
  discard-paths: yes
  exclude-paths: ['**/*.tmp']
  name: app-$(date +%Y)
  secondary-artifacts:
    docs: {files: [docs/**/*], enable-symlinks: yes}
x-own: {anything: 1}
"#,
    )
    .unwrap();
    assert_eq!(spec.version, Version::V02);
    assert_eq!(spec.run_as.as_deref(), Some("builder"));
    assert_eq!(spec.env.shell, Shell::Bash);
    let pairs = |items: &[(&str, &str)]| -> Vec<(String, String)> {
        items.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    assert_eq!(spec.env.variables, pairs(&[("JAVA", "17"), ("PY", "3.10"), ("ON", "yes"), ("NOTHING", "")]));
    assert!(spec.env.git_credential_helper);
    let install = spec.phase(PhaseName::Install).unwrap();
    assert_eq!(install.on_failure, OnFailure::Retry { count: 2, pattern: "timed-out".into() });
    assert_eq!(install.runtime_versions, pairs(&[("python", "3.10"), ("java", "corretto17")]));
    assert_eq!(install.commands[1], "if true; then\n  echo \"a: b\"\nfi\n");
    assert_eq!(install.finally, ["echo \"x: y\""]);
    assert_eq!(
        spec.phases.iter().map(|(n, _)| *n).collect::<Vec<_>>(),
        [PhaseName::Install, PhaseName::PostBuild]
    );
    let primary = spec.artifacts.primary.as_ref().unwrap();
    assert_eq!(primary.base_directory.as_deref(), Some("target"));
    assert!(primary.discard_paths && spec.artifacts.secondary[0].1.enable_symlinks);
    assert_eq!(spec.warnings, ["x-own at line 32, column 1 is not a key of a buildspec and is ignored"]);
}

#[test]
fn refusals_name_field_line_and_column() {
    fails("phases: {}", "version is missing: the buildspec must begin with version: 0.2");
    fails("version: 0.3\nphases: {}", "version: \"0.3\" is not known, use 0.2 (or 0.1) at line 1, column 1");
    fails("version: 0.2", "phases is missing: name at least one of install, pre_build, build, post_build");
    fails(
        "version: 0.2\nphases:\n  pre-build:\n    commands: [x]\n",
        "Invalid buildspec phase name: pre-build. Expecting: build,install,post_build,pre_build at line 3, column 3",
    );
    fails(
        "version: 0.2\nphases:\n  build:\n    commands:\n      - echo \"a\": b\n",
        "Expected Commands[0] to be of string type: found subkeys instead (phases/build/commands; a command with \": \" or \" #\" in it must be quoted) at line 5, column 9",
    );
    fails(
        "version: 0.2\nphases:\n  build:\n    commands: echo\n",
        "phases/build/commands: expected a list of commands, found a string at line 4, column 15",
    );
    fails(
        "version: 0.2\nphases:\n  build:\n    runtime-versions: {java: 17}\n",
        "phases/build/runtime-versions: stands under phases/install only at line 4, column 5",
    );
    fails(
        "version: 0.2\nenv:\n  parameter-store:\n    A: /b\nphases: {build: {commands: [x]}}\n",
        "env/parameter-store: Parameter Store is not served yet at line 3, column 3",
    );
    fails(
        "version: 0.2\nphases: {build: {commands: [x], on-failure: STOP}}\n",
        "phases/build/on-failure: \"STOP\" is not one of ABORT, CONTINUE, RETRY, RETRY-count, RETRY-regex, RETRY-count-regex at line 2, column 33",
    );
    fails(
        "version: 0.2\nversion: 0.1\n",
        "the key \"version\" stands twice, first at line 1, column 1 at line 2, column 1",
    );
    fails(
        "version: 0.2\nphases: {build: {commands: [x]}}\nartifacts: {name: x}\n",
        "artifacts/files: at least one file or pattern must be named at line 3, column 12",
    );
}

#[test]
fn malformed_yaml_says_where() {
    for (text, at) in [
        ("version: 0.2\nphases:\n\tbuild: x\n", At { line: 3, column: 2 }),
        ("version: 0.2\nphases: [\n", At { line: 2, column: 9 }),
        ("version: 0.2\nphases:\n  build: {commands: ['a]}\n", At { line: 3, column: 22 }),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(error.at, Some(at), "{error}");
    }
}

#[test]
fn aliases_and_merges_are_expanded_within_limits() {
    let spec = parse(
        "version: 0.2\nx: &common {commands: [a], finally: [f]}\nphases:\n  build:\n    <<: *common\n    commands: [b]\n  install: *common\n",
    )
    .unwrap();
    let build = spec.phase(PhaseName::Build).unwrap();
    assert_eq!(
        (build.commands.as_slice(), build.finally.as_slice()),
        (&["b".to_owned()][..], &["f".to_owned()][..])
    );
    assert_eq!(spec.phase(PhaseName::Install).unwrap().commands, ["a"]);

    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        let alias = format!("*a{},", i - 1).repeat(10);
        bomb += &format!("a{i}: &a{i} [{}]\n", alias.trim_end_matches(','));
    }
    let error = parse(&bomb).unwrap_err();
    assert!(error.message.starts_with("there are more than"), "{error}");
    let error = parse(&("[".repeat(40) + &"]".repeat(40))).unwrap_err();
    assert!(error.message.contains("nest deeper"), "{error}");
    let error = parse(&" ".repeat(600 * 1024)).unwrap_err();
    assert!(error.message.contains("bytes"), "{error}");
}

#[test]
fn runtimes_are_what_the_image_holds() {
    let held: runtimes::Runtimes = Some(BTreeMap::from([
        ("java".to_owned(), vec!["corretto17".to_owned(), "17".to_owned()]),
        ("python".to_owned(), vec!["3.11".to_owned()]),
    ]));
    let check = |wanted: &str, held: &runtimes::Runtimes| {
        let spec =
            parse(&format!("version: 0.2\nphases: {{install: {{runtime-versions: {{{wanted}}}}}}}")).unwrap();
        runtimes::check(&spec, held).map_err(|e| e.message)
    };
    assert_eq!(check("java: corretto17, python: 3.x", &held), Ok(()));
    assert_eq!(check("python: latest", &held), Ok(()));
    assert_eq!(
        check("python: 3.10", &held),
        Err("Unknown runtime version named '3.10' of python. This build image has the following versions: 3.11".into())
    );
    assert_eq!(
        check("cobol: 1", &held),
        Err("Unknown runtime named 'cobol'. This build image has the following runtimes: java, python".into())
    );
    assert_eq!(
        check("java: 17", &None),
        Err("This build image does not support selecting runtime versions".into())
    );
    assert_eq!(
        runtimes::check(&parse("version: 0.2\nphases: {build: {commands: [x]}}").unwrap(), &None),
        Ok(())
    );
}

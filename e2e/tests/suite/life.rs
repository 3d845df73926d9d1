//! The program itself: how it starts, refuses to, ends and starts again.
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use e2e::{Server, eventually};

/// `longshore up` that cannot: its exit code, and its one line, which has all of `said`.
#[track_caller]
fn refuses(server: &Server, args: &[&str], code: i32, said: &[&str]) {
    let output = server.longshore(&[&["up"], args].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(output.stdout.is_empty(), "it is not ready");
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("longshore: ")).collect();
    assert!(lines.len() == 1 && text.lines().last() == lines.first().copied(), "one line, not {text}");
    assert!(said.iter().all(|part| lines[0].contains(part)), "{}\nlacks one of {said:?}", lines[0]);
}

#[test]
fn what_cannot_start_says_why_in_one_line() {
    let server = Server::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let data = server.data();
    let (held, other) = (data.to_str().unwrap(), server.dir().join("other"));
    let other = other.to_str().unwrap();
    let file = server.dir().join("file");
    fs::write(&file, "no folder").unwrap();
    let under = file.join("data");

    let free = ["--listen", "127.0.0.1:0", "--dns", "127.0.0.1:0"];
    refuses(&server, &[&["--data", held], &free[..]].concat(), 4, &["data"]);
    refuses(
        &server,
        &["--data", other, "--listen", server.listen(), "--dns", "127.0.0.1:0"],
        5,
        &["cannot listen on", server.listen(), "--listen"],
    );
    refuses(
        &server,
        &["--data", other, "--listen", "127.0.0.1:0", "--dns", server.dns()],
        5,
        &["cannot serve DNS on", server.dns(), "--dns"],
    );
    drop(taken);
    refuses(
        &server,
        &[&["--data", file.to_str().unwrap()], &free[..]].concat(),
        3,
        &["cannot use", "--data"],
    );
    refuses(
        &server,
        &[&["--data", under.to_str().unwrap()], &free[..]].concat(),
        3,
        &["cannot use", "--data"],
    );
    let absent = server.dir().join("absent.yaml");
    refuses(
        &server,
        &[&["--data", other, "--config", absent.to_str().unwrap()], &free[..]].concat(),
        2,
        &["absent.yaml"],
    );
    // None of it has harmed the one that runs.
    server.client().aws("sts get-caller-identity");
}

#[test]
fn a_stopped_server_starts_again_with_everything() {
    let mut server = Server::start();
    let client = server.client();
    client.aws("codecommit create-repository --repository-name kept");
    client.aws("s3 mb s3://kept");
    fs::write(client.folder().join("thing"), "kept").unwrap();
    client.aws("s3 cp thing s3://kept/thing");
    client.aws("iam create-user --user-name kept");
    let before = client.aws("iam get-user --user-name kept");

    let status = server.stop().expect("it ran");
    assert_eq!(status.code(), Some(0), "SIGTERM is no failure: {}", server.log());
    assert!(!client.try_aws(&["sts", "get-caller-identity"]).ok, "nobody serves");
    server.up();
    // The same client: endpoint and keys have stayed.
    assert_eq!(client.aws("iam get-user --user-name kept"), before);
    assert_eq!(client.aws("s3 cp s3://kept/thing -"), serde_json::Value::String("kept".into()));
    client.aws("codecommit get-repository --repository-name kept");

    // Nor does it take a clean end.
    client.aws("iam create-user --user-name survivor");
    server.kill();
    server.up();
    client.aws("iam get-user --user-name survivor");
}

#[test]
fn env_points_a_shell_at_the_server() {
    let server = Server::start();
    let data = server.data();
    let output = server.longshore(&["env", "--data", data.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let endpoint = format!("http://{}", server.listen());
    for line in [
        format!("export AWS_ENDPOINT_URL='{endpoint}'"),
        "export AWS_REGION='us-east-1'".into(),
        "export AWS_DEFAULT_REGION='us-east-1'".into(),
        "unset AWS_PROFILE AWS_SESSION_TOKEN".into(),
        "export GIT_CONFIG_VALUE_0='!aws codecommit credential-helper --ignore-host-check $@'".into(),
        "export GIT_CONFIG_VALUE_1='true'".into(),
    ] {
        assert!(lines.contains(&line.as_str()), "{text}\nlacks {line}");
    }
    let mode = fs::metadata(data.join("client.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the root user's key is its owner's alone");
    // As a user's shell takes them.
    let client = server.client();
    let helper = client.sh("git config --get-urlmatch credential.helper $AWS_ENDPOINT_URL/v1/repos/x");
    assert_eq!(helper.trim(), "!aws codecommit credential-helper --ignore-host-check $@");
    let none = server.longshore(&["env", "--data", "/nonexistent"]);
    assert_eq!(none.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&none.stderr).contains("start `longshore up"));
}

#[test]
fn doctor_looks_at_everything_and_says_how_to_mend() {
    let server = Server::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let other = server.dir().join("other");
    let output = server.longshore(&[
        "doctor",
        "--data",
        other.to_str().unwrap(),
        "--listen",
        &taken,
        "--dns",
        "127.0.0.1:0",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("ok ") && line.contains("Docker Engine")), "{text}");
    let findings: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert!(findings.len() >= 8, "{text}");
    let wrong = text.lines().position(|line| !line.starts_with("ok") && line.contains(&taken));
    let mend = wrong.and_then(|at| text.lines().nth(at + 1)).unwrap_or_default();
    assert!(mend.contains("mend:") && mend.contains("--listen"), "{text}");
    assert!(!other.exists(), "doctor only looks");
}

/// A container definition's least.
const SLEEPER: &str =
    r#"[{"name":"sleeper","image":"longshore/test-base:1","memory":64,"command":["sleep","600"]}]"#;

#[test]
fn without_an_engine_the_api_serves_and_what_needs_one_says_so_until_it_appears() {
    let socket = |dir: &std::path::Path| dir.join("docker.sock");
    let server = Server::with_engine(|dir| Some(format!("unix://{}", socket(dir).display())));
    let client = server.client();
    client.aws("s3 mb s3://works");
    client.aws("ecs create-cluster --cluster-name c");
    client.aws_args(&[
        "ecs",
        "register-task-definition",
        "--family",
        "sleeper",
        "--network-mode",
        "bridge",
        "--container-definitions",
        SLEEPER,
    ]);
    let role = client.aws_args(&["iam", "create-role", "--role-name", "build", "--assume-role-policy-document", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codebuild.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#]);
    client.aws_args(&[
        "iam",
        "put-role-policy",
        "--role-name",
        "build",
        "--policy-name",
        "logs",
        "--policy-document",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"logs:*","Resource":"*"}]}"#,
    ]);
    let project = serde_json::json!({
        "name": "build", "serviceRole": role["Role"]["Arn"], "artifacts": {"type": "NO_ARTIFACTS"},
        "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2\nphases: {build: {commands: [\"true\"]}}"},
        "environment": {"type": "LINUX_CONTAINER", "image": "longshore/test-base:1", "computeType": "BUILD_GENERAL1_SMALL"},
    });
    client.aws_args(&["codebuild", "create-project", "--cli-input-json", &project.to_string()]);
    let build = || {
        let id = client.aws("codebuild start-build --project-name build")["build"]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        eventually("the build ends", || {
            let build = client.aws(&format!("codebuild batch-get-builds --ids {id}"))["builds"][0].clone();
            Some(build.clone()).filter(|build| build["buildComplete"] == true)
        })
    };
    const SAYS: &str = "the container engine does not answer";

    let failed = build();
    assert_eq!(failed["buildStatus"], "FAULT", "{failed}");
    assert!(failed["phases"].to_string().contains(SAYS), "{failed}");
    let run = "ecs run-task --cluster c --task-definition sleeper";
    let refused = client.aws(run);
    assert_eq!(refused["tasks"], serde_json::json!([]));
    assert_eq!(refused["failures"][0]["reason"], "AGENT");
    assert!(refused["failures"][0]["detail"].as_str().unwrap().contains(SAYS), "{refused}");
    client.aws("ecs create-service --cluster c --service-name s --task-definition sleeper --desired-count 1");
    let service = || client.aws("ecs describe-services --cluster c --services s")["services"][0].clone();
    eventually("the service says what it lacks", || {
        service()["events"].to_string().contains(SAYS).then_some(())
    });

    std::os::unix::fs::symlink("/var/run/docker.sock", socket(server.dir())).unwrap();
    eventually("the service gets its task", || (service()["runningCount"] == 1).then_some(()));
    assert_eq!(client.aws(run)["failures"], serde_json::json!([]));
    let ended = build();
    assert_eq!(ended["buildStatus"], "SUCCEEDED", "{ended}");
}

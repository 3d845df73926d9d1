//! What is wrong is refused in AWS's words, stores nothing, and leaves the server as well as before.
use e2e::{Client, Server, eventually};
use serde_json::{Value, json};

/// A request as a careless client would send it, signed by curl.
struct Request<'a> {
    /// Signing name of the service.
    service: &'a str,
    /// `X-Amz-Target`, or none: a form.
    target: &'a str,
    body: &'a str,
    /// What else curl is told.
    more: &'a [&'a str],
    /// `ID:SECRET`, or none: unsigned.
    key: Option<String>,
}

impl<'a> Request<'a> {
    fn new(client: &Client, service: &'a str, target: &'a str, body: &'a str) -> Self {
        let key = format!("{}:{}", client.var("AWS_ACCESS_KEY_ID"), client.var("AWS_SECRET_ACCESS_KEY"));
        Self { service, target, body, more: &[], key: Some(key) }
    }

    /// Status and body of the answer.
    fn send(&self, client: &Client) -> (u16, String) {
        let scope = format!("aws:amz:us-east-1:{}", self.service);
        let target = format!("x-amz-target: {}", self.target);
        let mut args = vec!["-s", "-H", "expect:", "-w", "\n%{http_code}", "--data-binary", self.body];
        if let Some(key) = &self.key {
            args.extend(["--aws-sigv4", &scope, "-u", key]);
        }
        if !self.target.is_empty() {
            args.extend(["-H", "content-type: application/x-amz-json-1.1", "-H", &target]);
        }
        args.extend(self.more);
        let url = format!("{}/", client.endpoint());
        args.push(&url);
        let outcome = client.run("curl", &args);
        let (body, status) = outcome.out.rsplit_once('\n').unwrap_or_default();
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// The answer must have this status and all of these parts.
    #[track_caller]
    fn refused(&self, client: &Client, status: u16, parts: &[&str]) {
        let (got, body) = self.send(client);
        assert_eq!(got, status, "{} {}: {body}", self.service, self.target);
        for part in parts {
            assert!(body.contains(part), "{} {}: {body}\nlacks {part}", self.service, self.target);
        }
    }
}

/// The server answers, and has no pipeline.
#[track_caller]
fn as_before(client: &Client) {
    let list = Request::new(client, "codepipeline", "CodePipeline_20150709.ListPipelines", "{}");
    assert_eq!(list.send(client), (200, r#"{"pipelines":[]}"#.to_owned()));
}

#[test]
fn what_cannot_be_read_or_named_is_refused() {
    let server = Server::start();
    let client = &server.client();
    let create = "CodePipeline_20150709.CreatePipeline";
    let check = |service, target, body, status, parts: &[&str]| {
        Request::new(client, service, target, body).refused(client, status, parts);
        as_before(client);
    };
    check("codepipeline", create, "{\"pipeline\":", 400, &["SerializationException", "not JSON"]);
    check("codepipeline", create, "[]", 400, &["SerializationException"]);
    check("codepipeline", create, r#"{"pipeline": {"name": 7}}"#, 400, &["SerializationException", "name"]);
    check("codepipeline", create, "{}", 400, &["ValidationException", "pipeline"]);
    let deep = format!("{{\"pipeline\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    std::fs::write(client.folder().join("deep"), deep).unwrap();
    check("codepipeline", create, "@deep", 400, &["SerializationException"]);
    check(
        "codepipeline",
        "CodePipeline_20150709.MakeCoffee",
        "{}",
        404,
        &["UnknownOperationException", "MakeCoffee"],
    );
    check("nothing", "Nothing_20010101.Do", "{}", 404, &["UnknownOperationException"]);
    check(
        "codebuild",
        "CodeBuild_20161006.StartBuildBatch",
        "{}",
        501,
        &["NotImplemented", "codebuild:StartBuildBatch"],
    );
    check(
        "iam",
        "",
        "Action=MakeCoffee&Version=2010-05-08",
        400,
        &["<Code>InvalidAction</Code>", "MakeCoffee"],
    );
    check(
        "iam",
        "",
        "Action=CreateSAMLProvider&Version=2010-05-08",
        501,
        &["<Code>NotImplemented</Code>", "CreateSAMLProvider"],
    );
    check("iam", "", "Version=2010-05-08", 400, &["MissingAction"]);
    check(
        "iam",
        "",
        "Action=CreateRole&Version=2010-05-08&RoleName=no%20spaces",
        400,
        &["<Code>ValidationError</Code>", "RoleName"],
    );
    check(
        "ec2",
        "",
        "Action=RunInstances&Version=2016-11-15",
        501,
        &["<Code>NotImplemented</Code>", "RunInstances"],
    );
    assert!(client.aws_error("codebuild start-build-batch --project-name x").contains("NotImplemented"));
    assert_eq!(client.aws("iam list-roles --path-prefix /no/")["Roles"], json!([]));
}

#[test]
fn who_cannot_prove_who_they_are_is_refused() {
    let server = Server::start();
    let client = &server.client();
    let good = || Request::new(client, "codepipeline", "CodePipeline_20150709.ListPipelines", "{}");
    let id = client.var("AWS_ACCESS_KEY_ID");
    let check = |request: Request<'_>, status, parts: &[&str]| {
        request.refused(client, status, parts);
        as_before(client);
    };
    check(
        Request { key: Some(format!("{id}:wrong")), ..good() },
        400,
        &["InvalidSignatureException", "does not match"],
    );
    check(Request { key: None, ..good() }, 400, &["MissingAuthenticationToken"]);
    check(
        Request { key: Some("AKIANOBODYHASTHISKEY:wrong".into()), ..good() },
        400,
        &["UnrecognizedClientException"],
    );
    let old = ["-H", "X-Amz-Date: 20200101T000000Z"];
    check(Request { more: &old, ..good() }, 400, &["InvalidSignatureException", "Signature expired"]);
    let early = ["-H", "X-Amz-Date: 20990101T000000Z"];
    check(Request { more: &early, ..good() }, 400, &["InvalidSignatureException", "not yet current"]);
    // Signed for another service.
    check(Request { service: "codebuild", ..good() }, 400, &["InvalidSignatureException", "codepipeline"]);
    let form = || Request::new(client, "sts", "", "Action=GetCallerIdentity&Version=2011-06-15");
    check(
        Request { key: Some(format!("{id}:wrong")), ..form() },
        403,
        &["<Code>SignatureDoesNotMatch</Code>"],
    );
    check(Request { key: None, ..form() }, 403, &["<Code>MissingAuthenticationToken</Code>"]);
    let forged = client.with_key(id, "wrong", None);
    assert!(forged.aws_error("s3 ls").contains("(SignatureDoesNotMatch)"));
    assert!(forged.aws_error("ec2 describe-vpcs").contains("(AuthFailure)"));
    let stale = client.with_key(id, client.var("AWS_SECRET_ACCESS_KEY"), Some("no such session"));
    assert!(stale.aws_error("sts get-caller-identity").contains("(InvalidClientTokenId)"));
}

#[test]
fn a_body_over_its_limit_is_refused() {
    let server = Server::start();
    let client = &server.client();
    client.sh("head -c 34000000 /dev/zero >large");
    let request = Request::new(client, "codepipeline", "CodePipeline_20150709.CreatePipeline", "@large");
    request.refused(client, 413, &["RequestEntityTooLarge", "33554432"]);
    as_before(client);
}

#[test]
fn an_upload_with_a_wrong_digest_is_refused() {
    let server = Server::start();
    let client = &server.client();
    client.aws("s3 mb s3://strict");
    client.sh("printf content >thing");
    let put = "s3api put-object --bucket strict --key thing --body thing";
    let wrong = client.aws_error(&format!("{put} --content-md5 XUFAKrxLKna5cZ2REBfFkg=="));
    assert!(wrong.contains("(BadDigest)"), "{wrong}");
    let wrong =
        client.aws_error(&format!("{put} --checksum-sha256 LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="));
    assert!(wrong.contains("(BadDigest)") || wrong.contains("(XAmzContentChecksumMismatch)"), "{wrong}");
    let listed = client.aws("s3api list-objects-v2 --bucket strict");
    assert_eq!(listed.get("Contents"), None, "{listed}");
    client.aws(put);
}

/// An action of a pipeline.
fn action(category: &str, provider: &str, name: &str, configuration: Value) -> Value {
    json!({
        "name": name, "configuration": configuration,
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
    })
}

/// Source, build, deploy: nothing is wrong with it.
fn pipeline() -> Value {
    let mut source = action("Source", "S3", "Src", json!({"S3Bucket": "inbox", "S3ObjectKey": "app.zip"}));
    source["outputArtifacts"] = json!([{"name": "In"}]);
    let mut build = action("Build", "CodeBuild", "Bld", json!({"ProjectName": "p"}));
    build["inputArtifacts"] = json!([{"name": "In"}]);
    build["outputArtifacts"] = json!([{"name": "Out"}]);
    let mut deploy = action("Deploy", "S3", "Dep", json!({"BucketName": "site", "Extract": "true"}));
    deploy["inputArtifacts"] = json!([{"name": "Out"}]);
    json!({
        "name": "bad", "roleArn": "arn:aws:iam::000000000000:role/pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "S", "actions": [source]},
            {"name": "B", "actions": [build]},
            {"name": "D", "actions": [deploy]},
        ],
    })
}

/// Edits of a good pipeline, by JSON pointer, and what CreatePipeline says of each: the code, and a part of the message.
fn broken() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let stage = "InvalidStageDeclarationException";
    let structure = "InvalidStructureException";
    let act = "InvalidActionDeclarationException";
    let good = pipeline();
    let (source, build) = (good["stages"][0].clone(), good["stages"][1].clone());
    let mut late = source["actions"][0].clone();
    late["name"] = json!("Late");
    vec![
        ("/name", json!("no spaces"), "ValidationException", "name"),
        ("/name", json!("a".repeat(101)), "ValidationException", "name"),
        ("/roleArn", json!("me"), "ValidationException", "roleArn"),
        ("/stages", json!([source]), structure, "at least 2"),
        ("/stages", json!(vec![build.clone(); 51]), structure, "at most 50"),
        (
            "/stages",
            json!([build, source]),
            structure,
            "must start with a stage that holds only source actions",
        ),
        ("/stages/2/name", json!("B"), stage, "'B' is used more than once"),
        ("/stages/1/actions", json!([]), stage, "'B' has no action"),
        (
            "/stages/1/actions",
            json!([build["actions"][0], build["actions"][0]]),
            act,
            "'Bld' is used more than once",
        ),
        ("/stages/1/actions/0", late, structure, "Only the first stage may hold source actions"),
        ("/stages/1/actions/0/actionTypeId/provider", json!("Jenkins"), act, "'Jenkins'"),
        ("/stages/1/actions/0/actionTypeId/category", json!("Brew"), "ValidationException", "category"),
        ("/stages/1/actions/0/runOrder", json!(1000), "ValidationException", "runOrder"),
        ("/stages/1/actions/0/region", json!("eu-west-1"), act, "'eu-west-1'"),
        ("/stages/0/actions/0/outputArtifacts", json!([]), act, "0 outputArtifacts, and S3 takes 1"),
        (
            "/stages/1/actions/0/inputArtifacts",
            json!([]),
            act,
            "0 inputArtifacts, and CodeBuild takes from 1 to 5",
        ),
        ("/stages/1/actions/0/inputArtifacts", json!([{"name": "None"}]), structure, "'None'"),
        ("/stages/1/actions/0/inputArtifacts", json!([{"name": "Out"}]), structure, "'Out'"),
        (
            "/stages/1/actions/0/outputArtifacts",
            json!([{"name": "In"}]),
            structure,
            "'In' is used more than once",
        ),
        ("/stages/1/actions/0/configuration", json!({}), act, "'ProjectName' is missing"),
        ("/stages/1/actions/0/configuration", json!({"ProjectName": "p", "Color": "red"}), act, "'Color'"),
        ("/stages/1/actions/0/configuration", json!({"ProjectName": "#{nope.X}"}), act, "'nope'"),
        ("/stages/0/actions/0/namespace", json!("codepipeline"), act, "reserved"),
        (
            "/artifactStore",
            json!({"type": "Tape", "location": "artifacts"}),
            "ValidationException",
            "artifactStore.type",
        ),
        ("/artifactStore", Value::Null, structure, "neither artifactStore nor artifactStores"),
        ("/variables", json!([{"name": "V"}, {"name": "V"}]), structure, "'V' is declared more than once"),
    ]
}

/// Sets what the pointer names, whether or not it was there.
fn edit(value: &mut Value, pointer: &str, to: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(list) => list[last.parse::<usize>().unwrap()] = to,
        other => other[last] = to,
    }
}

#[test]
fn pipelines_that_break_a_rule_are_refused() {
    let server = Server::start();
    let client = &server.client();
    let target = "CodePipeline_20150709.CreatePipeline";
    for (pointer, value, code, part) in broken() {
        let mut pipeline = pipeline();
        edit(&mut pipeline, pointer, value);
        let body = json!({"pipeline": pipeline}).to_string();
        let (status, answer) = Request::new(client, "codepipeline", target, &body).send(client);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let message = answer["message"].as_str().unwrap_or_default();
        assert_eq!((status, &answer["__type"]), (400, &json!(code)), "{pointer}: {answer}");
        assert!(message.contains(part), "{pointer}: {message}\nlacks {part}");
        as_before(client);
    }
    // The good one passes.
    client.admin("pipeline", "codepipeline.amazonaws.com");
    let body = json!({"pipeline": pipeline()}).to_string();
    let (status, answer) = Request::new(client, "codepipeline", target, &body).send(client);
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn task_definitions_of_an_impossible_size_are_refused() {
    let server = Server::start();
    let client = &server.client();
    let register = |cpu: &str, memory: &str| {
        let definition = json!({
            "family": "odd", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": cpu, "memory": memory,
            "containerDefinitions": [{"name": "c", "image": "i"}],
        });
        client.try_aws(&["ecs", "register-task-definition", "--cli-input-json", &definition.to_string()])
    };
    for (cpu, memory) in [("256", "4096"), ("300", "512"), ("1024", "1024"), ("256", "lots")] {
        let outcome = register(cpu, memory);
        assert!(
            !outcome.ok && outcome.err.contains("(ClientException)"),
            "{cpu}, {memory}: {}{}",
            outcome.out,
            outcome.err
        );
    }
    assert!(register("256", "4096").err.contains("No Fargate configuration exists for given values"));
    assert_eq!(client.aws("ecs list-task-definitions")["taskDefinitionArns"], json!([]));
    as_before(client);
    let good = register(".25 vCPU", "1 GB");
    assert!(good.ok, "{}", good.err);
}

/// How a build of this source ends: the context of the phase that failed.
fn failed_build(client: &Client, role: &str, name: &str, source: Value) -> Value {
    let project = json!({
        "name": name, "serviceRole": role, "source": source, "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {"type": "LINUX_CONTAINER", "image": "longshore/test-base:1", "computeType": "BUILD_GENERAL1_SMALL"},
    });
    client.aws_args(&["codebuild", "create-project", "--cli-input-json", &project.to_string()]);
    let build = client.aws(&format!("codebuild start-build --project-name {name}"))["build"]["id"].clone();
    let id = build.as_str().unwrap();
    let ended = eventually("the build ends", || {
        let build = client.aws(&format!("codebuild batch-get-builds --ids {id}"))["builds"][0].clone();
        Some(build).filter(|build| build["buildComplete"] == true)
    });
    assert_eq!(ended["buildStatus"], "FAILED", "{ended}");
    let failed = |phase: &&Value| phase["phaseStatus"] == "FAILED";
    let phase = ended["phases"].as_array().unwrap().iter().find(failed).unwrap_or_else(|| panic!("{ended}"));
    phase["contexts"][0].clone()
}

#[test]
fn a_malformed_buildspec_fails_its_build_with_line_and_column() {
    let server = Server::start();
    let client = &server.client();
    let role = client.admin("build", "codebuild.amazonaws.com");
    for (name, buildspec, said) in [
        ("tabs", "version: 0.2\nphases:\n\tbuild: x\n", "line 3, column 2"),
        (
            "words",
            "version: 0.2\nphases:\n  build:\n    commands: ls\n",
            "phases/build/commands: expected a list of commands, found a string at line 4, column 15",
        ),
        (
            "phase",
            "version: 0.2\nphases:\n  pre-build:\n    commands: [ls]\n",
            "Invalid buildspec phase name: pre-build. Expecting: build,install,post_build,pre_build at line 3, column 3",
        ),
    ] {
        let context = failed_build(client, &role, name, json!({"type": "NO_SOURCE", "buildspec": buildspec}));
        assert_eq!(context["statusCode"], "YAML_FILE_ERROR", "{context}");
        assert!(context["message"].as_str().unwrap().contains(said), "{context}\nlacks {said}");
    }
    as_before(client);
}

/// Writes `bad.zip`, an archive that would leave its folder, and puts it in the bucket `inbox`.
fn bad_zip(client: &Client) {
    let names =
        "with zipfile.ZipFile('bad.zip', 'w') as z: z.writestr('ok', '1'); z.writestr('../evil', '2')";
    client.sh(&format!("python3 -c \"import zipfile\n{names}\""));
    client.aws("s3 mb s3://inbox");
    client.aws("s3api put-bucket-versioning --bucket inbox --versioning-configuration Status=Enabled");
    client.aws("s3 cp bad.zip s3://inbox/bad.zip");
}

#[test]
fn an_archive_that_leaves_its_folder_is_refused() {
    let server = Server::start();
    let client = &server.client();
    bad_zip(client);
    let build = client.admin("build", "codebuild.amazonaws.com");
    let spec = "version: 0.2\nphases: {build: {commands: [ls]}}\n";
    let context = failed_build(
        client,
        &build,
        "zip",
        json!({"type": "S3", "location": "inbox/bad.zip", "buildspec": spec}),
    );
    assert!(context["message"].as_str().unwrap().contains("../evil"), "{context}");

    let pipeline_role = client.admin("pipeline", "codepipeline.amazonaws.com");
    client.aws("s3 mb s3://artifacts");
    client.aws("s3 mb s3://site");
    let mut pipeline = pipeline();
    pipeline["roleArn"] = json!(pipeline_role);
    pipeline["stages"].as_array_mut().unwrap().remove(1);
    edit(&mut pipeline, "/stages/0/actions/0/configuration/S3ObjectKey", json!("bad.zip"));
    edit(&mut pipeline, "/stages/1/actions/0/inputArtifacts/0/name", json!("In"));
    client.aws_args(&["codepipeline", "create-pipeline", "--pipeline", &pipeline.to_string()]);
    let failed = eventually("the deploy action fails", || {
        let list = client.aws("codepipeline list-action-executions --pipeline-name bad");
        let mut all = list["actionExecutionDetails"].as_array()?.iter();
        all.find(|a| a["status"] == "Failed" || a["stageName"] == "D" && a["status"] == "Succeeded").cloned()
    });
    let message = failed["output"]["executionResult"]["errorDetails"]["message"].as_str().unwrap_or_default();
    assert!(failed["status"] == "Failed" && message.contains("../evil"), "{failed}");
    assert_eq!(client.aws("s3api list-objects-v2 --bucket site").get("Contents"), None);
}

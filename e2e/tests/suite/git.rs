//! git against CodeCommit, at the address that it tells.
use e2e::{Client, Server, eventually};
use serde_json::json;

/// A clone in the folder `name`, whose author is set.
fn clone(client: &Client, url: &str, name: &str) {
    client.sh(&format!(
        "git -c init.defaultBranch=main clone -q {url} {name} 2>&1 && cd {name} \
         && git config user.name Dev && git config user.email dev@example.com && git config commit.gpgsign false"
    ));
}

fn repository(client: &Client) -> String {
    let made = client.aws("codecommit create-repository --repository-name app");
    made["repositoryMetadata"]["cloneUrlHttp"].as_str().unwrap().to_owned()
}

fn commit(client: &Client, clone: &str, file: &str, text: &str) -> String {
    let script = format!(
        "cd {clone} && printf '%s' '{text}' >{file} && git add -A && git commit -q -m '{text}' && git rev-parse HEAD"
    );
    client.sh(&script).trim().to_owned()
}

fn tip(client: &Client) -> String {
    let branch = client.aws("codecommit get-branch --repository-name app --branch-name main");
    branch["branch"]["commitId"].as_str().unwrap().to_owned()
}

#[test]
fn git_clones_and_pushes_with_the_credential_helper() {
    let server = Server::start();
    let client = server.client();
    let url = repository(&client);
    clone(&client, &url, "one");
    let first = commit(&client, "one", "hello", "by git");
    client.sh("cd one && git push -q origin main");
    assert_eq!(tip(&client), first);
    let metadata =
        client.aws("codecommit get-repository --repository-name app")["repositoryMetadata"].clone();
    assert_eq!(metadata["defaultBranch"], "main");
    let file = client.aws("codecommit get-file --repository-name app --file-path hello");
    assert_eq!(file["fileContent"], "YnkgZ2l0");
    let got =
        client.aws(&format!("codecommit get-commit --repository-name app --commit-id {first}"))["commit"]
            .clone();
    assert_eq!((&got["message"], &got["author"]["email"]), (&"by git\n".into(), &"dev@example.com".into()));

    // A commit of the API's is pulled; one beside it is refused until it has been merged.
    clone(&client, &url, "two");
    client.sh("printf api >content");
    let put = client.aws(&format!(
        "codecommit put-file --repository-name app --branch-name main --file-path api --file-content fileb://content --parent-commit-id {first}"
    ));
    let beside = commit(&client, "two", "beside", "beside");
    let refused = client.run("git", &["-C", "two", "push", "origin", "main"]);
    assert!(!refused.ok && refused.err.contains("[rejected]"), "{}", refused.err);
    assert_eq!(tip(&client), put["commitId"].as_str().unwrap());
    client.sh("cd two && git pull -q --rebase origin main && git push -q origin main");
    assert_ne!(tip(&client), beside);
    let folder = client.aws("codecommit get-folder --repository-name app --folder-path /");
    let names: Vec<&str> =
        folder["files"].as_array().unwrap().iter().filter_map(|f| f["relativePath"].as_str()).collect();
    assert_eq!(names, ["api", "beside", "hello"]);
    // History may be written anew by whoever says so; the tag and the branch go the same way.
    client.sh("cd two && git reset -q --hard HEAD~2 && git push -q --force origin main && git tag v1 && git push -q origin v1");
    assert_eq!(tip(&client), first);
    client.sh(&format!(
        "git clone -q --depth 1 --branch v1 {url} three && test -f three/hello && git -C three fsck --strict"
    ));
    client.sh("cd two && git push -q origin main:next && git push -q origin --delete next");

    // What the helper signs is a use of the key.
    client.aws("iam create-user --user-name dev");
    let policy = "arn:aws:iam::aws:policy/AWSCodeCommitReadOnly";
    client.aws(&format!("iam attach-user-policy --user-name dev --policy-arn {policy}"));
    let key = client.aws("iam create-access-key --user-name dev")["AccessKey"].clone();
    let word = |name: &str| key[name].as_str().unwrap().to_owned();
    let dev = client.with_key(&word("AccessKeyId"), &word("SecretAccessKey"), None);
    dev.sh(&format!("git ls-remote -q {url}"));
    let used = client.aws(&format!("iam get-access-key-last-used --access-key-id {}", word("AccessKeyId")));
    let last = &used["AccessKeyLastUsed"];
    assert_eq!(
        (&last["ServiceName"], &last["Region"]),
        (&"codecommit".into(), &"us-east-1".into()),
        "{used}"
    );
    assert_eq!(
        client.aws("codecommit list-branches --repository-name app")["branches"],
        serde_json::json!(["main"])
    );
}

#[test]
fn git_credentials_of_a_user_push_what_the_user_may() {
    let server = Server::start();
    let client = server.client();
    let url = repository(&client);
    client.aws("iam create-user --user-name dev");
    let made = client.aws(
        "iam create-service-specific-credential --user-name dev --service-name codecommit.amazonaws.com",
    );
    let credential = &made["ServiceSpecificCredential"];
    let (name, password) =
        (credential["ServiceUserName"].as_str().unwrap(), credential["ServicePassword"].as_str().unwrap());
    // As git keeps them for the user: no AWS configuration at all.
    let script = format!(
        r#"unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY GIT_CONFIG_COUNT; export GIT_TERMINAL_PROMPT=0
        git config --global credential.helper "store --file=$HOME/kept"; git config --global user.name Dev; git config --global user.email dev@example.com
        printf 'protocol=http\nhost=%s\nusername=%s\npassword=%s\n\n' '{}' '{name}' "$GIVEN" | git credential approve"#,
        client.endpoint().trim_start_matches("http://"),
    );
    let git = |given: &str, rest: &str| {
        let all = format!("export GIVEN='{given}'\n{script}\n{rest}");
        client.run("bash", &["-euc", &all])
    };
    let denied = git(password, &format!("git clone -q {url} denied"));
    assert!(!denied.ok && denied.err.contains("403"), "{}", denied.err);
    let statement = serde_json::json!({"Effect": "Allow", "Action": "codecommit:GitPull", "Resource": "*"});
    let pull = serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    client.aws_args(&[
        "iam",
        "put-user-policy",
        "--user-name",
        "dev",
        "--policy-name",
        "pull",
        "--policy-document",
        &pull,
    ]);
    let read = git(password, &format!("git clone -q {url} dev"));
    assert!(read.ok, "{}", read.err);
    let push =
        "cd dev && git checkout -q -B main && git commit -q --allow-empty -m one && git push -q origin main";
    let denied = git(password, push);
    assert!(!denied.ok && denied.err.contains("403"), "{}", denied.err);
    assert!(
        client
            .aws_error("codecommit get-branch --repository-name app --branch-name main")
            .contains("(BranchDoesNotExistException)")
    );
    client.aws(
        "iam attach-user-policy --user-name dev --policy-arn arn:aws:iam::aws:policy/AWSCodeCommitPowerUser",
    );
    let pushed = git(password, push);
    assert!(pushed.ok, "{}", pushed.err);
    assert_eq!(tip(&client), client.sh("git -C dev rev-parse HEAD").trim());
    let wrong = git("nonsense", &format!("git clone -q {url} wrong"));
    assert!(!wrong.ok && !client.folder().join("wrong/.git").exists(), "{}", wrong.err);
}

#[test]
fn a_push_starts_a_pipeline_that_does_not_say_how_its_changes_are_found() {
    let server = Server::start();
    let client = server.client();
    let url = repository(&client);
    clone(&client, &url, "one");
    commit(&client, "one", "hello", "first");
    client.sh("cd one && git push -q origin main && aws s3 mb s3://artifacts");
    let role = client.admin("pipeline", "codepipeline.amazonaws.com");
    let kind = |category: &str, provider: &str| json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"});
    let get = json!({"name": "Get", "actionTypeId": kind("Source", "CodeCommit"), "outputArtifacts": [{"name": "App"}],
        "configuration": {"RepositoryName": "app", "BranchName": "main"}});
    let ask = json!({"name": "Ask", "actionTypeId": kind("Approval", "Manual")});
    let pipeline = json!({
        "name": "app", "roleArn": role, "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [{"name": "Source", "actions": [get]}, {"name": "Check", "actions": [ask]}],
    });
    client.aws_args(&["codepipeline", "create-pipeline", "--pipeline", &pipeline.to_string()]);
    let second = commit(&client, "one", "hello", "second");
    client.sh("cd one && git push -q origin main");
    let caused = eventually("the push starts it", || {
        let list = client.aws("codepipeline list-pipeline-executions --pipeline-name app");
        let all = list["pipelineExecutionSummaries"].as_array()?.clone();
        all.into_iter().find(|e| e["sourceRevisions"][0]["revisionId"] == second.as_str())
    });
    assert_eq!(caused["trigger"]["triggerType"], "PollForSourceChanges", "{caused}");
}

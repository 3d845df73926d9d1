//! docker and skopeo against ECR, at the address that it tells.
use e2e::{Client, Outcome, Server};

const IMAGE: &str = "longshore/test-base:1";

/// A repository and what it says its URI is. Dropping it takes the host's tags away.
struct Repository {
    client: Client,
    uri: String,
}

impl Repository {
    fn create(server: &Server) -> Self {
        let client = server.client();
        let made = client.aws("ecr create-repository --repository-name team/app");
        let uri = made["repository"]["repositoryUri"].as_str().unwrap().to_owned();
        Self { client, uri }
    }

    /// The registry's part of the URI.
    fn host(&self) -> &str {
        self.uri.split('/').next().unwrap_or_default()
    }

    fn tag(&self, tag: &str) -> String {
        let name = format!("{}:{tag}", self.uri);
        self.client.sh(&format!("docker tag {IMAGE} {name}"));
        name
    }

    fn digest(&self, tag: &str) -> String {
        let id = format!("imageTag={tag}");
        let images = self.client.aws_args(&[
            "ecr",
            "describe-images",
            "--repository-name",
            "team/app",
            "--image-ids",
            &id,
        ]);
        images["imageDetails"][0]["imageDigest"].as_str().unwrap().to_owned()
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        let tags = format!(
            "docker images --quiet --no-trunc '{}' | xargs -r true; docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' '{}' | xargs -r docker rmi",
            self.uri, self.uri
        );
        self.client.run("bash", &["-c", &tags]);
    }
}

/// As the console's push commands say.
fn login(client: &Client, host: &str) -> Outcome {
    let script = format!(
        "set -o pipefail; aws ecr get-login-password | docker login --username AWS --password-stdin {host}"
    );
    client.run("bash", &["-c", &script])
}

#[test]
fn docker_and_skopeo_push_and_pull() {
    let server = Server::start();
    let repository = Repository::create(&server);
    let client = &repository.client;
    let logged = login(client, repository.host());
    assert!(logged.ok, "{}", logged.err);

    let one = repository.tag("one");
    let pushed = client.sh(&format!("docker push {one}"));
    let digest = repository.digest("one");
    assert!(pushed.contains(&digest), "{pushed}");
    let id = client.sh(&format!("docker image inspect --format '{{{{.Id}}}}' {one}"));
    client.sh(&format!("docker rmi {one}"));
    let pulled = client.sh(&format!("docker pull {one}"));
    assert!(pulled.contains(&digest), "{pulled}");
    assert_eq!(client.sh(&format!("docker image inspect --format '{{{{.Id}}}}' {one}")), id);
    // What is there is not sent again.
    let again = client.sh(&format!("docker tag {one} {0}:two && docker push {0}:two", repository.uri));
    assert!(again.contains("Layer already exists") && again.contains(&digest), "{again}");

    let copy = "skopeo copy --quiet --preserve-digests --src-tls-verify=false --dest-tls-verify=false";
    let other = repository.uri.replace("team/app", "team/copy");
    client.aws("ecr create-repository --repository-name team/copy");
    client.sh(&format!("{copy} docker://{one} oci:layout && {copy} oci:layout docker://{other}:three"));
    client.sh(&format!("{copy} docker://{one} docker://{other}:four"));
    for tag in ["three", "four"] {
        let found = client.sh(&format!(
            "skopeo inspect --tls-verify=false --format '{{{{.Digest}}}}' docker://{other}:{tag}"
        ));
        assert_eq!(found.trim(), digest, "{tag}");
    }
    let deleted =
        client.aws("ecr batch-delete-image --repository-name team/app --image-ids imageTag=one imageTag=two");
    assert_eq!(deleted["failures"], serde_json::json!([]));
    let gone = client.run("docker", &["pull", &one]);
    assert!(!gone.ok && gone.err.contains("not found"), "{}", gone.err);
}

#[test]
fn an_upload_with_a_wrong_digest_stores_nothing() {
    let server = Server::start();
    let repository = Repository::create(&server);
    let client = &repository.client;
    let upload = format!(
        r#"
        base=http://{}/v2/team/app
        login="AWS:$(aws ecr get-login-password)"
        wrong=sha256:$(printf other | sha256sum | cut -d' ' -f1)
        at=$(curl -sf -u "$login" -X POST -D - -o /dev/null $base/blobs/uploads/ | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
        case $at in /*) at=http://{}$at;; esac
        case $at in *\?*) at=$at\&;; *) at=$at\?;; esac
        curl -s -u "$login" -X PUT --data-binary content -H 'content-type: application/octet-stream' -w '\n%{{http_code}}\n' "${{at}}digest=$wrong"
        curl -s -u "$login" -o /dev/null -w '%{{http_code}}\n' $base/blobs/$wrong
        curl -s -u "$login" -X PUT -d '{{}}' -H 'content-type: application/vnd.oci.image.manifest.v1+json' -w '\n%{{http_code}}\n' $base/manifests/$wrong
        "#,
        repository.host(),
        repository.host()
    );
    let answers = client.sh(&upload);
    let lines: Vec<&str> = answers.lines().collect();
    let refused =
        |text: &str, codes: &[&str]| codes.iter().any(|code| text.contains(&format!("\"code\":\"{code}\"")));
    assert!(refused(lines[0], &["DIGEST_INVALID"]) && lines[1] == "400", "{answers}");
    assert_eq!(lines[2], "404", "{answers}");
    assert!(refused(lines[3], &["DIGEST_INVALID", "MANIFEST_INVALID"]) && lines[4] == "400", "{answers}");
    assert_eq!(client.aws("ecr list-images --repository-name team/app")["imageIds"], serde_json::json!([]));
}

/// Lets the user do this with repositories.
fn allow(root: &Client, actions: &[&str]) {
    let statement = serde_json::json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    root.aws_args(&[
        "iam",
        "put-user-policy",
        "--user-name",
        "dev",
        "--policy-name",
        "ecr",
        "--policy-document",
        &policy,
    ]);
}

#[test]
fn a_user_without_permission_cannot_push_and_with_it_can() {
    let server = Server::start();
    let repository = Repository::create(&server);
    let root = &repository.client;
    root.aws("iam create-user --user-name dev");
    let key = root.aws("iam create-access-key --user-name dev")["AccessKey"].clone();
    let user =
        root.with_key(key["AccessKeyId"].as_str().unwrap(), key["SecretAccessKey"].as_str().unwrap(), None);

    let denied = login(&user, repository.host());
    let expected =
        "User: arn:aws:iam::000000000000:user/dev is not authorized to perform: ecr:GetAuthorizationToken";
    assert!(
        !denied.ok && denied.err.contains("(AccessDeniedException)") && denied.err.contains(expected),
        "{}",
        denied.err
    );

    allow(root, &["ecr:GetAuthorizationToken"]);
    let logged = login(&user, repository.host());
    assert!(logged.ok, "{}", logged.err);
    let image = repository.tag("dev");
    let push = ["push", image.as_str()];
    let denied = user.run("docker", &push);
    let said = format!("{}{}", denied.out, denied.err);
    assert!(!denied.ok && said.contains("not authorized to perform: ecr:"), "{said}");
    let pull = user.run("docker", &["pull", &image]);
    assert!(!pull.ok && pull.err.contains("ecr:BatchGetImage"), "{}", pull.err);

    let layers = [
        "ecr:GetAuthorizationToken",
        "ecr:BatchCheckLayerAvailability",
        "ecr:InitiateLayerUpload",
        "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload",
    ];
    allow(root, &layers);
    let denied = user.run("docker", &push);
    let said = format!("{}{}", denied.out, denied.err);
    assert!(!denied.ok && said.contains("ecr:"), "without ecr:PutImage: {said}");
    assert_eq!(root.aws("ecr list-images --repository-name team/app")["imageIds"], serde_json::json!([]));

    // What the tutorials attach.
    allow(
        root,
        &[&layers[..], &["ecr:PutImage", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]].concat(),
    );
    let pushed = user.run("docker", &push);
    assert!(pushed.ok, "{}", pushed.err);
    repository.digest("dev");
}

//! Clones for builds.
use api::internal::{CloneConnectedRepository, CloneOutput};
use testkit::fault;

use super::*;

impl Bench {
    async fn clone_to(
        &self,
        into: &Path,
        arn: &str,
        commit: &str,
        depth: Option<u32>,
    ) -> Result<CloneOutput, Fault> {
        let clone = CloneConnectedRepository {
            connection_arn: arn.into(),
            full_repository_id: "me/app".into(),
            commit_id: commit.into(),
            depth,
            into: into.into(),
        };
        self.world.cx().call(clone).await
    }
}

/// Every file under a folder.
fn all(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { all(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn builds_get_clones_with_the_history_they_ask_for_and_no_credential() {
    let b = Bench::new().await;
    let (arn, ..) = b.connected().await;
    let first = git(&b.server.work(), &["rev-parse", "HEAD"]).await;
    let second = b.server.commit("README.md", "second").await;
    let third = b.server.commit("README.md", "third").await;
    b.server.push("main").await;
    let bare = b.server.dir.path().join("me/app.git");
    git(&b.server.work(), &["push", "-q", "../me/app.git", &format!("{first}:refs/tags/v1")]).await;
    // What no branch or tag reaches, as the head of a pull request.
    let pull = b.server.commit("README.md", "pull").await;
    git(&b.server.work(), &["push", "-q", "../me/app.git", "HEAD:refs/pull/7/head"]).await;
    git(&bare, &["config", "uploadpack.allowAnySHA1InWant", "true"]).await;

    let dir = tempfile::tempdir().unwrap();
    let origin = format!("http://{}/me/app.git", b.server.address);
    for (name, commit, depth, text, count) in [
        ("whole", &third, None, "third", "3"),
        ("shallow", &third, Some(1), "third", "1"),
        // No branch's head, out of a shallow clone's reach.
        ("middle", &second, Some(1), "second", "1"),
        ("pull", &pull, None, "pull", "4"),
    ] {
        let into = dir.path().join(name);
        assert_eq!(b.clone_to(&into, &arn, commit, depth).await.unwrap().commit_id, *commit, "{name}");
        assert_eq!(git(&into, &["rev-parse", "HEAD"]).await, *commit, "{name}");
        assert_eq!(git(&into, &["rev-list", "--count", "HEAD"]).await, count, "{name}");
        assert_eq!(git(&into, &["status", "--porcelain"]).await, "", "{name}");
        assert_eq!(std::fs::read_to_string(into.join("README.md")).unwrap(), text, "{name}");
        assert_eq!(git(&into, &["remote", "get-url", "origin"]).await, origin, "{name}");
        // Neither the credential nor the cache is told of anywhere in it.
        let cache = b.service.folder("").display().to_string();
        for file in all(&into) {
            let content = std::fs::read(&file).unwrap();
            let holds = |text: &str| content.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!holds(TOKEN) && !holds(&cache), "{}", file.display());
        }
    }
    let whole = dir.path().join("whole");
    let described = git(&whole, &["describe", "--tags", "origin/main"]).await;
    assert_eq!(described, format!("v1-2-g{}", &third[..7]));

    // It is a clone of what is there now, though its commit was fetched long ago.
    let fourth = b.server.commit("README.md", "fourth").await;
    b.server.push("new").await;
    let late = dir.path().join("late");
    b.clone_to(&late, &arn, &first, None).await.unwrap();
    assert_eq!(git(&late, &["rev-parse", "origin/new"]).await, fourth);
}

#[tokio::test]
async fn a_clone_is_refused() {
    let b = Bench::new().await;
    let (arn, ..) = b.connected().await;
    let pending = b.create("GitHub").await;
    let head = git(&b.server.work(), &["rev-parse", "HEAD"]).await;
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("clone");
    let refused =
        async |arn: &str, commit: &str| fault(b.clone_to(&into, arn, commit, None).await.map(|_| ()));
    let check = async |arn: &str, commit: &str, code: &str| {
        let said = refused(arn, commit).await;
        assert!(said.starts_with(code), "{said}");
        assert!(!into.exists(), "{said}");
    };
    let unknown = format!("arn:aws:codeconnections:{REGION}:{ACCOUNT}:connection/x");
    check(&unknown, &head, "ResourceNotFoundException").await;
    check(&arn.replace(REGION, "eu-west-1"), &head, "ResourceNotFoundException").await;
    check(&pending, &head, "ResourceUnavailableException").await;
    check(&arn, NONE, "RevisionUnavailable: The repository 'me/app' has no commit 000").await;
    check(&arn, "main", "RevisionUnavailable: 'main' is not a full commit id").await;
    check(&arn, "--upload-pack=x", "RevisionUnavailable").await;

    // The permission is of the name that the ARN has, whichever it is.
    for service in ["codeconnections", "codestar-connections"] {
        let arn = arn.replace("codeconnections", service);
        let action = format!("{service}:UseConnection");
        b.world.authority.deny(&action);
        let said = refused(&arn, &head).await;
        assert!(said.starts_with("AccessDenied"), "{said}");
        assert!(said.contains(&format!("to perform: {action} on resource: {arn}")), "{said}");
        b.world.authority.allow(&action);
    }
    b.clone_to(&into, &arn, &head, None).await.unwrap();

    // A credential that no longer holds opens nothing, though the commit was fetched before.
    let body = json!({"url": format!("http://{}", b.server.address), "token": "another-secret"});
    assert_eq!(b.connect(Some(b.world.cx()), &arn, &body).await.0, 200);
    let said = fault(b.clone_to(&dir.path().join("late"), &arn, &head, None).await.map(|_| ()));
    assert!(said.starts_with("RepositoryUnavailable") && !said.contains("another-secret"), "{said}");
}

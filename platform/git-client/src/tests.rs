use std::path::Path;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::*;

const BOUNDS: Bounds = Bounds { within: Duration::from_secs(120), output: 1 << 20, complaint: 4 << 10 };

#[tokio::test]
async fn what_git_has_started_ends_with_it() {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "sh -c 'echo begun; sleep 600; :'; :"]).stdout(Stdio::piped()).kill_on_drop(true);
    let mut git = Running::start(&mut command).unwrap();
    let mut out = BufReader::new(git.child().stdout.take().unwrap()).lines();
    assert_eq!(out.next_line().await.unwrap().as_deref(), Some("begun"));
    drop(git);
    // The pipe ends with the last process that holds it.
    let end = timeout(Duration::from_secs(60), out.next_line()).await.expect("all of them ended");
    assert_eq!(end.unwrap(), None);
}

/// Runs git in a folder, as somebody with a name.
async fn git(folder: &Path, args: &[&str], input: &[u8]) -> Result<String> {
    let mut command = command([("user.name", "A"), ("user.email", "a@b.c")], None);
    let out = run(command.args(args).current_dir(folder), BOUNDS, input.to_vec()).await?;
    Ok(String::from_utf8(out).unwrap().trim().to_owned())
}

#[tokio::test]
async fn commands_are_bounded_and_named() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    git(folder, &["init", "--quiet"], b"").await.unwrap();
    let id = git(folder, &["hash-object", "-w", "--stdin"], &[b'x'; 5000]).await.unwrap();
    let read = async |bounds: Bounds| {
        let mut command = command([], None);
        run(command.args(["cat-file", "blob", &id]).current_dir(folder), bounds, Vec::new()).await
    };
    assert_eq!(read(BOUNDS).await.unwrap().len(), 5000);
    let much = read(Bounds { output: 4999, ..BOUNDS }).await.unwrap_err();
    assert_eq!(much.to_string(), "git cat-file answers more than can be held");
    let mut slow = command([("alias.wait", "!sleep 600")], None);
    let slow =
        run(slow.arg("wait"), Bounds { within: Duration::from_millis(10), ..BOUNDS }, Vec::new()).await;
    assert_eq!(slow.unwrap_err().to_string(), "git wait took too long");
    let mut large = command([], Some(2048));
    let args = ["-c", "core.compression=0", "hash-object", "-w", "--stdin"];
    let large = run(large.args(args).current_dir(folder), BOUNDS, vec![b'y'; 5000]).await;
    assert!(matches!(large, Err(Error::Failed { .. })), "{large:?}");
    let failed = git(folder, &["cat-file", "blob", "nothing"], b"").await.unwrap_err().to_string();
    assert!(
        failed.starts_with("git cat-file failed (exit status: 128): fatal: Not a valid object"),
        "{failed}"
    );
}

#[tokio::test]
async fn a_clone_has_what_was_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let bare = home.path().join("bare.git");
    git(home.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "bare.git"], b"").await.unwrap();
    let tree = git(&bare, &["write-tree"], b"").await.unwrap();
    let first = git(&bare, &["commit-tree", &tree, "-m", "first"], b"").await.unwrap();
    let second = git(&bare, &["commit-tree", &tree, "-p", &first, "-m", "second"], b"").await.unwrap();
    let lone = git(&bare, &["commit-tree", &tree, "-m", "nobody's"], b"").await.unwrap();
    git(&bare, &["update-ref", "refs/heads/main", &second], b"").await.unwrap();
    git(&bare, &["update-ref", "refs/tags/v1", &first], b"").await.unwrap();
    let cloned = async |name: &str, commit: &str, depth: Option<u32>| {
        let folder = home.path().join(name);
        let (from, folder, origin) = (&*bare, &*folder, "https://example.com/repo");
        let clone = Clone { from, folder, commit, depth, origin, largest: Some(1 << 20), bounds: BOUNDS };
        clone.make().await?;
        let log = git(folder, &["log", "--format=%s"], b"").await?;
        let refs = git(folder, &["for-each-ref", "--format=%(refname)"], b"").await?;
        Ok::<_, Error>((log, refs))
    };
    let (log, refs) = cloned("whole", &second, None).await.unwrap();
    assert_eq!((&*log, &*refs), ("second\nfirst", "refs/remotes/origin/main\nrefs/tags/v1"));
    let (log, refs) = cloned("shallow", &second, Some(1)).await.unwrap();
    assert_eq!((&*log, &*refs), ("second", "refs/remotes/origin/main"));
    let whole = home.path().join("whole");
    assert_eq!(git(&whole, &["remote", "get-url", "origin"], b"").await.unwrap(), "https://example.com/repo");
    let head = std::fs::read_to_string(whole.join(".git/logs/HEAD")).unwrap();
    assert!(!head.contains("bare.git") && !whole.join(".git/FETCH_HEAD").exists(), "{head}");

    assert_eq!(cloned("lone", &lone, None).await.unwrap().0, "nobody's");
}

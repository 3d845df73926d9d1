//! Clones for builds: a folder with the files of a commit and a `.git` of its own, out of a cache. Nobody is asked and no
//! credential is at hand, so that none can be left in it.
use std::path::Path;

use tokio::process::Command;

use super::{Cache, Result, command, run};
use crate::limits;

/// What serves the clone on this side: any commit may be asked for by its id, since no branch need reach it.
const UPLOAD_PACK: &str = "git -c safe.directory='*' -c uploadpack.allowAnySHA1InWant=true upload-pack";

impl Cache {
    /// Clones into a folder that is made for it, with `depth` commits of each branch's history or all, and checks a
    /// commit out. As in CodeBuild, no branch is checked out; `origin` is what the clone fetches from and pushes to.
    pub async fn clone_into(
        &self,
        folder: &Path,
        commit: &str,
        depth: Option<u32>,
        origin: &str,
    ) -> Result<()> {
        let mut init = command(&[]);
        git(init.args(["init", "--quiet", "--initial-branch=main", "--template="]).arg(folder)).await?;
        let inside = |name: &str| {
            let mut command = command(&[("protocol.file.allow".into(), "always".into())]);
            // What the logs of refs say, which would else tell where the cache is.
            command.arg(name).current_dir(folder).env("GIT_REFLOG_ACTION", "clone");
            command
        };
        git(inside("remote").args(["add", "origin", origin])).await?;
        let mut fetch = inside("fetch");
        fetch.args(["--quiet", "--no-tags", "--no-auto-maintenance", "--no-write-fetch-head"]);
        fetch.args(["--upload-pack", UPLOAD_PACK]).args(depth.map(|depth| format!("--depth={depth}")));
        // By its URL: a path would share objects with the cache.
        fetch.arg(format!("file://{}", self.path.display()));
        fetch.args(["+refs/heads/*:refs/remotes/origin/*", commit]);
        if depth.is_none() {
            fetch.arg("+refs/tags/*:refs/tags/*");
        }
        git(&mut fetch).await?;
        git(inside("checkout").args(["--quiet", "--detach", commit])).await
    }
}

async fn git(command: &mut Command) -> Result<()> {
    run(command, limits::CLONE).await.map(drop)
}

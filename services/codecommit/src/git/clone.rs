//! Clones for builds: a folder with the files of a commit and a `.git` of its own.
use std::path::Path;

use tokio::process::Command;

use super::{Repo, Result, run_within};
use crate::limits;

/// What serves the clone on this side: any commit that a ref reaches may be asked for by its id.
const UPLOAD_PACK: &str = "git -c safe.directory='*' -c uploadpack.allowReachableSHA1InWant=true upload-pack";

impl Repo {
    /// Clones into a folder that is made for it, with `depth` commits of each branch's history or all, and checks a
    /// commit out. As in CodeBuild, no branch is checked out; `origin` is what the clone fetches from and pushes to.
    pub async fn clone_into(
        &self,
        folder: &Path,
        commit: &str,
        depth: Option<u32>,
        origin: &str,
    ) -> Result<()> {
        let mut init = self.git.command("init");
        git(init.args(["--quiet", "--initial-branch=main", "--template="]).arg(folder)).await?;
        let inside = |name: &str| {
            let mut command = self.git.command(name);
            command.current_dir(folder);
            command
        };
        git(inside("remote").args(["add", "origin", origin])).await?;
        let mut fetch = inside("fetch");
        fetch.args(["--quiet", "--no-auto-maintenance", "--upload-pack", UPLOAD_PACK]);
        match depth {
            Some(depth) => fetch.args(["--no-tags", "--depth", &depth.to_string()]),
            None => fetch.arg("--no-tags"),
        };
        // By its URL: a path would share objects with the repository.
        fetch.arg(format!("file://{}", self.path().display()));
        fetch.args(["+refs/heads/*:refs/remotes/origin/*", commit]);
        if depth.is_none() {
            fetch.arg("+refs/tags/*:refs/tags/*");
        }
        git(&mut fetch).await?;
        git(inside("checkout").args(["--quiet", "--detach", commit])).await
    }
}

async fn git(command: &mut Command) -> Result<()> {
    run_within(limits::CLONE, command, Vec::new()).await.map(drop)
}

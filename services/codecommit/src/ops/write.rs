//! Commits, made through the API.
use api::codecommit::*;
use kernel::{Access, Blob, Cx, Fault, Handle, PrincipalKind};

use super::{mode, path};
use crate::error::{Error, Result, coded};
use crate::git::{Author, Change, Entry, NONE, Repo, Tree, Violation, diff, is_id};
use crate::{CodeCommit, limits};

/// What a commit changes, in its order.
enum Edit {
    Put { path: String, mode: Option<String>, content: Content },
    Delete(String),
    Mode(String, String),
}

enum Content {
    Bytes(Blob),
    /// That of another file, which goes if it is moved.
    Of {
        path: String,
        moved: bool,
    },
}

/// Where and how a commit is to be made.
struct Wanted<'a> {
    name: &'a str,
    branch: &'a str,
    parent: Option<&'a str>,
    author: Option<String>,
    email: Option<String>,
    message: Option<String>,
    keep_empty_folders: bool,
}

/// A commit that was made.
struct Made {
    commit: String,
    tree: String,
    changes: Vec<Change>,
    /// Files of the tree.
    files: Tree,
}

fn git_mode(mode: Option<&str>) -> Result<&'static str> {
    match mode {
        None | Some("NORMAL") => Ok("100644"),
        Some("EXECUTABLE") => Ok("100755"),
        Some("SYMLINK") => Ok("120000"),
        Some(other) => Err(coded!(
            InvalidFileModeException,
            "The file mode {other} is not EXECUTABLE, NORMAL or SYMLINK"
        )),
    }
}

fn file_path(text: &str) -> Result<String> {
    match path(text)? {
        "" => Err(coded!(PathRequiredException, "filePath is required")),
        path => Ok(path.to_owned()),
    }
}

fn missing(path: &str) -> Error {
    coded!(FileDoesNotExistException, "The file {path} does not exist in the parent commit")
}

impl CodeCommit {
    /// The tip that the new commit goes upon; none in a repository without branches.
    async fn tip(&self, repo: &Repo, wanted: &Wanted<'_>) -> Result<Option<String>> {
        let Wanted { branch, parent, .. } = wanted;
        if !repo.is_branch_name(branch).await? {
            return Err(coded!(InvalidBranchNameException, "The branch name {branch} is not valid"));
        }
        if let Some(parent) = parent.filter(|parent| !is_id(parent)) {
            return Err(coded!(
                InvalidParentCommitIdException,
                "The parent commit ID {parent} is not a full one"
            ));
        }
        let refs = repo.refs().await?;
        match (refs.get(&format!("refs/heads/{branch}")), parent) {
            (Some(tip), Some(parent)) if tip == parent => Ok(Some(tip.clone())),
            (Some(tip), Some(parent)) => Err(coded!(
                ParentCommitIdOutdatedException,
                "{parent} is not the tip of {branch}: that is {tip}"
            )),
            (Some(_), None) => Err(coded!(
                ParentCommitIdRequiredException,
                "parentCommitId is required: {branch} has commits"
            )),
            (None, _) if refs.keys().any(|name| name.starts_with("refs/heads/")) => {
                Err(coded!(BranchDoesNotExistException, "Branch {branch} does not exist"))
            }
            (None, Some(parent)) => {
                Err(coded!(ParentCommitDoesNotExistException, "The commit {parent} does not exist"))
            }
            (None, None) => Ok(None),
        }
    }

    async fn commit(&self, cx: &Cx, wanted: Wanted<'_>, edits: Vec<Edit>) -> Result<Made> {
        let repo = self.repo(cx, wanted.name).await?;
        let tip = self.tip(&repo, &wanted).await?;
        let before = match &tip {
            Some(tip) => repo.files(tip).await?,
            None => Tree::default(),
        };
        let files = edited(&repo, &before, edits, wanted.keep_empty_folders).await?;
        let changes = diff(&before, &files);
        if changes.is_empty() {
            return Err(coded!(NoChangeException, "The commit would change nothing"));
        }
        let tree = repo.write_tree(&files).await?;
        let author = Author {
            name: wanted.author.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| name_of(cx)),
            email: wanted.email.unwrap_or_default(),
            at: self.clock.now().as_second(),
        };
        let message = wanted.message.unwrap_or_default();
        let commit = repo.write_commit(&tree, tip.as_deref(), &author, &message).await?;
        if !repo.move_branch(wanted.branch, tip.as_deref().unwrap_or(NONE), &commit).await? {
            return Err(coded!(
                ParentCommitIdOutdatedException,
                "{} has just changed: try again",
                wanted.branch
            ));
        }
        self.changed(cx, wanted.name).await?;
        Ok(Made { commit, tree, changes, files })
    }
}

fn name_of(cx: &Cx) -> String {
    match &cx.caller.kind {
        PrincipalKind::User(name) => name.clone(),
        PrincipalKind::Role { session, .. } => session.clone(),
        _ => cx.caller.account.clone(),
    }
}

/// The files after the edits.
async fn edited(repo: &Repo, before: &Tree, edits: Vec<Edit>, keep: bool) -> Result<Tree> {
    let mut files = before.clone();
    let mut emptied = Vec::new();
    for edit in edits {
        match edit {
            Edit::Delete(path) => {
                files.0.remove(&path).ok_or_else(|| missing(&path))?;
                emptied.push(path);
            }
            Edit::Mode(path, mode) => {
                files.0.get_mut(&path).ok_or_else(|| missing(&path))?.mode = mode;
            }
            Edit::Put { path, mode, content } => {
                let (id, was) = match content {
                    Content::Bytes(bytes) => (repo.write_blob(bytes.0.to_vec()).await?, None),
                    Content::Of { path: source, moved } => {
                        let found = before.0.get(&source).cloned().ok_or_else(|| missing(&source))?;
                        if moved {
                            files.0.remove(&source);
                            emptied.push(source);
                        }
                        (found.id, Some(found.mode))
                    }
                };
                let mode = mode.or(was).or_else(|| before.0.get(&path).map(|e| e.mode.clone()));
                put(&mut files, &path, Entry { mode: mode.unwrap_or_else(|| "100644".into()), id })?;
            }
        }
    }
    if keep {
        keep_folders(repo, &mut files, &emptied).await?;
    }
    Ok(files)
}

fn put(files: &mut Tree, path: &str, entry: Entry) -> Result<()> {
    files.put(path, entry).map_err(|violation| match violation {
        Violation::IsFolder => coded!(FileNameConflictsWithDirectoryNameException, "{path} is a folder"),
        Violation::ThroughFile(file) => {
            coded!(DirectoryNameConflictsWithFileNameException, "{file} is a file, not a folder of {path}")
        }
    })
}

/// Git has no empty folders: where one would be, `.gitkeep` stands.
async fn keep_folders(repo: &Repo, files: &mut Tree, emptied: &[String]) -> Result<()> {
    for path in emptied {
        let Some((folder, _)) = path.rsplit_once('/') else { continue };
        if !files.has_below(folder) {
            let id = repo.write_blob(Vec::new()).await?;
            put(files, &format!("{folder}/.gitkeep"), Entry { mode: "100644".into(), id })?;
        }
    }
    Ok(())
}

fn edits_of(input: &mut CreateCommit) -> Result<Vec<Edit>> {
    let (puts, deletes) =
        (input.put_files.take().unwrap_or_default(), input.delete_files.take().unwrap_or_default());
    let modes = input.set_file_modes.take().unwrap_or_default();
    let count = puts.len() + deletes.len() + modes.len();
    if count == 0 {
        return Err(coded!(
            FileEntryRequiredException,
            "putFiles, deleteFiles or setFileModes must name a file"
        ));
    }
    if count > limits::COMMIT_FILES {
        return Err(coded!(
            MaximumFileEntriesExceededException,
            "The commit has {count} files; at most {}",
            limits::COMMIT_FILES
        ));
    }
    let (mut edits, mut size) = (Vec::new(), 0);
    for file in deletes {
        edits.push(Edit::Delete(file_path(&file.file_path)?));
    }
    for file in puts {
        let path = file_path(&file.file_path)?;
        let content = match (file.file_content, file.source_file) {
            (Some(_), Some(_)) => {
                return Err(coded!(
                    FileContentAndSourceFileSpecifiedException,
                    "{path} has fileContent and sourceFile: give one"
                ));
            }
            (None, None) => {
                return Err(coded!(
                    SourceFileOrContentRequiredException,
                    "{path} has neither fileContent nor sourceFile"
                ));
            }
            (Some(bytes), None) => {
                size += bytes.0.len();
                check_size(&path, &bytes)?;
                Content::Bytes(bytes)
            }
            (None, Some(source)) => {
                Content::Of { path: file_path(&source.file_path)?, moved: source.is_move == Some(true) }
            }
        };
        let mode = file.file_mode.as_deref().map(|mode| git_mode(Some(mode))).transpose()?.map(str::to_owned);
        edits.push(Edit::Put { path, mode, content });
    }
    if size > limits::COMMIT {
        return Err(coded!(
            FolderContentSizeLimitExceededException,
            "The files have more than {} bytes",
            limits::COMMIT
        ));
    }
    for file in modes {
        edits.push(Edit::Mode(file_path(&file.file_path)?, git_mode(Some(&file.file_mode))?.to_owned()));
    }
    Ok(edits)
}

fn check_size(path: &str, content: &Blob) -> Result<()> {
    if content.0.len() as u64 > limits::FILE {
        return Err(coded!(
            FileContentSizeLimitExceededException,
            "{path} has more than {} bytes: push it with Git",
            limits::FILE
        ));
    }
    Ok(())
}

fn told(changes: Vec<Change>) -> CreateCommitOutput {
    let mut output = CreateCommitOutput {
        files_added: Some(Vec::new()),
        files_updated: Some(Vec::new()),
        files_deleted: Some(Vec::new()),
        ..CreateCommitOutput::default()
    };
    for Change { path, before, after } in changes {
        let list = match (&before, &after) {
            (None, _) => &mut output.files_added,
            (_, None) => &mut output.files_deleted,
            _ => &mut output.files_updated,
        };
        let entry = after.or(before);
        list.get_or_insert_default().push(FileMetadata {
            absolute_path: Some(path),
            blob_id: entry.as_ref().map(|entry| entry.id.clone()),
            file_mode: entry.map(|entry| mode(&entry.mode)),
        });
    }
    output
}

impl Handle<CreateCommit> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &CreateCommit) -> Result<Vec<Access>, Fault> {
        let access = Self::access(cx, "codecommit:CreateCommit", &input.repository_name);
        Ok(vec![access.when("codecommit:References", format!("refs/heads/{}", input.branch_name))])
    }

    async fn handle(&self, cx: &Cx, mut input: CreateCommit) -> Result<CreateCommitOutput, Fault> {
        let edits = edits_of(&mut input)?;
        let wanted = Wanted {
            name: &input.repository_name,
            branch: &input.branch_name,
            parent: input.parent_commit_id.as_deref(),
            author: input.author_name,
            email: input.email,
            message: input.commit_message,
            keep_empty_folders: input.keep_empty_folders == Some(true),
        };
        let made = self.commit(cx, wanted, edits).await?;
        Ok(CreateCommitOutput {
            commit_id: Some(made.commit),
            tree_id: Some(made.tree),
            ..told(made.changes)
        })
    }
}

impl Handle<PutFile> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &PutFile) -> Result<Vec<Access>, Fault> {
        let access = Self::access(cx, "codecommit:PutFile", &input.repository_name);
        Ok(vec![access.when("codecommit:References", format!("refs/heads/{}", input.branch_name))])
    }

    async fn handle(&self, cx: &Cx, input: PutFile) -> Result<PutFileOutput, Fault> {
        let path = file_path(&input.file_path)?;
        check_size(&path, &input.file_content)?;
        let mode = git_mode(input.file_mode.as_deref())?.to_owned();
        let put =
            Edit::Put { path: path.clone(), mode: Some(mode), content: Content::Bytes(input.file_content) };
        let wanted = Wanted {
            name: &input.repository_name,
            branch: &input.branch_name,
            parent: input.parent_commit_id.as_deref(),
            author: input.name,
            email: input.email,
            message: input.commit_message,
            keep_empty_folders: false,
        };
        let made = self.commit(cx, wanted, vec![put]).await.map_err(|error| match error {
            Error::Coded(("NoChangeException", _), _) => {
                coded!(SameFileContentException, "{path} has this content and mode already")
            }
            other => other,
        })?;
        let blob_id = made.files.0.get(&path).map(|entry| entry.id.clone()).unwrap_or_default();
        Ok(PutFileOutput { commit_id: made.commit, blob_id, tree_id: made.tree })
    }
}

impl Handle<DeleteFile> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &DeleteFile) -> Result<Vec<Access>, Fault> {
        let access = Self::access(cx, "codecommit:DeleteFile", &input.repository_name);
        Ok(vec![access.when("codecommit:References", format!("refs/heads/{}", input.branch_name))])
    }

    async fn handle(&self, cx: &Cx, input: DeleteFile) -> Result<DeleteFileOutput, Fault> {
        let path = file_path(&input.file_path)?;
        let wanted = Wanted {
            name: &input.repository_name,
            branch: &input.branch_name,
            parent: Some(&input.parent_commit_id),
            author: input.name,
            email: input.email,
            message: input.commit_message,
            keep_empty_folders: input.keep_empty_folders == Some(true),
        };
        let made = self.commit(cx, wanted, vec![Edit::Delete(path.clone())]).await?;
        let gone =
            made.changes.into_iter().find(|change| change.path == path).and_then(|change| change.before);
        Ok(DeleteFileOutput {
            commit_id: made.commit,
            blob_id: gone.map(|entry| entry.id).unwrap_or_default(),
            tree_id: made.tree,
            file_path: path,
        })
    }
}

//! Files and folders, read.
use api::codecommit::*;
use kernel::{Access, Blob, Cx, Fault, Handle};

use super::{mode, path, resolved};
use crate::error::{Result, coded};
use crate::git::{Kind, is_id};
use crate::{CodeCommit, limits};

impl CodeCommit {
    async fn get_file(&self, cx: &Cx, input: GetFile) -> Result<GetFileOutput> {
        let row = self.found(cx, &input.repository_name).await?.value;
        let repo = self.git.repo(&row.id);
        let specifier = input.commit_specifier.as_deref();
        let commit = resolved(&repo, specifier, row.default_branch.as_deref()).await?;
        let file = path(&input.file_path)?;
        let missing =
            || coded!(FileDoesNotExistException, "The file {file} does not exist in commit {commit}");
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let entries = repo.folder(&format!("{commit}:{folder}")).await.map_err(|_| missing())?;
        let entry = entries.0.get(file.rsplit('/').next().unwrap_or(file)).cloned().ok_or_else(missing)?;
        let object = repo.object(&entry.id, limits::FILE).await?.filter(|object| object.kind == Kind::Blob);
        let object = object.ok_or_else(missing)?;
        let content = object.content.ok_or_else(|| {
            coded!(
                FileTooLargeException,
                "{file} has more than {} bytes: clone the repository to read it",
                limits::FILE
            )
        })?;
        Ok(GetFileOutput {
            commit_id: commit,
            blob_id: entry.id,
            file_path: file.to_owned(),
            file_mode: mode(&entry.mode),
            file_size: i64::try_from(object.size).unwrap_or(i64::MAX),
            file_content: Blob(content.into()),
        })
    }

    async fn get_folder(&self, cx: &Cx, input: GetFolder) -> Result<GetFolderOutput> {
        let row = self.found(cx, &input.repository_name).await?.value;
        let repo = self.git.repo(&row.id);
        let specifier = input.commit_specifier.as_deref();
        let commit = resolved(&repo, specifier, row.default_branch.as_deref()).await?;
        let folder = path(&input.folder_path)?;
        let missing =
            || coded!(FolderDoesNotExistException, "The folder {folder} does not exist in commit {commit}");
        let tree =
            repo.object(&format!("{commit}:{folder}"), 0).await?.filter(|object| object.kind == Kind::Tree);
        let tree = tree.ok_or_else(missing)?.id;
        let mut output = GetFolderOutput {
            commit_id: commit,
            folder_path: folder.to_owned(),
            tree_id: Some(tree.clone()),
            sub_folders: Some(Vec::new()),
            files: Some(Vec::new()),
            symbolic_links: Some(Vec::new()),
            sub_modules: Some(Vec::new()),
        };
        for (name, entry) in repo.folder(&tree).await?.0 {
            let absolute = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let (id, absolute_path, relative_path) = (Some(entry.id), Some(absolute), Some(name));
            let file_mode = Some(mode(&entry.mode));
            match entry.mode.as_str() {
                "040000" => {
                    output.sub_folders.get_or_insert_default().push(Folder {
                        tree_id: id,
                        absolute_path,
                        relative_path,
                    });
                }
                "160000" => output.sub_modules.get_or_insert_default().push(SubModule {
                    commit_id: id,
                    absolute_path,
                    relative_path,
                }),
                "120000" => output.symbolic_links.get_or_insert_default().push(SymbolicLink {
                    blob_id: id,
                    absolute_path,
                    relative_path,
                    file_mode,
                }),
                _ => output.files.get_or_insert_default().push(File {
                    blob_id: id,
                    absolute_path,
                    relative_path,
                    file_mode,
                }),
            }
        }
        Ok(output)
    }

    async fn get_blob(&self, cx: &Cx, name: &str, id: &str) -> Result<Blob> {
        let repo = self.repo(cx, name).await?;
        if !is_id(id) {
            return Err(coded!(
                InvalidBlobIdException,
                "The blob ID {id} is not valid: give all of its 40 digits"
            ));
        }
        let found = repo.object(id, limits::FILE).await?.filter(|object| object.kind == Kind::Blob);
        let found =
            found.ok_or_else(|| coded!(BlobIdDoesNotExistException, "The blob {id} does not exist"))?;
        let content = found.content.ok_or_else(|| {
            coded!(
                FileTooLargeException,
                "The blob has more than {} bytes: clone the repository to read it",
                limits::FILE
            )
        })?;
        Ok(Blob(content.into()))
    }
}

impl Handle<GetFile> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &GetFile) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:GetFile", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: GetFile) -> Result<GetFileOutput, Fault> {
        Ok(self.get_file(cx, input).await?)
    }
}

impl Handle<GetFolder> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &GetFolder) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:GetFolder", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: GetFolder) -> Result<GetFolderOutput, Fault> {
        Ok(self.get_folder(cx, input).await?)
    }
}

impl Handle<GetBlob> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &GetBlob) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:GetBlob", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: GetBlob) -> Result<GetBlobOutput, Fault> {
        Ok(GetBlobOutput { content: self.get_blob(cx, &input.repository_name, &input.blob_id).await? })
    }
}

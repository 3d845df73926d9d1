//! Repositories.
use std::collections::BTreeMap;

use api::codecommit::*;
use kernel::{Access, Cx, Fault, Handle, ids};
use store::{Batch, Key, PageToken, Row};

use crate::error::{Error, Result, coded};
use crate::records::{Repository, Told};
use crate::{CodeCommit, limits};

/// Where Git finds a repository, as the caller reaches us: AWS's own name for whoever uses AWS's names.
fn clone_url(cx: &Cx, name: &str) -> String {
    let host = cx.base.split_once("://").map_or("", |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if host.is_empty() || host.ends_with(".amazonaws.com") {
        return aws_url(cx, name);
    }
    format!("{}/v1/repos/{name}", cx.base)
}

/// AWS's own name for a repository, which builds and tasks reach.
pub(super) fn aws_url(cx: &Cx, name: &str) -> String {
    format!("https://git-codecommit.{}.amazonaws.com/v1/repos/{name}", cx.region)
}

fn metadata(cx: &Cx, row: Repository) -> RepositoryMetadata {
    RepositoryMetadata {
        account_id: Some(cx.account().to_owned()),
        repository_id: Some(row.id),
        arn: Some(Repository::arn(cx.account(), &cx.region, &row.name)),
        clone_url_http: Some(clone_url(cx, &row.name)),
        repository_name: Some(row.name),
        repository_description: row.description,
        default_branch: row.default_branch,
        last_modified_date: Some(row.modified),
        creation_date: Some(row.created),
        ..RepositoryMetadata::default()
    }
}

fn check_name(name: &str) -> Result<()> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty()
        || name.len() > 100
        || !name.chars().all(word)
        || matches!(name, "." | "..")
        || name.ends_with(".git")
    {
        let message = "The repository name is not valid: 1 to 100 letters, digits, '.', '_' and '-', not ending in .git";
        return Err(coded!(InvalidRepositoryNameException, "{message}"));
    }
    Ok(())
}

fn check_description(text: Option<&str>) -> Result<()> {
    let bad = |text: &str| {
        text.chars().count() > limits::DESCRIPTION
            || text.chars().any(|c| c.is_control() && !c.is_whitespace())
    };
    match text {
        Some(text) if bad(text) => Err(coded!(
            InvalidRepositoryDescriptionException,
            "The description has more than {} characters, or control characters",
            limits::DESCRIPTION
        )),
        _ => Ok(()),
    }
}

/// Tags that may be set.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.len() > limits::TAGS {
        return Err(coded!(TooManyTagsException, "A repository has at most {} tags", limits::TAGS));
    }
    match tags.keys().find(|key| key.starts_with("aws:")) {
        Some(key) => Err(coded!(
            InvalidSystemTagUsageException,
            "The tag key '{key}' is AWS's own: it begins with aws:"
        )),
        None => Ok(()),
    }
}

impl CodeCommit {
    async fn change(&self, cx: &Cx, name: &str, change: impl Fn(&mut Repository)) -> Result<()> {
        self.store
            .update(|| async {
                let mut row = self.found(cx, name).await?;
                change(&mut row.value);
                row.value.modified = self.clock.now();
                Ok((Batch::new().update(&row), ()))
            })
            .await
    }

    async fn create_repository(&self, cx: &Cx, input: CreateRepository) -> Result<RepositoryMetadata> {
        let name = input.repository_name;
        check_name(&name)?;
        check_description(input.repository_description.as_deref())?;
        let tags = input.tags.unwrap_or_default();
        check_tags(&tags)?;
        if input.kms_key_id.is_some() {
            return Err(Error::NotImplemented("kmsKeyId is not served: leave it out.".into()));
        }
        let (key, now) = (Repository::key(cx.account(), &cx.region, &name), self.clock.now());
        let exists = || coded!(RepositoryNameExistsException, "Repository named {name} already exists");
        if self.store.get::<Repository>(&key).await?.is_some() {
            return Err(exists());
        }
        if self.store.count::<Repository>(Key::new(cx.account(), &cx.region)).await? >= limits::REPOSITORIES {
            return Err(coded!(
                RepositoryLimitExceededException,
                "There are {} repositories",
                limits::REPOSITORIES
            ));
        }
        let row = Repository {
            name: name.clone(),
            id: ids::uuid(&*self.entropy),
            description: input.repository_description.filter(|text| !text.is_empty()),
            default_branch: None,
            created: now,
            modified: now,
            tags,
        };
        // The folder is there before its row: what a crash leaves between is swept.
        self.git.create(&row.id).await?;
        match self.store.commit(Batch::new().create(&key, &row)).await {
            Ok(_) => Ok(metadata(cx, row)),
            Err(error) => {
                self.git.remove(&row.id).await?;
                Err(if error.is_conflict() { exists() } else { error.into() })
            }
        }
    }

    async fn delete_repository(&self, cx: &Cx, name: &str) -> Result<Option<String>> {
        let key = Repository::key(cx.account(), &cx.region, name);
        let gone = self
            .store
            .update(|| async {
                let Some(row) = self.store.get::<Repository>(&key).await? else {
                    return Ok((Batch::new(), None));
                };
                let told = Told::key(cx.account(), &cx.region, &row.value.id);
                Ok::<_, Error>((Batch::new().remove(&row).delete::<Told>(&told), Some(row.value.id)))
            })
            .await?;
        if let Some(id) = &gone {
            self.git.remove(id).await?;
        }
        Ok(gone)
    }

    async fn rename(&self, cx: &Cx, old: &str, new: &str) -> Result<()> {
        check_name(new)?;
        self.store
            .update(|| async {
                let mut row = self.found(cx, old).await?;
                let key = Repository::key(cx.account(), &cx.region, new);
                if self.store.get::<Repository>(&key).await?.is_some() {
                    return Err(coded!(
                        RepositoryNameExistsException,
                        "Repository named {new} already exists"
                    ));
                }
                row.value.name = new.to_owned();
                row.value.modified = self.clock.now();
                Ok((Batch::new().remove(&row).create(&key, &row.value), ()))
            })
            .await
    }

    async fn list_repositories(&self, cx: &Cx, input: ListRepositories) -> Result<ListRepositoriesOutput> {
        let by_date = match input.sort_by.as_deref() {
            None | Some("repositoryName") => false,
            Some("lastModifiedDate") => true,
            Some(other) => {
                return Err(coded!(
                    InvalidSortByException,
                    "sortBy '{other}' is not repositoryName or lastModifiedDate"
                ));
            }
        };
        let down = match input.order.as_deref() {
            None | Some("ascending") => false,
            Some("descending") => true,
            Some(other) => {
                return Err(coded!(InvalidOrderException, "order '{other}' is not ascending or descending"));
            }
        };
        let list = format!("ListRepositories {by_date} {down}");
        let start = PageToken::<usize>::position(&list, input.next_token.as_deref());
        let start = start.map_err(|e| coded!(InvalidContinuationTokenException, "{e}"))?.unwrap_or(0);
        let mut rows: Vec<Row<Repository>> =
            self.store.all::<Repository>(Key::new(cx.account(), &cx.region)).await?;
        if by_date {
            rows.sort_by_key(|row| row.value.modified);
        }
        if down {
            rows.reverse();
        }
        let more = rows.len() > start.saturating_add(limits::PAGE);
        let page = rows.into_iter().skip(start).take(limits::PAGE).map(|row| RepositoryNameIdPair {
            repository_name: Some(row.value.name),
            repository_id: Some(row.value.id),
        });
        Ok(ListRepositoriesOutput {
            repositories: Some(page.collect()),
            next_token: more.then(|| PageToken::encode(&list, start + limits::PAGE)),
        })
    }

    async fn set_default_branch(&self, cx: &Cx, name: &str, branch: &str) -> Result<()> {
        let repo = self.repo(cx, name).await?;
        if !repo.refs().await?.contains_key(&format!("refs/heads/{branch}")) {
            return Err(coded!(BranchDoesNotExistException, "Branch {branch} does not exist"));
        }
        self.change(cx, name, |row| row.default_branch = Some(branch.to_owned())).await?;
        Ok(repo.set_head(branch).await?)
    }
}

impl Handle<CreateRepository> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &CreateRepository) -> Result<Vec<Access>, Fault> {
        let mut want = vec![Self::access(cx, "codecommit:CreateRepository", &input.repository_name)];
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            want.push(Self::access(cx, "codecommit:TagResource", &input.repository_name));
        }
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: CreateRepository) -> Result<CreateRepositoryOutput, Fault> {
        let repository_metadata = Some(self.create_repository(cx, input).await?);
        Ok(CreateRepositoryOutput { repository_metadata })
    }
}

impl Handle<GetRepository> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &GetRepository) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:GetRepository", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: GetRepository) -> Result<GetRepositoryOutput, Fault> {
        let row = self.found(cx, &input.repository_name).await?.value;
        Ok(GetRepositoryOutput { repository_metadata: Some(metadata(cx, row)) })
    }
}

impl Handle<BatchGetRepositories> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &BatchGetRepositories) -> Result<Vec<Access>, Fault> {
        let names = input.repository_names.iter().take(limits::BATCH_REPOSITORIES);
        Ok(names.map(|name| Self::access(cx, "codecommit:BatchGetRepositories", name)).collect())
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: BatchGetRepositories,
    ) -> Result<BatchGetRepositoriesOutput, Fault> {
        let limit = limits::BATCH_REPOSITORIES;
        if input.repository_names.len() > limit {
            return Err(
                coded!(MaximumRepositoryNamesExceededException, "There are more than {limit} names").into()
            );
        }
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in input.repository_names {
            let key = Repository::key(cx.account(), &cx.region, &name);
            match self.store.get::<Repository>(&key).await? {
                Some(row) => found.push(metadata(cx, row.value)),
                None => missing.push(name),
            }
        }
        let error = |name: &String| BatchGetRepositoriesError {
            repository_name: Some(name.clone()),
            error_code: Some("RepositoryDoesNotExistException".into()),
            error_message: Some(format!("{name} does not exist")),
            ..BatchGetRepositoriesError::default()
        };
        Ok(BatchGetRepositoriesOutput {
            repositories: Some(found),
            errors: Some(missing.iter().map(error).collect()),
            repositories_not_found: Some(missing),
        })
    }
}

impl Handle<ListRepositories> for CodeCommit {
    async fn access(&self, _: &Cx, _: &ListRepositories) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codecommit:ListRepositories", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListRepositories) -> Result<ListRepositoriesOutput, Fault> {
        Ok(self.list_repositories(cx, input).await?)
    }
}

impl Handle<DeleteRepository> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &DeleteRepository) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:DeleteRepository", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: DeleteRepository) -> Result<DeleteRepositoryOutput, Fault> {
        let repository_id = self.delete_repository(cx, &input.repository_name).await?;
        Ok(DeleteRepositoryOutput { repository_id })
    }
}

impl Handle<UpdateRepositoryName> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &UpdateRepositoryName) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:UpdateRepositoryName", &input.old_name)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: UpdateRepositoryName,
    ) -> Result<UpdateRepositoryNameOutput, Fault> {
        self.rename(cx, &input.old_name, &input.new_name).await?;
        Ok(UpdateRepositoryNameOutput {})
    }
}

impl Handle<UpdateRepositoryDescription> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &UpdateRepositoryDescription) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:UpdateRepositoryDescription", &input.repository_name)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: UpdateRepositoryDescription,
    ) -> Result<UpdateRepositoryDescriptionOutput, Fault> {
        check_description(input.repository_description.as_deref())?;
        let description = input.repository_description.filter(|text| !text.is_empty());
        self.change(cx, &input.repository_name, |row| row.description.clone_from(&description)).await?;
        Ok(UpdateRepositoryDescriptionOutput {})
    }
}

impl Handle<UpdateDefaultBranch> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &UpdateDefaultBranch) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:UpdateDefaultBranch", &input.repository_name)])
    }

    async fn handle(&self, cx: &Cx, input: UpdateDefaultBranch) -> Result<UpdateDefaultBranchOutput, Fault> {
        self.set_default_branch(cx, &input.repository_name, &input.default_branch_name).await?;
        Ok(UpdateDefaultBranchOutput {})
    }
}

impl Handle<GetRepositoryTriggers> for CodeCommit {
    async fn access(&self, cx: &Cx, input: &GetRepositoryTriggers) -> Result<Vec<Access>, Fault> {
        Ok(vec![Self::access(cx, "codecommit:GetRepositoryTriggers", &input.repository_name)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: GetRepositoryTriggers,
    ) -> Result<GetRepositoryTriggersOutput, Fault> {
        self.found(cx, &input.repository_name).await?;
        // None can be put: events are how others hear of a repository.
        Ok(GetRepositoryTriggersOutput { triggers: Some(Vec::new()), ..Default::default() })
    }
}

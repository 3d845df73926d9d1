//! Builds that exist: looking at them, stopping and deleting them.
use api::codebuild::*;
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, Key, PageToken, Row};

use super::{arn, bare, on_project, on_projects, scope};
use crate::error::Error;
use crate::records::{BuildId, BuildRow, Stage};
use crate::{CodeBuild, limits};

/// The projects of these build ids; those that are no ids name no project and are refused later.
fn projects(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| BuildId::parse(id).map_or_else(|| id.clone(), |id| id.project)).collect()
}

impl Handle<BatchGetBuilds> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &BatchGetBuilds) -> Result<Vec<Access>, Fault> {
        Ok(on_projects(cx, "codebuild:BatchGetBuilds", projects(&input.ids).iter().map(String::as_str)))
    }

    async fn handle(&self, cx: &Cx, input: BatchGetBuilds) -> Result<BatchGetBuildsOutput, Fault> {
        if input.ids.len() > limits::BATCH {
            return Err(Error::invalid(format!("ids: at most {} are allowed", limits::BATCH)).into());
        }
        let (mut builds, mut missing) = (Vec::new(), Vec::new());
        for id in input.ids {
            match self.find(cx, &id).await? {
                Some(row) => builds.push(row.value.build),
                None => missing.push(id),
            }
        }
        Ok(BatchGetBuildsOutput { builds: Some(builds), builds_not_found: Some(missing) })
    }
}

impl Handle<ListBuilds> for CodeBuild {
    async fn access(&self, _: &Cx, _: &ListBuilds) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codebuild:ListBuilds", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListBuilds) -> Result<ListBuildsOutput, Fault> {
        let page =
            self.page("ListBuilds", scope(cx), input.sort_order.as_deref(), input.next_token.as_deref());
        let (ids, next_token) = page.await?;
        Ok(ListBuildsOutput { ids: Some(ids), next_token })
    }
}

impl Handle<ListBuildsForProject> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &ListBuildsForProject) -> Result<Vec<Access>, Fault> {
        Ok(on_project(cx, "codebuild:ListBuildsForProject", &input.project_name))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: ListBuildsForProject,
    ) -> Result<ListBuildsForProjectOutput, Fault> {
        let name = bare(&input.project_name);
        let prefix = scope(cx).text(name);
        if self.store.count::<BuildRow>(prefix.clone()).await? == 0 {
            self.project(cx, name).await?;
        }
        let list = format!("ListBuildsForProject/{name}");
        let page = self.page(&list, prefix, input.sort_order.as_deref(), input.next_token.as_deref());
        let (ids, next_token) = page.await?;
        Ok(ListBuildsForProjectOutput { ids: Some(ids), next_token })
    }
}

impl Handle<StopBuild> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &StopBuild) -> Result<Vec<Access>, Fault> {
        let ids = [input.id.clone()];
        Ok(on_projects(cx, "codebuild:StopBuild", projects(&ids).iter().map(String::as_str)))
    }

    /// Asks for it: the build shows STOPPED when it has. One that has ended stays as it is.
    async fn handle(&self, cx: &Cx, input: StopBuild) -> Result<StopBuildOutput, Fault> {
        let stopped = self.store.update(|| async {
            let mut row = self.build(cx, &input.id).await?;
            let running = !matches!(row.value.run.stage, Stage::Clean | Stage::Done);
            let batch = if running && !row.value.run.stop {
                row.value.run.stop = true;
                Batch::new().update(&row)
            } else {
                Batch::new()
            };
            Ok::<_, Error>((batch, row.value.build))
        });
        Ok(StopBuildOutput { build: Some(stopped.await?) })
    }
}

impl Handle<BatchDeleteBuilds> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &BatchDeleteBuilds) -> Result<Vec<Access>, Fault> {
        Ok(on_projects(cx, "codebuild:BatchDeleteBuilds", projects(&input.ids).iter().map(String::as_str)))
    }

    async fn handle(&self, cx: &Cx, input: BatchDeleteBuilds) -> Result<BatchDeleteBuildsOutput, Fault> {
        if input.ids.len() > limits::BATCH {
            return Err(Error::invalid(format!("ids: at most {} are allowed", limits::BATCH)).into());
        }
        let (mut deleted, mut kept) = (Vec::new(), Vec::new());
        for id in input.ids {
            let outcome = match self.find(cx, &id).await? {
                None => Err("BUILD_NOT_FOUND"),
                Some(row) if row.value.run.stage != Stage::Done => Err("BUILD_IN_PROGRESS"),
                Some(row) => {
                    self.store.commit(Batch::new().delete::<BuildRow>(&row.key)).await?;
                    Ok(row.value.build.arn.unwrap_or_default())
                }
            };
            match outcome {
                Ok(arn) => deleted.push(arn),
                Err(code) => kept.push(BuildNotDeleted { id: Some(id), status_code: Some(code.into()) }),
            }
        }
        Ok(BatchDeleteBuildsOutput { builds_deleted: Some(deleted), builds_not_deleted: Some(kept) })
    }
}

impl CodeBuild {
    async fn find(&self, cx: &Cx, id: &str) -> Result<Option<Row<BuildRow>>, Error> {
        match BuildId::parse(id).filter(|id| !id.is_action()) {
            Some(id) => Ok(self.store.get::<BuildRow>(&id.key(scope(cx))).await?),
            None => Ok(None),
        }
    }

    /// A build by id or ARN.
    pub(crate) async fn build(&self, cx: &Cx, id: &str) -> Result<Row<BuildRow>, Error> {
        let missing =
            || Error::NotFound(format!("Build cannot be found: {}", arn(cx, &format!("build/{id}"))));
        self.find(cx, id).await?.ok_or_else(missing)
    }

    /// Newest first, unless asked otherwise.
    async fn page(
        &self,
        list: &str,
        prefix: Key,
        order: Option<&str>,
        token: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        let ascending = order == Some("ASCENDING");
        let list = format!("{list}/{ascending}");
        let from: Option<u64> = PageToken::position(&list, token)?;
        let mut rows: Vec<Row<BuildRow>> = if ascending {
            self.store.list_by_seq(prefix, from.unwrap_or(0), limits::PAGE + 1).await?
        } else {
            self.store.list_newest(prefix, from, limits::PAGE + 1).await?
        };
        let more = rows.len() > limits::PAGE;
        rows.truncate(limits::PAGE);
        let next = rows.last().filter(|_| more).map(|row| PageToken::encode(&list, row.created));
        let ids = rows.iter().map(|row| BuildId::of(&row.key)).filter(|id| !id.is_action());
        Ok((ids.map(|id| id.to_string()).collect(), next))
    }
}

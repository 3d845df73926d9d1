//! Projects.
use api::codebuild::*;
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, PageToken, Row};

use super::{arn, bare, on_project, on_projects, scope, validate};
use crate::error::Error;
use crate::records::ProjectRow;
use crate::{CodeBuild, limits, vpc};

impl Handle<CreateProject> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &CreateProject) -> Result<Vec<Access>, Fault> {
        let mut want = on_project(cx, "codebuild:CreateProject", &input.name);
        want.push(Access::pass_role(&input.service_role, "codebuild.amazonaws.com"));
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: CreateProject) -> Result<CreateProjectOutput, Fault> {
        validate::name(&input.name)?;
        let now = self.clock.now();
        let badge = input.badge_enabled.unwrap_or(false);
        let project = Project {
            arn: Some(arn(cx, &format!("project/{}", input.name))),
            name: Some(input.name),
            description: input.description,
            source: Some(input.source),
            secondary_sources: input.secondary_sources,
            source_version: input.source_version,
            secondary_source_versions: input.secondary_source_versions,
            artifacts: Some(input.artifacts),
            secondary_artifacts: input.secondary_artifacts,
            cache: Some(input.cache.unwrap_or_else(no_cache)),
            environment: Some(input.environment),
            service_role: Some(input.service_role),
            timeout_in_minutes: Some(input.timeout_in_minutes.unwrap_or(60)),
            queued_timeout_in_minutes: Some(input.queued_timeout_in_minutes.unwrap_or(480)),
            encryption_key: Some(input.encryption_key.unwrap_or_else(|| default_key(cx))),
            tags: Some(input.tags.unwrap_or_default()),
            created: Some(now),
            last_modified: Some(now),
            vpc_config: input.vpc_config,
            badge: Some(ProjectBadge { badge_enabled: Some(badge), ..ProjectBadge::default() }),
            logs_config: input.logs_config,
            file_system_locations: input.file_system_locations,
            build_batch_config: input.build_batch_config,
            concurrent_build_limit: input.concurrent_build_limit,
            project_visibility: Some("PRIVATE".into()),
            auto_retry_limit: input.auto_retry_limit,
            ..Project::default()
        };
        validate::project(&project)?;
        in_vpc(cx, &project).await?;
        let name = project.name.clone().unwrap_or_default();
        let row = ProjectRow { project: project.clone(), badge };
        match self.store.commit(Batch::new().create(&scope(cx).text(&name), &row)).await {
            Err(error) if error.is_conflict() => {
                let arn = project.arn.unwrap_or_default();
                Err(Error::Exists(format!("Project already exists: {arn}")).into())
            }
            done => {
                done.map_err(Error::from)?;
                Ok(CreateProjectOutput { project: Some(project) })
            }
        }
    }
}

/// The VPC of a project, looked at under its role, as its builds will be.
async fn in_vpc(cx: &Cx, project: &Project) -> Result<(), Error> {
    let Some(wanted) = vpc::wanted(project) else { return Ok(()) };
    let role = project.service_role.as_deref().unwrap_or_default();
    let cx = cx.as_role("codebuild.amazonaws.com", role, "create-project").await?;
    vpc::check(&cx, wanted).await
}

fn no_cache() -> ProjectCache {
    ProjectCache { r#type: "NO_CACHE".into(), ..ProjectCache::default() }
}

fn default_key(cx: &Cx) -> String {
    format!("arn:aws:kms:{}:{}:alias/aws/s3", cx.region, cx.account())
}

impl Handle<UpdateProject> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &UpdateProject) -> Result<Vec<Access>, Fault> {
        let mut want = on_project(cx, "codebuild:UpdateProject", &input.name);
        if let Some(role) = &input.service_role {
            want.push(Access::pass_role(role, "codebuild.amazonaws.com"));
        }
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: UpdateProject) -> Result<UpdateProjectOutput, Fault> {
        let updated = self.store.update(|| async {
            let mut row = self.project(cx, &input.name).await?;
            change(&mut row.value, &input);
            row.value.project.last_modified = Some(self.clock.now());
            validate::project(&row.value.project)?;
            if input.vpc_config.is_some() {
                in_vpc(cx, &row.value.project).await?;
            }
            let project = row.value.project.clone();
            Ok::<_, Error>((Batch::new().update(&row), project))
        });
        Ok(UpdateProjectOutput { project: Some(updated.await?) })
    }
}

/// What is given replaces; what is not stays.
fn change(row: &mut ProjectRow, input: &UpdateProject) {
    let project = &mut row.project;
    macro_rules! replace {
        ($($member:ident),*) => {$(
            if input.$member.is_some() {
                project.$member = input.$member.clone();
            }
        )*};
    }
    replace!(
        description,
        source,
        secondary_sources,
        source_version,
        secondary_source_versions,
        artifacts,
        secondary_artifacts,
        cache,
        environment,
        service_role,
        timeout_in_minutes,
        queued_timeout_in_minutes,
        encryption_key,
        tags,
        vpc_config,
        logs_config,
        file_system_locations,
        build_batch_config,
        auto_retry_limit
    );
    // -1 takes the limit away.
    match input.concurrent_build_limit {
        Some(limit) if limit < 0 => project.concurrent_build_limit = None,
        Some(limit) => project.concurrent_build_limit = Some(limit),
        None => {}
    }
    if let Some(badge) = input.badge_enabled {
        row.badge = badge;
        project.badge = Some(ProjectBadge { badge_enabled: Some(badge), ..ProjectBadge::default() });
    }
}

impl Handle<DeleteProject> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &DeleteProject) -> Result<Vec<Access>, Fault> {
        Ok(on_project(cx, "codebuild:DeleteProject", &input.name))
    }

    /// Deleting what is not there is fine, as on AWS. Builds stay.
    async fn handle(&self, cx: &Cx, input: DeleteProject) -> Result<DeleteProjectOutput, Fault> {
        let key = scope(cx).text(bare(&input.name));
        self.store.commit(Batch::new().delete::<ProjectRow>(&key)).await?;
        Ok(DeleteProjectOutput {})
    }
}

impl Handle<BatchGetProjects> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &BatchGetProjects) -> Result<Vec<Access>, Fault> {
        Ok(on_projects(cx, "codebuild:BatchGetProjects", input.names.iter().map(String::as_str)))
    }

    async fn handle(&self, cx: &Cx, input: BatchGetProjects) -> Result<BatchGetProjectsOutput, Fault> {
        if input.names.len() > limits::BATCH {
            return Err(Error::invalid(format!("names: at most {} are allowed", limits::BATCH)).into());
        }
        let (mut projects, mut missing) = (Vec::new(), Vec::new());
        for name in input.names {
            match self.store.get::<ProjectRow>(&scope(cx).text(bare(&name))).await? {
                Some(row) => projects.push(row.value.project),
                None => missing.push(name),
            }
        }
        Ok(BatchGetProjectsOutput { projects: Some(projects), projects_not_found: Some(missing) })
    }
}

impl Handle<ListProjects> for CodeBuild {
    async fn access(&self, _: &Cx, _: &ListProjects) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codebuild:ListProjects", "*")])
    }

    /// Sorted in memory: projects are few, and AWS sorts by times that change.
    async fn handle(&self, cx: &Cx, input: ListProjects) -> Result<ListProjectsOutput, Fault> {
        let mut rows = self.store.all::<ProjectRow>(scope(cx)).await?;
        let project = |row: &Row<ProjectRow>| row.value.project.clone();
        match input.sort_by.as_deref().unwrap_or("NAME") {
            "CREATED_TIME" => rows.sort_by_key(|row| project(row).created),
            "LAST_MODIFIED_TIME" => rows.sort_by_key(|row| project(row).last_modified),
            _ => {}
        }
        if input.sort_order.as_deref() == Some("DESCENDING") {
            rows.reverse();
        }
        let list = format!("ListProjects/{:?}/{:?}", input.sort_by, input.sort_order);
        let from = PageToken::<usize>::position(&list, input.next_token.as_deref())
            .map_err(Error::from)?
            .unwrap_or(0);
        let names: Vec<String> = rows
            .iter()
            .skip(from)
            .take(limits::PAGE)
            .filter_map(|row| row.value.project.name.clone())
            .collect();
        let next = from + limits::PAGE;
        let next_token = (next < rows.len()).then(|| PageToken::encode(&list, next));
        Ok(ListProjectsOutput { next_token, projects: Some(names) })
    }
}

impl CodeBuild {
    /// A project by name or ARN.
    pub(crate) async fn project(&self, cx: &Cx, name: &str) -> Result<Row<ProjectRow>, Error> {
        let found = self.store.get::<ProjectRow>(&scope(cx).text(bare(name))).await?;
        found.ok_or_else(|| {
            Error::NotFound(format!(
                "Project cannot be found: {}",
                arn(cx, &format!("project/{}", bare(name)))
            ))
        })
    }
}

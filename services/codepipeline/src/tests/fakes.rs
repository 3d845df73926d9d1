//! The services that CodePipeline calls, as far as it can tell. They outlive a restart, as the real ones' state does.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use api::internal::{
    FetchSource, FetchSourceOutput, FetchedCommit, GetActionBuild, StartActionBuild, StartPipelineBuild,
    UploadArchive, UploadArchiveOutput,
};
use api::s3::{
    DeleteObject, GetObject, GetObjectOutput, HeadObject, Object, PutObject, PutObjectOnce, PutObjectOutput,
};
use api::{cloudwatch, codebuild, codecommit, ecr, ecs};
use bytes::Bytes;
use http_body_util::BodyExt;
use kernel::{Access, Cx, Fault, Handle, Ops, Stream};

#[derive(Default)]
pub struct Memory {
    /// Objects by `bucket/key`.
    pub objects: BTreeMap<String, Bytes>,
    /// Content types and headers of objects.
    pub headers: BTreeMap<String, BTreeMap<String, String>>,
    pub head: String,
    /// Builds in the order they were made.
    pub builds: Vec<(StartPipelineBuild, codebuild::Build)>,
    /// Builds of actions' own commands, in the order they were made.
    pub commands: Vec<(StartActionBuild, codebuild::Build)>,
    /// Builds end with this as soon as they start.
    pub builds_end: Option<&'static str>,
    /// Builds of commands go on until the test ends them; else they end well at once.
    pub commands_wait: bool,
    pub definitions: Vec<ecs::TaskDefinition>,
    pub service: ecs::Service,
    /// State of the alarm `errors`, and since when.
    pub alarm: Option<(&'static str, kernel::Timestamp)>,
    /// A deployment stays in progress until the test says so.
    pub slow: bool,
    /// The functions that are configured.
    pub functions: crate::Functions,
    /// What was done, in order.
    pub done: Vec<String>,
}

pub struct Fakes(Mutex<Memory>);

impl Fakes {
    pub fn new() -> Arc<Self> {
        let container = |name: &str| ecs::ContainerDefinition {
            name: Some(name.into()),
            image: Some("old".into()),
            ..Default::default()
        };
        let first = ecs::TaskDefinition {
            task_definition_arn: Some("arn:aws:ecs:us-east-1:000000000000:task-definition/web:1".into()),
            container_definitions: Some(vec![container("app"), container("side")]),
            family: Some("web".into()),
            revision: Some(1),
            cpu: Some("256".into()),
            status: Some("ACTIVE".into()),
            ..Default::default()
        };
        let service = ecs::Service {
            service_name: Some("s".into()),
            status: Some("ACTIVE".into()),
            task_definition: first.task_definition_arn.clone(),
            ..Default::default()
        };
        let memory =
            Memory { head: "c0ffee1".into(), definitions: vec![first], service, ..Memory::default() };
        Arc::new(Self(Mutex::new(memory)))
    }

    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap()
    }

    pub fn functions(&self) -> crate::Functions {
        self.memory().functions.clone()
    }

    pub fn push(&self, commit: &str) {
        self.memory().head = commit.into();
    }

    /// Ends the newest build and answers its id.
    pub fn end_build(&self, status: &str) -> String {
        let mut memory = self.memory();
        let (asked, build) = memory.builds.last_mut().expect("a build");
        end(build, status);
        let outputs = asked.outputs.clone();
        let id = build.id.clone().unwrap();
        if status == "SUCCEEDED" {
            for output in outputs {
                memory.objects.insert(format!("{}/{}", output.bucket, output.key), images());
            }
        }
        id
    }

    /// Ends the newest build of commands and answers its id.
    pub fn end_commands(&self, status: &str) -> String {
        let mut memory = self.memory();
        let (_, build) = memory.commands.last_mut().expect("a build of commands");
        end(build, status);
        build.id.clone().unwrap()
    }

    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops.op::<codecommit::GetBranch, _>(self)
            .op::<codecommit::GetCommit, _>(self)
            .internal::<UploadArchive, _>(self)
            .internal::<FetchSource, _>(self)
            .internal::<GetObject, _>(self)
            .internal::<HeadObject, _>(self)
            .internal::<PutObject, _>(self)
            .internal::<PutObjectOnce, _>(self)
            .internal::<DeleteObject, _>(self)
            .internal::<StartPipelineBuild, _>(self)
            .internal::<StartActionBuild, _>(self)
            .internal::<GetActionBuild, _>(self)
            .op::<codebuild::BatchGetBuilds, _>(self)
            .op::<cloudwatch::DescribeAlarms, _>(self)
            .op::<ecr::DescribeImages, _>(self)
            .op::<ecs::DescribeServices, _>(self)
            .op::<ecs::DescribeTaskDefinition, _>(self)
            .op::<ecs::RegisterTaskDefinition, _>(self)
            .op::<ecs::UpdateService, _>(self);
    }
}

fn end(build: &mut codebuild::Build, status: &str) {
    build.build_status = Some(status.into());
    let phase = |name: &str, status: &str| codebuild::BuildPhase {
        phase_type: Some(name.into()),
        phase_status: Some(status.into()),
        ..Default::default()
    };
    let mut broken = phase("BUILD", status);
    broken.contexts = Some(vec![codebuild::PhaseContext {
        status_code: Some("COMMAND_EXECUTION_ERROR".into()),
        message: Some("Error while executing command: false. Reason: exit status 1".into()),
    }]);
    build.phases = Some(vec![phase("INSTALL", "SUCCEEDED"), broken]);
    build.exported_environment_variables = Some(vec![codebuild::ExportedEnvironmentVariable {
        name: Some("TAG".into()),
        value: Some("v1".into()),
    }]);
}

/// An artifact with `imagedefinitions.json`.
pub fn images() -> Bytes {
    zip(&[("imagedefinitions.json", r#"[{"name":"app","imageUri":"registry/app:new"}]"#)])
}

pub fn zip(files: &[(&str, &str)]) -> Bytes {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner().into()
}

/// Operations of a fake: the permission, and what it does.
macro_rules! fake {
    ($($op:ty => $output:ty, $action:literal: $handle:expr;)*) => {$(
        impl Handle<$op> for Fakes {
            async fn access(&self, _: &Cx, _: &$op) -> Result<Vec<Access>, Fault> {
                Ok(vec![Access::new($action, "*")])
            }
            async fn handle(&self, cx: &Cx, input: $op) -> Result<$output, Fault> {
                let handle: fn(&mut Memory, &Cx, $op) -> Result<$output, Fault> = $handle;
                handle(&mut self.memory(), cx, input)
            }
        }
    )*};
}

fake! {
    codecommit::GetBranch => codecommit::GetBranchOutput, "codecommit:GetBranch": |m, _, input| {
        if input.repository_name.as_deref() != Some("repo") {
            return Err(Fault::client("RepositoryDoesNotExistException", "no such repository"));
        }
        let branch = codecommit::BranchInfo { branch_name: input.branch_name, commit_id: Some(m.head.clone()) };
        Ok(codecommit::GetBranchOutput { branch: Some(branch) })
    };
    codecommit::GetCommit => codecommit::GetCommitOutput, "codecommit:GetCommit": |_, _, input| {
        let who = codecommit::UserInfo { date: Some("1767225600 +0100".into()), ..Default::default() };
        let message = Some(format!("message of {}\n", input.commit_id));
        let commit = codecommit::Commit { message, author: Some(who.clone()), committer: Some(who), ..Default::default() };
        Ok(codecommit::GetCommitOutput { commit })
    };
    UploadArchive => UploadArchiveOutput, "codecommit:UploadArchive": |m, _, input| {
        m.done.push(format!("archive {}", input.commit_id));
        Ok(UploadArchiveOutput { archive: Stream::from(zip(&[("commit", &input.commit_id)])) })
    };
    FetchSource => FetchSourceOutput, "codeconnections:UseConnection": |m, _, input| {
        let id = input.commit.unwrap_or_else(|| m.head.clone());
        let archive = input.archived.then(|| {
            use std::io::{Seek, Write};
            m.done.push(format!("archive {id}"));
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&zip(&[("commit", &id)])).unwrap();
            file.rewind().unwrap();
            file
        });
        let commit = FetchedCommit { message: format!("message of {id}\n"), id, ..FetchedCommit::default() };
        Ok(FetchSourceOutput { commit, archive })
    };
    GetObject => GetObjectOutput, "s3:GetObject": |m, _, input| {
        let found = m.objects.get(&format!("{}/{}", input.bucket, input.key)).cloned();
        let body = found.ok_or_else(|| Fault::client("NoSuchKey", format!("no {}", input.key)))?;
        Ok(GetObjectOutput { body: Stream::from(body), object: Object::default() })
    };
    HeadObject => Object, "s3:GetObject": |m, _, input| {
        let found = m.objects.get(&format!("{}/{}", input.bucket, input.key)).cloned();
        let body = found.ok_or_else(|| Fault::client("NoSuchKey", format!("no {}", input.key)))?;
        let version_id = (input.bucket != "plain").then(|| input.version_id.unwrap_or("v7".into()));
        Ok(Object { size: body.len() as u64, e_tag: "\"etag\"".into(), version_id, ..Object::default() })
    };
    DeleteObject => (), "s3:DeleteObject": |m, cx, input| {
        assert!(matches!(cx.caller.kind, kernel::PrincipalKind::Service(_)), "{:?}", cx.caller);
        m.objects.remove(&format!("{}/{}", input.bucket, input.key));
        Ok(())
    };
    StartPipelineBuild => codebuild::StartBuildOutput, "codebuild:StartBuild": |m, cx, input| {
        let token = input.build.idempotency_token.clone();
        let before = m.builds.iter().find(|(asked, _)| asked.build.idempotency_token == token);
        if let Some((_, build)) = before {
            return Ok(codebuild::StartBuildOutput { build: Some(build.clone()) });
        }
        let mut build = codebuild::Build {
            id: Some(format!("proj:{}", m.builds.len() + 1)),
            build_status: Some("IN_PROGRESS".into()),
            initiator: Some(cx.caller.arn.clone()),
            ..Default::default()
        };
        m.done.push(format!("build {}", m.builds.len() + 1));
        if let Some(status) = m.builds_end {
            end(&mut build, status);
            for output in &input.outputs {
                m.objects.insert(format!("{}/{}", output.bucket, output.key), images());
            }
        }
        m.builds.push((input, build.clone()));
        Ok(codebuild::StartBuildOutput { build: Some(build) })
    };
    StartActionBuild => codebuild::StartBuildOutput, "codebuild:-": |m, _, input| {
        if let Some((_, build)) = m.commands.iter().find(|(asked, _)| asked.token == input.token) {
            return Ok(codebuild::StartBuildOutput { build: Some(build.clone()) });
        }
        m.done.push(format!("commands {}", m.commands.len() + 1));
        let exported = input.exported.iter().map(|name| codebuild::ExportedEnvironmentVariable {
            name: Some(name.clone()),
            value: Some(format!("the {name}")),
        });
        let build = codebuild::Build {
            id: Some(format!("codepipeline/{}:{}", input.pipeline, m.commands.len() + 1)),
            build_status: Some(if m.commands_wait { "IN_PROGRESS" } else { "SUCCEEDED" }.into()),
            exported_environment_variables: Some(exported.collect()),
            ..Default::default()
        };
        for output in &input.outputs {
            m.objects.insert(format!("{}/{}", output.bucket, output.key), zip(&[("made", "by commands")]));
        }
        m.commands.push((input, build.clone()));
        Ok(codebuild::StartBuildOutput { build: Some(build) })
    };
    GetActionBuild => codebuild::StartBuildOutput, "codebuild:-": |m, _, input| {
        let build = m.commands.iter().map(|(_, build)| build).find(|build| build.id.as_ref() == Some(&input.id));
        Ok(codebuild::StartBuildOutput { build: build.cloned() })
    };
    codebuild::BatchGetBuilds => codebuild::BatchGetBuildsOutput, "codebuild:BatchGetBuilds": |m, _, input| {
        let known = m.builds.iter().map(|(_, build)| build).filter(|b| b.id.as_ref() == input.ids.first());
        Ok(codebuild::BatchGetBuildsOutput { builds: Some(known.cloned().collect()), builds_not_found: None })
    };
    cloudwatch::DescribeAlarms => cloudwatch::DescribeAlarmsOutput, "cloudwatch:DescribeAlarms": |m, _, input| {
        let known = |name: &String| m.alarm.filter(|_| name == "errors");
        let named = input.alarm_names.iter().flatten().find_map(known);
        let alarm = |(state, since): (&str, kernel::Timestamp)| cloudwatch::MetricAlarm {
            alarm_name: Some("errors".into()),
            state_value: Some(state.into()),
            state_reason: Some("because".into()),
            state_transitioned_timestamp: Some(since),
            ..Default::default()
        };
        let metric_alarms = Some(named.into_iter().map(alarm).collect());
        Ok(cloudwatch::DescribeAlarmsOutput { metric_alarms, ..Default::default() })
    };
    ecr::DescribeImages => ecr::DescribeImagesOutput, "ecr:DescribeImages": |_, _, input| {
        let asked = input.image_ids.as_ref().and_then(|ids| ids.first()?.image_digest.clone());
        let detail = ecr::ImageDetail {
            image_digest: asked.or(Some("sha256:abc".into())),
            image_tags: input.image_ids.map(|ids| ids.into_iter().filter_map(|id| id.image_tag).collect()),
            ..Default::default()
        };
        Ok(ecr::DescribeImagesOutput { image_details: Some(vec![detail]), next_token: None })
    };
    ecs::DescribeServices => ecs::DescribeServicesOutput, "ecs:DescribeServices": |m, _, _| {
        let mut service = m.service.clone();
        let state = if m.slow { "IN_PROGRESS" } else { "COMPLETED" };
        service.deployments = Some(vec![ecs::Deployment {
            id: Some("ecs-svc/1".into()),
            status: Some("PRIMARY".into()),
            task_definition: service.task_definition.clone(),
            rollout_state: Some(state.into()),
            ..Default::default()
        }]);
        Ok(ecs::DescribeServicesOutput { services: Some(vec![service]), failures: None })
    };
    ecs::DescribeTaskDefinition => ecs::DescribeTaskDefinitionOutput, "ecs:DescribeTaskDefinition": |m, _, input| {
        let name = input.task_definition;
        let found = m.definitions.iter().rev().find(|definition| {
            definition.task_definition_arn.as_ref() == Some(&name) || definition.family.as_ref() == Some(&name)
        });
        Ok(ecs::DescribeTaskDefinitionOutput { task_definition: found.cloned(), tags: None })
    };
    ecs::RegisterTaskDefinition => ecs::RegisterTaskDefinitionOutput, "ecs:RegisterTaskDefinition": |m, _, input| {
        let revision = m.definitions.len() + 1;
        m.done.push(format!("register web:{revision}"));
        let definition = ecs::TaskDefinition {
            task_definition_arn: Some(format!("arn:aws:ecs:us-east-1:000000000000:task-definition/web:{revision}")),
            container_definitions: Some(input.container_definitions),
            family: Some(input.family),
            revision: i32::try_from(revision).ok(),
            cpu: input.cpu,
            ..Default::default()
        };
        m.definitions.push(definition.clone());
        Ok(ecs::RegisterTaskDefinitionOutput { task_definition: Some(definition), tags: None })
    };
    ecs::UpdateService => ecs::UpdateServiceOutput, "ecs:UpdateService": |m, _, input| {
        m.done.push(format!("roll {}", input.task_definition.clone().unwrap_or_default().rsplit('/').next().unwrap()));
        m.service.task_definition = input.task_definition;
        Ok(ecs::UpdateServiceOutput { service: Some(m.service.clone()) })
    };
}

impl Handle<PutObjectOnce> for Fakes {
    async fn access(&self, _: &Cx, _: &PutObjectOnce) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("s3:PutObject", "*")])
    }

    async fn handle(&self, cx: &Cx, input: PutObjectOnce) -> Result<PutObjectOutput, Fault> {
        Handle::<PutObject>::handle(self, cx, input.put).await
    }
}

impl Handle<PutObject> for Fakes {
    async fn access(&self, _: &Cx, _: &PutObject) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("s3:PutObject", "*")])
    }

    async fn handle(&self, _: &Cx, input: PutObject) -> Result<PutObjectOutput, Fault> {
        match input.acl.as_deref() {
            None | Some("private" | "bucket-owner-full-control") => {}
            Some(_) if input.bucket == "site" => {
                let message = "The bucket does not allow ACLs";
                return Err(Fault::new("AccessControlListNotSupported", 400, message));
            }
            Some(_) => return Err(Fault::new("NotImplemented", 501, "not served")),
        }
        let body = input.body.into_body().collect().await.map_err(Fault::internal)?.to_bytes();
        let mut memory = self.memory();
        let name = format!("{}/{}", input.bucket, input.key);
        let mut headers = input.headers;
        headers.extend(input.content_type.map(|kind| ("content-type".to_owned(), kind)));
        memory.headers.insert(name.clone(), headers);
        memory.objects.insert(name, body);
        Ok(PutObjectOutput { e_tag: "\"etag\"".into(), version_id: None })
    }
}

//! What an action works with: the caller's context under its role, its configuration, its artifacts.
use std::collections::BTreeMap;
use std::io::SeekFrom;
use std::sync::Arc;

use api::codepipeline as cp;
use api::roles::assumed;
use api::s3::{GetObject, PutObject, PutObjectOnce, PutObjectOutput};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use kernel::{Cx, Fault, Ops, Stream};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::actions::Failed;
use crate::desk::{Ask, Declaration, Desk};
use crate::engine::{ActionRun, Artifact, Execution, Kind, Moment, Override, Progress, Trigger};
use crate::hub::Listener;
use crate::records::Place;
use crate::scope::{Scope, Unusable};
use crate::secrets;
use crate::structure;

/// CodePipeline as roles trust it.
pub const PRINCIPAL: &str = "codepipeline.amazonaws.com";
/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;

/// What is to be carried out.
pub struct Order {
    /// The pipeline.
    pub place: Place,
    /// The declaration that the execution runs.
    pub pipeline: Declaration,
    /// The execution, as it was when the action started.
    pub execution: Execution,
    /// The stage.
    pub stage: String,
    /// For a rule: of which condition of the stage.
    pub moment: Option<Moment>,
    /// The action, or the rule.
    pub action: String,
    /// The run, as it was when it was taken up.
    pub run: ActionRun,
}

impl Order {
    /// The rule's declaration, if this is a rule's order.
    pub fn rule(&self) -> Option<&cp::RuleDeclaration> {
        structure::rule(&self.pipeline, &self.stage, self.moment?, &self.action)
    }

    fn scope(&self) -> Option<Scope<'_>> {
        match self.moment {
            Some(moment) => {
                Scope::of_rule(&self.pipeline, &self.execution, &self.stage, moment, &self.action)
            }
            None => Scope::of(&self.pipeline, &self.execution, &self.stage, &self.action),
        }
    }
}

/// A run of an action, or of a rule, ready to be carried out.
pub struct Job {
    /// Calls other services under the action's role.
    pub cx: Cx,
    /// The action's declaration.
    pub declared: cp::ActionDeclaration,
    /// Its configuration, variables replaced.
    pub configuration: BTreeMap<String, String>,
    /// Its commands, variables replaced.
    pub commands: Vec<String>,
    /// Its environment variables, variables replaced.
    pub environment: Vec<(String, String)>,
    /// Its input artifacts, in the order of the declaration.
    pub inputs: Vec<(String, Artifact)>,
    /// Where its output artifacts go, in the order of the declaration.
    pub outputs: Vec<(String, Artifact)>,
    /// Where executions are moved forward.
    pub desk: Arc<Desk>,
    /// What is to be carried out.
    pub order: Order,
}

impl Job {
    /// Takes the role and resolves the configuration.
    pub async fn prepare(desk: Arc<Desk>, ops: Arc<Ops>, order: Order) -> Result<Self, Failed> {
        let region = &order.place.region;
        let scope = order.scope().ok_or_else(|| {
            Failed::new("ConfigurationError", "The pipeline no longer declares this action")
        })?;
        let unusable = |error: Unusable| Failed::new("ConfigurationError", error.to_string());
        let configuration = scope.configuration().map_err(unusable)?;
        let configuration =
            secrets::opened(configuration, &desk.sealer, &order.place, &order.stage, &order.action)?;
        let commands = scope.commands().map_err(unusable)?;
        let environment = scope.environment().map_err(unusable)?;
        let declared = scope.action.clone().into_owned();
        let inputs = scope.inputs();
        if inputs.len() < declared.input_artifacts.as_ref().map_or(0, Vec::len) {
            let message = "An input artifact was not made in this execution";
            return Err(Failed::new("ConfigurationError", message));
        }
        let outputs = scope.outputs(region, &order.run.id);
        drop(scope);
        let roles = (order.pipeline.role_arn.as_str(), declared.role_arn.as_deref());
        let cx = acting(&ops, &order.place, roles, &order.run.id).await?;
        Ok(Self { cx, declared, configuration, commands, environment, inputs, outputs, desk, order })
    }

    /// The configuration, variables replaced, with its secrets sealed: as it may be stored.
    pub fn sealed(&self) -> Result<BTreeMap<String, String>, Failed> {
        let resolved = self.scope()?.configuration();
        resolved.map_err(|error| Failed::new("ConfigurationError", error.to_string()))
    }

    fn scope(&self) -> Result<Scope<'_>, Failed> {
        let gone = || Failed::new("ConfigurationError", "The pipeline no longer declares this action");
        self.order.scope().ok_or_else(gone)
    }

    /// The run's id: the token of everything that is done for it.
    pub fn id(&self) -> &str {
        &self.order.run.id
    }

    /// The pipeline's name.
    pub fn pipeline(&self) -> &str {
        &self.order.place.name
    }

    /// The pipeline's role, if the action's is another: it has taken that.
    pub fn through(&self) -> Option<&str> {
        let pipeline = &self.order.pipeline.role_arn;
        self.declared.role_arn.as_ref().filter(|role| *role != pipeline).map(|_| pipeline.as_str())
    }

    /// The account.
    pub fn account(&self) -> &str {
        &self.order.place.account
    }

    /// The Region.
    pub fn region(&self) -> &str {
        &self.order.place.region
    }

    /// The declared action's configuration value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.configuration.get(key).map(String::as_str)
    }

    /// A value that the declaration was checked to have.
    pub fn need(&self, key: &str) -> Result<&str, Failed> {
        let missing = || Failed::new("ConfigurationError", format!("The configuration key '{key}' is empty"));
        self.get(key).filter(|value| !value.is_empty()).ok_or_else(missing)
    }

    /// What the run last had to show, and its checkpoint, when it was taken up: a run that goes on after a restart
    /// finds here what it left.
    pub fn left(&self) -> &Progress {
        &self.order.run.progress
    }

    /// Now.
    pub fn now(&self) -> kernel::Timestamp {
        self.desk.now()
    }

    /// When the run began.
    pub fn begun(&self) -> kernel::Timestamp {
        kernel::Timestamp::from_millisecond(self.order.run.begun).unwrap_or_default()
    }

    /// The revision of this type that the start of the execution asked this action to take.
    pub fn revision(&self, kind: &str) -> Option<&str> {
        let mine = |wanted: &&Override| wanted.action == self.order.action && wanted.kind == kind;
        self.order.execution.overrides.iter().find(mine).map(|wanted| wanted.value.as_str())
    }

    /// What started the execution.
    pub fn trigger(&self) -> &Trigger {
        &self.order.execution.trigger
    }

    /// The declared action's name.
    pub fn action(&self) -> &str {
        &self.order.action
    }

    /// The revision of an input artifact that a source action made.
    pub fn revision_of(&self, artifact: &str) -> Option<&str> {
        let mut outputs = self.order.execution.outputs();
        let (.., made) = outputs.find(|(.., output)| output.artifacts.contains_key(artifact))?;
        made.revision.as_ref().map(|revision| revision.id.as_str())
    }

    /// Keeps and shows progress; durable when this returns.
    pub async fn progress(&self, progress: Progress) -> Result<(), Failed> {
        let id = self.order.run.id.clone();
        let told = self.desk.tell(&self.order.place, Some(&id), |state| {
            let kind = Kind::ActionProgressed { id: id.clone(), progress: progress.clone() };
            Ok(Ask::of(state.is_running(&id).then_some(kind), ()))
        });
        told.await.map_err(|error| Failed::from(error.fault()))
    }

    /// Listens to events from now on. Look after this, then wait.
    pub fn listen(&self) -> Listener {
        self.desk.hub.listen()
    }

    /// The only output artifact of actions that have one.
    pub fn output(&self) -> Result<&(String, Artifact), Failed> {
        self.outputs
            .first()
            .ok_or_else(|| Failed::new("ConfigurationError", "The action has no output artifact"))
    }

    /// The only input artifact of actions that have one.
    pub fn input(&self) -> Result<&(String, Artifact), Failed> {
        self.inputs
            .first()
            .ok_or_else(|| Failed::new("ConfigurationError", "The action has no input artifact"))
    }

    /// Writes an artifact.
    pub async fn put(&self, artifact: &Artifact, body: Stream) -> Result<PutObjectOutput, Failed> {
        let put = PutObject {
            bucket: artifact.bucket.clone(),
            key: artifact.key.clone(),
            body,
            content_type: Some("application/zip".into()),
            headers: BTreeMap::new(),
            metadata: BTreeMap::new(),
            acl: None,
        };
        Ok(self.put_once(put).await?)
    }

    /// Puts an object for this run: once, also where the run is made again.
    pub async fn put_once(&self, put: PutObject) -> Result<PutObjectOutput, Fault> {
        let token = format!("{}/{}/{}", self.id(), put.bucket, put.key);
        self.cx.call(PutObjectOnce { token, put }).await
    }

    /// Reads an artifact into a file that goes when it is closed; at most `limit` bytes.
    pub async fn fetch(&self, artifact: &Artifact, limit: u64) -> Result<File, Failed> {
        let get =
            GetObject { bucket: artifact.bucket.clone(), key: artifact.key.clone(), ..Default::default() };
        let found = self.cx.call(get).await?;
        let broken = |error: &dyn std::fmt::Display| Failed::from(Fault::internal(error));
        let file = tempfile::tempfile_in(self.desk.store.dir()).map_err(|e| broken(&e))?;
        let mut file = File::from_std(file);
        let (mut body, mut size) = (found.body.into_body(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| broken(&e))?;
            let Ok(data) = frame.into_data() else { continue };
            size += data.len() as u64;
            if size > limit {
                let message =
                    format!("The artifact {}/{} exceeds {limit} bytes", artifact.bucket, artifact.key);
                return Err(Failed::new("JobFailed", message));
            }
            file.write_all(&data).await.map_err(|e| broken(&e))?;
        }
        file.flush().await.map_err(|e| broken(&e))?;
        file.seek(SeekFrom::Start(0)).await.map_err(|e| broken(&e))?;
        Ok(file)
    }
}

/// The context in which an action acts: its pipeline's role, or that role's session of the action's own.
pub async fn acting(
    ops: &Arc<Ops>,
    place: &Place,
    (pipeline, action): (&str, Option<&str>),
    session: &str,
) -> Result<Cx, Failed> {
    let cx = ops.as_service(PRINCIPAL, &place.account, &place.region, session);
    let cx = cx.as_role(PRINCIPAL, pipeline, session).await.map_err(Failed::role)?;
    match action.filter(|role| *role != pipeline) {
        Some(role) => assumed(&cx, role, session).await.map_err(Failed::role),
        None => Ok(cx),
    }
}

/// A file's bytes from where it stands, as a body.
pub fn streamed(file: File) -> Stream {
    let chunks = stream::try_unfold(file, |mut file| async move {
        let mut buffer = vec![0; CHUNK];
        let read = file.read(&mut buffer).await?;
        buffer.truncate(read);
        let frame = http_body::Frame::data(Bytes::from(buffer));
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((read > 0).then_some((frame, file)))
    });
    Stream::new(BodyExt::boxed_unsync(StreamBody::new(chunks)))
}

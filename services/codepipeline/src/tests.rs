//! The service in process, beside fakes of the services that it calls.
mod actions;
mod cases;
mod conditions;
mod crash;
mod events;
mod fakes;
mod history;
mod jobs;
mod limits;
mod sources;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use kernel::Fault;
use serde_json::{Value, json};
use store::{Batch, Event, Record};
use testkit::{ACCOUNT, REGION, World};
use work::{Driver, Options};

use crate::jobs::JobRow;
use crate::records::{ActionRow, ExecutionRow, Saved};
use crate::{CodePipeline, Deps};
use fakes::Fakes;

/// Past this a test fails; nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server of CodePipeline and of what it calls.
struct Bench {
    world: World,
    fakes: Arc<Fakes>,
    service: Arc<CodePipeline>,
    driver: Driver,
}

impl Bench {
    async fn new() -> Self {
        Self::on(World::new().await, Fakes::new())
    }

    fn on(world: World, fakes: Arc<Fakes>) -> Self {
        Self::with(world, fakes, |_, _| {})
    }

    /// Beside further operations.
    fn with(
        mut world: World,
        fakes: Arc<Fakes>,
        register: impl FnOnce(&Arc<CodePipeline>, &mut kernel::Ops),
    ) -> Self {
        let service = CodePipeline::new(Deps {
            store: world.store.clone(),
            sealer: world.sealer.clone(),
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
            functions: fakes.functions(),
        });
        let ops = world.serve(|ops| {
            service.register(ops);
            fakes.register(ops);
            register(&service, ops);
        });
        let driver = Driver::new(world.clock.clone(), Options::default());
        service.workers(&ops).into_iter().for_each(|worker| driver.start(worker));
        Self { world, fakes, service, driver }
    }

    /// Ends the process and starts another on the same data.
    async fn restart(self) -> Self {
        self.restart_with(store::Options::default()).await
    }

    /// The same, to crash again.
    async fn restart_with(self, options: store::Options) -> Self {
        self.service.stop();
        self.driver.stop().await;
        Self::on(self.world.restart_with(options).await, self.fakes)
    }

    async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        self.world.call(&format!("codepipeline.{operation}"), input).await
    }

    async fn ok(&self, operation: &str, input: Value) -> Value {
        self.call(operation, input).await.unwrap_or_else(|fault| panic!("{operation}: {fault:?}"))
    }

    /// `Code: message` of a call that must fail.
    async fn refused(&self, operation: &str, input: Value) -> String {
        testkit::fault(self.call(operation, input).await)
    }

    /// Calls until the answer passes, woken by commits and by jobs.
    async fn until(&self, operation: &str, input: Value, pass: impl Fn(&Value) -> bool) -> Value {
        let tables = [Saved::TABLE, ExecutionRow::TABLE, ActionRow::TABLE, JobRow::TABLE];
        let wake = self.world.store.watch(&tables);
        let opened = self.service.desk.openings.wake();
        let mut last = Value::Null;
        let watch = async {
            loop {
                last = self.ok(operation, input.clone()).await;
                if pass(&last) {
                    return;
                }
                tokio::select! {
                    () = wake.notified() => {}
                    () = opened.notified() => {}
                }
            }
        };
        if tokio::time::timeout(PATIENCE, watch).await.is_err() {
            panic!("{operation} never passed; last {last:#}");
        }
        last
    }

    /// Waits until the newest execution of `p` has this status.
    async fn newest(&self, status: &str) -> Value {
        let newest = |list: &Value| list["pipelineExecutionSummaries"][0].clone();
        let list = json!({"pipelineName": "p"});
        let list = self.until("ListPipelineExecutions", list, |l| newest(l)["status"] == *status).await;
        newest(&list)
    }

    /// Waits until an action of `p` has this status in the pipeline's state.
    async fn action(&self, stage: usize, action: usize, status: &str) -> Value {
        let run = |s: &Value| s["stageStates"][stage]["actionStates"][action]["latestExecution"].clone();
        run(&self.until("GetPipelineState", json!({"name": "p"}), |s| run(s)["status"] == *status).await)
    }

    async fn publish(&self, source: &str, kind: &str, detail: Value) {
        self.publish_as(kernel::ids::uuid(&*self.world.entropy), source, kind, detail).await;
    }

    /// An event of this id, as when one is heard again.
    async fn publish_as(&self, id: String, source: &str, kind: &str, detail: Value) {
        let event = Event::new(source, kind, ACCOUNT, REGION, id, kernel::Clock::now(&*self.world.clock));
        self.world.store.commit(Batch::new().event(event.detail(detail))).await.unwrap();
    }

    /// Ends a build as CodeBuild would.
    async fn build_ends(&self, status: &str) {
        let id = self.fakes.end_build(status);
        let arn = format!("arn:aws:codebuild:{REGION}:{ACCOUNT}:build/{id}");
        self.publish("aws.codebuild", "CodeBuild Build State Change", json!({"build-id": arn})).await;
    }

    /// Ends a build of commands as CodeBuild would.
    async fn commands_end(&self, status: &str) {
        let id = self.fakes.end_commands(status);
        self.publish("longshore.codebuild", "CodeBuild Build State Change", json!({"build-id": id})).await;
    }

    async fn push(&self, commit: &str) {
        self.fakes.push(commit);
        let detail = json!({
            "event": "referenceUpdated", "repositoryName": "repo", "referenceType": "branch",
            "referenceName": "main", "commitId": commit,
        });
        self.publish("aws.codecommit", "CodeCommit Repository State Change", detail).await;
    }
}

/// An action in a declaration.
fn action(category: &str, provider: &str, name: &str, configuration: Value) -> Value {
    json!({
        "name": name,
        "actionTypeId": {"category": category, "owner": "AWS", "provider": provider, "version": "1"},
        "configuration": configuration,
    })
}

fn with(mut action: Value, members: Value) -> Value {
    action.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    action
}

fn source() -> Value {
    let action =
        action("Source", "CodeCommit", "Src", json!({"RepositoryName": "repo", "BranchName": "main"}));
    with(action, json!({"outputArtifacts": [{"name": "SourceOutput"}], "namespace": "src"}))
}

/// A source action that follows a connection.
fn connected(name: &str) -> Value {
    let connection = format!("arn:aws:codestar-connections:{REGION}:{ACCOUNT}:connection/c");
    let configuration =
        json!({"ConnectionArn": connection, "FullRepositoryId": "me/app", "BranchName": "main"});
    let action = action("Source", "CodeStarSourceConnection", name, configuration);
    with(action, json!({"outputArtifacts": [{"name": "SourceOutput"}], "namespace": "src"}))
}

fn build() -> Value {
    let variables = r##"[{"name":"COMMIT","value":"#{src.CommitId}"}]"##;
    let action = action(
        "Build",
        "CodeBuild",
        "Build",
        json!({"ProjectName": "proj", "EnvironmentVariables": variables}),
    );
    let artifacts = json!({
        "inputArtifacts": [{"name": "SourceOutput"}], "outputArtifacts": [{"name": "BuildOutput"}], "namespace": "build",
    });
    with(action, artifacts)
}

fn deploy() -> Value {
    let action = action("Deploy", "ECS", "Roll", json!({"ClusterName": "c", "ServiceName": "s"}));
    with(action, json!({"inputArtifacts": [{"name": "BuildOutput"}]}))
}

fn approval() -> Value {
    action("Approval", "Manual", "Ok", json!({"CustomData": "look at #{src.CommitId}"}))
}

/// Stages A, B, C … of these actions.
fn pipeline(stages: &[Vec<Value>]) -> Value {
    let stage = |(index, actions): (usize, &Vec<Value>)| {
        let name = char::from(b'A' + u8::try_from(index).unwrap()).to_string();
        json!({"name": name, "actions": actions})
    };
    json!({
        "name": "p",
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/pipeline"),
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": stages.iter().enumerate().map(stage).collect::<Vec<_>>(),
    })
}

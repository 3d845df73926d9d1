//! A server in the test's own process, without HTTP.
use std::sync::Arc;

use blobs::Blobs;
use kernel::json::{JsonReader, JsonWriter};
use kernel::{Authority, Cx, Fault, Ops, Principal, PrincipalKind};
use serde_json::Value;
use store::{Options, Sealer, Store};
use tempfile::TempDir;

use crate::{ManualClock, SeededEntropy, Witness};

/// The account of every world.
pub const ACCOUNT: &str = "000000000000";
/// The region of every world.
pub const REGION: &str = "us-east-1";

/// Everything that services stand on, in a data folder of its own that goes when the world goes.
///
/// ```ignore
/// let mut world = World::new().await;
/// let logs = Logs::new(world.store.clone(), ..);
/// world.serve(|ops| logs.register(ops));
/// world.call("logs.CreateLogGroup", json!({"logGroupName": "g"})).await.unwrap();
/// ```
pub struct World {
    /// The state.
    pub store: Store,
    /// The blobs beside it.
    pub blobs: Blobs,
    /// Its keys.
    pub sealer: Sealer,
    /// Moves when told.
    pub clock: Arc<ManualClock>,
    /// The same in every run.
    pub entropy: Arc<SeededEntropy>,
    /// Allows what is not denied.
    pub authority: Arc<Witness>,
    ops: Arc<Ops>,
    dir: TempDir,
}

impl World {
    /// An empty world.
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    /// An empty world whose store stops after that many commits, as a killed process does.
    pub async fn stopping_after(commits: u64) -> Self {
        Self::with(Options { stop_after: Some(commits) }).await
    }

    async fn with(options: Options) -> Self {
        let dir = tempfile::Builder::new().prefix("longshore-test-").tempdir().expect("a temporary folder");
        let (clock, entropy) = (Arc::default(), Arc::default());
        Self::open(dir, clock, entropy, options).await
    }

    async fn open(
        dir: TempDir,
        clock: Arc<ManualClock>,
        entropy: Arc<SeededEntropy>,
        options: Options,
    ) -> Self {
        let store = Store::open_with(dir.path(), options).await.expect("a store");
        let blobs = Blobs::open(dir.path()).await.expect("blobs");
        let sealer = Sealer::open(dir.path()).expect("a sealer");
        let authority = Arc::<Witness>::default();
        let ops = Arc::new(Ops::new(authority.clone()));
        Self { store, blobs, sealer, clock, entropy, authority, ops, dir }
    }

    /// Serves these operations, and no others.
    pub fn serve(&mut self, register: impl FnOnce(&mut Ops)) -> Arc<Ops> {
        self.serve_under(self.authority.clone(), register)
    }

    /// The same under another authority than [`World::authority`].
    pub fn serve_under(
        &mut self,
        authority: Arc<dyn Authority>,
        register: impl FnOnce(&mut Ops),
    ) -> Arc<Ops> {
        let mut ops = Ops::new(authority);
        register(&mut ops);
        self.ops = Arc::new(ops);
        self.ops.clone()
    }

    /// Restarts on the same data folder: whoever holds the old store can do no more. The services are to be made anew.
    pub async fn restart(self) -> Self {
        self.restart_with(Options::default()).await
    }

    /// Restarts with options, to crash again.
    pub async fn restart_with(self, options: Options) -> Self {
        let Self { store, clock, entropy, dir, .. } = self;
        store.close().await;
        Self::open(dir, clock, entropy, options).await
    }

    /// The operations that are served.
    pub fn ops(&self) -> &Arc<Ops> {
        &self.ops
    }

    /// The root user's context.
    pub fn cx(&self) -> Cx {
        let root = Principal {
            arn: format!("arn:aws:iam::{ACCOUNT}:root"),
            account: ACCOUNT.into(),
            id: ACCOUNT.into(),
            kind: PrincipalKind::Root,
            session_policies: Vec::new(),
        };
        self.ops.enter(root, REGION, "test-request")
    }

    /// Calls `service.Operation` as the root user, with JSON in and out as awsJson has it: constraints are checked
    /// as on the wire.
    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, Fault> {
        self.call_as(&self.cx(), operation, input).await
    }

    /// The same in another context.
    pub async fn call_as(&self, cx: &Cx, operation: &str, input: Value) -> Result<Value, Fault> {
        let (service, name) = operation.split_once('.').expect("service.Operation");
        let wired = self.ops.wired(service, name).unwrap_or_else(|| panic!("{operation} is not registered"));
        let reader = JsonReader(&input);
        let broken = kernel::check::violations(&reader, wired.schema.input)?;
        if let Some(fault) = kernel::check::fault("ValidationException", &broken) {
            return Err(fault);
        }
        let output = (wired.call)(cx, &reader)?.await?;
        let mut writer = JsonWriter::default();
        output.write(&mut writer);
        Ok(writer.done)
    }
}

/// `Code: message` of a call that must fail.
pub fn fault<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    result.expect_err("this call must fail").to_string()
}

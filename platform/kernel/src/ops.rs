//! Operations and their dispatcher: in-process calls are typed, calls from the wire are erased, one path authorizes both.
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use crate::cx::service_principal;
use crate::schema::OperationSchema;
use crate::{Access, Authority, Cx, Fault, Principal, Reader, Shape, Writer};

/// A boxed future: what dispatch needs of `async fn` in traits.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An operation: its input is the type that implements this. Generated for AWS's own; written by hand for the few
/// that stream or that only services call (S3's objects, a pipeline's `UploadArchive`).
pub trait Operation: Send + 'static {
    /// The service's crate name.
    const SERVICE: &'static str;
    /// As in `CreatePipeline`.
    const NAME: &'static str;
    /// What it answers.
    type Output: Send + 'static;
}

/// An operation that can stand on the wire.
pub trait WireOperation: Operation<Output: Shape> + Shape {
    /// Its schema.
    const OPERATION: &'static OperationSchema;
}

/// A service's implementation of an operation; implementations write plain `async fn`.
pub trait Handle<O: Operation>: Send + Sync + 'static {
    /// The IAM actions and resources that the call needs. No default, so that it cannot be forgotten; may look the
    /// resource up. An empty list only where AWS asks for none (`sts:GetCallerIdentity`).
    fn access(&self, cx: &Cx, input: &O) -> impl Future<Output = Result<Vec<Access>, Fault>> + Send;
    /// Does it. Authorization has passed.
    fn handle(&self, cx: &Cx, input: O) -> impl Future<Output = Result<O::Output, Fault>> + Send;
}

type Typed<O> = Box<dyn Fn(Cx, O) -> Fut<'static, Result<<O as Operation>::Output, Fault>> + Send + Sync>;

/// A shape whose type is forgotten: what an answer needs.
pub trait AnyShape: Send {
    /// Writes it.
    fn write(&self, writer: &mut dyn Writer);
}

impl<T: Shape> AnyShape for T {
    fn write(&self, writer: &mut dyn Writer) {
        Shape::write(self, writer);
    }
}

/// The future of a decoded call; the caller spawns it, so that a client that leaves cancels nothing.
pub type Call = Fut<'static, Result<Box<dyn AnyShape>, Fault>>;

/// An operation as the wire sees it.
#[derive(Clone, Copy)]
pub struct Wired {
    /// Its schema.
    pub schema: &'static OperationSchema,
    /// Decodes the input and starts the call. Constraints are the wire's to check first.
    pub call: fn(&Cx, &dyn Reader) -> Result<Call, Fault>,
}

/// Every operation that is served.
pub struct Ops {
    authority: Arc<dyn Authority>,
    typed: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
    wired: BTreeMap<&'static str, BTreeMap<&'static str, Wired>>,
}

impl Ops {
    /// None yet.
    pub fn new(authority: Arc<dyn Authority>) -> Self {
        Self { authority, typed: HashMap::new(), wired: BTreeMap::new() }
    }

    /// Serves an operation, in process and on the wire. A second service for it is a mistake of the composition root.
    pub fn op<O: WireOperation, S: Handle<O>>(&mut self, service: &Arc<S>) -> &mut Self {
        self.internal::<O, S>(service);
        let call: fn(&Cx, &dyn Reader) -> Result<Call, Fault> = |cx, reader| {
            let (cx, input) = (cx.clone(), O::read(reader)?);
            Ok(Box::pin(async move { Ok(Box::new(cx.call(input).await?) as Box<dyn AnyShape>) }))
        };
        self.wired.entry(O::SERVICE).or_default().insert(O::NAME, Wired { schema: O::OPERATION, call });
        self
    }

    /// Serves an operation in process only.
    pub fn internal<O: Operation, S: Handle<O>>(&mut self, service: &Arc<S>) -> &mut Self {
        let service = service.clone();
        let run: Typed<O> = Box::new(move |cx, input| {
            let service = service.clone();
            Box::pin(async move {
                let want = service.access(&cx, &input).await?;
                cx.authorize(&want).await?;
                service.handle(&cx, input).await
            })
        });
        let twice = self.typed.insert(TypeId::of::<O>(), Box::new(run));
        assert!(twice.is_none(), "{}:{} is registered twice", O::SERVICE, O::NAME);
        self
    }

    /// The operation of that name, if it is served on the wire.
    pub fn wired(&self, service: &str, name: &str) -> Option<&Wired> {
        self.wired.get(service)?.get(name)
    }

    /// Names of what is served on the wire: (service, operation).
    pub fn served(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.wired.iter().flat_map(|(service, ops)| ops.keys().map(|name| (*service, *name)))
    }

    /// Who decides.
    pub fn authority(&self) -> &dyn Authority {
        &*self.authority
    }

    /// The context of an authenticated caller.
    pub fn enter(
        self: &Arc<Self>,
        caller: Principal,
        region: impl Into<String>,
        request_id: impl Into<String>,
    ) -> Cx {
        Cx {
            caller,
            region: region.into(),
            request_id: request_id.into(),
            base: String::new(),
            source_ip: None,
            context: BTreeMap::new(),
            owner: None,
            depth: 0,
            ops: self.clone(),
        }
    }

    /// The context in which a service acts for itself: its background work.
    pub fn as_service(
        self: &Arc<Self>,
        service: &'static str,
        account: &str,
        region: &str,
        request_id: &str,
    ) -> Cx {
        self.enter(service_principal(service, account), region, request_id)
    }

    pub(crate) fn typed<O: Operation>(&self) -> Result<&Typed<O>, Fault> {
        let run = self.typed.get(&TypeId::of::<O>()).and_then(|run| run.downcast_ref::<Typed<O>>());
        run.ok_or_else(|| not_served(O::SERVICE, O::NAME))
    }
}

/// The clear error for what the model knows and Longshore does not do.
pub fn not_served(service: &str, name: &str) -> Fault {
    Fault::new(
        "NotImplemented",
        501,
        format!("{service}:{name} is an operation of AWS that Longshore does not serve; nothing was done."),
    )
}

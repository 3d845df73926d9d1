//! Git's smart HTTP at `/v1/repos/NAME`: `git http-backend` behind Basic authentication.
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use kernel::face::plain;
use kernel::{Body, Cx, Door, Face, Fault, Fut, Principal};
use sigv4::git::GitClaim;
use sigv4::{Dialect, Refusal};
use tokio::sync::Semaphore;

use crate::records::Repository;
use crate::serve::Backend;
use crate::{CodeCommit, limits};

const PREFIX: &str = "/v1/repos/";

/// Where Git clones from and pushes to.
pub struct GitFace {
    service: Arc<CodeCommit>,
    places: Arc<Semaphore>,
}

/// What Git asks for.
struct Asked<'a> {
    /// The repository.
    name: &'a str,
    /// Its path as Git has it in its remote: what the credential helper signs.
    remote: &'a str,
    /// `info/refs`, `git-upload-pack` or `git-receive-pack`.
    rest: &'a str,
    /// It is on the way to a push.
    push: bool,
}

impl<'a> Asked<'a> {
    /// Nothing but the smart protocol is served: no file of the repository is read by its path.
    fn read(head: &'a Parts) -> Option<Self> {
        let path = head.uri.path();
        let (name, rest) = path.strip_prefix(PREFIX)?.split_once('/')?;
        let remote = &path[..PREFIX.len() + name.len()];
        let service =
            head.uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("service="));
        let push = match (&head.method, rest, service) {
            (&Method::GET, "info/refs", Some("git-upload-pack")) => false,
            (&Method::GET, "info/refs", Some("git-receive-pack")) => true,
            (&Method::POST, "git-upload-pack", None) => false,
            (&Method::POST, "git-receive-pack", None) => true,
            _ => return None,
        };
        Some(Self { name: name.strip_suffix(".git").unwrap_or(name), remote, rest, push })
    }
}

/// The region of `git-codecommit.REGION.amazonaws.com`.
fn region(host: &str) -> Option<&str> {
    host.split(':').next()?.strip_prefix("git-codecommit.")?.strip_suffix(".amazonaws.com")
}

fn host(head: &Parts) -> &str {
    head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

impl GitFace {
    pub(crate) fn new(service: Arc<CodeCommit>) -> Self {
        Self { service, places: Arc::new(Semaphore::new(limits::SERVING)) }
    }

    async fn answer(&self, door: Door, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Some(asked) = Asked::read(&head) else {
            return plain(StatusCode::NOT_FOUND, "Git's smart HTTP is served here, and nothing else\n");
        };
        let Some((user, password)) = basic(&head) else { return unauthorized() };
        match self.enter(&door, &head, &asked, &user, &password).await {
            Ok(cx) => {
                self.serve(cx, &head, &asked, body).await.unwrap_or_else(|fault| refused(&fault, &door))
            }
            Err(fault) => refused(&fault, &door),
        }
    }

    /// The caller, who may do this to the repository.
    async fn enter(
        &self,
        door: &Door,
        head: &Parts,
        asked: &Asked<'_>,
        user: &str,
        password: &str,
    ) -> Result<Cx, Fault> {
        let region = region(host(head)).unwrap_or(&door.region);
        let principal = self.caller(door, host(head), asked.remote, region, (user, password)).await?;
        let mut cx = door.ops.enter(principal, region, &*door.request_id);
        cx.base.clone_from(&door.base);
        cx.source_ip = Some(door.peer.ip());
        cx.context.insert("aws:SecureTransport", door.base.starts_with("https://").to_string());
        let action = if asked.push { "codecommit:GitPush" } else { "codecommit:GitPull" };
        cx.authorize(&[CodeCommit::access(&cx, action, asked.name)]).await?;
        Ok(cx)
    }

    /// Whoever the user name and password are: a signature of the credential helper, or a user's Git credentials.
    async fn caller(
        &self,
        door: &Door,
        host: &str,
        remote: &str,
        region: &str,
        (user, password): (&str, &str),
    ) -> Result<Principal, Fault> {
        let authority = door.ops.authority();
        let Some(claim) = GitClaim::read(user, password) else {
            return authority.git_user(user, password).await;
        };
        let key = authority.key(&claim.access_key_id, claim.token.as_deref()).await;
        let worded =
            |fault: Fault| Refusal::of_key(&fault).map_or(fault, |refusal| refusal.fault(Dialect::Query));
        let key = key.map_err(worded)?;
        let proven = claim.verify(&key.secret, host, remote, region, self.service.clock.now());
        proven.map_err(|refusal| refusal.fault(Dialect::Query))?;
        authority.used(&claim.access_key_id, "codecommit", region);
        Ok(key.principal)
    }

    async fn serve(
        &self,
        cx: Cx,
        head: &Parts,
        asked: &Asked<'_>,
        body: Body,
    ) -> Result<Response<Body>, Fault> {
        let row = self.service.found(&cx, asked.name).await?;
        let key = Repository::key(cx.account(), &cx.region, asked.name);
        let repo = self.service.git.repo(&row.value.id);
        let place = self.places.clone().acquire_owned().await.map_err(Fault::internal)?;
        let mut command = repo.http_backend(asked.rest);
        command.env("REQUEST_METHOD", head.method.as_str()).env("REMOTE_USER", &cx.caller.arn);
        command.env("QUERY_STRING", head.uri.query().unwrap_or_default());
        let given = [
            ("CONTENT_TYPE", CONTENT_TYPE.as_str()),
            ("CONTENT_LENGTH", CONTENT_LENGTH.as_str()),
            ("HTTP_CONTENT_ENCODING", "content-encoding"),
            ("HTTP_GIT_PROTOCOL", "git-protocol"),
        ];
        for (variable, header) in given {
            if let Some(value) = head.headers.get(header).and_then(|value| value.to_str().ok()) {
                command.env(variable, value);
            }
        }
        let service = self.service.clone();
        let (pushed, caller) = (asked.rest == "git-receive-pack", cx.caller.arn.clone());
        let after = async move {
            // Refs may have moved even if the client left before it heard so.
            if pushed && let Err(error) = service.publish(&key, Some(&caller)).await {
                tracing::error!(?key, %error, "a push cannot be told of now: the next pass of the worker will");
            }
            drop(place);
        };
        Backend::start(command, body).map_err(Fault::internal)?.respond(after).await.map_err(Fault::internal)
    }
}

fn basic(head: &Parts) -> Option<(String, String)> {
    let text = head.headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// Git sends what its credential helper says once it is told to.
fn unauthorized() -> Response<Body> {
    let message = "Give Git credentials of a user, or configure `aws codecommit credential-helper`\n";
    let mut response = plain(StatusCode::UNAUTHORIZED, message);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"CodeCommit\""));
    response
}

/// Git prints the text of a refusal if it is plain.
fn refused(fault: &Fault, door: &Door) -> Response<Body> {
    if let Some(detail) = &fault.detail {
        tracing::error!(request_id = door.request_id, detail, "git cannot be served");
    }
    let status = match &*fault.code {
        "RepositoryDoesNotExistException" => StatusCode::NOT_FOUND,
        _ if fault.status >= 500 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::FORBIDDEN,
    };
    // A signature's refusal goes on to say what should have been signed: git's user signed nothing by hand.
    let message = fault.message.lines().next().unwrap_or_default();
    let mut response = plain(status, format!("{message}\n"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

impl Face for GitFace {
    fn claims(&self, head: &Parts, _: &Door) -> bool {
        let host = host(head);
        region(host).is_some() || (head.uri.path().starts_with(PREFIX) && !host.contains(".amazonaws.com"))
    }

    fn serve<'a>(&'a self, door: Door, request: Request<Body>) -> Fut<'a, Response<Body>> {
        Box::pin(self.answer(door, request))
    }
}

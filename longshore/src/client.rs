//! A client of our own API, for `watch` and `connect`: any AWS client could do the same.
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sigv4::sign::Signer;

use crate::env::Client as Settings;
use crate::exit::Exit;

/// Largest answer that is read, in bytes.
const ANSWER: usize = 16 << 20;

/// Calls awsJson operations.
pub struct Client {
    settings: Settings,
    http: Http<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// With the endpoint and credentials of the environment, as every AWS client takes them; else those that `up` left.
    pub fn new(left: Result<Settings, Exit>) -> Result<Self, Exit> {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region = var("AWS_REGION").or_else(|| var("AWS_DEFAULT_REGION"));
        let settings = match (var("AWS_ENDPOINT_URL"), var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY"))
        {
            (Some(endpoint), Some(access_key_id), Some(secret_access_key)) => Settings {
                endpoint,
                access_key_id,
                secret_access_key,
                region: region.unwrap_or_else(|| "us-east-1".into()),
            },
            _ => left?,
        };
        Ok(Self { settings, http: Http::builder(TokioExecutor::new()).build_http() })
    }

    /// Calls an operation, in the client's own region unless another is named. Errors: `Exit` with the service's code and
    /// message.
    pub async fn call(
        &self,
        service: &'static kernel::schema::Service,
        region: Option<&str>,
        operation: &str,
        input: Value,
    ) -> Result<Value, Exit> {
        let target = format!("{}.{operation}", service.target_prefix);
        let request = self.request(service, region, Method::POST, "/", Some(&target), &input.to_string())?;
        self.answer(request, operation).await
    }

    /// Asks a path of ours that is no operation of AWS's.
    pub async fn ask(
        &self,
        service: &'static kernel::schema::Service,
        method: Method,
        path: &str,
        input: Option<&Value>,
    ) -> Result<Value, Exit> {
        let body = input.map(Value::to_string).unwrap_or_default();
        self.answer(self.request(service, None, method, path, None, &body)?, path).await
    }

    async fn answer(&self, request: Request<Full<Bytes>>, asked: &str) -> Result<Value, Exit> {
        let unreachable = |e: &dyn std::fmt::Display| {
            Exit::unreachable(format!("{}: {e}; is `longshore up` running?", self.settings.endpoint))
        };
        let response = self.http.request(request).await.map_err(|e| unreachable(&e))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER)
            .collect()
            .await
            .map_err(|e| unreachable(&e))?
            .to_bytes();
        let answer: Value = serde_json::from_slice(&body).map_err(|_| {
            let text = String::from_utf8_lossy(&body);
            Exit::failed(format!("{asked}: {status}: {}", text.lines().next().unwrap_or_default()))
        })?;
        if status.is_success() {
            return Ok(answer);
        }
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Err(Exit::failed(format!("{asked}: {}: {}", text("__type"), text("message"))))
    }

    fn request(
        &self,
        service: &'static kernel::schema::Service,
        region: Option<&str>,
        method: Method,
        path: &str,
        target: Option<&str>,
        body: &str,
    ) -> Result<Request<Full<Bytes>>, Exit> {
        let uri: Uri = format!("{}{path}", self.settings.endpoint.trim_end_matches('/'))
            .parse()
            .map_err(|e| Exit::configuration(format!("AWS_ENDPOINT_URL: {e}")))?;
        let unusable =
            || Exit::configuration("AWS_ENDPOINT_URL or the credentials cannot stand in a request");
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| unusable());
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, value(uri.authority().ok_or_else(unusable)?.as_str())?);
        headers.insert(header::CONTENT_TYPE, value("application/x-amz-json-1.1")?);
        // Of a path of ours the head is verified before the body has come.
        headers.insert("x-amz-content-sha256", value(&sigv4::hash_hex(body.as_bytes()))?);
        if let Some(target) = target {
            headers.insert("x-amz-target", value(target)?);
        }
        let Settings { access_key_id, secret_access_key, .. } = &self.settings;
        let token = std::env::var("AWS_SESSION_TOKEN").ok().filter(|token| !token.is_empty());
        let signer = Signer {
            access_key_id,
            secret: secret_access_key,
            token: token.as_deref(),
            region: region.unwrap_or(&self.settings.region),
            service: service.signing,
        };
        signer
            .sign(method.as_str(), &uri, &mut headers, body.as_bytes(), jiff::Timestamp::now())
            .ok_or_else(unusable)?;
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let mut request = Request::builder().method(method).uri(uri).body(body).map_err(|_| unusable())?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

//! S3 over HTTP: s3s speaks its REST-XML; what it decodes goes to the same functions that other services call.
//!
//! The server has verified the signature before a request comes here, so that s3s is mounted without authentication:
//! what it would take for one is taken off the request. The caller is the [`Cx`] among the request's extensions.
mod adapter;
mod answer;
mod bucket;
mod control;
mod headers;
mod list;
mod object;
mod parts;
mod request;
mod settings;
mod tagging;

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;
use kernel::{Body, Cx, Door, Fault, Fut, Principal, hosts};
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};

use crate::{S3, limits};
use adapter::Adapter;

/// S3's face. It claims every request to an S3 host, and every other that no face before it claimed.
pub struct Face {
    s3: Arc<S3>,
    service: S3Service,
}

impl Face {
    pub(crate) fn new(s3: Arc<S3>) -> Self {
        let mut config = S3Config::default();
        config.xml_max_body_size = limits::XML;
        let mut builder = S3ServiceBuilder::new(Adapter(s3.clone()));
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        Self { s3, service: builder.build() }
    }

    async fn answer(&self, door: Door, request: Request<Body>) -> Response<Body> {
        let cx = match request.extensions().get::<Cx>() {
            Some(cx) => cx.clone(),
            None => anonymous(&door),
        };
        if control::claims(request.uri()) {
            return control::serve(&self.s3, &cx, request).await;
        }
        let request = match request::plain(request, cx) {
            Ok(request) => request,
            Err(error) => return answer::refusal(error.into(), &door.request_id),
        };
        match self.service.call(request).await {
            Ok(response) => response.map(|body| body.boxed_unsync()),
            Err(error) => answer::refusal(Fault::internal(format!("{error:?}")), &door.request_id),
        }
    }
}

fn anonymous(door: &Door) -> Cx {
    let mut cx = door.ops.enter(Principal::anonymous(), &*door.region, &*door.request_id);
    cx.base.clone_from(&door.base);
    cx.source_ip = Some(door.peer.ip());
    cx.context.insert("aws:SecureTransport", door.base.starts_with("https://").to_string());
    cx
}

impl kernel::Face for Face {
    fn claims(&self, head: &Parts, _door: &Door) -> bool {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        hosts::is_s3(host) || !hosts::is_aws(host)
    }

    fn serve<'a>(&'a self, door: Door, request: Request<Body>) -> Fut<'a, Response<Body>> {
        Box::pin(self.answer(door, request))
    }

    fn refuse(&self, fault: &Fault, door: &Door) -> Response<Body> {
        answer::refusal(fault.clone(), &door.request_id)
    }
}

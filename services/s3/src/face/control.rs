//! The little of S3 Control that clients ask of a bucket: its tags, under `/v20180820/tags/ARN`.
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use kernel::{Body, Cx};
use percent_encoding::percent_decode_str;
use s3s::dto::{Tag, Tagging};
use s3s::xml::{Deserializer, Serializer};

use super::answer::refusal;
use super::settings::{tag_set, tags_of};
use crate::bodies::whole;
use crate::error::{Error, Result};
use crate::{S3, limits};

const PATH: &str = "/v20180820/";
const TAGS: &str = "/v20180820/tags/";
const NAMESPACE: &str = "http://awss3control.amazonaws.com/doc/2018-08-20/";

/// Whether a request is S3 Control's.
pub fn claims(uri: &Uri) -> bool {
    uri.path().starts_with(PATH)
}

/// Serves it.
pub async fn serve(s3: &Arc<S3>, cx: &Cx, request: Request<Body>) -> Response<Body> {
    match answer(s3, cx, request).await {
        Ok(response) => response,
        Err(error) => refusal(error.into(), &cx.request_id),
    }
}

async fn answer(s3: &Arc<S3>, cx: &Cx, request: Request<Body>) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let arn = head.uri.path().strip_prefix(TAGS).map(|arn| percent_decode_str(arn).decode_utf8_lossy());
    let name = arn.as_deref().and_then(|arn| arn.strip_prefix("arn:aws:s3:::"));
    let Some(name) = name.filter(|name| !name.contains('/')) else {
        let message =
            format!("S3 Control's {} {} is not served: buckets' tags are.", head.method, head.uri.path());
        return Err(Error::NotImplemented(message));
    };
    let bucket = s3.bucket(name).await?.value;
    let action = match head.method {
        Method::GET => "s3:ListTagsForResource",
        Method::POST => "s3:TagResource",
        Method::DELETE => "s3:UntagResource",
        _ => return Err(Error::coded("MethodNotAllowed", 405, "Tags are listed, added and removed")),
    };
    cx.authorize(&[bucket.access(cx, action)]).await?;
    match head.method {
        Method::GET => return listed(&bucket.tags),
        Method::POST => {
            let body = whole(body, limits::XML).await?;
            let added = tags_of(Tagging { tag_set: read(&body)? }, limits::BUCKET_TAGS)?;
            s3.change_bucket(name, |bucket| {
                bucket.tags.extend(added.clone());
                Ok(())
            })
            .await?;
        }
        _ => {
            let query = head.uri.query().unwrap_or_default();
            let keys: Vec<String> = query
                .split('&')
                .filter_map(|pair| pair.strip_prefix("tagKeys="))
                .map(|key| percent_decode_str(key).decode_utf8_lossy().into_owned())
                .collect();
            s3.change_bucket(name, |bucket| {
                bucket.tags.retain(|key, _| !keys.contains(key));
                Ok(())
            })
            .await?;
        }
    }
    let mut done = Response::new(kernel::face::full(Bytes::new()));
    *done.status_mut() = StatusCode::NO_CONTENT;
    Ok(done)
}

fn read(body: &[u8]) -> Result<Vec<Tag>> {
    let mut xml = Deserializer::new(body);
    let tags = xml
        .named_element("TagResourceRequest", |xml| xml.named_element("Tags", |xml| xml.list_content("Tag")));
    tags.map_err(|e| {
        Error::coded("MalformedXML", 400, format!("The XML you provided was not well-formed: {e}"))
    })
}

fn listed(tags: &BTreeMap<String, String>) -> Result<Response<Body>> {
    let mut text = Vec::new();
    let mut xml = Serializer::new(&mut text);
    let written = xml.decl().and_then(|()| {
        xml.element_with_ns("ListTagsForResourceResult", NAMESPACE, |xml| {
            xml.element("Tags", |xml| tag_set(tags).iter().try_for_each(|tag| xml.content("Tag", tag)))
        })
    });
    written.map_err(|e| Error::Fault(kernel::Fault::internal(e)))?;
    let mut response = Response::new(kernel::face::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    Ok(response)
}

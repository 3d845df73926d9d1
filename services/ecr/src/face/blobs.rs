//! Layers out.
use http::{Method, Response, StatusCode};

use super::{Answer, Call, empty, set};

impl Call<'_> {
    pub(super) async fn get_blob(self, name: &str, digest: &str) -> Answer {
        let head = self.head.method == Method::HEAD;
        self.allow(if head { "ecr:BatchCheckLayerAvailability" } else { "ecr:GetDownloadUrlForLayer" }, name)
            .await?;
        let (blob, size) = self.ecr.blob(&self.cx, name, digest).await?;
        let common = [
            ("docker-content-digest", digest.to_owned()),
            ("content-type", "application/octet-stream".to_owned()),
            ("accept-ranges", "bytes".to_owned()),
            ("etag", format!("\"{digest}\"")),
        ];
        if head {
            let mut response = empty(StatusCode::OK, &common);
            set(response.headers_mut(), &[("content-length", size.to_string())]);
            return Ok(response);
        }
        let range = self.header("range").and_then(|text| range(text, size));
        let reading = match &range {
            Some(range) => self.ecr.blobs.read_range(&blob, range.clone()).await?,
            None => self.ecr.blobs.read(&blob).await?,
        };
        let length = reading.range.end - reading.range.start;
        let mut response = Response::new(reading.body());
        set(response.headers_mut(), &common);
        set(response.headers_mut(), &[("content-length", length.to_string())]);
        if let Some(range) = range {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(
                response.headers_mut(),
                &[("content-range", format!("bytes {}-{}/{size}", range.start, range.end - 1))],
            );
        }
        Ok(response)
    }
}

/// One range of bytes; anything else is answered whole, as HTTP allows.
fn range(text: &str, size: u64) -> Option<std::ops::Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<u64>().ok()?.saturating_add(1).min(size) };
    (first < end).then_some(first..end)
}

//! What others hear of objects: pipelines always, EventBridge's rules of the buckets that say so.
use kernel::{Cx, ids};
use serde_json::{Map, Value, json};
use store::{Batch, Event};

use crate::S3;
use crate::records::{Bucket, Version};

impl S3 {
    /// With the event of a version that `reason` (`PutObject`, …) made.
    pub(crate) fn created(
        &self,
        cx: &Cx,
        batch: Batch,
        bucket: &Bucket,
        version: &Version,
        reason: &str,
    ) -> Batch {
        let Some(content) = &version.content else { return batch };
        let mut object = self.object(version);
        object.insert("size".into(), json!(content.size));
        object.insert("etag".into(), json!(content.e_tag));
        batch.event(self.event(cx, "Object Created", bucket, object, reason, None))
    }

    /// With the event of a version that is gone, or hidden by a delete marker.
    pub(crate) fn deleted(&self, cx: &Cx, batch: Batch, bucket: &Bucket, version: &Version) -> Batch {
        let kind = if version.content.is_none() { "Delete Marker Created" } else { "Permanently Deleted" };
        let object = self.object(version);
        batch.event(self.event(cx, "Object Deleted", bucket, object, "DeleteObject", Some(kind)))
    }

    fn object(&self, version: &Version) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("key".into(), json!(version.key));
        if let Some(id) = &version.id {
            object.insert("version-id".into(), json!(id));
        }
        // AWS's sequencers compare as hexadecimal text, for one key.
        object.insert("sequencer".into(), json!(format!("{:018X}", version.at.as_nanosecond())));
        object
    }

    fn event(
        &self,
        cx: &Cx,
        kind: &str,
        bucket: &Bucket,
        object: Map<String, Value>,
        reason: &str,
        deletion: Option<&str>,
    ) -> Event {
        let mut detail = json!({
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": object,
            "request-id": cx.request_id,
            "requester": cx.account(),
            "reason": reason,
        });
        if let Some(ip) = cx.source_ip {
            detail["source-ip-address"] = json!(ip.to_string());
        }
        if let Some(deletion) = deletion {
            detail["deletion-type"] = json!(deletion);
        }
        let id = ids::uuid(&*self.entropy);
        let mut event = Event::new("aws.s3", kind, &bucket.account, &bucket.region, id, self.clock.now());
        event.internal = !bucket.event_bridge;
        event.resource(bucket.arn()).detail(detail)
    }
}

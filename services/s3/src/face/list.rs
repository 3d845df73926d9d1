//! Lists of objects and versions.
use kernel::Cx;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Request, S3Response};
use store::PageToken;

use super::adapter::{Adapter, when};
use super::answer::{tag, time};
use super::bucket::owner;
use crate::error::{Error, Result};
use crate::limits;
use crate::listing::{Ask, Entry, Page};
use crate::records;

/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b'*');

/// How keys are written: as they are, or percent-encoded.
struct Names(bool);

impl Names {
    fn of(encoding: Option<&EncodingType>) -> Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self(false)),
            Some("url") => Ok(Self(true)),
            Some(_) => Err(Error::Argument("Invalid Encoding Method specified in Request".into())),
        }
    }

    fn write(&self, text: &str) -> String {
        if self.0 { utf8_percent_encode(text, PLAIN).to_string() } else { text.to_owned() }
    }

    fn some(&self, text: Option<&String>) -> Option<String> {
        text.map(|text| self.write(text))
    }
}

fn page_size(max: Option<i32>) -> Result<usize> {
    let max = max.unwrap_or(limits::PAGE as i32);
    let max = usize::try_from(max).map_err(|_| {
        Error::Argument("Argument max-keys must be an integer between 0 and 2147483647".into())
    })?;
    Ok(max.min(limits::PAGE))
}

fn prefixes(page: &Page, names: &Names) -> Option<Vec<CommonPrefix>> {
    let found = page.entries.iter().filter_map(|entry| match entry {
        Entry::Prefix(prefix) => Some(CommonPrefix { prefix: Some(names.write(prefix)) }),
        Entry::Version(..) => None,
    });
    Some(found.collect::<Vec<_>>()).filter(|found| !found.is_empty())
}

fn contents(page: &Page, names: &Names, with: Option<&Owner>) -> Vec<Object> {
    let object = |entry: &Entry| match entry {
        Entry::Version(version, _) => {
            let content = version.content.as_ref()?;
            Some(Object {
                key: Some(names.write(&version.key)),
                e_tag: Some(tag(&content.e_tag)),
                last_modified: Some(time(version.at)),
                size: i64::try_from(content.size).ok(),
                storage_class: Some(ObjectStorageClass::from(class(content))),
                owner: with.cloned(),
                ..Default::default()
            })
        }
        Entry::Prefix(_) => None,
    };
    page.entries.iter().filter_map(object).collect()
}

fn class(content: &records::Content) -> String {
    content.storage_class.clone().unwrap_or_else(|| "STANDARD".into())
}

impl Adapter {
    async fn listed<T>(
        &self,
        cx: &Cx,
        request: &S3Request<T>,
        (bucket, action): (&str, &'static str),
        ask: &Ask,
    ) -> Result<(Page, records::Bucket)> {
        let bucket = self.owned(request, bucket).await?;
        let access = bucket.access(cx, action).when("s3:max-keys", ask.max.to_string());
        let access = when(access, "s3:prefix", Some(&ask.prefix));
        cx.authorize(&[when(access, "s3:delimiter", ask.delimiter.as_deref())]).await?;
        Ok((self.0.walk(&bucket, ask).await?, bucket))
    }

    pub(super) async fn list_objects(
        &self,
        cx: &Cx,
        request: S3Request<ListObjectsInput>,
    ) -> Result<S3Response<ListObjectsOutput>> {
        let input = &request.input;
        let names = Names::of(input.encoding_type.as_ref())?;
        let ask = Ask {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            after: input.marker.clone(),
            max: page_size(input.max_keys)?,
            ..Ask::default()
        };
        let (page, bucket) = self.listed(cx, &request, (&input.bucket, "s3:ListBucket"), &ask).await?;
        // Without a delimiter the last key is the marker, and AWS does not repeat it.
        let next = page.next().filter(|_| ask.delimiter.is_some()).map(|(key, _)| names.write(&key));
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(bucket.name),
            prefix: Some(names.write(&ask.prefix)),
            marker: Some(names.some(input.marker.as_ref()).unwrap_or_default()),
            max_keys: Some(ask.max as i32),
            is_truncated: Some(page.truncated),
            contents: Some(contents(&page, &names, Some(&owner(&bucket.account)))),
            common_prefixes: prefixes(&page, &names),
            delimiter: names.some(ask.delimiter.as_ref()),
            next_marker: next,
            encoding_type: input.encoding_type.clone(),
            ..Default::default()
        }))
    }

    pub(super) async fn list_objects_v2(
        &self,
        cx: &Cx,
        request: S3Request<ListObjectsV2Input>,
    ) -> Result<S3Response<ListObjectsV2Output>> {
        const LIST: &str = "ListObjectsV2";
        let input = &request.input;
        let names = Names::of(input.encoding_type.as_ref())?;
        let token = PageToken::<String>::position(LIST, input.continuation_token.as_deref());
        let token =
            token.map_err(|_| Error::Argument("The continuation token provided is incorrect".into()))?;
        let ask = Ask {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            after: token.or_else(|| input.start_after.clone()),
            max: page_size(input.max_keys)?,
            ..Ask::default()
        };
        let (page, bucket) = self.listed(cx, &request, (&input.bucket, "s3:ListBucket"), &ask).await?;
        let owner = owner(&bucket.account);
        let with = Some(&owner).filter(|_| input.fetch_owner == Some(true));
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(bucket.name),
            prefix: Some(names.write(&ask.prefix)),
            max_keys: Some(ask.max as i32),
            key_count: Some(page.entries.len() as i32),
            continuation_token: input.continuation_token.clone(),
            is_truncated: Some(page.truncated),
            next_continuation_token: page.next().map(|(key, _)| PageToken::encode(LIST, key)),
            contents: Some(contents(&page, &names, with)),
            common_prefixes: prefixes(&page, &names),
            delimiter: names.some(ask.delimiter.as_ref()),
            encoding_type: input.encoding_type.clone(),
            start_after: names.some(input.start_after.as_ref()),
            ..Default::default()
        }))
    }

    pub(super) async fn list_object_versions(
        &self,
        cx: &Cx,
        request: S3Request<ListObjectVersionsInput>,
    ) -> Result<S3Response<ListObjectVersionsOutput>> {
        let input = &request.input;
        let names = Names::of(input.encoding_type.as_ref())?;
        let ask = Ask {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone().filter(|d| !d.is_empty()),
            after: input.key_marker.clone(),
            after_version: input.version_id_marker.clone().filter(|id| !id.is_empty()),
            max: page_size(input.max_keys)?,
            versions: true,
        };
        let (page, bucket) =
            self.listed(cx, &request, (&input.bucket, "s3:ListBucketVersions"), &ask).await?;
        let (mut versions, mut markers) = (Vec::new(), Vec::new());
        for entry in &page.entries {
            let Entry::Version(version, newest) = entry else { continue };
            let (key, at, id) = (names.write(&version.key), time(version.at), version.name().to_owned());
            match &version.content {
                Some(content) => versions.push(ObjectVersion {
                    key: Some(key),
                    version_id: Some(id),
                    is_latest: Some(*newest),
                    last_modified: Some(at),
                    e_tag: Some(tag(&content.e_tag)),
                    size: i64::try_from(content.size).ok(),
                    storage_class: Some(ObjectVersionStorageClass::from(class(content))),
                    owner: Some(owner(&bucket.account)),
                    ..Default::default()
                }),
                None => markers.push(DeleteMarkerEntry {
                    key: Some(key),
                    version_id: Some(id),
                    is_latest: Some(*newest),
                    last_modified: Some(at),
                    owner: Some(owner(&bucket.account)),
                }),
            }
        }
        let next = page.next();
        Ok(S3Response::new(ListObjectVersionsOutput {
            name: Some(bucket.name),
            prefix: Some(names.write(&ask.prefix)),
            delimiter: names.some(ask.delimiter.as_ref()),
            key_marker: Some(names.some(input.key_marker.as_ref()).unwrap_or_default()),
            version_id_marker: Some(input.version_id_marker.clone().unwrap_or_default()),
            max_keys: Some(ask.max as i32),
            is_truncated: Some(page.truncated),
            next_key_marker: next.as_ref().map(|(key, _)| names.write(key)),
            next_version_id_marker: next.and_then(|(_, id)| id),
            versions: Some(versions),
            delete_markers: Some(markers),
            common_prefixes: prefixes(&page, &names),
            encoding_type: input.encoding_type.clone(),
            ..Default::default()
        }))
    }
}

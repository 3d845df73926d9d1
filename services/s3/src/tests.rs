//! Requests as clients send them, against the face, in process.
use std::sync::Arc;

use api::s3::{GetObject, PutObject};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use kernel::face::full;
use kernel::{Cx, Door, Face as _, Stream};
use testkit::{ACCOUNT, REGION, World};

use crate::{Face, S3};

struct Client {
    world: World,
    s3: Arc<S3>,
    face: Arc<Face>,
}

/// Status, headers and text of an answer.
struct Answer(StatusCode, http::HeaderMap, String);

impl Answer {
    fn between(&self, start: &str, end: &str) -> String {
        let text = self.2.split_once(start).unwrap_or_else(|| panic!("no {start} in {}", self.2)).1;
        text.split_once(end).expect(end).0.to_owned()
    }
}

impl Client {
    async fn new() -> Self {
        Self::over(World::new().await)
    }

    fn over(mut world: World) -> Self {
        let s3 =
            S3::new(world.store.clone(), world.blobs.clone(), world.clock.clone(), world.entropy.clone());
        world.serve(|ops| s3.register(ops));
        let face = s3.face();
        Self { world, s3, face }
    }

    async fn request(&self, request: &str, body: &[u8], cx: Option<Cx>) -> Answer {
        let mut lines = request.lines();
        let (method, uri) = lines.next().and_then(|line| line.split_once(' ')).expect("METHOD URI");
        let mut builder = Request::builder().method(method).uri(uri).header("host", "127.0.0.1:4566");
        for line in lines {
            let (name, value) = line.trim().split_once(": ").expect("Name: value");
            builder = builder.header(name, value);
        }
        let mut request =
            builder.header("content-length", body.len()).body(full(body.to_vec())).expect("a request");
        request.extensions_mut().extend(
            cx.map(|cx| {
                let mut extensions = http::Extensions::new();
                extensions.insert(cx);
                extensions
            })
            .unwrap_or_default(),
        );
        let door = Door {
            peer: "127.0.0.1:9".parse().unwrap(),
            local: "127.0.0.1:4566".parse().unwrap(),
            base: "http://127.0.0.1:4566".into(),
            account: ACCOUNT.into(),
            region: REGION.into(),
            request_id: "r".into(),
            ops: self.world.ops().clone(),
        };
        let (head, body) = self.face.serve(door, request).await.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        Answer(head.status, head.headers, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Sends each request as root: `METHOD URI` with header lines, its body, the status, and what the answer contains.
    async fn check(&self, steps: &[(&str, &str, u16, &str)]) {
        for (request, body, status, text) in steps {
            let answer = self.request(request, body.as_bytes(), Some(self.world.cx())).await;
            assert_eq!(answer.0.as_u16(), *status, "{request}: {}", answer.2);
            assert!(answer.2.contains(text), "{request}: no {text} in {}", answer.2);
        }
    }

    async fn send(&self, request: &str, body: &[u8]) -> Answer {
        self.request(request, body, Some(self.world.cx())).await
    }
}

#[tokio::test]
async fn buckets_and_their_settings() {
    let policy = |effect: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/*"}}]}}"#
        )
    };
    let (allow, deny) = (policy("Allow"), policy("Deny"));
    let c = Client::new().await;
    c.check(&[
        ("GET /bkt", "", 404, "<Code>NoSuchBucket</Code>"),
        ("PUT /B_d", "", 400, "InvalidBucketName"),
        ("PUT /bkt", "", 200, ""),
        ("PUT /bkt", "", 200, ""),
        ("GET /", "", 200, "<Name>bkt</Name>"),
        ("GET /bkt?location", "", 200, "<LocationConstraint"),
        ("GET /bkt?policy", "", 404, "NoSuchBucketPolicy"),
        ("GET /bkt?tagging", "", 404, "NoSuchTagSet"),
        ("GET /bkt?cors", "", 404, "NoSuchCORSConfiguration"),
        ("GET /bkt?website", "", 404, "NoSuchWebsiteConfiguration"),
        ("GET /bkt?lifecycle", "", 404, "NoSuchLifecycleConfiguration"),
        ("GET /bkt?replication", "", 404, "ReplicationConfigurationNotFoundError"),
        ("GET /bkt?object-lock", "", 404, "ObjectLockConfigurationNotFoundError"),
        ("GET /bkt?encryption", "", 200, "<SSEAlgorithm>AES256</SSEAlgorithm>"),
        ("GET /bkt?logging", "", 200, "BucketLoggingStatus"),
        ("GET /bkt?requestPayment", "", 200, "<Payer>BucketOwner</Payer>"),
        ("GET /bkt?accelerate", "", 200, "AccelerateConfiguration"),
        ("GET /bkt?acl", "", 200, "FULL_CONTROL"),
        ("GET /bkt?ownershipControls", "", 200, "BucketOwnerEnforced"),
        ("GET /bkt?publicAccessBlock", "", 200, "<BlockPublicPolicy>true</BlockPublicPolicy>"),
        ("PUT /bkt?policy", "{", 400, "MalformedPolicy"),
        ("PUT /bkt?policy", &allow, 403, "BlockPublicPolicy"),
        ("PUT /bkt?policy", &deny, 204, ""),
        ("GET /bkt?policy", "", 200, "Deny"),
        (
            "PUT /bkt?lifecycle",
            "<LifecycleConfiguration><Rule><Status>Enabled</Status></Rule></LifecycleConfiguration>",
            501,
            "NotImplemented",
        ),
        (
            "PUT /bkt?tagging",
            "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
            200,
            "",
        ),
        ("GET /v20180820/tags/arn%3Aaws%3As3%3A%3A%3Abkt", "", 200, "<Key>k</Key>"),
        ("PUT /bkt/a\nx-amz-acl: public-read", "", 400, "AccessControlListNotSupported"),
        (
            "PUT /bkt/a\nx-amz-server-side-encryption: aws:kms\nx-amz-server-side-encryption-aws-kms-key-id: k",
            "",
            501,
            "aws:kms",
        ),
        ("PUT /bkt/a\nx-amz-server-side-encryption: aws:kms", "", 200, ""),
        ("DELETE /bkt/a", "", 204, ""),
        ("PUT /bkt/a", "1", 200, ""),
        ("DELETE /bkt", "", 409, "BucketNotEmpty"),
        ("DELETE /bkt/a", "", 204, ""),
        ("DELETE /bkt", "", 204, ""),
        ("HEAD /bkt", "", 404, ""),
    ])
    .await;
}

#[tokio::test]
async fn objects_are_read_as_they_were_put() {
    let c = Client::new().await;
    let etag = "\"5d41402abc4b2a76b9719d911017c592\"";
    c.check(&[
        ("PUT /bkt", "", 200, ""),
        ("GET /bkt/k", "", 404, "NoSuchKey"),
        ("PUT /bkt/k\ncontent-md5: XUFAKrxLKna5cZ2REBfFkg==\nx-amz-checksum-crc32: NhCmhg==\nx-amz-meta-who: me\ncache-control: no-cache", "hello", 200, ""),
        ("PUT /bkt/k\ncontent-md5: XUFAKrxLKna5cZ2REBfFkg==", "hallo", 400, "BadDigest"),
        ("PUT /bkt/k\nx-amz-checksum-crc32: AAAAAA==", "hello", 400, "BadDigest"),
        ("PUT /bkt/k\nif-none-match: *", "x", 412, "PreconditionFailed"),
        ("GET /bkt/k", "", 200, "hello"),
        ("GET /bkt/k\nrange: bytes=1-2", "", 206, "el"),
        ("GET /bkt/k\nrange: bytes=-2", "", 206, "lo"),
        ("GET /bkt/k\nrange: bytes=9-", "", 416, "InvalidRange"),
        (&format!("GET /bkt/k\nif-none-match: {etag}"), "", 304, ""),
        ("GET /bkt/k\nif-match: \"00000000000000000000000000000000\"", "", 412, "PreconditionFailed"),
        ("GET /bkt/k\nif-modified-since: Fri, 01 Jan 2027 00:00:00 GMT", "", 304, ""),
        ("PUT /bkt/c%20d\nx-amz-copy-source: /bkt/k", "", 200, "CopyObjectResult"),
        ("GET /bkt/c%20d", "", 200, "hello"),
        ("PUT /bkt/k\nx-amz-copy-source: /bkt/k", "", 400, "illegal"),
        ("PUT /bkt/k?tagging", "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>", 200, ""),
        ("GET /bkt/k?tagging", "", 200, "<Value>v</Value>"),
        ("POST /bkt?delete", "<Delete><Object><Key>k</Key></Object><Object><Key>none</Key></Object></Delete>", 200, "<Key>none</Key>"),
        ("GET /bkt/k", "", 404, "NoSuchKey"),
    ])
    .await;
    let answer = c.send("HEAD /bkt/c%20d\nx-amz-checksum-mode: ENABLED", b"").await;
    let header = |name: &str| answer.1.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
    let told =
        ["etag", "x-amz-checksum-crc32", "x-amz-meta-who", "cache-control", "content-length", "content-type"];
    let expected = [etag, "NhCmhg==", "me", "no-cache", "5", "binary/octet-stream"];
    assert_eq!(told.map(header), expected);
}

#[tokio::test]
async fn versions_are_kept_where_it_is_enabled() {
    let c = Client::new().await;
    let versioning = |status: &str| {
        format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>")
    };
    c.check(&[
        ("PUT /bkt", "", 200, ""),
        ("PUT /bkt/k", "null", 200, ""),
        ("PUT /bkt?versioning", &versioning("Enabled"), 200, ""),
        ("PUT /bkt/k", "first", 200, ""),
        ("PUT /bkt/k", "second", 200, ""),
        ("GET /bkt/k", "", 200, "second"),
        ("GET /bkt/k?versionId=null", "", 200, "null"),
        ("GET /bkt/k?versionId=nope", "", 404, "NoSuchVersion"),
        ("DELETE /bkt/k", "", 204, ""),
        ("GET /bkt/k", "", 404, "NoSuchKey"),
        ("GET /bkt?list-type=2", "", 200, "<KeyCount>0</KeyCount>"),
    ])
    .await;
    let listed = c.send("GET /bkt?versions", b"").await;
    assert_eq!(listed.2.matches("<Version>").count(), 3, "{}", listed.2);
    let marker = listed.between("<DeleteMarker>", "</DeleteMarker>");
    let id = marker.split_once("<VersionId>").unwrap().1.split_once("</VersionId>").unwrap().0.to_owned();
    c.check(&[
        (&format!("DELETE /bkt/k?versionId={id}"), "", 204, ""),
        ("GET /bkt/k", "", 200, "second"),
        ("PUT /bkt?versioning", &versioning("Suspended"), 200, ""),
        ("PUT /bkt/k", "third", 200, ""),
        ("GET /bkt/k?versionId=null", "", 200, "third"),
    ])
    .await;
    assert_eq!(c.send("GET /bkt?versions", b"").await.2.matches("<Version>").count(), 3);
    let page = c.send("GET /bkt?versions&max-keys=1", b"").await;
    let next = page.between("<NextVersionIdMarker>", "</NextVersionIdMarker>");
    let rest = c.send(&format!("GET /bkt?versions&key-marker=k&version-id-marker={next}"), b"").await;
    assert_eq!(rest.2.matches("<Version>").count(), 2);
    assert!(!rest.2.contains("<IsLatest>true"), "{}", rest.2);
}

#[tokio::test]
async fn lists_roll_up_and_go_on() {
    let c = Client::new().await;
    c.send("PUT /bkt", b"").await;
    for key in ["a", "d/1", "d/2", "e/x/1", "z"] {
        c.send(&format!("PUT /bkt/{key}"), b"").await;
    }
    for (query, expected) in [
        ("", "a d/1 d/2 e/x/1 z"),
        ("&delimiter=/", "a z [d/ e/]"),
        ("&prefix=d/&delimiter=/", "d/1 d/2 [d/]"),
        ("&prefix=e/&delimiter=/", "[e/ e/x/]"),
        ("&start-after=d/1", "d/2 e/x/1 z"),
    ] {
        // All pages of one entry together give what one page gives.
        for size in [1, 1000] {
            let (mut keys, mut prefixes, mut token) = (Vec::new(), Vec::new(), String::new());
            loop {
                let page = c.send(&format!("GET /bkt?list-type=2&max-keys={size}{query}{token}"), b"").await;
                let texts = |text: &str, name: &str| -> Vec<String> {
                    let tag = format!("<{name}>");
                    let parts = text.split(&tag).skip(1);
                    parts.map(|part| part.split_once('<').unwrap().0.to_owned()).collect()
                };
                keys.extend(texts(&page.2, "Key"));
                prefixes.extend(texts(&page.2, "Prefix").into_iter().filter(|p| !p.is_empty()));
                if !page.2.contains("<IsTruncated>true") {
                    break;
                }
                token = format!("&continuation-token={}", page.between("<NextContinuationToken>", "<"));
            }
            prefixes.dedup();
            let mut all = prefixes.clone();
            all.sort();
            all.dedup();
            let rolled = if all.is_empty() { String::new() } else { format!("[{}]", all.join(" ")) };
            let found =
                [keys.join(" "), rolled].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ");
            assert_eq!(found, expected, "{query} by {size}");
        }
    }
}

#[tokio::test]
async fn parts_become_an_object() {
    let c = Client::new().await;
    c.send("PUT /bkt", b"").await;
    let begun = c.send("POST /bkt/big?uploads\nx-amz-checksum-algorithm: CRC32", b"").await;
    let id = begun.between("<UploadId>", "</UploadId>");
    let first = vec![7; 5 << 20];
    let mut tags = Vec::new();
    for (number, body) in [(1, &first[..]), (2, b"tail")] {
        let part = c.send(&format!("PUT /bkt/big?partNumber={number}&uploadId={id}"), body).await;
        assert_eq!(part.0, 200, "{}", part.2);
        tags.push(part.1["etag"].to_str().unwrap().to_owned());
    }
    let complete = |parts: &[(u8, &str)]| {
        let parts = parts
            .iter()
            .map(|(n, tag)| format!("<Part><PartNumber>{n}</PartNumber><ETag>{tag}</ETag></Part>"));
        format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.collect::<String>())
    };
    let uri = format!("POST /bkt/big?uploadId={id}");
    c.check(&[
        (&format!("GET /bkt/big?uploadId={id}"), "", 200, "<Size>4</Size>"),
        ("GET /bkt?uploads", "", 200, "<Key>big</Key>"),
        (&uri, &complete(&[(2, &tags[1]), (1, &tags[0])]), 400, "InvalidPartOrder"),
        (&uri, &complete(&[(1, &tags[1])]), 400, "InvalidPart"),
        (&uri, &complete(&[(1, &tags[0]), (2, &tags[1])]), 200, "-2"),
        (&uri, &complete(&[(1, &tags[0])]), 404, "NoSuchUpload"),
        ("GET /bkt/big\nrange: bytes=5242879-5242881", "", 206, "\u{7}ta"),
        ("GET /bkt/big?partNumber=2", "", 206, "tail"),
    ])
    .await;
    let head = c.send("HEAD /bkt/big\nx-amz-checksum-mode: ENABLED", b"").await;
    assert_eq!(head.1["content-length"], "5242884");
    assert!(head.1["x-amz-checksum-crc32"].to_str().unwrap().ends_with("-2"));
}

#[test]
fn a_policy_is_public_unless_a_condition_leaves_strangers_out() {
    let check = |rest: &str, public: bool| {
        let policy = format!(r#"{{"Statement": {{"Effect": "Allow", "Action": "s3:GetObject", {rest}}}}}"#);
        assert_eq!(crate::records::is_public(&policy), public, "{policy}");
    };
    check(r#""Principal": "*""#, true);
    check(r#""Principal": {"AWS": ["*"]}"#, true);
    check(r#""NotPrincipal": {"AWS": "000000000000"}"#, true);
    check(r#""Principal": {"AWS": "000000000000"}"#, false);
    for (condition, public) in [
        (r#"{}"#, true),
        (r#"{"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}"#, true),
        (r#"{"StringLike": {"aws:UserAgent": "x"}}"#, true),
        (r#"{"StringLike": {"aws:SourceArn": "arn:aws:sns:*"}}"#, true),
        (r#"{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}}"#, true),
        (r#"{"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}"#, false),
        (r#"{"StringEquals": {"aws:SourceAccount": ["000000000000"]}}"#, false),
    ] {
        check(&format!(r#""Principal": "*", "Condition": {condition}"#), public);
    }
}

#[tokio::test]
async fn a_browsers_form_is_refused_before_it_is_read() {
    let c = Client::new().await;
    let form = "POST /none\ncontent-type: Multipart/Form-Data; boundary=x";
    c.check(&[(form, "--x", 501, "<Code>NotImplemented</Code>")]).await;
}

#[tokio::test]
async fn permissions_and_callers() {
    let c = Client::new().await;
    c.check(&[("PUT /bkt", "", 200, ""), ("PUT /bkt/k", "v", 200, "")]).await;
    c.world.authority.asked();
    c.send("HEAD /bkt/k", b"").await;
    c.send("GET /bkt?list-type=2", b"").await;
    let asked = c.world.authority.asked();
    let of = |action: &str, resource: &str| (action.to_owned(), resource.to_owned());
    assert_eq!(asked, [of("s3:GetObject", "arn:aws:s3:::bkt/k"), of("s3:ListBucket", "arn:aws:s3:::bkt")]);
    // Who may not list does not learn what is missing.
    c.world.authority.deny("s3:ListBucket");
    c.check(&[("GET /bkt/none", "", 403, "<Code>AccessDenied</Code>"), ("GET /bkt/k", "", 200, "v")]).await;
    c.world.authority.deny("s3:PutObject");
    c.check(&[("PUT /bkt/k", "w", 403, "AccessDenied")]).await;
    let answer = c.request("GET /bkt/k", b"", None).await;
    assert_eq!(answer.0, 200, "an unsigned request is nobody's, and the authority decides");
    let cx = c.world.cx();
    let put = PutObject {
        bucket: "bkt".into(),
        key: "k".into(),
        body: Stream::from(bytes::Bytes::from_static(b"x")),
        content_type: None,
        headers: Default::default(),
        metadata: Default::default(),
        acl: None,
    };
    assert_eq!(cx.call(put).await.unwrap_err().code, "AccessDeniedException");
    let got = cx.call(GetObject {
        bucket: "bkt".into(),
        key: "k".into(),
        range: Some((0, None)),
        ..Default::default()
    });
    let body = got.await.unwrap().body.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "v");
}

#[tokio::test]
async fn bytes_without_an_object_go() {
    let c = Client::new().await;
    c.check(&[("PUT /bkt", "", 200, ""), ("PUT /bkt/k", "old", 200, ""), ("PUT /bkt/k", "new", 200, "")])
        .await;
    let blobs = c.world.blobs.clone();
    let names = || async { blobs.names("s3").await.unwrap().len() };
    assert_eq!(names().await, 2);
    let garbage = &c.s3.workers()[0];
    garbage.run().await.unwrap();
    assert_eq!(names().await, 2, "whoever reads the old bytes may end");
    c.world.clock.advance(std::time::Duration::from_secs(3601));
    garbage.run().await.unwrap();
    assert_eq!(names().await, 1);
    // A put that was cut off between its bytes and its row.
    let orphan = blobs::Name::new("s3", "0123/0/0").unwrap();
    blobs.put(&orphan, "orphan").await.unwrap();
    let c = Client::over(c.world.restart().await);
    c.s3.workers()[1].run().await.unwrap();
    assert_eq!(c.world.blobs.names("s3").await.unwrap().len(), 1);
    c.check(&[("GET /bkt/k", "", 200, "new")]).await;
}

#[tokio::test]
async fn rules_hear_of_buckets_that_say_so() {
    let c = Client::new().await;
    let on = "<NotificationConfiguration><EventBridgeConfiguration/></NotificationConfiguration>";
    c.check(&[
        ("PUT /bkt", "", 200, ""),
        ("PUT /bkt/a", "1", 200, ""),
        ("PUT /bkt?notification", on, 200, ""),
        ("PUT /bkt/a", "2", 200, ""),
        ("DELETE /bkt/a", "", 204, ""),
    ])
    .await;
    let told = c.world.store.messages(store::EVENTS, 0, 10).await.unwrap().into_iter().map(|message| {
        let event = message.event;
        (event.internal, event.detail_type.clone(), event.detail["reason"].as_str().unwrap().to_owned())
    });
    let of = |internal, kind: &str, reason: &str| (internal, kind.to_owned(), reason.to_owned());
    let expected = [
        of(true, "Object Created", "PutObject"),
        of(false, "Object Created", "PutObject"),
        of(false, "Object Deleted", "DeleteObject"),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

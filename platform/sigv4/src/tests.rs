use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::BodyExt;
use kernel::Timestamp;

use crate::git::GitClaim;
use crate::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const S3_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn at(text: &str) -> Timestamp {
    time::from_basic(text).unwrap()
}

/// A request as the wire has it: request line, headers, an empty line, the body.
fn parse(text: &str) -> Request<Bytes> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, rest) = lines.next().unwrap().split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap();
    let target: String =
        percent_encoding::utf8_percent_encode(target, percent_encoding::CONTROLS).to_string();
    let mut request = Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        request = request.header(name, value);
    }
    request.body(Bytes::copy_from_slice(body.trim_end_matches('\n').as_bytes())).unwrap()
}

fn verify(
    request: &Request<Bytes>,
    secret: &str,
    expect: Expect<'_>,
    now: &str,
) -> Result<Verified, Refusal> {
    let method = request.method().as_str();
    let head = Head { method, uri: request.uri(), headers: request.headers() };
    let claim = Claim::read(&head)?.ok_or(Refusal::Missing)?;
    let body = claim.needs_body().then(|| hash(request.body()));
    claim.verify(&head, secret, expect, body, at(now))
}

#[test]
fn the_published_suite() {
    let expect = Expect { service: Some("service"), region: Some("us-east-1") };
    let mut count = 0;
    for case in include_str!("suite.txt").split("=== ").skip(1) {
        let (name, text) = case.split_once('\n').unwrap();
        let request = parse(text);
        if let Err(refusal) = verify(&request, SECRET, expect, "20150830T123600Z") {
            panic!("{name}: {refusal:?}");
        }
        assert!(
            matches!(verify(&request, "another", expect, "20150830T123600Z"), Err(Refusal::Mismatch { .. })),
            "{name} is accepted with another secret"
        );
        count += 1;
    }
    assert_eq!(count, 54);
}

#[test]
fn s3_alone_takes_a_body_on_trust() {
    let check = |service: &str| {
        let scope = Scope { date: "20150830".into(), region: "us-east-1".into(), service: service.into() };
        let unsigned =
            "POST / HTTP/1.1\nHost:h\nx-amz-date:20150830T123600Z\nx-amz-content-sha256:UNSIGNED-PAYLOAD";
        let mut request = parse(&format!("{unsigned}\n\nAction=DeleteUser"));
        let signed = ["host", "x-amz-content-sha256", "x-amz-date"];
        let head = Head { method: "POST", uri: request.uri(), headers: request.headers() };
        let canonical = canonical::request(&head, &signed, "UNSIGNED-PAYLOAD", service == "s3");
        let text = format!(
            "AWS4-HMAC-SHA256\n20150830T123600Z\n{}\n{}",
            scope.text(),
            hash_hex(canonical.as_bytes())
        );
        let signature = key::SigningKey::derive(SECRET, &scope).sign(&text);
        let header = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{}, SignedHeaders={}, Signature={signature}",
            scope.text(),
            signed.join(";")
        );
        request.headers_mut().insert("authorization", HeaderValue::from_str(&header).unwrap());
        verify(&request, SECRET, Expect::default(), "20150830T123600Z")
    };
    assert!(matches!(check("s3").unwrap().payload, Payload::Unsigned));
    assert!(matches!(check("iam"), Err(Refusal::Mismatch { .. })));
}

/// The examples of S3's own documentation.
#[test]
fn s3_examples() {
    let scope = "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
    let empty = hash_hex(b"");
    let cases = [
        format!(
            "GET /test.txt HTTP/1.1\nHost:examplebucket.s3.amazonaws.com\nRange:bytes=0-9\nx-amz-content-sha256:{empty}\n\
             x-amz-date:20130524T000000Z\nAuthorization:AWS4-HMAC-SHA256 {scope},SignedHeaders=host;range;x-amz-content-sha256;\
             x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        ),
        format!(
            "PUT /test%24file.text HTTP/1.1\nDate:Fri, 24 May 2013 00:00:00 GMT\nHost:examplebucket.s3.amazonaws.com\n\
             x-amz-date:20130524T000000Z\nx-amz-storage-class:REDUCED_REDUNDANCY\nx-amz-content-sha256:\
             44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\nAuthorization:AWS4-HMAC-SHA256 {scope},\
             SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,\
             Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        ),
        format!(
            "GET /?lifecycle HTTP/1.1\nHost:examplebucket.s3.amazonaws.com\nx-amz-date:20130524T000000Z\n\
             x-amz-content-sha256:{empty}\nAuthorization:AWS4-HMAC-SHA256 {scope},SignedHeaders=host;x-amz-content-sha256;\
             x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        ),
        format!(
            "GET /?max-keys=2&prefix=J HTTP/1.1\nHost:examplebucket.s3.amazonaws.com\nx-amz-date:20130524T000000Z\n\
             x-amz-content-sha256:{empty}\nAuthorization:AWS4-HMAC-SHA256 {scope},SignedHeaders=host;x-amz-content-sha256;\
             x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        ),
        "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F\
         aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=\
         aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\nHost:examplebucket.s3.amazonaws.com"
            .to_owned(),
    ];
    for case in &cases {
        let verified = verify(&parse(case), S3_SECRET, Expect::default(), "20130524T000500Z");
        assert_eq!(verified.unwrap().access_key_id, "AKIAIOSFODNN7EXAMPLE", "{case}");
    }
    let expired = verify(&parse(&cases[4]), S3_SECRET, Expect::default(), "20130525T000001Z").unwrap_err();
    let fault = expired.fault(Dialect::S3);
    assert_eq!((&*fault.code, &*fault.message), ("AccessDenied", "Request has expired"));
}

const CHUNKED: &str = "PUT /examplebucket/chunkObject.txt HTTP/1.1\nHost:s3.amazonaws.com\nx-amz-date:20130524T000000Z\n\
    x-amz-storage-class:REDUCED_REDUNDANCY\nAuthorization:AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/\
    us-east-1/s3/aws4_request,SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;\
    x-amz-decoded-content-length;x-amz-storage-class,Signature=\
    4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9\nx-amz-content-sha256:\
    STREAMING-AWS4-HMAC-SHA256-PAYLOAD\nContent-Encoding:aws-chunked\nx-amz-decoded-content-length:66560\n\
    Content-Length:66824";

fn chunked_body() -> Vec<u8> {
    let mut body = Vec::new();
    for (size, signature) in [
        (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ] {
        body.extend(format!("{size:x};chunk-signature={signature}\r\n").bytes());
        body.extend(std::iter::repeat_n(b'a', size));
        body.extend(b"\r\n");
    }
    body
}

/// Decodes a body that arrives in pieces of this size.
async fn decode(
    request: &Request<Bytes>,
    payload: Payload,
    body: &[u8],
    piece: usize,
) -> Result<(Bytes, HeaderMap), String> {
    let frames: Vec<Result<http_body::Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>> =
        body.chunks(piece).map(|part| Ok(http_body::Frame::data(Bytes::copy_from_slice(part)))).collect();
    let body = Frames(frames.into()).boxed_unsync();
    let collected =
        body::guard(payload, request.headers(), body).collect().await.map_err(|e| e.to_string())?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok((collected.to_bytes(), trailers))
}

struct Frames<E>(std::collections::VecDeque<Result<http_body::Frame<Bytes>, E>>);

impl<E: Unpin> http_body::Body for Frames<E> {
    type Data = Bytes;
    type Error = E;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, E>>> {
        std::task::Poll::Ready(self.0.pop_front())
    }
}

#[tokio::test]
async fn chunks_are_verified_wherever_they_are_cut() {
    let request = parse(CHUNKED);
    let payload = verify(&request, S3_SECRET, Expect::default(), "20130524T000000Z").unwrap().payload;
    let body = chunked_body();
    for piece in [1, 7, 86, 1000, 70_000] {
        let (data, _) = decode(&request, payload.clone(), &body, piece).await.unwrap();
        assert!(data.len() == 66560 && data.iter().all(|b| *b == b'a'), "in pieces of {piece}");
    }
    let mut changed = body.clone();
    changed[70_000 - 4_000] = b'b';
    for (bad, why) in [
        (changed, "does not match"),
        (body[..body.len() - 90].to_vec(), "ends before its last chunk"),
        ([body.clone(), b"more".to_vec()].concat(), "bytes follow"),
        (b"zz\r\n".to_vec(), "not hexadecimal"),
        (b"10000\r\n".to_vec(), "no chunk-signature"),
        (vec![b'1'; 10_000], "too long"),
    ] {
        let error = decode(&request, payload.clone(), &bad, 4096).await.unwrap_err();
        assert!(error.contains(why), "{error} should say: {why}");
    }
}

#[tokio::test]
async fn trailers_are_verified() {
    let text = CHUNKED.replace("-PAYLOAD\n", "-PAYLOAD-TRAILER\n").replace(
        "x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "x-amz-storage-class;x-amz-trailer,Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
    ) + "\nx-amz-trailer:x-amz-checksum-crc32c";
    let text = text
        .replace("content-encoding;content-length;", "content-encoding;")
        .replace("\nContent-Length:66824", "");
    let request = parse(&text);
    let payload = verify(&request, S3_SECRET, Expect::default(), "20130524T000000Z").unwrap().payload;
    let body = |checksum: &str| {
        let mut body = Vec::new();
        for (size, signature) in [
            (65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
            (1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        ] {
            body.extend(format!("{size:x};chunk-signature={signature}\r\n").bytes());
            body.extend(std::iter::repeat_n(b'a', size));
            body.extend(b"\r\n");
        }
        body.extend(
            format!(
                "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n\
                 x-amz-checksum-crc32c:{checksum}\r\nx-amz-trailer-signature:\
                 d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
            )
            .bytes(),
        );
        body
    };
    let (data, trailers) = decode(&request, payload.clone(), &body("sOO8/Q=="), 999).await.unwrap();
    assert_eq!((data.len(), trailers["x-amz-checksum-crc32c"].as_bytes()), (66560, &b"sOO8/Q=="[..]));
    let error = decode(&request, payload, &body("sOO8/R=="), 999).await.unwrap_err();
    assert!(error.contains("does not match"), "{error}");
    let unsigned = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let (data, trailers) =
        decode(&parse("PUT / HTTP/1.1"), Payload::UnsignedChunks, unsigned, 3).await.unwrap();
    assert_eq!((&data[..], trailers.len()), (&b"hello"[..], 1));
}

#[tokio::test]
async fn a_streamed_body_must_have_its_hash() {
    let request = parse("PUT / HTTP/1.1");
    let (data, _) = decode(&request, Payload::Hash(hash(b"hello")), b"hello", 2).await.unwrap();
    assert_eq!(&data[..], b"hello");
    assert!(decode(&request, Payload::Hash(hash(b"hello")), b"hullo", 2).await.is_err());
}

/// Everything that a request can get wrong, with the code and the words of each protocol.
#[test]
fn refusals() {
    let good = "POST / HTTP/1.1\nHost:h\nX-Amz-Date:20150830T123600Z\nAuthorization:AWS4-HMAC-SHA256 \
        Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=00";
    let check = |edit: (&str, &str), now: &str, dialect, code: &str, words: &str| {
        let expect = Expect { service: Some("service"), region: Some("us-east-1") };
        let refusal = verify(&parse(&good.replace(edit.0, edit.1)), SECRET, expect, now).unwrap_err();
        let fault = refusal.fault(dialect);
        assert_eq!(fault.code, code, "{fault:?}");
        assert!(fault.message.contains(words), "{fault:?} should say: {words}");
    };
    let now = "20150830T123600Z";
    let cut = good.find("\nAuthorization").map(|i| &good[i..]).unwrap();
    let same = ("", "");
    use Dialect::{Ec2, Json, Query, S3};
    check((cut, ""), now, Query, "MissingAuthenticationToken", "missing Authentication Token");
    check((cut, ""), now, Json, "MissingAuthenticationTokenException", "missing");
    check((cut, ""), now, S3, "AccessDenied", "Access Denied");
    check(
        ("AWS4-HMAC-SHA256", "Basic"),
        now,
        Query,
        "IncompleteSignature",
        "Unsupported AWS 'algorithm': 'Basic'",
    );
    check((", Signature=00", ""), now, Query, "IncompleteSignature", "requires 'Signature' parameter.");
    check(
        ("\nX-Amz-Date:20150830T123600Z", ""),
        now,
        Json,
        "IncompleteSignatureException",
        "'X-Amz-Date' or a 'Date'",
    );
    check(("20150830T123600Z", "yesterday"), now, Query, "IncompleteSignature", "Got 'yesterday'");
    check(("/aws4_request", ""), now, Query, "IncompleteSignature", "exactly 5 slash-delimited elements");
    check(("/aws4_request", ""), now, S3, "AuthorizationHeaderMalformed", "malformed; Credential must");
    check(("aws4_request", "aws3"), now, Query, "IncompleteSignature", "not 'aws3'");
    check(("/20150830/", "/20150829/"), now, Query, "SignatureDoesNotMatch", "'20150829' != '20150830'");
    check(("/service/", "/iam/"), now, Query, "SignatureDoesNotMatch", "correct service: 'service'");
    check(("us-east-1", "mars"), now, Json, "InvalidSignatureException", "valid region, not 'mars'");
    check(
        ("host;", ""),
        now,
        Json,
        "InvalidSignatureException",
        "'Host' or ':authority' must be a 'SignedHeader'",
    );
    check((";x-amz-date", ""), now, S3, "AccessDenied", "which were not signed");
    check(
        same,
        now,
        Query,
        "SignatureDoesNotMatch",
        "The String-to-Sign should have been\n'AWS4-HMAC-SHA256\n2015",
    );
    check(same, now, Json, "InvalidSignatureException", "The Canonical String for this request");
    check(same, now, Ec2, "AuthFailure", "not able to validate");
    check(
        same,
        "20150830T125101Z",
        Query,
        "SignatureDoesNotMatch",
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)",
    );
    check(
        same,
        "20150830T122059Z",
        Query,
        "SignatureDoesNotMatch",
        "not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)",
    );
    check(same, "20150830T125101Z", Ec2, "RequestExpired", "has expired");
    check(same, "20150830T125101Z", S3, "RequestTimeTooSkewed", "too large");
    for (dialect, code) in
        [(Query, "InvalidClientTokenId"), (Json, "UnrecognizedClientException"), (S3, "InvalidAccessKeyId")]
    {
        assert_eq!(Refusal::UnknownKey.fault(dialect).code, code);
    }
    let presigned = "GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20150830/r/s3/aws4_request\
        &X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Expires=";
    for (life, words) in [("604801", "less than a week"), ("-1", "non-negative"), ("x", "a number")] {
        let request = parse(&format!("{presigned}{life} HTTP/1.1\nHost:h"));
        let fault = verify(&request, SECRET, Expect::default(), now).unwrap_err().fault(S3);
        assert!(fault.is("AuthorizationQueryParametersError") && fault.message.contains(words), "{fault:?}");
    }
}

/// Signs a table of requests with AWS's own signer, by header and by query, and verifies each.
#[test]
fn agrees_with_the_signer_of_aws() {
    let paths = [
        "/",
        "/a/b",
        "/a%20b/c%2Fd",
        "/v1/./x/../y/",
        "//double//",
        "/%E1%88%B4",
        "/k+e=y&z*~",
        "/2013-04-01/rrset/",
    ];
    let queries = [
        "",
        "?a=1&b=2",
        "?b=2&a=1&a=0",
        "?list-type=2&prefix=a%2Fb%20c&delimiter=%2F",
        "?uploads",
        "?x=%2B&y=~-_.&z=*",
    ];
    let bodies: [&[u8]; 2] = [b"", b"Action=GetUser&Version=2010-05-08"];
    for service in ["iam", "s3", "codepipeline", "route53"] {
        for path in paths {
            for query in queries {
                for body in bodies {
                    for presigned in [false, true] {
                        for token in [None, Some("to/ken+=")] {
                            oracle(service, &format!("{path}{query}"), body, presigned, token);
                        }
                    }
                }
            }
        }
    }
}

fn oracle(service: &str, target: &str, body: &[u8], presigned: bool, token: Option<&str>) {
    use aws_sigv4::http_request::*;
    let identity =
        aws_credential_types::Credentials::new("AKIDEXAMPLE", SECRET, token.map(Into::into), None, "test")
            .into();
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    if presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(std::time::Duration::from_secs(600));
    }
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_440_938_160);
    let params =
        aws_sigv4::sign::v4::SigningParams::builder().identity(&identity).region("eu-west-1").name(service);
    let params = params.time(time).settings(settings).build().unwrap().into();
    let uri = format!("http://localhost:4566{target}");
    let headers = [("host", "localhost:4566"), ("content-type", "text/x;  a=b"), ("x-amz-target", " T.Op ")];
    let signed_body = match (service, presigned) {
        ("s3", true) => SignableBody::UnsignedPayload,
        _ => SignableBody::Bytes(body),
    };
    let signable = SignableRequest::new("POST", &uri, headers.iter().copied(), signed_body).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = Request::builder().method("POST").uri(&uri);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut request = request.body(Bytes::copy_from_slice(body)).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    let expect = Expect { service: Some(service), region: None };
    let verified = verify(&request, SECRET, expect, "20150830T123700Z");
    let verified = verified.unwrap_or_else(|e| panic!("{service} {target} presigned={presigned}: {e:?}"));
    assert_eq!(verified.scope.region, "eu-west-1");
    let (mut other, now) = (request.clone(), "20150830T123700Z");
    other.headers_mut().insert("x-amz-target", HeaderValue::from_static("T.Other"));
    assert!(verify(&other, SECRET, expect, now).is_err(), "{service} {target}: a changed header is accepted");
    if service != "s3" {
        *request.body_mut() = Bytes::from_static(b"Action=DeleteUser");
        assert!(
            verify(&request, SECRET, expect, now).is_err(),
            "{service} {target}: a changed body is accepted"
        );
    }
}

/// As the CLI's credential helper signs (checked against aws-cli 1.45's own code and output).
#[test]
fn git_credentials() {
    let signature = {
        let canonical = "GIT\n/v1/repos/web\n\nhost:127.0.0.1\n\nhost\n";
        let scope =
            Scope { date: "20150830".into(), region: "us-east-1".into(), service: "codecommit".into() };
        let text = format!(
            "AWS4-HMAC-SHA256\n20150830T123600\n20150830/us-east-1/codecommit/aws4_request\n{}",
            hash_hex(canonical.as_bytes())
        );
        key::SigningKey::derive(SECRET, &scope).sign(&text)
    };
    let password = format!("20150830T123600Z{signature}");
    let claim = GitClaim::read("AKIDEXAMPLE%tok%en", &password).unwrap();
    assert_eq!((&*claim.access_key_id, claim.token.as_deref()), ("AKIDEXAMPLE", Some("tok%en")));
    let verify = |host, path, region, now| claim.verify(SECRET, host, path, region, at(now));
    assert_eq!(verify("127.0.0.1:4566", "/v1/repos/web", "us-east-1", "20150830T125100Z"), Ok(()));
    for (path, region, now) in [
        ("/v1/repos/other", "us-east-1", "20150830T123600Z"),
        ("/v1/repos/web", "eu-west-1", "20150830T123600Z"),
        ("/v1/repos/web", "us-east-1", "20150830T125101Z"),
        ("/v1/repos/web", "us-east-1", "20150830T122059Z"),
    ] {
        assert!(verify("127.0.0.1", path, region, now).is_err(), "{path} {region} {now}");
    }
    assert!(GitClaim::read("alice-at-000000000000", "a+plain/Zpassword=").is_none());
}

#[test]
fn http2_names_the_host_in_the_target() {
    let uri: Uri = "http://example.amazonaws.com/".parse().unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-amz-date", "20150830T123600Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let head = Head { method: "GET", uri: &uri, headers: &headers };
    let claim = Claim::read(&head).unwrap().unwrap();
    assert!(claim.verify(&head, SECRET, Expect::default(), None, at("20150830T123600Z")).is_ok());
}

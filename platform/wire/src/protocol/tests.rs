//! What botocore and the Rust SDK send and accept, pinned protocol by protocol.
use kernel::ops::{AnyShape, WireOperation};
use kernel::schema::Protocol;
use kernel::{Fault, Reader, check};

use super::query::Form;
use super::rest::{RestRequest, labels};
use super::{Input, Speech, answer, refusal};

fn read<O: WireOperation>(input: &Input) -> Result<O, Fault> {
    input.read(O::OPERATION, |reader| O::read(reader))?
}

fn violations<O: WireOperation>(input: &Input) -> Vec<String> {
    input.read(O::OPERATION, |reader: &dyn Reader| check::violations(reader, O::SCHEMA)).unwrap().unwrap()
}

fn json(text: &str) -> Input {
    Input::json(text.as_bytes()).unwrap()
}

fn query(text: &str, ec2: bool) -> Input {
    Input::Query(Form::parse(text.as_bytes()).unwrap(), ec2)
}

async fn text(response: http::Response<kernel::Body>) -> String {
    use http_body_util::BodyExt;
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[test]
fn json_null_is_absent_and_unknown_members_are_ignored() {
    let input = json(
        r#"{"logGroupName":"g","retentionInDays":null,"fromTheFuture":{"a":[1]},"startTime":1700000000123}"#,
    );
    let read: api::logs::FilterLogEvents = read(&input).unwrap();
    assert_eq!(
        (read.log_group_name.as_deref(), read.start_time, read.limit),
        (Some("g"), Some(1_700_000_000_123), None)
    );
}

#[test]
fn json_of_the_wrong_kind_is_told_with_its_member() {
    let fault = read::<api::logs::FilterLogEvents>(&json(r#"{"logGroupName":7}"#)).unwrap_err();
    assert_eq!(
        (fault.code.as_ref(), fault.message.as_str()),
        ("SerializationException", "Expected a string, found a number (at logGroupName)")
    );
}

#[test]
fn constraints_read_as_awss_do() {
    let found = violations::<api::codepipeline::GetPipeline>(&json(r#"{"name":"no spaces"}"#));
    assert_eq!(
        found,
        [
            r"Value 'no spaces' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9.@\-_]+"
        ]
    );
    let found = violations::<api::codepipeline::GetPipeline>(&json("{}"));
    assert_eq!(found, ["Value null at 'name' failed to satisfy constraint: Member must not be null"]);
    let found = violations::<api::codepipeline::CreatePipeline>(&json(
        r#"{"pipeline":{"name":"p","roleArn":"arn:aws:iam::000000000000:role/r","stages":[{"name":"S","actions":[{"name":"A","actionTypeId":{"category":"Nope","owner":"AWS","provider":"X","version":"1"}}]}]}}"#,
    ));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("'pipeline.stages.1.member.actions.1.member.actionTypeId.category'")
            && found[0].contains("enum value set"),
        "{found:?}"
    );
}

#[test]
fn query_lists_maps_and_scalars() {
    let input = query(
        "Action=CreateTargetGroup&Name=t&Port=8080&HealthCheckEnabled=true&Tags.member.2.Key=b&Tags.member.1.Key=a&Tags.member.1.Value=%3D",
        false,
    );
    let read: api::elb::CreateTargetGroup = read(&input).unwrap();
    let tags: Vec<_> = read.tags.unwrap().into_iter().map(|t| (t.key, t.value)).collect();
    assert_eq!((read.port, read.health_check_enabled), (Some(8080), Some(true)));
    assert_eq!(tags, [("a".to_owned(), Some("=".to_owned())), ("b".to_owned(), None)]);
}

#[test]
fn an_empty_query_list_is_present() {
    let read: api::elb::DescribeTags = read(&query("Action=DescribeTags&ResourceArns=", false)).unwrap();
    assert_eq!(read.resource_arns, Vec::<String>::new());
}

#[test]
fn ec2_lists_are_flat_and_names_capitalised() {
    let input = query(
        "Action=DescribeVpcs&VpcId.1=vpc-1&VpcId.10=vpc-3&VpcId.2=vpc-2&Filter.1.Name=cidr&Filter.1.Value.1=10.0.0.0%2F16",
        true,
    );
    let read: api::ec2::DescribeVpcs = read(&input).unwrap();
    assert_eq!(read.vpc_ids.unwrap(), ["vpc-1", "vpc-2", "vpc-3"]);
    let filter = &read.filters.unwrap()[0];
    assert_eq!(
        (filter.name.as_deref(), filter.values.as_deref()),
        (Some("cidr"), Some(&["10.0.0.0/16".to_owned()][..]))
    );
}

#[test]
fn rest_finds_labels_query_headers_and_body() {
    let found = labels("/2013-04-01/hostedzone/{Id}/rrset/", "/2013-04-01/hostedzone/Z%31/rrset").unwrap();
    assert_eq!(found["Id"], "Z1");
    assert!(labels("/2013-04-01/hostedzone/{Id}", "/2013-04-01/hostedzone/Z1/rrset").is_none());
    let body = r#"<?xml version="1.0"?><ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes>
        <Change><Action>UPSERT</Action><ResourceRecordSet><Name>a.b</Name><Type>TXT</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>&quot;x&amp;y&quot;</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change>
        </Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"#;
    let (head, ()) = http::Request::post("/2013-04-01/hostedzone/Z1/rrset/").body(()).unwrap().into_parts();
    let input = Input::Rest(RestRequest::new(&head, found, body.into()));
    let read: api::route53::ChangeResourceRecordSets = read(&input).unwrap();
    let set = &read.change_batch.changes[0].resource_record_set;
    assert_eq!((read.hosted_zone_id.as_str(), set.ttl), ("Z1", Some(60)));
    assert_eq!(set.resource_records.as_ref().unwrap()[0].value, "\"x&y\"");
}

#[test]
fn xml_with_entities_of_its_own_or_without_end_is_refused() {
    for body in
        ["<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "<a>&x;</a>", "<a><b></a>", "<a>", "", "<a/><b/>x<"]
    {
        let refused = super::xml::parse(body.as_bytes());
        assert!(refused.is_err_and(|fault| fault.code == "MalformedXML"), "{body}");
    }
    assert!(
        super::xml::parse("<a>".repeat(100).as_bytes())
            .is_err_and(|fault| fault.message.contains("too deep"))
    );
}

#[tokio::test]
async fn answers_stand_as_their_protocols_wrap_them() {
    let output =
        api::sts::GetCallerIdentityOutput { account: Some("000000000000".into()), ..Default::default() };
    let xml = text(answer(
        api::sts::GetCallerIdentity::OPERATION,
        Protocol::Query,
        &output as &dyn AnyShape,
        "r-1",
    ))
    .await;
    assert!(xml.contains("<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Account>000000000000</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>r-1</RequestId>"), "{xml}");
    let vpc = api::ec2::Vpc {
        vpc_id: Some("vpc-1".into()),
        tags: Some(vec![api::ec2::Tag { key: Some("k".into()), value: None }]),
        ..Default::default()
    };
    let output = api::ec2::DescribeVpcsOutput { vpcs: Some(vec![vpc]), next_token: None };
    let xml =
        text(answer(api::ec2::DescribeVpcs::OPERATION, Protocol::Ec2, &output as &dyn AnyShape, "r-2")).await;
    assert!(xml.contains("<requestId>r-2</requestId><vpcSet><item>"), "{xml}");
    assert!(
        xml.contains("<tagSet><item><key>k</key></item></tagSet>") && xml.contains("<vpcId>vpc-1</vpcId>"),
        "{xml}"
    );
}

#[tokio::test]
async fn header_members_become_headers() {
    let output = api::route53::CreateHostedZoneOutput {
        location: "/2013-04-01/hostedzone/Z1".into(),
        ..Default::default()
    };
    let response =
        answer(api::route53::CreateHostedZone::OPERATION, Protocol::RestXml, &output as &dyn AnyShape, "r");
    assert_eq!(
        (response.status().as_u16(), response.headers()["location"].to_str().unwrap()),
        (201, "/2013-04-01/hostedzone/Z1")
    );
    assert!(!text(response).await.contains("Location"));
}

#[tokio::test]
async fn refusals_stand_as_clients_parse_them() {
    let denied = Fault::access_denied("no <&>");
    let ec2 = refusal(Speech::of(Some(&api::ec2::SERVICE)), &denied, "r");
    assert_eq!(ec2.status(), 403);
    assert!(text(ec2).await.contains("<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no &lt;&amp;&gt;</Message></Error></Errors><RequestID>r</RequestID></Response>"));
    assert!(
        text(refusal(Speech::of(Some(&api::iam::SERVICE)), &denied, "r"))
            .await
            .contains("<Error><Type>Sender</Type><Code>AccessDenied</Code>")
    );
    let json = refusal(Speech::of(Some(&api::ecs::SERVICE)), &denied.with("resource", "x"), "r");
    assert_eq!(json.status(), 400);
    assert_eq!(text(json).await, r#"{"__type":"AccessDeniedException","message":"no <&>","resource":"x"}"#);
}

#[tokio::test]
async fn a_service_that_once_spoke_query_alone_keeps_its_codes() {
    let fault = Fault::client("LimitExceededFault", "too many");
    let speech = |protocol| Speech { service: Some(&api::cloudwatch::SERVICE), protocol };
    for protocol in [Protocol::Json10, Protocol::Cbor] {
        let told = refusal(speech(protocol), &fault, "r");
        assert_eq!(told.headers()["x-amzn-query-error"], "LimitExceeded;Sender");
    }
    let told = text(refusal(speech(Protocol::Json10), &fault, "r")).await;
    assert!(told.contains("\"__type\":\"LimitExceededFault\""), "{told}");
    let told = refusal(speech(Protocol::Query), &fault, "r");
    assert_eq!(told.headers().get("x-amzn-query-error"), None);
    assert!(text(told).await.contains("<Code>LimitExceeded</Code>"));
}

#[test]
fn sensitive_members_are_masked_in_debug() {
    let key = api::iam::AccessKey { secret_access_key: "s3cr3t".into(), ..Default::default() };
    assert!(!format!("{key:?}").contains("s3cr3t"));
    let stored = serde_json::to_string(&kernel::json::to_value(&key)).unwrap();
    assert!(stored.contains("s3cr3t"), "stored form keeps it");
}

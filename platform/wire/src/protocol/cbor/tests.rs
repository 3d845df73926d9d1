//! Requests as botocore 1.44 writes them, and what no client writes.
use http_body_util::BodyExt;
use kernel::ops::{AnyShape, WireOperation};
use kernel::schema::Protocol;
use proptest::prelude::*;

use super::*;
use crate::protocol::{Input, Speech, answer, refusal};

fn bytes(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect::<Vec<_>>().into()
}

fn read<O: WireOperation>(hex: &str) -> Result<O, Fault> {
    let input = Input::Cbor(checked(bytes(hex))?);
    input.read(O::OPERATION, |reader| O::read(reader))?
}

/// PutJobSuccessResult, with a time of half seconds.
const JOB: &str = "a3656a6f624964782431313131313131312d313131312d343131312d383131312d3131313131313131313131316f63757272656e745265766973696f6ea3687265766973696f6e6172706368616e67654964656e74696669657261636763726561746564c1fb41da55cd696000006f6f75747075745661726961626c6573a1614162c3a9";

#[test]
fn requests_of_botocore_are_read() {
    let read_pipeline: api::codepipeline::GetPipeline =
        read("a2646e616d65637765626776657273696f6e19012c").unwrap();
    assert_eq!((read_pipeline.name.as_str(), read_pipeline.version), ("web", Some(300)));
    let job: api::codepipeline::PutJobSuccessResult = read(JOB).unwrap();
    let created = job.current_revision.unwrap().created.unwrap();
    assert_eq!(created.to_string(), "2026-01-02T03:04:05.5Z");
    assert_eq!(job.output_variables.unwrap()["A"], "é");
    let build: api::codebuild::StartBuild = read(
        "a36b70726f6a6563744e616d65617073646562756753657373696f6e456e61626c6564f5781874696d656f7574496e4d696e757465734f76657272696465183c",
    )
    .unwrap();
    assert_eq!((build.debug_session_enabled, build.timeout_in_minutes_override), (Some(true), Some(60)));
    let data: api::cloudwatch::PutMetricData = read(
        "a2694e616d657370616365614e6a4d65747269634461746181a36a4d65747269634e616d65616d6556616c7565fbbff80000000000006954696d657374616d70c11a695735a5",
    )
    .unwrap();
    let datum = &data.metric_data.unwrap()[0];
    assert_eq!(
        (datum.value, datum.timestamp.unwrap().to_string()),
        (Some(-1.5), "2026-01-02T03:04:05Z".into())
    );
    assert_eq!(read::<api::codepipeline::ListPipelines>("").unwrap(), Default::default());
}

#[test]
fn every_form_of_a_value_is_read() {
    let of = |hex: &str| CborReader::new(&bytes(hex)).double().unwrap();
    for (hex, wanted) in [
        ("f93e00", 1.5),
        ("f90001", 5.960_464_477_539_063e-8),
        ("f9fbff", -65504.0),
        ("f97c00", f64::INFINITY),
        ("fac0200000", -2.5),
        ("fb3ff199999999999a", 1.1),
        ("1903e8", 1000.0),
        ("3903e7", -1000.0),
    ] {
        assert_eq!(of(hex), wanted, "{hex}");
    }
    assert!(of("f97e00").is_nan());
    let integer = |hex: &str| CborReader::new(&bytes(hex)).integer();
    assert_eq!(integer("1b7fffffffffffffff").unwrap(), i64::MAX);
    assert_eq!(integer("3b7fffffffffffffff").unwrap(), i64::MIN);
    assert_eq!(integer("fb4008000000000000").unwrap(), 3);
    assert!(integer("1bffffffffffffffff").is_err());
    // No lengths: a map, a list, a text and bytes of parts.
    let parts = "bf646e616d657f63736f6d6165ff6776657273696f6e0167756e6b6e6f776e9f00a0ffff";
    let read_pipeline: api::codepipeline::GetPipeline = read(parts).unwrap();
    assert_eq!((read_pipeline.name.as_str(), read_pipeline.version), ("some", Some(1)));
    assert_eq!(CborReader::new(&bytes("5f42010243030405ff")).blob().unwrap(), bytes("0102030405"));
    // Null and undefined are absent.
    let read_pipeline: api::codepipeline::GetPipeline = read("a2646e616d6561706776657273696f6ef6").unwrap();
    assert_eq!(read_pipeline.version, None);
    assert!(CborReader::new(&bytes("f7")).is_null());
}

#[test]
fn what_is_wrong_is_told() {
    for (hex, told) in [
        ("a1646e616d6507", "Expected a string, found a whole number (at name)"),
        ("80", "Expected a structure, found a list"),
        ("a1646e616d65", "it ends within an item"),
        ("a0a0", "more follows its one item"),
        ("a10707", "a key of a map is not text"),
        ("9bffffffffffffffff00", "it ends within an item"),
        ("7bffffffffffffffff00", "it ends within an item"),
        ("1c", "a first byte is reserved"),
        ("ff", "a length or an end stands where none may"),
        ("1f", "a length or an end stands where none may"),
        ("f8ff", "a simple value is neither"),
        ("61ff", "a text is not UTF-8"),
        ("7f4161ff", "a string of parts has a part of another kind"),
    ] {
        let fault = read::<api::codepipeline::GetPipeline>(hex).unwrap_err();
        assert_eq!(fault.code, "SerializationException");
        assert!(fault.message.contains(told), "{hex}: {}", fault.message);
    }
    for nested in ["81".repeat(5000), "c1".repeat(5000), "9f".repeat(5000)] {
        let fault = read::<api::codepipeline::GetPipeline>(&nested).unwrap_err();
        assert!(fault.message.contains("it nests too deep"), "{}", fault.message);
    }
}

async fn body(response: http::Response<kernel::Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn answers_and_refusals_say_their_protocol() {
    let at = "2026-01-02T03:04:05.5Z".parse().unwrap();
    let output = api::codepipeline::ListPipelinesOutput {
        pipelines: Some(vec![api::codepipeline::PipelineSummary {
            name: Some("web".into()),
            version: Some(300),
            created: Some(at),
            ..Default::default()
        }]),
        next_token: None,
    };
    let schema = api::codepipeline::ListPipelines::OPERATION;
    let told = answer(schema, Protocol::Cbor, &output as &dyn AnyShape, "r");
    assert_eq!(
        (&told.headers()["smithy-protocol"], &told.headers()["content-type"]),
        (&"rpc-v2-cbor".parse().unwrap(), &"application/cbor".parse().unwrap())
    );
    let written = body(told).await;
    assert_eq!(
        written,
        bytes(
            "bf69706970656c696e65739fbf646e616d65637765626776657273696f6e19012c6763726561746564c1fb41da55cd69600000ffffff"
        )
    );

    let speech = Speech { service: Some(&api::codepipeline::SERVICE), protocol: Protocol::Cbor };
    let told = refusal(speech, &Fault::client("PipelineNotFoundException", "no"), "r");
    assert_eq!(
        (told.status().as_u16(), &told.headers()["smithy-protocol"]),
        (400, &"rpc-v2-cbor".parse().unwrap())
    );
    let told = body(told).await;
    let reader = CborReader::new(&told);
    let mut seen = Vec::new();
    reader
        .entries("a map", &mut |key, value| {
            seen.push((key.to_owned(), value.text()?));
            Ok(())
        })
        .unwrap();
    let wanted = [("__type", "PipelineNotFoundException"), ("message", "no")];
    assert_eq!(seen, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

proptest! {
    /// No bytes can do more than be refused.
    #[test]
    fn any_bytes_are_read_or_refused(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = read::<api::codepipeline::CreatePipeline>(&hex);
        let _ = read::<api::cloudwatch::PutMetricData>(&hex);
    }

    /// Nor can a request in which some bytes were changed, cut out or doubled.
    #[test]
    fn a_broken_request_is_read_or_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..6)
    ) {
        let mut raw = bytes(JOB).to_vec();
        for (at, byte, how) in changes {
            let at = at.index(raw.len());
            match how {
                0 => raw[at] = byte,
                1 => drop(raw.remove(at)),
                _ => raw.insert(at, byte),
            }
        }
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = read::<api::codepipeline::PutJobSuccessResult>(&hex);
    }

    /// What is written is read back.
    #[test]
    fn numbers_survive(integer in any::<i64>(), double in any::<f64>()) {
        let mut out = CborWriter::default();
        out.integer(integer);
        prop_assert_eq!(CborReader::new(&out.finish()).integer().unwrap(), integer);
        let mut out = CborWriter::default();
        out.double(double);
        prop_assert_eq!(CborReader::new(&out.finish()).double().unwrap().to_bits(), double.to_bits());
    }
}

//! API destinations, their connections, and dead letters.
use super::server::Server;
use super::*;
use crate::records::Connection;

const API_KEY: &str = "a secret of 22 letters";

fn api_key() -> Value {
    json!({
        "ApiKeyAuthParameters": {"ApiKeyName": "x-api-key", "ApiKeyValue": API_KEY},
        "InvocationHttpParameters": {
            "HeaderParameters": [
                {"Key": "x-plain", "Value": "seen", "IsValueSecret": false},
                {"Key": "x-secret", "Value": "unseen", "IsValueSecret": true},
            ],
            "QueryStringParameters": [{"Key": "team", "Value": "a&b", "IsValueSecret": false}],
            "BodyParameters": [{"Key": "by", "Value": "longshore", "IsValueSecret": false}],
        },
    })
}

impl Scene {
    /// A connection `c` and a destination `d`; answers the destination's ARN.
    async fn destination(&self, endpoint: &str, more: Value) -> String {
        let connection = json!({"Name": "c", "AuthorizationType": "API_KEY", "AuthParameters": api_key()});
        let arn = self.ok("CreateConnection", connection).await["ConnectionArn"].clone();
        let mut destination =
            json!({"Name": "d", "ConnectionArn": arn, "InvocationEndpoint": endpoint, "HttpMethod": "POST"});
        destination.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.ok("CreateApiDestination", destination).await;
        made["ApiDestinationArn"].as_str().unwrap().to_owned()
    }

    pub(super) async fn pass(&self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
        self.work().await.unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_gets_the_event_with_the_secrets_of_its_connection() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    let arn = scene.destination(&format!("{}/hooks/*?v=1", server.url), json!({})).await;
    let parameters = json!({"PathParameterValues": ["$.detail.go"], "HeaderParameters": {"x-from": "rule", "x-plain": "over"},
        "QueryStringParameters": {"id": "$.id"}});
    let target = json!({"Id": "1", "Arn": arn, "RoleArn": ROLE, "HttpParameters": parameters, "InputPath": "$.detail"});
    scene.rule(json!([target])).await;
    scene.publish("e1", json!({"go": "a b"})).await;
    scene.work().await.unwrap();
    let heard = server.heard();
    assert_eq!((heard.len(), scene.waiting().await), (1, 0), "{heard:?}");
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hooks/a%20b?v=1&id=e1&team=a%26b HTTP/1.1\r\n"), "{head}");
    for header in [
        &format!("x-api-key: {API_KEY}"),
        "x-from: rule",
        "x-plain: seen",
        "x-secret: unseen",
        "x-longshore-event-id: e1",
        "content-type: application/json; charset=utf-8",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert_eq!(body, r#"{"go":"a b","by":"longshore"}"#);
    let asked = scene.world.authority.asked();
    assert!(asked.contains(&("events:InvokeApiDestination".into(), arn)), "{asked:?}");
}

#[tokio::test]
async fn secrets_are_sealed_and_never_shown() {
    let scene = Scene::new().await;
    scene.destination("http://127.0.0.1:1/", json!({})).await;
    let told = scene.ok("DescribeConnection", json!({"Name": "c"})).await;
    let more = &told["AuthParameters"]["InvocationHttpParameters"];
    assert_eq!(told["AuthParameters"]["ApiKeyAuthParameters"], json!({"ApiKeyName": "x-api-key"}));
    assert_eq!(more["HeaderParameters"][0]["Value"], "seen");
    assert_eq!(more["HeaderParameters"][1].get("Value"), None);
    assert_eq!(told["ConnectionState"], "AUTHORIZED");
    let rows = scene.world.store.all::<Connection>(Key::all()).await.unwrap();
    let stored = serde_json::to_string(&rows[0].value).unwrap();
    assert!(!stored.contains(API_KEY) && !stored.contains("unseen"), "{stored}");
    assert!(!told.to_string().contains(API_KEY) && !told.to_string().contains("unseen"), "{told}");

    let basic = json!({"Name": "c", "AuthorizationType": "BASIC",
        "AuthParameters": {"BasicAuthParameters": {"Username": "u", "Password": "p"}}});
    scene.ok("UpdateConnection", basic).await;
    let told = scene.ok("DescribeConnection", json!({"Name": "c"})).await;
    assert_eq!(told["AuthParameters"], json!({"BasicAuthParameters": {"Username": "u"}}));
    let told = scene.ok("DeauthorizeConnection", json!({"Name": "c"})).await;
    assert_eq!(told["ConnectionState"], "DEAUTHORIZED");
    assert_eq!(scene.ok("DescribeConnection", json!({"Name": "c"})).await.get("AuthParameters"), None);
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_tried_again_and_what_it_never_took_is_a_dead_letter() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    let arn = scene.destination(&server.url, json!({})).await;
    let target = json!({"Id": "1", "Arn": arn, "RoleArn": ROLE, "DeadLetterConfig": {"Arn": GROUP},
        "RetryPolicy": {"MaximumRetryAttempts": 1}});
    scene.rule(json!([target])).await;
    server.say(503);
    scene.publish("e1", json!({"go": 1})).await;
    scene.work().await.unwrap();
    assert_eq!((server.heard().len(), scene.waiting().await), (1, 1));
    server.say(200);
    scene.pass(1).await;
    let again = server.heard();
    assert_eq!((again.len(), scene.waiting().await), (1, 0));

    server.say(500);
    scene.publish("e2", json!({"go": 2})).await;
    scene.work().await.unwrap();
    scene.pass(1).await;
    let tries = server.heard();
    let id = |sent: &str| {
        sent.lines().find(|line| line.starts_with("x-longshore-delivery-id")).unwrap().to_owned()
    };
    assert!(
        tries.len() == 2 && id(&tries[0]) == id(&tries[1]) && id(&tries[0]) != id(&again[0]),
        "{tries:?}"
    );
    assert_eq!(scene.waiting().await, 1, "its letter");
    // The group does not take the letter at once, and the server stops in between.
    scene.told.fail(Some(Fault::internal("down")));
    scene.work().await.unwrap();
    scene.told.fail(None);
    scene.told.calls();
    scene.told.streams.lock().unwrap().clear();
    let Scene { world, told, .. } = scene;
    let scene = Scene::over(world.restart().await, told);
    scene.pass(2).await;
    let calls = scene.told.calls();
    assert_eq!((calls.len(), scene.waiting().await, server.heard().len()), (1, 0, 0), "{calls:?}");
    let letter: Value = serde_json::from_str(calls[0].strip_prefix("log /aws/events/all ").unwrap()).unwrap();
    assert_eq!(
        (
            &letter["ERROR_CODE"],
            &letter["EXHAUSTED_RETRY_CONDITION"],
            &letter["RETRY_ATTEMPTS"],
            &letter["event"]["id"]
        ),
        (&json!("TargetFailure"), &json!("MaximumRetryAttempts"), &json!(1), &json!("e2"))
    );
}

#[tokio::test]
async fn refusals_are_final_and_redirects_are_not_followed() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    let arn = scene.destination(&server.url, json!({})).await;
    scene.rule(json!([{"Id": "1", "Arn": arn, "RoleArn": ROLE}])).await;
    for (event, status) in [("e1", 400), ("e2", 302)] {
        server.say(status);
        scene.publish(event, json!({"go": 1})).await;
        scene.work().await.unwrap();
        assert_eq!((server.heard().len(), scene.waiting().await), (1, 0), "{status}");
    }
    scene.ok("DeauthorizeConnection", json!({"Name": "c"})).await;
    scene.publish("e3", json!({"go": 1})).await;
    scene.work().await.unwrap();
    assert_eq!((server.heard().len(), scene.waiting().await), (0, 0));
}

#[tokio::test]
async fn an_endpoint_is_called_as_often_as_it_allows() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    let arn = scene.destination(&server.url, json!({"InvocationRateLimitPerSecond": 2})).await;
    scene.rule(json!([{"Id": "1", "Arn": arn, "RoleArn": ROLE}])).await;
    for n in 0..5 {
        scene.publish(&format!("e{n}"), json!({"go": n})).await;
    }
    scene.work().await.unwrap();
    assert_eq!((server.heard().len(), scene.waiting().await), (2, 3));
    scene.pass(1).await;
    scene.pass(1).await;
    assert_eq!((server.heard().len(), scene.waiting().await), (3, 0));
}

#[tokio::test]
async fn connections_and_destinations_are_listed_changed_and_deleted() {
    let scene = Scene::new().await;
    let arn = scene.destination("https://example.com/a", json!({"Description": "first"})).await;
    let update = json!({"Name": "d", "InvocationEndpoint": "https://example.com/b", "InvocationRateLimitPerSecond": 7});
    scene.ok("UpdateApiDestination", update).await;
    let told = scene.ok("DescribeApiDestination", json!({"Name": "d"})).await;
    assert_eq!(
        (
            &told["ApiDestinationArn"],
            &told["InvocationEndpoint"],
            &told["Description"],
            &told["InvocationRateLimitPerSecond"]
        ),
        (&json!(arn), &json!("https://example.com/b"), &json!("first"), &json!(7))
    );
    let connection = told["ConnectionArn"].clone();
    let listed = scene.ok("ListApiDestinations", json!({"ConnectionArn": connection})).await;
    assert_eq!(listed["ApiDestinations"][0]["Name"], "d");
    assert_eq!(scene.ok("ListConnections", json!({"NamePrefix": "x"})).await["Connections"], json!([]));
    assert_eq!(scene.ok("ListConnections", json!({})).await["Connections"][0]["ConnectionArn"], connection);
    let used = scene.world.call("events.DeleteConnection", json!({"Name": "c"})).await;
    assert!(fault(used).contains("Connection c is used by API destination d"));
    scene.ok("DeleteApiDestination", json!({"Name": "d"})).await;
    scene.ok("DeleteConnection", json!({"Name": "c"})).await;
    assert!(
        fault(scene.world.call("events.DescribeConnection", json!({"Name": "c"})).await)
            .contains("does not exist")
    );
}

#[tokio::test]
async fn mistakes_with_endpoints_are_told() {
    let scene = Scene::new().await;
    let arn = scene.destination("http://127.0.0.1:1/", json!({})).await;
    scene.ok("PutRule", json!({"Name": "r", "EventPattern": r#"{"source":["x"]}"#})).await;
    let connection =
        |kind: &str, auth: Value| json!({"Name": "x", "AuthorizationType": kind, "AuthParameters": auth});
    let oauth = |endpoint: &str| {
        json!({"OAuthParameters": {"AuthorizationEndpoint": endpoint, "HttpMethod": "POST",
            "ClientParameters": {"ClientID": "i", "ClientSecret": "s"}}})
    };
    let basic = json!({"BasicAuthParameters": {"Username": "u", "Password": "p"}});
    let header = json!({"ApiKeyAuthParameters": {"ApiKeyName": "no header", "ApiKeyValue": "v"}});
    let known = scene.ok("DescribeConnection", json!({"Name": "c"})).await["ConnectionArn"].clone();
    let destination = |endpoint: &str, connection: &Value| json!({"Name": "x", "ConnectionArn": connection, "InvocationEndpoint": endpoint, "HttpMethod": "POST"});
    let target = |more: Value| {
        let mut target = json!({"Id": "1", "Arn": arn, "RoleArn": ROLE});
        target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"Rule": "r", "Targets": [target]})
    };
    let unknown =
        json!("arn:aws:events:us-east-1:000000000000:connection/none/11111111-1111-4111-8111-111111111111");
    for (operation, input, told) in [
        (
            "CreateConnection",
            connection("OAUTH_CLIENT_CREDENTIALS", oauth("ftp://a.b/c")),
            "AuthorizationEndpoint 'ftp://a.b/c' is no http or https URL",
        ),
        (
            "CreateConnection",
            connection("API_KEY", oauth("https://a.b/c")),
            "all of the parameters of AuthorizationType API_KEY",
        ),
        (
            "UpdateConnection",
            json!({"Name": "c", "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS",
                "AuthParameters": {"OAuthParameters": {"AuthorizationEndpoint": "https://a.b/c"}}}),
            "all of the parameters of AuthorizationType OAUTH_CLIENT_CREDENTIALS",
        ),
        (
            "CreateConnection",
            connection("API_KEY", basic.clone()),
            "all of the parameters of AuthorizationType API_KEY",
        ),
        ("CreateConnection", connection("API_KEY", header), "cannot be an HTTP header"),
        (
            "CreateConnection",
            json!({"Name": "c", "AuthorizationType": "BASIC", "AuthParameters": basic}),
            "already exists",
        ),
        ("CreateApiDestination", destination("ftp://a/", &known), "is no http or https URL"),
        ("CreateApiDestination", destination("https://a/", &unknown), "does not exist"),
        ("PutTargets", target(json!({"RoleArn": null})), "RoleArn is required"),
        (
            "PutTargets",
            target(json!({"DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:0:q"}})),
            "ARN of a log group",
        ),
        (
            "PutTargets",
            target(json!({"Arn": GROUP, "HttpParameters": {}})),
            "HttpParameters of target 1 are for API destinations",
        ),
    ] {
        let text = fault(scene.world.call(&format!("events.{operation}"), input.clone()).await);
        assert!(text.contains(told), "{operation} {input}: {text}");
    }
}

//! OAuth connections.
use super::server::Server;
use super::*;
use crate::limits;
use crate::records::Connection;

const SECRET: &str = "a secret of 22 letters";

/// A connection `c` with this client at the server's `/token`.
fn connection(server: &Server, secret: &str, more: Value) -> Value {
    let mut oauth = json!({
        "ClientParameters": {"ClientID": "us & them", "ClientSecret": secret},
        "AuthorizationEndpoint": format!("{}/token?v=2", server.url),
        "HttpMethod": "POST",
    });
    oauth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"Name": "c", "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS", "AuthParameters": {"OAuthParameters": oauth}})
}

fn token(name: &str) -> Value {
    json!({"access_token": name, "token_type": "bearer", "expires_in": 600})
}

impl Scene {
    /// The connection, a destination over it, and a rule that sends events there.
    async fn over_oauth(&self, server: &Server) {
        let made = self.ok("CreateConnection", connection(server, SECRET, json!({}))).await;
        assert_eq!(made["ConnectionState"], "AUTHORIZING");
        let destination = json!({"Name": "d", "ConnectionArn": made["ConnectionArn"],
            "InvocationEndpoint": format!("{}/hook", server.url), "HttpMethod": "POST"});
        let made = self.ok("CreateApiDestination", destination).await;
        self.rule(json!([{"Id": "1", "Arn": made["ApiDestinationArn"], "RoleArn": ROLE}])).await;
    }

    async fn state(&self) -> (String, String) {
        let told = self.ok("DescribeConnection", json!({"Name": "c"})).await;
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        (text("ConnectionState"), text("StateReason"))
    }

    /// Publishes an event, and says what the server heard of it: `token`, or the token that the event came with.
    async fn sends(&self, server: &Server, event: &str) -> Vec<String> {
        self.publish(event, json!({"go": 1})).await;
        self.work().await.unwrap();
        server.heard().iter().map(|sent| came(sent)).collect()
    }
}

fn came(sent: &str) -> String {
    if sent.split(' ').nth(1).unwrap().starts_with("/token") {
        return "token".into();
    }
    let header = sent.lines().find_map(|line| line.strip_prefix("authorization: "));
    header.unwrap_or("no authorization").to_owned()
}

#[tokio::test]
async fn a_token_is_fetched_once_and_sent_with_events() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    server.token(200, token("t1"));
    scene.over_oauth(&server).await;
    let told = scene.ok("DescribeConnection", json!({"Name": "c"})).await;
    assert_eq!((&told["ConnectionState"], told.get("LastAuthorizedTime")), (&json!("AUTHORIZING"), None));
    scene.work().await.unwrap();
    let heard = server.heard();
    let [asked] = &heard[..] else { panic!("one request: {heard:?}") };
    let (head, body) = asked.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /token?v=2 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded\r\n"), "{head}");
    let secret = SECRET.replace(' ', "%20");
    let expected =
        format!("client%5Fid=us%20%26%20them&client%5Fsecret={secret}&grant%5Ftype=client%5Fcredentials");
    assert_eq!(body, expected);

    let told = scene.ok("DescribeConnection", json!({"Name": "c"})).await;
    assert_eq!(told["ConnectionState"], "AUTHORIZED");
    assert!(told.get("LastAuthorizedTime").is_some());
    let shown = &told["AuthParameters"]["OAuthParameters"];
    assert_eq!(shown["ClientParameters"], json!({"ClientID": "us & them"}));
    assert_eq!(shown["AuthorizationEndpoint"], format!("{}/token?v=2", server.url));
    let rows = scene.world.store.all::<Connection>(Key::all()).await.unwrap();
    let stored = serde_json::to_string(&rows[0].value).unwrap();
    assert!(!stored.contains(SECRET) && !told.to_string().contains(SECRET), "{stored}");

    assert_eq!(scene.sends(&server, "e1").await, ["Bearer t1"]);
    // The answer said ten minutes.
    server.token(200, token("t2"));
    scene.world.clock.advance(Duration::from_secs(9 * 60));
    assert_eq!(scene.sends(&server, "e2").await, ["Bearer t1"]);
    scene.world.clock.advance(Duration::from_secs(31));
    assert_eq!(scene.sends(&server, "e3").await, ["token", "Bearer t2"]);

    let Scene { world, told, .. } = scene;
    let scene = Scene::over(world.restart().await, told);
    server.token(200, token("t3"));
    assert_eq!(scene.sends(&server, "e4").await, ["token", "Bearer t3"], "tokens are not stored");
    assert_eq!(scene.waiting().await, 0);
}

#[tokio::test]
async fn a_token_without_an_end_is_bounded_and_one_that_has_ended_serves_once() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    server.token(200, json!({"access_token": "t1", "expires_in": "99999999999"}));
    scene.over_oauth(&server).await;
    assert_eq!(scene.sends(&server, "e1").await, ["token", "Bearer t1"]);
    server.token(200, json!({"access_token": "t2", "expires_in": 0}));
    scene.world.clock.advance(limits::TOKEN_LIFE);
    assert_eq!(scene.sends(&server, "e2").await, ["token", "Bearer t2"]);
    assert_eq!(scene.sends(&server, "e3").await, ["token", "Bearer t2"]);
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_replaced_once() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    server.token(200, token("t1"));
    scene.over_oauth(&server).await;
    scene.work().await.unwrap();
    server.heard();
    server.token(200, token("t2"));
    server.say_first(401);
    assert_eq!(scene.sends(&server, "e1").await, ["Bearer t1", "token", "Bearer t2"]);
    assert_eq!(scene.waiting().await, 0);
    server.say(401);
    server.token(200, token("t3"));
    assert_eq!(scene.sends(&server, "e2").await, ["Bearer t2", "token", "Bearer t3"]);
    assert_eq!(scene.waiting().await, 1, "it is tried again");
    server.say(200);
    scene.pass(1).await;
    assert_eq!(server.heard().iter().map(|sent| came(sent)).collect::<Vec<_>>(), ["Bearer t3"]);
}

#[tokio::test]
async fn refused_credentials_are_told_and_asked_for_anew() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    server.token(401, json!({"error": "invalid_client", "error_description": SECRET}));
    scene.over_oauth(&server).await;
    assert_eq!(scene.sends(&server, "e1").await, ["token", "token"], "and the endpoint is not called");
    assert_eq!(scene.waiting().await, 0, "it is final");
    let reason = "The authorization endpoint answered 401 Unauthorized: invalid_client";
    assert_eq!(scene.state().await, ("DEAUTHORIZED".into(), reason.into()));
    let listed = scene.ok("ListConnections", json!({"ConnectionState": "DEAUTHORIZED"})).await;
    assert_eq!(listed["Connections"][0]["StateReason"], reason);
    server.token(200, token("t1"));
    assert_eq!(scene.sends(&server, "e2").await, ["token", "Bearer t1"]);
    assert_eq!(scene.state().await, ("AUTHORIZED".into(), String::new()));

    // What passes by itself is waited for, and says nothing of the credentials.
    scene.world.clock.advance(limits::TOKEN_LIFE);
    server.token(503, "");
    assert_eq!(scene.sends(&server, "e3").await, ["token"]);
    assert_eq!((scene.waiting().await, scene.state().await.0), (1, "AUTHORIZED".into()));
    server.token(200, token("t2"));
    scene.pass(1).await;
    assert_eq!((scene.waiting().await, server.heard().len()), (0, 2));

    // Other secrets are another client's: its token is not theirs.
    scene.ok("UpdateConnection", connection(&server, "other", json!({}))).await;
    assert_eq!(scene.state().await.0, "AUTHORIZING");
    server.token(403, "no JSON");
    assert_eq!(scene.sends(&server, "e4").await, ["token", "token"]);
    assert_eq!(scene.state().await.1, "The authorization endpoint answered 403 Forbidden");
    scene.ok("DeauthorizeConnection", json!({"Name": "c"})).await;
    assert_eq!(scene.sends(&server, "e5").await, Vec::<String>::new());
    assert_eq!(scene.state().await, ("DEAUTHORIZED".into(), String::new()));
}

#[tokio::test]
async fn answers_without_a_usable_token_are_refused() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    scene.ok("CreateConnection", connection(&server, SECRET, json!({}))).await;
    let long = "t".repeat(limits::TOKEN + 1);
    for (status, answer, told) in [
        (200, "x".repeat(2 << 20), "The authorization endpoint gave no answer: 127.0.0.1:"),
        (200, "access_token=t1".into(), "The authorization endpoint's answer is not JSON"),
        (200, "[]".into(), "The authorization endpoint's answer has no access_token"),
        (
            200,
            json!({"access_token": ""}).to_string(),
            "The authorization endpoint's answer has no access_token",
        ),
        (
            200,
            token(&long).to_string(),
            "The authorization endpoint's answer has an access_token of more than",
        ),
        (
            200,
            token("a\nb").to_string(),
            "The authorization endpoint's answer has an access_token that no header",
        ),
        (
            200,
            json!({"access_token": "t", "token_type": "mac"}).to_string(),
            "The authorization endpoint's answer has no token of type Bearer",
        ),
        (302, String::new(), "The authorization endpoint answered 302 Found"),
        (500, String::new(), "The authorization endpoint answered 500 Internal Server Error"),
    ] {
        server.token(status, answer);
        scene.ok("UpdateConnection", connection(&server, SECRET, json!({}))).await;
        scene.work().await.unwrap();
        let (state, reason) = scene.state().await;
        assert!(state == "DEAUTHORIZED" && reason.starts_with(told), "{state}: {reason}, not {told}");
        assert_eq!(server.heard().len(), 1, "{told}");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_connection_says() {
    let (scene, server) = (Scene::new().await, Server::new().await);
    server.token(200, token("t1"));
    let parameters = |header: &str| {
        json!({"HeaderParameters": [{"Key": "Content-Type", "Value": header}, {"Key": "x-tenant", "Value": "7"}],
            "BodyParameters": [{"Key": "grant_type", "Value": "other", "IsValueSecret": true}],
            "QueryStringParameters": [{"Key": "scope", "Value": "a b", "IsValueSecret": false}]})
    };
    let json = json!({"OAuthHttpParameters": parameters("application/json; charset=utf-8")});
    scene.ok("CreateConnection", connection(&server, "s", json)).await;
    scene.work().await.unwrap();
    let heard = server.heard();
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /token?v=2&scope=a%20b HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-tenant: 7") && head.contains("application/json"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body, json!({"client_id": "us & them", "client_secret": "s", "grant_type": "other"}));
    let told = scene.ok("DescribeConnection", json!({"Name": "c"})).await;
    let shown = &told["AuthParameters"]["OAuthParameters"]["OAuthHttpParameters"];
    assert_eq!(shown["BodyParameters"], json!([{"Key": "grant_type", "IsValueSecret": true}]));
    assert_eq!(shown["QueryStringParameters"][0]["Value"], "a b");

    let get = json!({"HttpMethod": "GET"});
    scene.ok("UpdateConnection", connection(&server, "s", get)).await;
    scene.work().await.unwrap();
    let heard = server.heard();
    let line = "GET /token?v=2&client%5Fid=us%20%26%20them&client%5Fsecret=s&grant%5Ftype=client%5Fcredentials HTTP/1.1";
    assert!(heard[0].starts_with(line), "{}", heard[0]);
}

//! Jobs of functions: Invoke Lambda.
use super::*;

/// A function over HTTP: it takes every call, and tells of it (the token of the call, the event).
async fn function() -> (crate::Function, tokio::sync::mpsc::UnboundedReceiver<(String, Value)>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let function = crate::Function::at(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let (tell, calls) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let mut buffer = [0; 4096];
            let event = loop {
                let read = stream.read(&mut buffer).await.unwrap();
                text += std::str::from_utf8(&buffer[..read]).unwrap();
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
                if let Ok(event) = serde_json::from_str::<Value>(body) {
                    break event;
                }
            };
            let token = text.lines().find_map(|line| line.strip_prefix("x-longshore-job: ")).unwrap();
            tell.send((token.to_owned(), event)).unwrap();
            let answer = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (function, calls)
}

#[tokio::test]
async fn a_function_gets_its_job_and_answers() {
    let (function, mut calls) = function().await;
    let fakes = Fakes::new();
    fakes.memory().functions.insert("smoke".into(), function);
    let b = Bench::on(World::new().await, fakes);
    let invoke = |name: &str| {
        action("Invoke", "Lambda", "Smoke", json!({"FunctionName": name, "UserParameters": "{\"a\":1}"}))
    };
    let declared =
        |name: &str| json!({"pipeline": pipeline(&[vec![source()], vec![invoke(name)], vec![approval()]])});
    b.ok("CreatePipeline", declared("smoke")).await;
    let mut called = async || tokio::time::timeout(PATIENCE, calls.recv()).await.unwrap().unwrap();
    let (token, event) = called().await;
    let job = &event["CodePipeline.job"];
    let id = job["id"].clone();
    assert_eq!(token, format!("{}/0", id.as_str().unwrap()));
    assert_eq!(job["accountId"], ACCOUNT);
    assert_eq!(job["data"]["actionConfiguration"]["configuration"]["UserParameters"], "{\"a\":1}");
    b.ok("PutJobSuccessResult", json!({"jobId": id, "continuationToken": "later"})).await;
    // A clock in a test wakes nobody: a restart looks at the time.
    b.world.clock.advance(Duration::from_secs(30));
    let b = b.restart().await;
    let (token, event) = called().await;
    assert_eq!(token, format!("{}/1", id.as_str().unwrap()));
    assert_eq!(event["CodePipeline.job"]["data"]["continuationToken"], "later");
    let asked = b.world.authority.asked();
    let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:smoke");
    assert!(asked.contains(&("lambda:InvokeFunction".to_owned(), arn)), "{asked:?}");
    b.ok("PutJobSuccessResult", json!({"jobId": id, "outputVariables": {"Seen": "1"}})).await;
    b.action(2, 0, "InProgress").await;

    // One that does not answer fails after its time; one that is not configured says how to.
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    called().await;
    b.world.clock.advance(Duration::from_secs(20 * 60));
    let b = b.restart().await;
    let late = b.action(1, 0, "Failed").await["errorDetails"]["message"].to_string();
    assert!(late.contains("did not return a result within 20 minutes"), "{late}");
    b.ok("UpdatePipeline", declared("other")).await;
    b.ok("StartPipelineExecution", json!({"name": "p"})).await;
    let wanted = "lambda.functions.other.url";
    let message = |s: &Value| {
        s["stageStates"][1]["actionStates"][0]["latestExecution"]["errorDetails"]["message"].to_string()
    };
    b.until("GetPipelineState", json!({"name": "p"}), |s| message(s).contains(wanted)).await;
}

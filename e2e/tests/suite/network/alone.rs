//! Tasks, load balancers and names without the control plane: what it leaves behind, and adopts.
use e2e::eventually;
use serde_json::json;

use super::{SITE, Site, alias, awsvpc, forward, serving};

#[test]
fn what_runs_serves_on_after_a_clean_end_is_adopted_and_goes_with_down() {
    let mut site = Site::new();
    let vpc = site.vpc("10.66");
    let group = site.group(&vpc, "web");
    site.ingress("authorize", &group, 80, "0.0.0.0/0");
    site.ingress("authorize", &group, 8080, &group);
    let targets = site.targets(&vpc, "web", 8080, "ip");
    let balancer = site.balancer(&vpc, "web", "internet-facing", &group);
    site.listener(&balancer, "HTTP", 80, &forward(&targets), &[]);
    let mut web = serving("web", 8080);
    web["portMappings"] = json!([{"containerPort": 8080}]);
    site.define("web", "awsvpc", vec![web], json!({}));
    site.service("web", &targets, "web", 8080, &awsvpc(&vpc, &group));
    let zone = site.zone("alone.test");
    site.record(&zone, &alias("www.alone.test", &balancer));
    let listed = site.aws(&format!("ecs list-tasks --cluster {SITE} --service-name web"));
    let task = listed["taskArns"][0].as_str().unwrap().to_owned();
    site.aws(&format!("ecs wait tasks-running --cluster {SITE} --tasks {task}"));
    let ran = site.server.containers();
    assert!(!ran.is_empty());
    let page = |site: &Site| {
        let url = format!("http://{}/", site.address("www.alone.test"));
        site.client.run("curl", &["-sS", "--max-time", "10", &url]).out
    };
    assert_eq!(page(&site).trim(), "web");

    let ended = site.server.interrupt().unwrap();
    assert_eq!(ended.code(), Some(0), "SIGINT is no failure: {}", site.server.log());
    assert_eq!(page(&site).trim(), "web", "without a control plane");
    assert_eq!(site.server.containers(), ran);

    site.server.up();
    assert_eq!(page(&site).trim(), "web");
    assert_eq!(site.server.containers(), ran, "adopted, not started anew");
    assert_eq!(site.task(&task)["lastStatus"], "RUNNING");
    // And looked after: what is stopped has a successor.
    site.aws(&format!("ecs stop-task --cluster {SITE} --task {task}"));
    eventually("a successor", || {
        let listed = site.aws(&format!("ecs list-tasks --cluster {SITE} --service-name web"));
        listed["taskArns"].as_array()?.iter().any(|arn| *arn != task.as_str()).then_some(())
    });

    let address = site.address("www.alone.test");
    site.server.stop();
    let data = site.server.data();
    let down = site.server.longshore(&["down", "--data", data.to_str().unwrap()]);
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert_eq!(site.server.containers(), Vec::<String>::new());
    assert!(!site.client.run("curl", &["-s", "--max-time", "5", &format!("http://{address}/")]).ok);
}

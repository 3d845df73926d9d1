//! Against a real Docker: with `LONGSHORE_E2E=1`. Each test has an owner, a range and objects of its own.
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;

use engine::*;
use futures::{StreamExt, TryStreamExt};
use testkit::RangeLease;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{Docker, Options};

const BUSYBOX: &str = "/usr/bin/busybox";

struct Bench {
    docker: Docker,
    options: Options,
    image: String,
    range: RangeLease,
    _state: tempfile::TempDir,
}

/// Runs a test against Docker, and removes what it made however it ends.
fn check<F: Future<Output = ()> + Send + 'static>(test: fn(std::sync::Arc<Bench>) -> F) {
    if std::env::var_os("LONGSHORE_E2E").is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let bench = std::sync::Arc::new(Bench::new().await);
        let outcome = tokio::spawn(test(bench.clone())).await;
        bench.clean().await;
        outcome.unwrap();
    });
}

impl Bench {
    async fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let range = RangeLease::take();
        let owner = format!("test{}", range.cidr().first().octets()[1]);
        let mut options = Options::new(&owner, state.path(), BUSYBOX);
        options.pause_args = vec!["sleep".into(), "100000".into()];
        let docker = Docker::start(options.clone()).unwrap();
        let image = format!("longshore-{owner}/busybox:1");
        let config = ImageConfig { command: vec!["sleep".into(), "100000".into()], ..ImageConfig::default() };
        let tar = futures::stream::iter([Ok(root().into())]).boxed();
        docker.import(&image, config, tar).await.unwrap();
        Self { docker, options, image, range, _state: state }
    }

    async fn clean(&self) {
        for task in self.docker.tasks().await.unwrap() {
            self.docker.remove(&task.id).await.unwrap();
        }
        for network in self.docker.0.list_networks().await.unwrap() {
            self.docker.remove_network(&network.name).await.unwrap();
        }
        self.docker.remove_image(&self.image).await.unwrap();
    }

    async fn network(&self, name: &str) -> Network {
        self.docker
            .ensure_network(NetworkSpec { name: name.into(), wanted: self.range.cidr() })
            .await
            .unwrap()
    }

    fn container(&self, name: &str, script: &str) -> Container {
        let source = ImageSource { pull: PullPolicy::Never, ..ImageSource::new(&self.image) };
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        Container { command: Some(command), ..Container::new(name, source) }
    }

    fn task(&self, id: &str, address: Option<Ipv4Addr>, containers: Vec<Container>) -> TaskSpec {
        TaskSpec {
            id: id.parse().unwrap(),
            labels: BTreeMap::from([("kind".into(), "test".into())]),
            network: Some(Attachment { network: "vpc".into(), address, publish: Vec::new() }),
            rules: Rules::open(),
            containers,
            limits: Limits { memory: Some(256 << 20), ..Limits::default() },
        }
    }

    async fn sh(&self, id: &TaskId, script: &str) -> (i64, String) {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let done = self.docker.exec(id, "app", Exec { command, ..Exec::default() }).await.unwrap();
        (done.exit_code, String::from_utf8(done.output.to_vec()).unwrap().trim().to_owned())
    }
}

/// A root filesystem of one binary.
fn root() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::copy(BUSYBOX, bin.join("busybox")).unwrap();
    for applet in
        ["sh", "sleep", "cat", "echo", "nc", "printf", "httpd", "seq", "mkdir", "test", "ls", "hostname"]
    {
        symlink("busybox", bin.join(applet)).unwrap();
    }
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    tar.append_dir_all(".", folder.path()).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn a_task_runs_is_adopted_and_goes_without_trace() {
    check(|bench| async move {
        let docker = &bench.docker;
        let network = bench.network("vpc").await;
        assert_eq!(network.cidr, bench.range.cidr());
        let address = network.cidr.nth(77).unwrap();
        let mut init =
            bench.container("init", "echo ready > /shared/word; for i in $(seq 3); do echo line $i; done");
        let mut app = bench.container("app", "cat /shared/word /etc/secret; exec sleep 100000");
        let shared = Mount { source: Source::Volume("s".into()), target: "/shared".into(), read_only: false };
        init.mounts = vec![shared.clone()];
        app.mounts = vec![shared];
        app.files = vec![File { path: "/etc/secret".into(), mode: 0o400, content: "hidden\n".into() }];
        app.depends_on =
            vec![Dependency { container: "init".into(), condition: Condition::Success, timeout: None }];
        app.stop_timeout = std::time::Duration::from_secs(1);
        let spec = bench.task("life", Some(address), vec![app, init]);
        let task = docker.run(spec.clone()).await.unwrap();
        assert_eq!(
            (&task.state, task.network.as_ref()),
            (&TaskState::Running, Some(&("vpc".into(), address)))
        );
        assert_eq!(task.labels["kind"], "test");
        assert_eq!(task.containers.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["app", "init"]);
        assert_eq!(task.container("init").unwrap().state.exit_code(), Some(0));

        // Its output, from any line on, without following what has ended.
        let lines: Vec<LogLine> = docker.logs(&task.id, "init", None).try_collect().await.unwrap();
        assert_eq!(lines.len(), 3);
        let rest: Vec<LogLine> =
            docker.logs(&task.id, "init", Some(lines[0].position)).try_collect().await.unwrap();
        assert_eq!(rest, lines[1..]);
        let first: Vec<LogLine> = docker.logs(&task.id, "app", None).take(2).try_collect().await.unwrap();
        assert_eq!(first.iter().map(|l| &l.bytes[..]).collect::<Vec<_>>(), [&b"ready"[..], b"hidden"]);

        // Another process with the same owner finds it, and starts nothing twice.
        let again = Docker::start(bench.options.clone()).unwrap();
        let mut adopted = again.tasks().await.unwrap();
        assert_eq!(adopted.pop(), Some(task.clone()));
        assert_eq!(again.run(spec.clone()).await.unwrap(), task);

        let (code, out) = bench.sh(&task.id, "cat /etc/resolv.conf; hostname; exit 3").await;
        assert_eq!(code, 3);
        assert!(out.starts_with("nameserver 169.254.169.253\n"), "{out}");
        let bytes: Vec<bytes::Bytes> =
            docker.copy_out(&task.id, "app", "/etc/secret").try_collect().await.unwrap();
        assert!(bytes.concat().windows(6).any(|w| w == b"hidden"));
        let missing = docker.copy_out(&task.id, "app", "/nowhere").next().await;
        assert!(matches!(missing, Some(Err(Error::NoPath(_)))), "{missing:?}");

        let mut changes = docker.changes();
        docker.stop(&task.id, None).await.unwrap();
        while changes.next().await != Some(Change::Task(task.id.clone())) {}
        assert!(matches!(docker.task(&task.id).await.unwrap().state, TaskState::Stopped { .. }));
        assert!(matches!(docker.run(spec).await, Err(Error::Stopped { .. })), "a task of this id has been");
        docker.remove(&task.id).await.unwrap();
        assert!(matches!(docker.task(&task.id).await, Err(Error::NoTask(_))));
        docker.remove_network("vpc").await.unwrap();
    });
}

#[test]
fn the_last_words_of_a_container_are_read_by_who_follows_it() {
    check(|bench| async move {
        let docker = &bench.docker;
        bench.network("vpc").await;
        for n in 0..5 {
            // The last line has no newline, and comes as the container ends.
            let app = bench.container("app", "echo first; sleep 0.2; printf last");
            let task = docker.run(bench.task(&format!("words{n}"), None, vec![app])).await.unwrap();
            let lines: Vec<LogLine> = docker.logs(&task.id, "app", None).try_collect().await.unwrap();
            assert_eq!(lines.iter().map(|l| &l.bytes[..]).collect::<Vec<_>>(), [&b"first"[..], b"last"]);
            // Two at a time is one removal.
            let (one, other) = tokio::join!(docker.remove(&task.id), docker.remove(&task.id));
            one.and(other).unwrap();
        }
        docker.remove_network("vpc").await.unwrap();
    });
}

#[test]
fn rules_hold_in_the_namespace_and_change_while_it_runs() {
    check(|bench| async move {
        let network = bench.network("vpc").await;
        let serve = "echo served > /index.html; exec httpd -f -p 8080 -h /";
        let (web, client) = (network.cidr.nth(10).unwrap(), network.cidr.nth(11).unwrap());
        let mut server = bench.task("web", Some(web), vec![bench.container("app", serve)]);
        let port = |peers: Vec<Cidr>| Allow { protocol: Protocol::Tcp, ports: Some(8080..=8080), peers };
        server.rules = Rules { ingress: vec![port(vec![Cidr::host(network.gateway)])], ..Rules::default() };
        let mut other = bench.task("client", Some(client), vec![bench.container("app", "exec sleep 100000")]);
        other.rules.redirects = gateway::redirects(network.gateway);
        let server = bench.docker.run(server).await.unwrap();
        let other = bench.docker.run(other).await.unwrap();

        let get = |address: &str| format!("printf 'GET /index.html HTTP/1.0\r\n\r\n' | nc -w 2 {address}");
        let fetch = get(&format!("{web} 8080"));
        assert_ne!(bench.sh(&other.id, &fetch).await.0, 0, "nobody let the client in");
        let open = Rules { ingress: vec![port(vec![Cidr::host(client)])], ..Rules::default() };
        bench.docker.update_rules(&server.id, &open).await.unwrap();
        let (code, page) = bench.sh(&other.id, &fetch).await;
        assert!(code == 0 && page.ends_with("served"), "{code} {page}");
        // The same rules by the helper container, for those who may not enter.
        let pause = bench.docker.0.parts(&server.id).await.unwrap();
        let pause = crate::status::id_of(pause.pause().unwrap()).to_owned();
        let closed = crate::ruleset::render(&Rules::default());
        bench.docker.0.apply_by_helper(&server.id, &pause, closed).await.unwrap();
        assert_ne!(bench.sh(&other.id, &fetch).await.0, 0, "the helper closed it");
        // The server itself may go nowhere.
        let out = format!("nc -w 2 {} {}", network.gateway, gateway::CREDENTIALS_PORT);
        assert_ne!(bench.sh(&server.id, &out).await.0, 0);

        let listener =
            tokio::net::TcpListener::bind((network.gateway, gateway::CREDENTIALS_PORT)).await.unwrap();
        let answer = tokio::spawn(async move {
            let (mut stream, peer) = listener.accept().await.unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nkeys").await.unwrap();
            peer.ip()
        });
        let (code, keys) = bench.sh(&other.id, &get("169.254.170.2 80")).await;
        assert!(code == 0 && keys.ends_with("keys"), "{code} {keys}");
        assert_eq!(answer.await.unwrap(), client, "the caller is known by its address");
    });
}

#[test]
fn a_taken_range_gives_way_and_an_unknown_image_is_told() {
    check(|bench| async move {
        let first = bench.network("vpc").await;
        let second = bench.network("other").await;
        assert_eq!(first.cidr, bench.range.cidr());
        assert_eq!(second.cidr.prefix(), 16);
        assert!(!second.cidr.overlaps(first.cidr));
        assert_eq!(bench.network("other").await, second, "it is kept");
        let listed = bench.docker.networks().borrow().clone().unwrap();
        assert_eq!(listed.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["other", "vpc"]);

        let mut broken = bench.container("app", "true");
        broken.image = ImageSource { pull: PullPolicy::Never, ..ImageSource::new("longshore/never:was") };
        let spec = bench.task("broken", None, vec![broken]);
        assert!(matches!(bench.docker.run(spec).await, Err(Error::NoImage { .. })));
        let mut missing = bench.container("app", "true");
        missing.entrypoint = Some(vec!["/no/such/program".into()]);
        let spec = bench.task("missing", None, vec![missing]);
        let id = spec.id.clone();
        let error = bench.docker.run(spec).await.unwrap_err();
        assert!(
            matches!(&error, Error::CannotStart { reason, .. } if reason.contains("no such file")),
            "{error}"
        );
        let left = bench.docker.task(&id).await.unwrap();
        assert!(matches!(left.state, TaskState::Stopped { .. }));
        assert!(matches!(left.containers[0].state, ContainerState::Exited { error: Some(_), .. }));
    });
}

#[test]
fn a_namespace_that_was_made_anew_is_a_dead_task() {
    check(|bench| async move {
        bench.network("vpc").await;
        let spec = bench.task("reborn", None, vec![bench.container("app", "exec sleep 100000")]);
        let task = bench.docker.run(spec).await.unwrap();
        let pause = bench.docker.0.names.pause(&task.id);
        let client = bench.docker.0.client.get().await.unwrap();
        let at_once = bollard::query_parameters::RestartContainerOptionsBuilder::new().t(0).build();
        client.restart_container(&pause, Some(at_once)).await.unwrap();
        let state = bench.docker.task(&task.id).await.unwrap().state;
        assert!(matches!(&state, TaskState::Stopped { reason } if reason.contains("anew")), "{state:?}");
    });
}

#[tokio::test]
async fn why_an_engine_does_not_answer_is_told() {
    let state = tempfile::tempdir().unwrap();
    let id: TaskId = "any".parse().unwrap();
    let away = async |socket: &str| {
        let mut options = Options::new("nobody", state.path(), BUSYBOX);
        options.host = Some(format!("unix://{}/{socket}", state.path().display()));
        let docker = Docker::start(options).unwrap();
        assert!(matches!(docker.task(&id).await, Err(Error::Unreachable(_))));
        match docker.tasks().await {
            Err(Error::Unreachable(away)) => away,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(away("none.sock").await, Away::Absent(_)));
    drop(std::os::unix::net::UnixListener::bind(state.path().join("left.sock")).unwrap());
    assert!(matches!(away("left.sock").await, Away::Absent(_)));
    let mute = tokio::net::UnixListener::bind(state.path().join("mute.sock")).unwrap();
    let hangs_up = tokio::spawn(async move {
        while let Ok((connection, _)) = mute.accept().await {
            drop(connection);
        }
    });
    let cut = away("mute.sock").await;
    assert!(matches!(cut, Away::Silent(_)), "{cut:?}");
    hangs_up.abort();
    // Root may open every socket, and tests may be root's.
    let closed = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let error = crate::client::error(bollard::errors::Error::IOError { err: closed });
    assert!(matches!(error, Error::Unreachable(Away::Forbidden(_))));
}

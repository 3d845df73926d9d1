//! `longshore up`: the control plane, put together.

mod compose;
mod config;
mod edge_ready;
mod folder;
mod gateways;
mod platform;
mod served;
mod tls;
mod trust;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use edge::control::{Launch, supervise};
use kernel::images::HostRegistry;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::Server;

use crate::cli::Up;
use crate::exit::Exit;
use compose::Plane;
use config::Config;
use folder::Folder;
pub use folder::{PID, edge_runs, held, owner};

/// Requests under way may take this long to end after a signal.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT; running tasks and the edge go on after that.
pub async fn run(options: Up) -> Result<ExitCode, Exit> {
    logging();
    let config = Config::load(options.config.as_deref())?;
    let folder = Folder::open(&options.data).await?;
    folder.leave_pid()?;
    let listener = bind(options.listen).await?;
    edge_ports_free(&options, &folder).await?;
    let endpoint = listener.local_addr().unwrap_or(options.listen);
    let registry = HostRegistry::new(endpoint, interfaces());
    let plane = Plane::compose(&options, &config, &folder, &registry).await?;

    let stop = CancellationToken::new();
    let server = Server {
        api: plane.api.clone(),
        account: options.account.clone(),
        region: options.region.clone(),
        entropy: plane.entropy.clone(),
        stop: stop.clone(),
        connections: TaskTracker::new(),
    };
    let launch = Launch::this(&options.data.dir)
        .map_err(|e| Exit::failed(format!("cannot find this program's own file: {e}")))?;
    let linked = tokio::spawn(supervise(plane.hub.clone(), launch));
    let published = tokio::spawn(platform::publish(plane.clone(), options.clone()));
    let inside = tokio::spawn(gateways::listen(server.clone(), plane.engine.clone(), plane.tls.clone()));
    plane.start_workers();
    let served = tokio::spawn(server.clone().listen(listener, None));
    plane.leave_client(&options, endpoint).await?;
    edge_ready::wait(&plane.hub, &options).await?;
    ready(endpoint, &options);

    signalled().await?;
    tracing::info!("ending; tasks, load balancers and DNS go on");
    stop.cancel();
    server.connections.close();
    drop(timeout(LAST_REQUESTS, server.connections.wait()).await);
    plane.stop().await;
    for task in [linked, published, inside, served] {
        task.abort();
    }
    Ok(ExitCode::SUCCESS)
}

/// What is logged: s3s tells of clients' malformed requests as if they were errors of ours.
const FILTER: &str = "info,s3s=off";

/// Logs of this process, structured, to stderr; `RUST_LOG` chooses, `LONGSHORE_LOG=json` makes them JSON.
pub fn logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| FILTER.into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Another subscriber would be a test's own.
    drop(if std::env::var("LONGSHORE_LOG").is_ok_and(|form| form == "json") {
        log.json().try_init()
    } else {
        log.try_init()
    });
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Exit> {
    let taken = |e| {
        Exit::port(format!(
            "cannot listen on {address}: {e}; end what listens there, or choose another address with --listen"
        ))
    };
    TcpListener::bind(address).await.map_err(taken)
}

/// The addresses of this machine, by which clients may name our registry.
fn interfaces() -> Vec<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    all.filter_map(|interface| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
    })
    .collect()
}

/// An edge that runs already holds the DNS port itself; otherwise it must be free for the one that we start.
async fn edge_ports_free(options: &Up, folder: &Folder) -> Result<(), Exit> {
    if folder.edge_runs() {
        return Ok(());
    }
    let taken = |e| {
        Exit::port(format!(
            "cannot serve DNS on {}: {e}; end what listens there, or choose another address with --dns",
            options.dns
        ))
    };
    TcpListener::bind(options.dns).await.map_err(taken)?;
    UdpSocket::bind(options.dns).map_err(taken)?;
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the one line that whoever started us waits for")]
fn ready(endpoint: SocketAddr, options: &Up) {
    use std::io::Write as _;
    println!(
        "ready endpoint=http://{endpoint} dns={} load-balancers={} data={}",
        options.dns,
        options.lb_cidr,
        options.data.dir.display()
    );
    drop(std::io::stdout().flush());
}

async fn signalled() -> Result<(), Exit> {
    let failed = |e| Exit::failed(format!("cannot receive signals: {e}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The clock and chance of the machine.
pub fn machine() -> (Arc<dyn kernel::Clock>, Arc<dyn kernel::Entropy>) {
    (Arc::new(kernel::clock::SystemClock), Arc::new(kernel::clock::SystemEntropy))
}

//! What `ready` promises of the edge: it serves what this control plane published, and answers DNS.
use std::time::Duration;

use snapshot::{Hub, Report};
use tokio::time::timeout;

use crate::cli::Up;
use crate::exit::Exit;

/// An edge starts within milliseconds. One that is not there by then has a reason, which is in its log.
const START: Duration = Duration::from_secs(30);

/// Waits for the edge. Where it is there and only what it is to serve is late (the container engine is asked for its
/// networks first, and may hang), it serves what it had.
pub async fn wait(hub: &Hub, options: &Up) -> Result<(), Exit> {
    let mut reports = hub.reports();
    let serves = async {
        let mut snapshots = hub.snapshots();
        let generation = match snapshots.wait_for(Option::is_some).await {
            Ok(snapshot) => snapshot.as_ref().map_or(0, |snapshot| snapshot.generation),
            Err(_) => return,
        };
        drop(reports.wait_for(|r| r.as_ref().is_some_and(|r| r.applied >= generation)).await);
    };
    let late = timeout(START, serves).await.is_err();
    let report = hub.reports().borrow().clone();
    let log = options.data.dir.join("edge").join("edge.log");
    match report {
        Some(report) => {
            if late {
                tracing::warn!(
                    "the edge does not serve what was published yet; load balancers and DNS are as before"
                );
            }
            answers(&report, options)
        }
        None => Err(Exit::failed(format!(
            "load balancers and DNS are not served: no edge answered within {} s; see {}",
            START.as_secs(),
            log.display()
        ))),
    }
}

fn answers(report: &Report, options: &Up) -> Result<(), Exit> {
    match report.unbound.iter().find(|unbound| unbound.address == options.dns) {
        Some(unbound) => Err(Exit::port(format!(
            "{}; end what listens there, or choose another address with --dns",
            unbound.reason
        ))),
        None => Ok(()),
    }
}

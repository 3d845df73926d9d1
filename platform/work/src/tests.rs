use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kernel::clock::SystemClock;
use kernel::{Clock, Fault, Fut};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::*;

/// Tells each pass, and answers by a script that repeats its last line.
struct Scripted {
    wake: Arc<Notify>,
    pass: AtomicU32,
    told: mpsc::UnboundedSender<Instant>,
    script: fn(u32) -> Result<Next, Fault>,
}

impl Worker for Scripted {
    fn name(&self) -> String {
        "test".into()
    }
    fn wake(&self) -> Arc<Notify> {
        self.wake.clone()
    }
    fn interval(&self) -> Duration {
        Duration::from_secs(60)
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            self.told.send(Instant::now()).unwrap();
            (self.script)(self.pass.fetch_add(1, Ordering::SeqCst))
        })
    }
}

fn driven(script: fn(u32) -> Result<Next, Fault>) -> (Driver, Arc<Notify>, mpsc::UnboundedReceiver<Instant>) {
    let driver = Driver::new(Arc::new(SystemClock), Options::default());
    let (wake, (told, passes)) = (Arc::new(Notify::new()), mpsc::unbounded_channel());
    driver.start(Arc::new(Scripted { wake: wake.clone(), pass: AtomicU32::new(0), told, script }));
    (driver, wake, passes)
}

#[tokio::test(start_paused = true)]
async fn passes_follow_wakes_and_the_interval() {
    let (driver, wake, mut passes) = driven(|pass| Ok(if pass == 0 { Next::Again } else { Next::Idle }));
    let first = passes.recv().await.unwrap();
    let again = passes.recv().await.unwrap();
    assert!(again - first < Duration::from_millis(5));
    let interval = passes.recv().await.unwrap();
    assert!(interval - again >= Duration::from_secs(60));
    wake.notify_one();
    assert!(passes.recv().await.unwrap() - interval < Duration::from_secs(1));
    driver.stop().await;
    let status = driver.statuses().remove(0);
    assert_eq!((status.phase, status.passes, status.failures), (Phase::Stopped, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_due_time_is_kept() {
    let (driver, _wake, mut passes) =
        driven(|_| Ok(Next::At(SystemClock.now() + jiff::SignedDuration::from_secs(5))));
    let first = passes.recv().await.unwrap();
    let gap = passes.recv().await.unwrap() - first;
    assert!((4.9..5.1).contains(&gap.as_secs_f64()), "{gap:?}");
    driver.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_up_to_a_cap_and_wakes_do_not_shorten_it() {
    let (driver, wake, mut passes) = driven(|pass| match pass {
        0 => panic!("a bug"),
        1..12 => Err(Fault::internal("down")),
        _ => Ok(Next::Idle),
    });
    let mut last = passes.recv().await.unwrap();
    let mut gaps = Vec::new();
    for _ in 0..12 {
        wake.notify_one();
        let now = passes.recv().await.unwrap();
        gaps.push((now - last).as_millis());
        last = now;
    }
    for pair in gaps.windows(2) {
        assert!(pair[1] >= pair[0], "{gaps:?}");
    }
    assert!((100..150).contains(&gaps[0]) && (30_000..30_100).contains(&gaps[11]), "{gaps:?}");
    driver.stop().await;
    let status = driver.statuses().remove(0);
    assert_eq!((status.failures, status.error), (0, None));
}

/// Goes on for as long as it is told to.
struct Slow(Arc<Notify>, Arc<Notify>);

impl Worker for Slow {
    fn name(&self) -> String {
        "slow".into()
    }
    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async {
            self.0.notify_one();
            self.1.notified().await;
            Ok(Next::Idle)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_ends_while_the_driver_stops_is_the_last() {
    let driver = Driver::new(Arc::new(SystemClock), Options::default());
    let (began, go_on) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    driver.start(Arc::new(Slow(began.clone(), go_on.clone())));
    began.notified().await;
    let start = Instant::now();
    let end = async {
        // The stop is seen before the pass may end.
        tokio::time::advance(Duration::from_millis(1)).await;
        go_on.notify_one();
    };
    tokio::join!(driver.stop(), end);
    assert!(start.elapsed() < Duration::from_secs(1), "it waited for the interval: {:?}", start.elapsed());
}

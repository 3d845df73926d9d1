//! The background work: what was delivered, and looks at refs. Repositories do not wait for one another: their servers
//! may be slow, or silent until a limit ends the wait. What is one repository's is done in its order.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kernel::{Fault, Fut, Timestamp};
use store::{Key, Record, Row};
use tokio::sync::Notify;
use work::{Next, Worker};

use crate::changes::after;
use crate::error::Result;
use crate::records::{Delivered, Followed};
use crate::{CodeConnections, limits};

/// What is due of repositories that are not worked on, the first of each, and when something next will be.
type Due<T> = (Vec<(Key, Row<T>)>, Option<Timestamp>);

/// Work whose pieces are of a repository each.
trait Pieces: Send + Sync {
    type Piece: Record;

    fn service(&self) -> &CodeConnections;

    /// What is due, given the repositories that are worked on.
    fn due<'a>(&'a self, busy: &'a BTreeSet<Key>) -> Fut<'a, Result<Due<Self::Piece>>>;

    fn work(&self, piece: Row<Self::Piece>) -> Fut<'_, Result<()>>;
}

/// Works until nothing is due. Ended in between, it leaves what each piece of work leaves.
async fn side_by_side<P: Pieces>(pieces: &P) -> Result<Next> {
    let service = pieces.service();
    let wake = service.store.watch(&[P::Piece::TABLE]);
    let (mut busy, mut going) = (BTreeSet::new(), FuturesUnordered::new());
    loop {
        let (found, next) = pieces.due(&busy).await?;
        for (repository, row) in found.into_iter().take(limits::BACKGROUND - busy.len()) {
            busy.insert(repository.clone());
            going.push(async move { (repository, pieces.work(row).await) });
        }
        if going.is_empty() {
            return Ok(next.into());
        }
        let now = service.clock.now();
        let until =
            next.map_or(Duration::MAX, |next| next.duration_since(now).try_into().unwrap_or_default());
        tokio::select! {
            Some((repository, done)) = going.next() => {
                busy.remove(&repository);
                done?;
            }
            () = wake.notified() => {}
            () = tokio::time::sleep(until), if busy.len() < limits::BACKGROUND => {}
        }
    }
}

/// Deals with what was delivered, oldest first.
pub struct Deliveries(pub Arc<CodeConnections>);

impl Deliveries {
    async fn all_due(&self, busy: &BTreeSet<Key>) -> Result<Due<Delivered>> {
        let now = self.0.clock.now();
        let (mut found, mut known, mut next) = (Vec::new(), busy.clone(), None::<Timestamp>);
        let mut from = 0;
        while known.len() < limits::BACKGROUND {
            let page = self.0.store.list_by_seq::<Delivered>(Key::all(), from, limits::PAGE).await?;
            let Some(last) = page.last() else { break };
            from = last.created;
            for row in page {
                let (account, region, id) = (row.key.account(), row.key.region(), row.key.part(2));
                let repository = Followed::key(&account, &region, &id, &row.value.repository);
                if row.value.due > now {
                    next = Some(next.map_or(row.value.due, |next| next.min(row.value.due)));
                } else if known.insert(repository.clone()) {
                    found.push((repository, row));
                }
            }
        }
        Ok((found, next))
    }
}

impl Pieces for Deliveries {
    type Piece = Delivered;

    fn service(&self) -> &CodeConnections {
        &self.0
    }

    fn due<'a>(&'a self, busy: &'a BTreeSet<Key>) -> Fut<'a, Result<Due<Delivered>>> {
        Box::pin(self.all_due(busy))
    }

    fn work(&self, piece: Row<Delivered>) -> Fut<'_, Result<()>> {
        Box::pin(async move { self.0.tell(&piece).await })
    }
}

impl Worker for Deliveries {
    fn name(&self) -> String {
        "codeconnections.deliveries".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[Delivered::TABLE])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(side_by_side(self).await?) })
    }
}

/// Looks at the refs of followed repositories, each at its time: for those whose provider delivers nothing.
pub struct Looks(pub Arc<CodeConnections>);

impl Looks {
    fn at(&self, row: &Row<Followed>) -> Timestamp {
        let Followed { hooked, looked, .. } = &row.value;
        let every = if *hooked { self.0.poll * limits::POLL_HOOKED } else { self.0.poll };
        looked.map_or(Timestamp::MIN, |looked| after(looked, every))
    }

    async fn all_due(&self, busy: &BTreeSet<Key>) -> Result<Due<Followed>> {
        let now = self.0.clock.now();
        let mut rows = self.0.store.all::<Followed>(Key::all()).await?;
        rows.retain(|row| !busy.contains(&row.key));
        // Whose turn came first: none waits for ever.
        rows.sort_by_key(|row| self.at(row));
        let due = rows.partition_point(|row| self.at(row) <= now);
        let next = rows.get(due).map(|row| self.at(row));
        rows.truncate(due);
        Ok((rows.into_iter().map(|row| (row.key.clone(), row)).collect(), next))
    }
}

impl Pieces for Looks {
    type Piece = Followed;

    fn service(&self) -> &CodeConnections {
        &self.0
    }

    fn due<'a>(&'a self, busy: &'a BTreeSet<Key>) -> Fut<'a, Result<Due<Followed>>> {
        Box::pin(self.all_due(busy))
    }

    fn work(&self, piece: Row<Followed>) -> Fut<'_, Result<()>> {
        Box::pin(async move { self.0.look_or_put_off(&piece).await })
    }
}

impl Worker for Looks {
    fn name(&self) -> String {
        "codeconnections.looks".into()
    }

    fn wake(&self) -> Arc<Notify> {
        self.0.store.watch(&[Followed::TABLE])
    }

    fn run(&self) -> Fut<'_, Result<Next, Fault>> {
        Box::pin(async { Ok(side_by_side(self).await?) })
    }
}

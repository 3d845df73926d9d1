//! EC2 networking: VPCs, subnets, security groups, network interfaces and what clients read beside them.
//!
//! A VPC is a container network, made when a task first needs it ([`engine::PrepareInterface`]); security groups are
//! resolved to addresses here ([`engine::ResolveInterface`]) and enforced in each task's own namespace. Internet and
//! NAT gateways, routes and elastic addresses are kept and read back; containers reach the internet through the host.

mod defaults;
mod error;
mod filter;
mod limits;
mod network;
mod ops;
mod records;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::ec2::{Filter, Tag, TagSpecification};
use engine::Engine;
use kernel::{Access, Arn, Clock, Cx, Entropy, Ops, ids};
use store::{Batch, Key, PageToken, Row, Store};

pub use error::{Error, Result};
use records::{Kind, Tags};

/// The service.
pub struct Ec2 {
    store: Store,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Rows of a page with their tags, and the token of the next page.
type Page<K> = (Vec<(K, Vec<Tag>)>, Option<String>);

/// What a describe call selects by.
struct Selection<'a> {
    ids: Option<&'a Vec<String>>,
    filters: Option<&'a Vec<Filter>>,
    most: Option<i32>,
    token: Option<&'a str>,
}

impl Ec2 {
    /// On a store and an engine.
    pub fn new(
        store: Store,
        engine: Arc<dyn Engine>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        Arc::new(Self { store, engine, clock, entropy })
    }

    /// Serves its operations.
    pub fn register(self: &Arc<Self>, ops: &mut Ops) {
        ops::register(self, ops);
    }

    fn key(cx: &Cx, id: &str) -> Key {
        Key::new(cx.account(), &cx.region).text(id)
    }

    fn new_id<K: Kind>(&self) -> String {
        format!("{}{}", K::PREFIX, ids::hex(&*self.entropy, 17))
    }

    fn missing<K: Kind>(id: &str) -> Error {
        Error::NotFound { code: K::NOT_FOUND, what: K::WHAT, id: id.to_owned() }
    }

    async fn find<K: Kind>(&self, cx: &Cx, id: &str) -> Result<Row<K>> {
        self.store.get(&Self::key(cx, id)).await?.ok_or_else(|| Self::missing::<K>(id))
    }

    /// All of a kind, oldest first.
    async fn every<K: Kind>(&self, cx: &Cx) -> Result<Vec<Row<K>>> {
        let mut rows = self.store.all::<K>(Key::new(cx.account(), &cx.region)).await?;
        rows.sort_by_key(|row| row.created);
        Ok(rows)
    }

    async fn select<K: Kind>(&self, cx: &Cx, selection: Selection<'_>) -> Result<Page<K>> {
        filter::check::<K>(selection.filters)?;
        let after =
            PageToken::<u64>::position(K::TABLE, selection.token).map_err(|_| Error::InvalidNextToken)?;
        let rows = self.every::<K>(cx).await?;
        if let Some(id) =
            selection.ids.into_iter().flatten().find(|id| rows.iter().all(|row| row.value.id() != *id))
        {
            return Err(Self::missing::<K>(id));
        }
        let all = self.tags(cx).await?;
        let wanted = |row: &Row<K>| {
            let id = row.value.id();
            selection.ids.is_none_or(|ids| ids.is_empty() || ids.iter().any(|wanted| wanted == id))
                && filter::passes(&row.value, all.get(id), cx.account(), selection.filters)
                && after.is_none_or(|after| row.created > after)
        };
        let mut rows: Vec<Row<K>> = rows.into_iter().filter(wanted).collect();
        let most = selection
            .most
            .map_or(limits::PAGE, |most| usize::try_from(most).unwrap_or(1).clamp(1, limits::PAGE));
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|row| PageToken::encode(K::TABLE, row.created));
        let page = rows.into_iter().map(|row| {
            let tags = all.get(row.value.id()).map(shown).unwrap_or_default();
            (row.value, tags)
        });
        Ok((page.collect(), next))
    }

    async fn tags(&self, cx: &Cx) -> Result<BTreeMap<String, Tags>> {
        let rows = self.store.all::<Tags>(Key::new(cx.account(), &cx.region)).await?;
        Ok(rows.into_iter().map(|row| (row.key.last(), row.value)).collect())
    }

    /// A new resource with the tags of its specification.
    fn create<K: Kind>(
        cx: &Cx,
        resource: &K,
        specifications: Option<&Vec<TagSpecification>>,
    ) -> Result<(Batch, Vec<Tag>)> {
        let mut tags = Tags { what: K::WHAT.into(), ..Tags::default() };
        let given = specifications.into_iter().flatten().flat_map(|s| s.tags.iter().flatten());
        tags.tags.extend(
            given.map(|tag| (tag.key.clone().unwrap_or_default(), tag.value.clone().unwrap_or_default())),
        );
        ops::tags::check(&tags)?;
        let key = Self::key(cx, resource.id());
        let batch = Batch::new().create(&key, resource);
        Ok((if tags.tags.is_empty() { batch } else { batch.put(&key, &tags) }, shown(&tags)))
    }

    /// Removes a resource with its tags.
    fn delete<K: Kind>(row: &Row<K>) -> Batch {
        Batch::new().remove(row).delete::<Tags>(&row.key)
    }
}

fn shown(tags: &Tags) -> Vec<Tag> {
    tags.tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

/// Access to a resource, as in `vpc/vpc-1` or `vpc/*`; describe calls know no resource: `*`.
fn access(cx: &Cx, action: &'static str, resource: &str) -> Vec<Access> {
    let arn = || Arn::new("ec2", &cx.region, cx.account(), resource).to_string();
    vec![Access::new(action, if resource == "*" { "*".to_owned() } else { arn() })]
}

//! What decisions need, read once and kept until something changes.
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use kernel::{Arn, Principal, PrincipalKind};

use crate::records::{AccessKey, Entity, Group, Held, Holder, Policy, Role, Tags, User, key};
use crate::{Error, Iam, limits, managed};
use policy::{Document, Purpose};

/// A principal's policies.
#[derive(Debug)]
pub struct Standing {
    /// `AIDA…` or `AROA…`: a principal that was made anew under the same name is another.
    pub id: String,
    /// All identity policies.
    pub identity: Vec<Arc<Document>>,
    /// The permissions boundary.
    pub boundary: Option<Arc<Document>>,
    /// For `aws:PrincipalTag`.
    pub tags: Tags,
    /// A role's trust policy.
    pub trust: Option<Arc<Document>>,
}

/// A long-term key.
#[derive(Clone, Debug)]
pub struct LongTerm {
    /// The secret.
    pub secret: String,
    /// Whose.
    pub principal: Principal,
}

#[derive(Default)]
struct Kept {
    /// Moves with each `forget`: what was read before it is not kept after it.
    generation: u64,
    standings: HashMap<String, Option<Arc<Standing>>>,
    keys: HashMap<String, Option<Arc<LongTerm>>>,
    documents: HashMap<String, Arc<Document>>,
}

/// The cache.
#[derive(Default)]
pub struct Directory(RwLock<Kept>);

impl Directory {
    /// Forgets everything that the state decides; documents are what they are.
    pub fn forget(&self) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kept.generation += 1;
        kept.standings.clear();
        kept.keys.clear();
    }

    fn look<T>(&self, find: impl FnOnce(&Kept) -> Option<T>) -> (u64, Option<T>) {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (kept.generation, find(&kept))
    }

    fn keep(&self, generation: u64, put: impl FnOnce(&mut Kept)) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.generation == generation {
            if kept.standings.len() + kept.keys.len() > limits::CACHED_PRINCIPALS {
                kept.standings.clear();
                kept.keys.clear();
            }
            put(&mut kept);
        }
    }

    /// The policy of a resource or a session, read.
    pub fn document(&self, text: &str) -> Result<Arc<Document>, Error> {
        if let (_, Some(document)) = self.look(|kept| kept.documents.get(text).cloned()) {
            return Ok(document);
        }
        // A session's policy names no principal, a resource's must.
        let read =
            Document::parse(text, Purpose::Identity).or_else(|_| Document::parse(text, Purpose::Resource));
        let document = Arc::new(read?);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.documents.len() >= limits::CACHED_DOCUMENTS {
            kept.documents.clear();
        }
        kept.documents.insert(text.to_owned(), document.clone());
        Ok(document)
    }
}

impl Iam {
    /// A principal's policies; none if it has none of its own (root, services) or is gone.
    pub(crate) async fn standing(&self, who: &Principal) -> Result<Option<Arc<Standing>>, Error> {
        match &who.kind {
            PrincipalKind::User(_) => self.standing_of(&who.arn).await,
            PrincipalKind::Role { arn, .. } => self.standing_of(arn).await,
            PrincipalKind::Root | PrincipalKind::Service(_) | PrincipalKind::Anonymous => Ok(None),
        }
    }

    /// The standing of a user or role by its ARN.
    pub(crate) async fn standing_of(&self, arn: &str) -> Result<Option<Arc<Standing>>, Error> {
        let (generation, kept) = self.directory.look(|kept| kept.standings.get(arn).cloned());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let standing = self.read_standing(arn).await?.map(Arc::new);
        self.directory.keep(generation, |kept| drop(kept.standings.insert(arn.to_owned(), standing.clone())));
        Ok(standing)
    }

    async fn read_standing(&self, arn: &str) -> Result<Option<Standing>, Error> {
        let Ok(parsed) = arn.parse::<Arn>() else { return Ok(None) };
        let (kind, name) =
            (parsed.resource.split('/').next(), parsed.resource.rsplit('/').next().unwrap_or_default());
        let key = key(&parsed.account, name);
        match kind {
            Some("user") => {
                let Some(user) = self.named::<User>(&key, arn).await? else { return Ok(None) };
                let mut standing = self.of_holder(&user).await?;
                for group in &user.groups {
                    let key = crate::records::key(&parsed.account, group);
                    if let Some(group) = self.store.get::<Group>(&key).await? {
                        standing.identity.extend(self.documents(&group.value.held).await?);
                    }
                }
                Ok(Some(standing))
            }
            Some("role") => {
                let Some(role) = self.named::<Role>(&key, arn).await? else { return Ok(None) };
                let trust = Some(Arc::new(Document::parse(&role.trust, Purpose::Trust)?));
                Ok(Some(Standing { trust, ..self.of_holder(&role).await? }))
            }
            _ => Ok(None),
        }
    }

    /// The path is part of an ARN: the name alone does not make it the same.
    async fn named<E: Entity>(&self, key: &store::Key, arn: &str) -> Result<Option<E>, Error> {
        let row = self.store.get::<E>(key).await?;
        Ok(row.filter(|row| row.value.arn(&key.account()) == arn).map(|row| row.value))
    }

    async fn of_holder<H: Holder>(&self, holder: &H) -> Result<Standing, Error> {
        let boundary = match &holder.held().boundary {
            // A boundary whose policy is gone lets nothing through.
            Some(arn) => {
                Some(self.managed_document(arn).await?.unwrap_or_else(|| Arc::new(Document::nothing())))
            }
            None => None,
        };
        Ok(Standing {
            id: holder.identity().id.clone(),
            identity: self.documents(holder.held()).await?,
            boundary,
            tags: holder.identity().tags.clone(),
            trust: None,
        })
    }

    async fn documents(&self, held: &Held) -> Result<Vec<Arc<Document>>, Error> {
        let mut documents = Vec::new();
        for text in held.inline.values() {
            documents.push(Arc::new(Document::parse(text, Purpose::Identity)?));
        }
        for arn in &held.attached {
            documents.extend(self.managed_document(arn).await?);
        }
        Ok(documents)
    }

    async fn managed_document(&self, arn: &str) -> Result<Option<Arc<Document>>, Error> {
        match self.managed_text(arn).await? {
            Some(text) => Ok(Some(Arc::new(Document::parse(&text, Purpose::Identity)?))),
            None => Ok(None),
        }
    }

    /// The text of a managed policy's version in force.
    pub(crate) async fn managed_text(&self, arn: &str) -> Result<Option<String>, Error> {
        let policy = match managed::get(arn) {
            Some(policy) => policy,
            None => match self.own_policy(arn).await? {
                Some(row) => row.value,
                None => return Ok(None),
            },
        };
        Ok(policy.versions.iter().find(|v| v.number == policy.default).map(|v| v.document.clone()))
    }

    /// The account's own managed policy with this ARN.
    pub(crate) async fn own_policy(&self, arn: &str) -> Result<Option<store::Row<Policy>>, Error> {
        let Ok(parsed) = arn.parse::<Arn>() else { return Ok(None) };
        let name = parsed.resource.rsplit('/').next().unwrap_or_default();
        let row = self.store.get::<Policy>(&key(&parsed.account, name)).await?;
        Ok(row.filter(|row| row.value.arn(&parsed.account) == arn))
    }

    /// The long-term key with this id, if it is in use.
    pub(crate) async fn long_term(&self, id: &str) -> Result<Option<Arc<LongTerm>>, Error> {
        let (generation, kept) = self.directory.look(|kept| kept.keys.get(id).cloned());
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let key = self.read_key(id).await?.map(Arc::new);
        if key.is_some() {
            // Unknown ids are not kept: anybody can make them up.
            self.directory.keep(generation, |kept| drop(kept.keys.insert(id.to_owned(), key.clone())));
        }
        Ok(key)
    }

    async fn read_key(&self, id: &str) -> Result<Option<LongTerm>, Error> {
        let Some(row) = self.store.find::<AccessKey>(store::Key::all(), "id", id, 0, 1).await?.pop() else {
            return Ok(None);
        };
        let (account, record) = (row.key.account(), row.value);
        if !record.active {
            return Ok(None);
        }
        let principal = match &record.user {
            None => root(&account),
            Some(name) => match self.store.get::<User>(&key(&account, name)).await? {
                Some(user) => user_principal(&account, &user.value),
                None => return Ok(None),
            },
        };
        Ok(Some(LongTerm { secret: self.open_secret(&record)?, principal }))
    }
}

/// The root user of an account.
pub fn root(account: &str) -> Principal {
    Principal {
        arn: format!("arn:aws:iam::{account}:root"),
        account: account.to_owned(),
        id: account.to_owned(),
        kind: PrincipalKind::Root,
        session_policies: Vec::new(),
    }
}

/// A user as a caller.
pub fn user_principal(account: &str, user: &User) -> Principal {
    Principal {
        arn: user.arn(account),
        account: account.to_owned(),
        id: user.identity.id.clone(),
        kind: PrincipalKind::User(user.identity.name.clone()),
        session_policies: Vec::new(),
    }
}

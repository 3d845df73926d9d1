//! The root user's access key: made on the first start, the same ever after.
use kernel::ids;
use store::{Batch, Key};

use crate::records::AccessKey;
use crate::{Error, Iam};

/// A key of the root user. The composition root writes it to the data folder, mode 0600.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey {
    /// `AKIA…`.
    pub access_key_id: String,
    /// The secret; never log it.
    pub secret_access_key: String,
}

impl Iam {
    /// The account's root key. It is asked for at each start, so that a lost file comes back.
    pub async fn root_key(&self, account: &str) -> Result<RootKey, Error> {
        let keys = self.store.all::<AccessKey>(Key::new(account, "")).await?;
        let found = keys.into_iter().map(|row| row.value).find(|key| key.user.is_none() && key.active);
        if let Some(key) = found {
            return Ok(RootKey { secret_access_key: self.open_secret(&key)?, access_key_id: key.id });
        }
        let (record, secret) = self.new_key(None)?;
        self.store.commit(Batch::new().create(&access_key(account, &record.id), &record)).await?;
        self.directory.forget();
        Ok(RootKey { access_key_id: record.id, secret_access_key: secret })
    }

    /// A new key, to be stored, and its secret.
    pub(crate) fn new_key(&self, user: Option<String>) -> Result<(AccessKey, String), Error> {
        let id = format!("AKIA{}", ids::upper(&*self.entropy, 16));
        let secret = ids::alphanumeric(&*self.entropy, 40);
        let sealed = self.sealer.seal_text(&context(&id), &secret)?;
        Ok((AccessKey { id, user, secret: sealed, active: true, created: self.now() }, secret))
    }

    pub(crate) fn open_secret(&self, key: &AccessKey) -> Result<String, Error> {
        Ok(self.sealer.open_text(&context(&key.id), &key.secret)?)
    }
}

/// The store's key of an access key.
pub fn access_key(account: &str, id: &str) -> Key {
    Key::new(account, "").text(id)
}

fn context(id: &str) -> String {
    format!("iam.key:{id}")
}

//! Service-specific credentials: the user name and password that Git sends to CodeCommit.
use api::iam::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::{Cx, ids};
use store::{Batch, Key, Row};

use super::keys::{active, status};
use crate::entities::{Page, meant};
use crate::records::Credential;
use crate::{Error, Iam, limits};

const SERVICE: &str = "codecommit.amazonaws.com";

/// How a password is kept.
pub fn password_hash(password: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, password.as_bytes());
    STANDARD.encode(digest)
}

impl Iam {
    pub(super) async fn create_credential(
        &self,
        cx: &Cx,
        input: CreateServiceSpecificCredential,
    ) -> Result<CreateServiceSpecificCredentialOutput, Error> {
        if input.service_name != SERVICE {
            return Err(Error::NoSuchEntity(format!(
                "No such service {} is supported for Service Specific Credentials; {SERVICE} is",
                input.service_name
            )));
        }
        if input.credential_age_days.is_some() {
            return Err(Error::InvalidInput(format!(
                "CredentialAgeDays does not apply to {SERVICE}; leave it out"
            )));
        }
        let account = cx.account();
        let user = self.own_name(account, &input.user_name).await?;
        let count = self.credentials_of(account, &user).await?.len();
        if count >= limits::CREDENTIALS {
            return Err(Error::LimitExceeded("ServiceSpecificCredentialsPerUser", limits::CREDENTIALS));
        }
        let password = self.new_password();
        let suffix = if count == 0 { String::new() } else { format!("+{}", ids::hex(&*self.entropy, 4)) };
        let record = Credential {
            id: format!("ACCA{}", ids::upper(&*self.entropy, 17)),
            service_user: format!("{user}{suffix}-at-{account}"),
            user,
            service: SERVICE.into(),
            password: password_hash(&password),
            active: true,
            created: self.now(),
        };
        self.commit(Batch::new().create(&credential_key(account, &record.id), &record)).await?;
        Ok(CreateServiceSpecificCredentialOutput {
            service_specific_credential: Some(whole(&record, password)),
        })
    }

    pub(super) async fn list_credentials(
        &self,
        cx: &Cx,
        input: ListServiceSpecificCredentials,
    ) -> Result<ListServiceSpecificCredentialsOutput, Error> {
        let account = cx.account();
        let rows = if input.all_users == Some(true) {
            self.store.list_by_seq::<Credential>(Key::new(account, ""), 0, store::limits::PAGE).await?
        } else {
            match meant(cx, input.user_name)? {
                Some(name) => {
                    self.require_user(account, &name).await?;
                    self.credentials_of(account, &name).await?
                }
                None => Vec::new(),
            }
        };
        let service = input.service_name;
        let rows = rows.into_iter().filter(|row| service.as_ref().is_none_or(|s| *s == row.value.service));
        let all = rows.map(|row| (row.created, metadata(&row.value)));
        let page =
            Page::cut("ListServiceSpecificCredentials", all, input.marker.as_deref(), input.max_items)?;
        Ok(ListServiceSpecificCredentialsOutput {
            is_truncated: page.truncated(),
            marker: page.marker,
            service_specific_credentials: Some(page.items),
        })
    }

    pub(super) async fn update_credential(
        &self,
        cx: &Cx,
        input: UpdateServiceSpecificCredential,
    ) -> Result<UpdateServiceSpecificCredentialOutput, Error> {
        let mut row = self.credential(cx, input.user_name, &input.service_specific_credential_id).await?;
        row.value.active = active(&input.status)?;
        self.commit(Batch::new().update(&row)).await?;
        Ok(UpdateServiceSpecificCredentialOutput {})
    }

    pub(super) async fn reset_credential(
        &self,
        cx: &Cx,
        input: ResetServiceSpecificCredential,
    ) -> Result<ResetServiceSpecificCredentialOutput, Error> {
        let mut row = self.credential(cx, input.user_name, &input.service_specific_credential_id).await?;
        let password = self.new_password();
        row.value.password = password_hash(&password);
        self.commit(Batch::new().update(&row)).await?;
        Ok(ResetServiceSpecificCredentialOutput {
            service_specific_credential: Some(whole(&row.value, password)),
        })
    }

    pub(super) async fn delete_credential(
        &self,
        cx: &Cx,
        input: DeleteServiceSpecificCredential,
    ) -> Result<DeleteServiceSpecificCredentialOutput, Error> {
        let row = self.credential(cx, input.user_name, &input.service_specific_credential_id).await?;
        self.commit(Batch::new().remove(&row)).await?;
        Ok(DeleteServiceSpecificCredentialOutput {})
    }

    async fn credential(&self, cx: &Cx, user: Option<String>, id: &str) -> Result<Row<Credential>, Error> {
        let user = meant(cx, user)?;
        let row = self.store.get::<Credential>(&credential_key(cx.account(), id)).await?;
        row.filter(|row| user.as_ref().is_some_and(|user| row.value.user.eq_ignore_ascii_case(user)))
            .ok_or_else(|| {
                Error::NoSuchEntity(format!("The service specific credential with id {id} cannot be found."))
            })
    }

    /// 256 random bits, as AWS writes them.
    fn new_password(&self) -> String {
        let mut bytes = [0; 32];
        self.entropy.fill(&mut bytes);
        STANDARD.encode(bytes)
    }
}

fn credential_key(account: &str, id: &str) -> Key {
    Key::new(account, "").text(id)
}

fn whole(record: &Credential, password: String) -> ServiceSpecificCredential {
    ServiceSpecificCredential {
        create_date: record.created,
        service_name: record.service.clone(),
        service_user_name: Some(record.service_user.clone()),
        service_password: Some(password),
        service_specific_credential_id: record.id.clone(),
        user_name: record.user.clone(),
        status: status(record.active).into(),
        ..ServiceSpecificCredential::default()
    }
}

fn metadata(record: &Credential) -> ServiceSpecificCredentialMetadata {
    ServiceSpecificCredentialMetadata {
        user_name: record.user.clone(),
        status: status(record.active).into(),
        service_user_name: Some(record.service_user.clone()),
        create_date: record.created,
        service_specific_credential_id: record.id.clone(),
        service_name: record.service.clone(),
        ..ServiceSpecificCredentialMetadata::default()
    }
}

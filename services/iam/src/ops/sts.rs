//! STS.
use api::sts::*;
use kernel::{Access, Cx, Fault, Handle, Principal, PrincipalKind, ResourcePolicy};
use store::Key;

use crate::authority::role_session;
use crate::entities::size;
use crate::records::{self, AccessKey, Entity, key};
use crate::{Error, Iam, limits};
use policy::{Document, Purpose};

/// Seconds of a role's session that began under another role's.
const CHAINED: i32 = 3600;

impl Handle<GetCallerIdentity> for Iam {
    /// None: AWS answers it even to those who are denied it.
    async fn access(&self, _: &Cx, _: &GetCallerIdentity) -> Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }

    async fn handle(&self, cx: &Cx, _: GetCallerIdentity) -> Result<GetCallerIdentityOutput, Fault> {
        let Principal { arn, account, id, .. } = cx.caller.clone();
        Ok(GetCallerIdentityOutput { user_id: Some(id), account: Some(account), arn: Some(arn) })
    }
}

impl Handle<AssumeRole> for Iam {
    /// The role's trust policy is the resource's own.
    async fn access(&self, cx: &Cx, input: &AssumeRole) -> Result<Vec<Access>, Fault> {
        let mut access = Access::new("sts:AssumeRole", input.role_arn.clone())
            .when("sts:RoleSessionName", input.role_session_name.clone());
        if let Some(external) = &input.external_id {
            access = access.when("sts:ExternalId", external.clone());
        }
        access.policy = self
            .role_by_arn(&input.role_arn)
            .await?
            .map(|role| ResourcePolicy { document: Some(role.trust), account: cx.account().to_owned() });
        Ok(vec![access])
    }

    async fn handle(&self, cx: &Cx, input: AssumeRole) -> Result<AssumeRoleOutput, Fault> {
        Ok(self.assume_role(cx, input).await?)
    }
}

impl Handle<GetSessionToken> for Iam {
    /// None: policies cannot deny it, as with AWS.
    async fn access(&self, _: &Cx, _: &GetSessionToken) -> Result<Vec<Access>, Fault> {
        Ok(Vec::new())
    }

    async fn handle(&self, cx: &Cx, input: GetSessionToken) -> Result<GetSessionTokenOutput, Fault> {
        Ok(self.session_token(cx, input)?)
    }
}

impl Handle<GetAccessKeyInfo> for Iam {
    async fn access(&self, _: &Cx, _: &GetAccessKeyInfo) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("sts:GetAccessKeyInfo", "*")])
    }

    async fn handle(&self, _: &Cx, input: GetAccessKeyInfo) -> Result<GetAccessKeyInfoOutput, Fault> {
        let id = &input.access_key_id;
        let found = self.store.find::<AccessKey>(Key::all(), "id", id, 0, 1).await?.pop();
        let row = found.ok_or_else(|| {
            Error::Validation(format!("Invalid access key id {id}: it is not a long-term key of this server"))
        })?;
        Ok(GetAccessKeyInfoOutput { account: Some(row.key.account()) })
    }
}

impl Iam {
    async fn role_by_arn(&self, arn: &str) -> Result<Option<records::Role>, Error> {
        let Ok(parsed) = arn.parse::<kernel::Arn>() else {
            return Err(Error::Validation(format!("{arn} is invalid")));
        };
        let name = parsed.resource.rsplit('/').next().unwrap_or_default();
        let row = self.store.get::<records::Role>(&key(&parsed.account, name)).await?;
        Ok(row.map(|row| row.value).filter(|role| role.arn(&parsed.account) == arn))
    }

    async fn assume_role(&self, cx: &Cx, input: AssumeRole) -> Result<AssumeRoleOutput, Error> {
        for (given, name) in [
            (input.serial_number.is_some(), "SerialNumber"),
            (input.token_code.is_some(), "TokenCode"),
            (input.provided_contexts.is_some(), "ProvidedContexts"),
            (input.tags.as_ref().is_some_and(|tags| !tags.is_empty()), "Tags"),
            (input.source_identity.is_some(), "SourceIdentity"),
        ] {
            if given {
                return Err(Error::Validation(format!("{name} is not supported by Longshore; leave it out")));
            }
        }
        let role = self.role_by_arn(&input.role_arn).await?;
        let denied = || {
            Error::AccessDenied(format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
                cx.caller.arn, input.role_arn
            ))
        };
        let role = role.ok_or_else(denied)?;
        let seconds = duration(&cx.caller, &role, input.duration_seconds)?;
        let account = input.role_arn.split(':').nth(4).unwrap_or_default();
        let mut who = role_session(account, &input.role_arn, &role.identity.id, &input.role_session_name);
        who.session_policies = self.session_policies(input.policy, input.policy_arns).await?;
        let packed: usize = who.session_policies.iter().map(|text| size(text)).sum();
        let credentials = self.mint(&who, seconds)?;
        Ok(AssumeRoleOutput {
            credentials: Some(out(credentials)),
            assumed_role_user: Some(AssumedRoleUser { assumed_role_id: who.id, arn: who.arn }),
            packed_policy_size: (packed > 0)
                .then(|| i32::try_from((packed * 100).div_ceil(limits::SESSION_POLICY)).unwrap_or(100)),
            ..AssumeRoleOutput::default()
        })
    }

    /// The texts of a session's policies: they only narrow, and together.
    async fn session_policies(
        &self,
        inline: Option<String>,
        arns: Option<Vec<PolicyDescriptorType>>,
    ) -> Result<Vec<String>, Error> {
        let arns = arns.unwrap_or_default();
        if arns.len() > limits::SESSION_POLICIES {
            return Err(Error::LimitExceeded("PolicyArns", limits::SESSION_POLICIES));
        }
        let mut texts = Vec::new();
        if let Some(text) = inline {
            if size(&text) > limits::SESSION_POLICY {
                return Err(Error::Validation(format!(
                    "policy must have at most {} characters",
                    limits::SESSION_POLICY
                )));
            }
            Document::parse(&text, Purpose::Identity)?;
            texts.push(text);
        }
        for arn in arns.into_iter().filter_map(|descriptor| descriptor.arn) {
            let text = self.managed_text(&arn).await?;
            texts.push(text.ok_or_else(|| Error::NoSuchEntity(format!("Policy {arn} was not found.")))?);
        }
        Ok(texts)
    }

    fn session_token(&self, cx: &Cx, input: GetSessionToken) -> Result<GetSessionTokenOutput, Error> {
        if input.serial_number.is_some() || input.token_code.is_some() {
            return Err(Error::Validation(
                "SerialNumber and TokenCode are not supported by Longshore; leave them out".into(),
            ));
        }
        let most = match cx.caller.kind {
            PrincipalKind::Root => 3600,
            PrincipalKind::User(_) => 129_600,
            PrincipalKind::Role { .. } | PrincipalKind::Service(_) | PrincipalKind::Anonymous => {
                return Err(Error::AccessDenied(
                    "Cannot call GetSessionToken with session credentials".into(),
                ));
            }
        };
        let seconds = input.duration_seconds.unwrap_or(43_200).min(most);
        Ok(GetSessionTokenOutput {
            credentials: Some(out(self.mint(&cx.caller, seconds)?)),
            ..Default::default()
        })
    }
}

fn duration(who: &Principal, role: &records::Role, asked: Option<i32>) -> Result<i32, Error> {
    if who.kind == PrincipalKind::Root {
        return Err(Error::AccessDenied("Roles may not be assumed by root accounts.".into()));
    }
    let chained = matches!(who.kind, PrincipalKind::Role { .. });
    match asked {
        Some(seconds) if chained && seconds > CHAINED => Err(Error::Validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining".into(),
        )),
        Some(seconds) if seconds > role.max_session => Err(Error::Validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.".into(),
        )),
        asked => Ok(asked.unwrap_or(3600)),
    }
}

fn out(credentials: kernel::Credentials) -> Credentials {
    Credentials {
        access_key_id: credentials.access_key_id,
        secret_access_key: credentials.secret_access_key,
        session_token: credentials.session_token,
        expiration: credentials.expiration,
    }
}

//! The account as a whole, and asking what would be allowed.
use std::collections::BTreeMap;
use std::sync::Arc;

use api::iam::*;
use kernel::{Arn, Cx, Principal, PrincipalKind};
use store::Key;

use crate::directory::user_principal;
use crate::entities::Page;
use crate::records::{self, Entity};
use crate::{Error, Iam, limits};
use policy::{Context, Decision, Document, Layer, Policies, Purpose, Request, decide};

impl Iam {
    pub(super) async fn account_summary(
        &self,
        cx: &Cx,
        _: GetAccountSummary,
    ) -> Result<GetAccountSummaryOutput, Error> {
        let prefix = || Key::new(cx.account(), "");
        let counts = [
            ("Users", self.store.count::<records::User>(prefix()).await?),
            ("UsersQuota", limits::USERS),
            ("Groups", self.store.count::<records::Group>(prefix()).await?),
            ("GroupsQuota", limits::GROUPS),
            ("Roles", self.store.count::<records::Role>(prefix()).await?),
            ("RolesQuota", limits::ROLES),
            ("Policies", self.store.count::<records::Policy>(prefix()).await?),
            ("PoliciesQuota", limits::POLICIES),
            ("PolicySizeQuota", limits::MANAGED_POLICY as u64),
            ("VersionsPerPolicyQuota", limits::VERSIONS as u64),
            ("GroupsPerUserQuota", limits::GROUPS_PER_USER as u64),
            ("AttachedPoliciesPerUserQuota", limits::ATTACHED as u64),
            ("AttachedPoliciesPerGroupQuota", limits::ATTACHED as u64),
            ("AttachedPoliciesPerRoleQuota", limits::ATTACHED as u64),
            ("AccessKeysPerUserQuota", limits::KEYS as u64),
            ("AccountAccessKeysPresent", u64::from(!self.keys_of(cx.account(), None).await?.is_empty())),
        ];
        let number = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
        let map: BTreeMap<String, i32> = counts.map(|(name, count)| (name.to_owned(), number(count))).into();
        Ok(GetAccountSummaryOutput { summary_map: Some(map) })
    }

    /// CreateAccountAlias is not served, so that there is none.
    pub(super) async fn account_aliases(
        &self,
        _: &Cx,
        _: ListAccountAliases,
    ) -> Result<ListAccountAliasesOutput, Error> {
        Ok(ListAccountAliasesOutput { is_truncated: Some(false), ..Default::default() })
    }

    pub(super) async fn simulate(
        &self,
        cx: &Cx,
        input: SimulatePrincipalPolicy,
    ) -> Result<SimulatePrincipalPolicyOutput, Error> {
        for (given, name) in [
            (input.resource_policy.is_some(), "ResourcePolicy"),
            (input.caller_arn.is_some(), "CallerArn"),
            (input.resource_owner.is_some(), "ResourceOwner"),
            (input.permissions_boundary_policy_input_list.is_some(), "PermissionsBoundaryPolicyInputList"),
            (input.policy_exclusion_list.is_some(), "PolicyExclusionList"),
        ] {
            if given {
                return Err(Error::InvalidInput(format!(
                    "{name} is not simulated by Longshore; leave it out"
                )));
            }
        }
        let source = &input.policy_source_arn;
        let standing = self
            .standing_of(source)
            .await?
            .ok_or_else(|| Error::NoSuchEntity(format!("The entity with ARN {source} cannot be found.")))?;
        let who = self.principal_of(cx, source).await?;
        let mut identity = standing.identity.clone();
        for text in input.policy_input_list.iter().flatten() {
            identity.push(Arc::new(Document::parse(text, Purpose::Identity)?));
        }
        let mut context = Context::default();
        for entry in input.context_entries.into_iter().flatten() {
            context.set(
                &entry.context_key_name.unwrap_or_default(),
                entry.context_key_values.unwrap_or_default(),
            );
        }
        let policies =
            Policies { identity: &identity, boundary: standing.boundary.as_deref(), ..Policies::default() };
        let resources = input.resource_arns.unwrap_or_else(|| vec!["*".into()]);
        let pairs = input.action_names.iter().flat_map(|action| resources.iter().map(move |r| (action, r)));
        let all = pairs.map(|(action, resource)| {
            let decision = decide(&Request { who: &who, action, resource, context: &context }, &policies);
            evaluation(action, resource, decision, standing.boundary.is_some())
        });
        let page =
            Page::cut("SimulatePrincipalPolicy", (1..).zip(all), input.marker.as_deref(), input.max_items)?;
        Ok(SimulatePrincipalPolicyOutput {
            is_truncated: page.truncated(),
            evaluation_results: Some(page.items),
            marker: page.marker,
        })
    }

    async fn principal_of(&self, cx: &Cx, source: &str) -> Result<Principal, Error> {
        let arn: Arn =
            source.parse().map_err(|e: kernel::arn::NotAnArn| Error::InvalidInput(e.to_string()))?;
        let name = arn.resource.rsplit('/').next().unwrap_or_default();
        if arn.resource.starts_with("user/") {
            return Ok(user_principal(
                cx.account(),
                &self.get::<records::User>(cx.account(), name).await?.value,
            ));
        }
        let role = self.get::<records::Role>(cx.account(), name).await?.value;
        Ok(Principal {
            arn: source.to_owned(),
            account: cx.account().to_owned(),
            id: role.identity.id.clone(),
            kind: PrincipalKind::Role { arn: role.arn(cx.account()), session: String::new() },
            session_policies: Vec::new(),
        })
    }
}

fn evaluation(action: &str, resource: &str, decision: Decision, bounded: bool) -> EvaluationResult {
    let outcome = match decision {
        Decision::Allowed => "allowed",
        Decision::Denied(_) => "explicitDeny",
        Decision::Missing(_) => "implicitDeny",
    };
    let within = !matches!(decision, Decision::Missing(Layer::Boundary) | Decision::Denied(Layer::Boundary));
    EvaluationResult {
        eval_action_name: action.to_owned(),
        eval_resource_name: Some(resource.to_owned()),
        eval_decision: outcome.into(),
        permissions_boundary_decision_detail: bounded
            .then_some(PermissionsBoundaryDecisionDetail { allowed_by_permissions_boundary: Some(within) }),
        ..EvaluationResult::default()
    }
}

//! Action types: those that are served, those that accounts make for themselves, and those of partners.
use std::collections::BTreeMap;

use api::codepipeline as cp;
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, PageToken, Row};

use super::tags;
use crate::CodePipeline;
use crate::actions::TYPES;
use crate::error::Error;
use crate::jobs::{self, CUSTOM, Partner, TypeRow, Types, type_arn, type_key};
use crate::limits;
use crate::records::arn;

/// Types on a page.
const PAGE: usize = 100;

/// The id of a custom type.
fn id(category: &str, provider: &str, version: &str) -> cp::ActionTypeId {
    cp::ActionTypeId {
        category: category.into(),
        owner: CUSTOM.into(),
        provider: provider.into(),
        version: version.into(),
    }
}

fn on_type(cx: &Cx, action: &'static str, id: &cp::ActionTypeId) -> Access {
    Access::new(action, type_arn(cx.account(), &cx.region, id))
}

impl CodePipeline {
    async fn type_row(&self, cx: &Cx, id: &cp::ActionTypeId) -> Result<Option<Row<TypeRow>>, Error> {
        Ok(self.desk.store.get::<TypeRow>(&type_key(cx.account(), &cx.region, id)).await?)
    }

    /// A quota over the types of one owner that are not deleted.
    async fn room_for_type(&self, cx: &Cx, owner: &str) -> Result<(), Error> {
        let types = Types::load(&self.desk.store, cx.account(), &cx.region).await?;
        match types.listed().filter(|row| row.shape.id.owner == owner).count() >= limits::ACTION_TYPES {
            false => Ok(()),
            true => Err(Error::LimitExceeded(format!(
                "The account has {} action types of owner {owner} in this Region, the most allowed",
                limits::ACTION_TYPES
            ))),
        }
    }

    async fn create_type(
        &self,
        cx: &Cx,
        input: &cp::CreateCustomActionType,
    ) -> Result<cp::CreateCustomActionTypeOutput, Error> {
        let shape = jobs::custom(input)?;
        let tags = tags::checked(BTreeMap::new(), input.tags.as_deref().unwrap_or_default())?;
        let row = TypeRow { shape: shape.clone(), partner: None, deleted: false, tags: tags.clone() };
        let key = type_key(cx.account(), &cx.region, &shape.id);
        let batch = match self.type_row(cx, &shape.id).await? {
            Some(before) if !before.value.deleted => {
                return Err(Error::Validation(format!(
                    "The action type '{}' exists already; give another version",
                    jobs::name(&shape.id)
                )));
            }
            Some(before) if before.value.shape != shape => {
                return Err(Error::Validation(format!(
                    "The action type '{}' was deleted, and its version stands for another definition; give another version",
                    jobs::name(&shape.id)
                )));
            }
            Some(mut before) => {
                before.value = row;
                self.room_for_type(cx, CUSTOM).await?;
                Batch::new().update(&before)
            }
            None => {
                self.room_for_type(cx, CUSTOM).await?;
                Batch::new().create(&key, &row)
            }
        };
        self.commit_type(batch).await?;
        Ok(cp::CreateCustomActionTypeOutput { action_type: shape, tags: Some(tags::shapes(&tags)) })
    }

    async fn commit_type(&self, batch: Batch) -> Result<(), Error> {
        match self.desk.store.commit(batch).await {
            Err(error) if error.is_conflict() => Err(Error::ConcurrentModification),
            other => Ok(other.map(drop)?),
        }
    }

    async fn delete_type(&self, cx: &Cx, id: &cp::ActionTypeId) -> Result<(), Error> {
        // Deleting what is not there is no error, as with pipelines.
        let Some(mut row) = self.type_row(cx, id).await?.filter(|row| !row.value.deleted) else {
            return Ok(());
        };
        row.value.deleted = true;
        self.commit_type(Batch::new().update(&row)).await
    }

    async fn update_type(&self, cx: &Cx, declaration: cp::ActionTypeDeclaration) -> Result<(), Error> {
        let shape = jobs::partners(&declaration)?;
        let allowed = declaration.permissions.as_ref().map(|permissions| &permissions.allowed_accounts);
        if allowed.is_some_and(|all| !all.iter().any(|one| one == "*" || one == cx.account())) {
            return Err(Error::RequestFailed(format!(
                "actionType.permissions.allowedAccounts: no account but {} is served here, and it is not among them",
                cx.account()
            )));
        }
        let key = type_key(cx.account(), &cx.region, &shape.id);
        let partner = Some(Partner { declaration });
        let batch = match self.type_row(cx, &shape.id).await? {
            Some(mut row) => {
                let same =
                    row.value.shape.action_configuration_properties == shape.action_configuration_properties;
                // Pipelines are stored with these of them sealed that were secret when they were declared.
                if !same {
                    return Err(Error::RequestFailed(
                        "actionType.properties: pipelines rely on those of a version; give another version"
                            .into(),
                    ));
                }
                row.value = TypeRow { shape, partner, ..row.value };
                Batch::new().update(&row)
            }
            None => {
                self.room_for_type(cx, jobs::THIRD_PARTY).await?;
                Batch::new().create(&key, &TypeRow { shape, partner, deleted: false, tags: BTreeMap::new() })
            }
        };
        self.commit_type(batch).await
    }

    async fn list_types(
        &self,
        cx: &Cx,
        input: &cp::ListActionTypes,
    ) -> Result<cp::ListActionTypesOutput, Error> {
        let owner = input.action_owner_filter.as_deref();
        let region = input.region_filter.as_deref();
        let list = format!("ListActionTypes/{}/{}", owner.unwrap_or_default(), region.unwrap_or_default());
        let after: Option<String> =
            PageToken::position(&list, input.next_token.as_deref()).map_err(|_| Error::InvalidNextToken)?;
        let stored = Types::load(&self.desk.store, cx.account(), &cx.region).await?;
        let stored = stored.listed().map(|row| row.shape.clone());
        let mut types: Vec<cp::ActionType> = TYPES.iter().map(|kind| kind.shape()).chain(stored).collect();
        types.sort_by_key(|shape| jobs::name(&shape.id));
        types.retain(|shape| {
            let later = after.as_ref().is_none_or(|after| jobs::name(&shape.id) > *after);
            later && owner.is_none_or(|owner| owner == shape.id.owner)
        });
        types.retain(|_| region.is_none_or(|region| region == cx.region));
        let more = types.len() > PAGE;
        types.truncate(PAGE);
        let next = types.last().filter(|_| more).map(|shape| PageToken::encode(&list, jobs::name(&shape.id)));
        Ok(cp::ListActionTypesOutput { action_types: types, next_token: next })
    }

    async fn get_type(&self, cx: &Cx, id: &cp::ActionTypeId) -> Result<cp::ActionTypeDeclaration, Error> {
        let found = self.type_row(cx, id).await?.and_then(|row| row.value.partner);
        found.map(|partner| partner.declaration).ok_or_else(|| Error::ActionTypeNotFound(jobs::name(id)))
    }
}

impl Handle<cp::CreateCustomActionType> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::CreateCustomActionType) -> Result<Vec<Access>, Fault> {
        let id = id(&input.category, &input.provider, &input.version);
        let mut want = vec![on_type(cx, "codepipeline:CreateCustomActionType", &id)];
        if input.tags.as_ref().is_some_and(|tags| !tags.is_empty()) {
            want.push(on_type(cx, "codepipeline:TagResource", &id));
        }
        Ok(want)
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::CreateCustomActionType,
    ) -> Result<cp::CreateCustomActionTypeOutput, Fault> {
        Ok(self.create_type(cx, &input).await?)
    }
}

impl Handle<cp::DeleteCustomActionType> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::DeleteCustomActionType) -> Result<Vec<Access>, Fault> {
        let id = id(&input.category, &input.provider, &input.version);
        Ok(vec![on_type(cx, "codepipeline:DeleteCustomActionType", &id)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::DeleteCustomActionType,
    ) -> Result<cp::DeleteCustomActionTypeOutput, Fault> {
        self.delete_type(cx, &id(&input.category, &input.provider, &input.version)).await?;
        Ok(cp::DeleteCustomActionTypeOutput::default())
    }
}

impl Handle<cp::ListActionTypes> for CodePipeline {
    async fn access(&self, cx: &Cx, _: &cp::ListActionTypes) -> Result<Vec<Access>, Fault> {
        let types = arn(&cx.region, cx.account(), "actiontype:*");
        Ok(vec![Access::new("codepipeline:ListActionTypes", types)])
    }

    async fn handle(&self, cx: &Cx, input: cp::ListActionTypes) -> Result<cp::ListActionTypesOutput, Fault> {
        Ok(self.list_types(cx, &input).await?)
    }
}

/// The id that GetActionType asks for.
fn asked(input: &cp::GetActionType) -> cp::ActionTypeId {
    cp::ActionTypeId {
        category: input.category.clone(),
        owner: input.owner.clone(),
        provider: input.provider.clone(),
        version: input.version.clone(),
    }
}

impl Handle<cp::GetActionType> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::GetActionType) -> Result<Vec<Access>, Fault> {
        Ok(vec![on_type(cx, "codepipeline:GetActionType", &asked(input))])
    }

    async fn handle(&self, cx: &Cx, input: cp::GetActionType) -> Result<cp::GetActionTypeOutput, Fault> {
        Ok(cp::GetActionTypeOutput { action_type: Some(self.get_type(cx, &asked(&input)).await?) })
    }
}

impl Handle<cp::UpdateActionType> for CodePipeline {
    async fn access(&self, cx: &Cx, input: &cp::UpdateActionType) -> Result<Vec<Access>, Fault> {
        let cp::ActionTypeIdentifier { category, owner, provider, version } = input.action_type.id.clone();
        let id = cp::ActionTypeId { category, owner, provider, version };
        Ok(vec![on_type(cx, "codepipeline:UpdateActionType", &id)])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: cp::UpdateActionType,
    ) -> Result<cp::UpdateActionTypeOutput, Fault> {
        self.update_type(cx, input.action_type).await?;
        Ok(cp::UpdateActionTypeOutput::default())
    }
}

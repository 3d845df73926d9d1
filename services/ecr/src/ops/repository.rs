//! Repositories, the login token, resource tags.
use std::collections::BTreeMap;
use std::result::Result as Std;

use api::ecr as e;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::{Access, Arn, Cx, Fault, Handle};
use store::{Batch, Key, PageToken, Row};

use super::on_repository;
use crate::records::{Mutability, Repository};
use crate::{Ecr, Error, Result, limits, token};

on_repository!(CreateRepository, create_repository);
on_repository!(DeleteRepository, remove_repository);
on_repository!(PutImageScanningConfiguration, put_scanning);
on_repository!(PutImageTagMutability, put_mutability);

impl Ecr {
    async fn create_repository(
        &self,
        cx: &Cx,
        input: e::CreateRepository,
    ) -> Result<e::CreateRepositoryOutput> {
        let mutability = mutability(
            input.image_tag_mutability.as_deref(),
            input.image_tag_mutability_exclusion_filters.as_deref(),
        )?;
        let tags =
            checked(input.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect())?;
        if self.store.count::<Repository>(Key::new(cx.account(), &cx.region)).await? >= limits::REPOSITORIES {
            return Err(Error::Limit(format!(
                "The registry holds {} repositories, the most",
                limits::REPOSITORIES
            )));
        }
        let repository = Repository {
            name: input.repository_name.clone(),
            created: self.clock.now(),
            mutability,
            scan_on_push: input.image_scanning_configuration.and_then(|c| c.scan_on_push).unwrap_or(false),
            encryption: input
                .encryption_configuration
                .map_or_else(|| "AES256".to_owned(), |c| c.encryption_type),
            policy: None,
            lifecycle: None,
            evaluated: None,
            tags,
        };
        match self
            .store
            .commit(Batch::new().create(&Self::key(cx, &input.repository_name), &repository))
            .await
        {
            Err(error) if error.is_conflict() => {
                Err(Error::RepositoryExists(input.repository_name, cx.account().to_owned()))
            }
            done => {
                done?;
                Ok(e::CreateRepositoryOutput { repository: Some(shown(cx, repository)) })
            }
        }
    }

    async fn describe_repositories(
        &self,
        cx: &Cx,
        input: e::DescribeRepositories,
    ) -> Result<e::DescribeRepositoriesOutput> {
        if let Some(names) = input.repository_names.filter(|names| !names.is_empty()) {
            let mut found = Vec::new();
            for name in names {
                found.push(shown(cx, self.repository(cx, &name).await?.value));
            }
            return Ok(e::DescribeRepositoriesOutput { repositories: Some(found), next_token: None });
        }
        let after = PageToken::<String>::position("repositories", input.next_token.as_deref())
            .map_err(|_| Error::NextToken)?;
        let after = after.and_then(|hex| Key::from_hex(&hex));
        let most = input.max_results.map_or(limits::PAGE, |most| usize::try_from(most).unwrap_or(1));
        let mut rows = self
            .store
            .list::<Repository>(Key::new(cx.account(), &cx.region), after.as_ref(), most + 1)
            .await?;
        let more = rows.len() > most;
        rows.truncate(most);
        let next_token =
            rows.last().filter(|_| more).map(|row| PageToken::encode("repositories", row.key.to_hex()));
        Ok(e::DescribeRepositoriesOutput {
            repositories: Some(rows.into_iter().map(|row| shown(cx, row.value)).collect()),
            next_token,
        })
    }

    async fn remove_repository(
        &self,
        cx: &Cx,
        input: e::DeleteRepository,
    ) -> Result<e::DeleteRepositoryOutput> {
        let row = self.repository(cx, &input.repository_name).await?;
        if input.force != Some(true) && !self.images(cx, &input.repository_name).await?.is_empty() {
            return Err(Error::RepositoryNotEmpty(input.repository_name, cx.account().to_owned()));
        }
        self.delete_repository(cx, &row).await?;
        Ok(e::DeleteRepositoryOutput { repository: Some(shown(cx, row.value)) })
    }

    /// Reads, changes and writes a repository.
    pub async fn change(&self, cx: &Cx, name: &str, change: impl Fn(&mut Repository)) -> Result<Repository> {
        let changed = || async {
            let mut row: Row<Repository> = self.repository(cx, name).await?;
            change(&mut row.value);
            Ok::<_, Error>((Batch::new().update(&row), row.value))
        };
        self.store.update(changed).await
    }

    async fn put_scanning(
        &self,
        cx: &Cx,
        input: e::PutImageScanningConfiguration,
    ) -> Result<e::PutImageScanningConfigurationOutput> {
        let on = input.image_scanning_configuration.scan_on_push.unwrap_or(false);
        self.change(cx, &input.repository_name, |repository| repository.scan_on_push = on).await?;
        let image_scanning_configuration = Some(input.image_scanning_configuration);
        Ok(e::PutImageScanningConfigurationOutput {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name),
            image_scanning_configuration,
        })
    }

    async fn put_mutability(
        &self,
        cx: &Cx,
        input: e::PutImageTagMutability,
    ) -> Result<e::PutImageTagMutabilityOutput> {
        let new = mutability(
            Some(&input.image_tag_mutability),
            input.image_tag_mutability_exclusion_filters.as_deref(),
        )?;
        self.change(cx, &input.repository_name, |repository| repository.mutability = new.clone()).await?;
        Ok(e::PutImageTagMutabilityOutput {
            registry_id: Some(cx.account().into()),
            repository_name: Some(input.repository_name),
            image_tag_mutability: Some(input.image_tag_mutability),
            image_tag_mutability_exclusion_filters: input.image_tag_mutability_exclusion_filters,
        })
    }

    fn tagged(cx: &Cx, arn: &str) -> Result<String> {
        let wrong = || {
            Error::InvalidParameter(
                "resourceArn",
                format!("'{arn}' is not the ARN of a repository in this account and Region"),
            )
        };
        let read: Arn = arn.parse().map_err(|_| wrong())?;
        // What the caller may do was asked for the ARN as it is.
        if read.account != cx.account() || read.region != cx.region {
            return Err(wrong());
        }
        read.resource.strip_prefix("repository/").map(str::to_owned).ok_or_else(wrong)
    }
}

fn mutability(
    word: Option<&str>,
    filters: Option<&[e::ImageTagMutabilityExclusionFilter]>,
) -> Result<Mutability> {
    let except: Vec<String> = filters.into_iter().flatten().map(|f| f.filter.clone()).collect();
    let immutable = word.is_some_and(|word| word.starts_with("IMMUTABLE"));
    let wants = word.is_some_and(|word| word.ends_with("_WITH_EXCLUSION"));
    if wants == except.is_empty() {
        return Err(Error::InvalidParameter(
            "imageTagMutabilityExclusionFilters",
            "they go with a mutability that ends in _WITH_EXCLUSION, and it needs them".into(),
        ));
    }
    Ok(Mutability { immutable, except })
}

fn checked(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    match tags.keys().find(|key| key.starts_with("aws:")) {
        Some(key) => Err(Error::InvalidParameter("tags", format!("'{key}': keys do not start with 'aws:'"))),
        None if tags.len() > limits::TAGS => {
            Err(Error::InvalidParameter("tags", format!("a repository has at most {} tags", limits::TAGS)))
        }
        None => Ok(tags),
    }
}

fn shown(cx: &Cx, repository: Repository) -> e::Repository {
    let filters = |pattern: String| e::ImageTagMutabilityExclusionFilter {
        filter_type: "WILDCARD".into(),
        filter: pattern,
    };
    e::Repository {
        repository_arn: Some(Ecr::arn(cx, &repository.name)),
        registry_id: Some(cx.account().into()),
        repository_uri: Some(format!("{}/{}", Ecr::host(cx), repository.name)),
        repository_name: Some(repository.name),
        created_at: Some(repository.created),
        image_tag_mutability: Some(repository.mutability.word().into()),
        image_tag_mutability_exclusion_filters: (!repository.mutability.except.is_empty())
            .then(|| repository.mutability.except.into_iter().map(filters).collect()),
        image_scanning_configuration: Some(e::ImageScanningConfiguration {
            scan_on_push: Some(repository.scan_on_push),
        }),
        encryption_configuration: Some(e::EncryptionConfiguration {
            encryption_type: repository.encryption,
            kms_key: None,
        }),
    }
}

impl Handle<e::DescribeRepositories> for Ecr {
    async fn access(&self, cx: &Cx, input: &e::DescribeRepositories) -> Std<Vec<Access>, Fault> {
        let cx = Self::registry(cx, input.registry_id.as_deref());
        let names: Vec<String> = input
            .repository_names
            .clone()
            .filter(|names| !names.is_empty())
            .unwrap_or_else(|| vec!["*".into()]);
        let mut want = Vec::with_capacity(names.len());
        for name in &names {
            want.push(self.access(&cx, "ecr:DescribeRepositories", name).await?);
        }
        Ok(want)
    }
    async fn handle(
        &self,
        cx: &Cx,
        input: e::DescribeRepositories,
    ) -> Std<e::DescribeRepositoriesOutput, Fault> {
        let cx = Self::registry(cx, input.registry_id.as_deref());
        Ok(self.describe_repositories(&cx, input).await?)
    }
}

impl Handle<e::GetAuthorizationToken> for Ecr {
    async fn access(&self, _: &Cx, _: &e::GetAuthorizationToken) -> Std<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecr:GetAuthorizationToken", "*")])
    }
    async fn handle(
        &self,
        cx: &Cx,
        _: e::GetAuthorizationToken,
    ) -> Std<e::GetAuthorizationTokenOutput, Fault> {
        let issued = token::issue(&self.sealer, &cx.caller, self.clock.now())?;
        let (password, until) = issued.ok_or_else(|| {
            Fault::client(
                "InvalidParameterException",
                "A service acting for itself has no registry token; act under a role",
            )
        })?;
        let data = e::AuthorizationData {
            authorization_token: Some(STANDARD.encode(format!("AWS:{password}"))),
            expires_at: Some(until),
            proxy_endpoint: Some(Self::proxy_endpoint(cx)),
        };
        Ok(e::GetAuthorizationTokenOutput { authorization_data: Some(vec![data]) })
    }
}

impl Handle<e::DescribeRegistry> for Ecr {
    async fn access(&self, _: &Cx, _: &e::DescribeRegistry) -> Std<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecr:DescribeRegistry", "*")])
    }
    async fn handle(&self, cx: &Cx, _: e::DescribeRegistry) -> Std<e::DescribeRegistryOutput, Fault> {
        Ok(e::DescribeRegistryOutput {
            registry_id: Some(cx.account().into()),
            replication_configuration: Some(e::ReplicationConfiguration { rules: Vec::new() }),
        })
    }
}

impl Handle<e::TagResource> for Ecr {
    async fn access(&self, _: &Cx, input: &e::TagResource) -> Std<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecr:TagResource", input.resource_arn.clone())])
    }
    async fn handle(&self, cx: &Cx, input: e::TagResource) -> Std<e::TagResourceOutput, Fault> {
        let name = Self::tagged(cx, &input.resource_arn)?;
        let mut tags = self.repository(cx, &name).await?.value.tags;
        tags.extend(input.tags.into_iter().map(|tag| (tag.key, tag.value)));
        let tags = checked(tags)?;
        self.change(cx, &name, |repository| repository.tags.clone_from(&tags)).await?;
        Ok(e::TagResourceOutput {})
    }
}

impl Handle<e::UntagResource> for Ecr {
    async fn access(&self, _: &Cx, input: &e::UntagResource) -> Std<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecr:UntagResource", input.resource_arn.clone())])
    }
    async fn handle(&self, cx: &Cx, input: e::UntagResource) -> Std<e::UntagResourceOutput, Fault> {
        let name = Self::tagged(cx, &input.resource_arn)?;
        self.change(cx, &name, |repository| repository.tags.retain(|key, _| !input.tag_keys.contains(key)))
            .await?;
        Ok(e::UntagResourceOutput {})
    }
}

impl Handle<e::ListTagsForResource> for Ecr {
    async fn access(&self, _: &Cx, input: &e::ListTagsForResource) -> Std<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecr:ListTagsForResource", input.resource_arn.clone())])
    }
    async fn handle(
        &self,
        cx: &Cx,
        input: e::ListTagsForResource,
    ) -> Std<e::ListTagsForResourceOutput, Fault> {
        let row = self.repository(cx, &Self::tagged(cx, &input.resource_arn)?).await?;
        Ok(e::ListTagsForResourceOutput {
            tags: Some(row.value.tags.into_iter().map(|(key, value)| e::Tag { key, value }).collect()),
        })
    }
}

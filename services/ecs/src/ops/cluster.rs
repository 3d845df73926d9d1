//! Clusters.
use api::ecs::{self as a, *};
use kernel::{Access, Cx, Fault, Handle};
use store::{Batch, Row};

use super::{include_tags, missing, page, tags_in, tags_out};
use crate::Ecs;
use crate::error::{Error, Result, client, invalid};
use crate::limits;
use crate::names::{self, Scope};
use crate::records::{Cluster, Life, Service, Status, Task};

impl Ecs {
    /// A cluster that was not deleted.
    pub(crate) async fn cluster(&self, scope: &Scope, given: Option<&str>) -> Result<Row<Cluster>> {
        let name = names::cluster_name(given)?;
        let found = self.store.get::<Cluster>(&scope.key().text(name)).await?.ok_or(Error::NoCluster)?;
        if found.value.active { Ok(found) } else { Err(Error::InactiveCluster) }
    }

    async fn create_cluster(&self, cx: &Cx, given: CreateCluster) -> Result<Cluster> {
        let scope = Scope::of(cx);
        let name = given.cluster_name.clone().unwrap_or_else(|| "default".into());
        names::check("Cluster name", &name)?;
        providers(given.capacity_providers.as_ref(), given.default_capacity_provider_strategy.as_ref())?;
        if given.service_connect_defaults.is_some() {
            return client("serviceConnectDefaults is not served by Longshore: leave it out.");
        }
        let tags = tags_in(given.tags.as_ref())?;
        let key = scope.key().text(&name);
        let create = || async {
            let found = self.store.get::<Cluster>(&key).await?;
            match found {
                // Creating it again is fine, and changes nothing.
                Some(row) if row.value.active => Ok((Batch::new(), row.value)),
                found => {
                    let cluster = Cluster {
                        name: name.clone(),
                        active: true,
                        given: given.clone(),
                        tags: tags.clone(),
                    };
                    let batch = Batch::new().expect_same(&key, found.as_ref()).put(&key, &cluster);
                    Ok::<_, Error>((batch, cluster))
                }
            }
        };
        self.store.update(create).await
    }

    async fn delete_cluster(&self, scope: &Scope, name: &str) -> Result<Cluster> {
        let delete = || async {
            let mut row = self.cluster(scope, Some(name)).await?;
            let key = scope.key().text(&row.value.name);
            if self.store.all::<Service>(key.clone()).await?.iter().any(|s| s.value.life == Life::Active) {
                return Err(Error::ClusterHasServices);
            }
            if self.store.all::<Task>(key).await?.iter().any(|t| t.value.status != Status::Stopped) {
                return Err(Error::ClusterHasTasks);
            }
            row.value.active = false;
            Ok((Batch::new().update(&row), row.value.clone()))
        };
        self.store.update(delete).await
    }

    async fn change_cluster(
        &self,
        scope: &Scope,
        name: &str,
        change: impl Fn(&mut CreateCluster),
    ) -> Result<a::Cluster> {
        let update = || async {
            let mut row = self.cluster(scope, Some(name)).await?;
            change(&mut row.value.given);
            Ok::<_, Error>((Batch::new().update(&row), row.value.clone()))
        };
        let cluster = self.store.update(update).await?;
        self.shown_cluster(scope, cluster, false, true).await
    }

    async fn shown_cluster(
        &self,
        scope: &Scope,
        cluster: Cluster,
        tags: bool,
        settings: bool,
    ) -> Result<a::Cluster> {
        let key = scope.key().text(&cluster.name);
        let tasks = self.store.all::<Task>(key.clone()).await?;
        let services = self.store.all::<Service>(key).await?;
        let count = |n: usize| i32::try_from(n).ok();
        let running = tasks.iter().filter(|t| t.value.status == Status::Running).count();
        let pending = tasks.iter().filter(|t| t.value.status < Status::Running).count();
        let active = services.iter().filter(|s| s.value.life == Life::Active).count();
        let given = cluster.given;
        let disabled = || {
            vec![ClusterSetting { name: Some("containerInsights".into()), value: Some("disabled".into()) }]
        };
        Ok(a::Cluster {
            cluster_arn: Some(scope.cluster(&cluster.name)),
            status: Some(if cluster.active { "ACTIVE" } else { "INACTIVE" }.into()),
            registered_container_instances_count: Some(i32::from(cluster.active)),
            running_tasks_count: count(running),
            pending_tasks_count: count(pending),
            active_services_count: count(active),
            statistics: Some(Vec::new()),
            tags: Some(if tags { tags_out(&cluster.tags) } else { Vec::new() }),
            settings: Some(if settings { given.settings.unwrap_or_else(disabled) } else { Vec::new() }),
            configuration: given.configuration.filter(|_| settings),
            capacity_providers: Some(given.capacity_providers.unwrap_or_default()),
            default_capacity_provider_strategy: Some(
                given.default_capacity_provider_strategy.unwrap_or_default(),
            ),
            cluster_name: Some(cluster.name),
            ..Default::default()
        })
    }
}

/// Only AWS's own providers exist.
pub(super) fn providers(
    names: Option<&Vec<String>>,
    strategy: Option<&Vec<CapacityProviderStrategyItem>>,
) -> Result<()> {
    let of_strategy = strategy.into_iter().flatten().map(|item| &item.capacity_provider);
    for name in names.into_iter().flatten().chain(of_strategy) {
        if name != "FARGATE" && name != "FARGATE_SPOT" {
            return client(format!(
                "The specified capacity provider '{name}' was not found: use FARGATE or FARGATE_SPOT."
            ));
        }
    }
    Ok(())
}

fn on(cx: &Cx, action: &'static str, given: Option<&str>) -> Result<Vec<Access>, Fault> {
    let name = names::cluster_name(given)?;
    Ok(vec![Access::new(action, Scope::of(cx).cluster(name))])
}

impl Handle<CreateCluster> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &CreateCluster) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:CreateCluster", "*")])
    }

    async fn handle(&self, cx: &Cx, input: CreateCluster) -> Result<CreateClusterOutput, Fault> {
        let cluster = self.create_cluster(cx, input).await?;
        let cluster = self.shown_cluster(&Scope::of(cx), cluster, true, true).await?;
        Ok(CreateClusterOutput { cluster: Some(cluster) })
    }
}

impl Handle<DescribeClusters> for Ecs {
    async fn access(&self, cx: &Cx, input: &DescribeClusters) -> Result<Vec<Access>, Fault> {
        let names = input
            .clusters
            .clone()
            .filter(|names| !names.is_empty())
            .unwrap_or_else(|| vec!["default".into()]);
        let mut want = Vec::new();
        for name in &names {
            want.extend(on(cx, "ecs:DescribeClusters", Some(name))?);
        }
        Ok(want)
    }

    async fn handle(&self, cx: &Cx, input: DescribeClusters) -> Result<DescribeClustersOutput, Fault> {
        let scope = Scope::of(cx);
        let given =
            input.clusters.filter(|names| !names.is_empty()).unwrap_or_else(|| vec!["default".into()]);
        if given.len() > limits::DESCRIBE {
            return Err(Error::Invalid(format!(
                "At most {} clusters can be described at once.",
                limits::DESCRIBE
            ))
            .into());
        }
        let asks = |what: &str| input.include.iter().flatten().any(|include| include == what);
        let settings = asks("SETTINGS") || asks("CONFIGURATIONS");
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for text in &given {
            let name = names::cluster_name(Some(text))?;
            match self.store.get::<Cluster>(&scope.key().text(name)).await.map_err(Error::from)? {
                Some(row) => {
                    clusters.push(
                        self.shown_cluster(&scope, row.value, include_tags(input.include.as_ref()), settings)
                            .await?,
                    );
                }
                None => failures.push(missing(scope.cluster(name))),
            }
        }
        Ok(DescribeClustersOutput { clusters: Some(clusters), failures: Some(failures) })
    }
}

impl Handle<DeleteCluster> for Ecs {
    async fn access(&self, cx: &Cx, input: &DeleteCluster) -> Result<Vec<Access>, Fault> {
        on(cx, "ecs:DeleteCluster", Some(&input.cluster))
    }

    async fn handle(&self, cx: &Cx, input: DeleteCluster) -> Result<DeleteClusterOutput, Fault> {
        let scope = Scope::of(cx);
        let cluster = self.delete_cluster(&scope, &input.cluster).await?;
        let cluster = self.shown_cluster(&scope, cluster, false, false).await?;
        Ok(DeleteClusterOutput { cluster: Some(cluster) })
    }
}

impl Handle<ListClusters> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &ListClusters) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:ListClusters", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListClusters) -> Result<ListClustersOutput, Fault> {
        let scope = Scope::of(cx);
        let rows = self.store.all::<Cluster>(scope.key()).await.map_err(Error::from)?;
        let arns =
            rows.iter().filter(|row| row.value.active).map(|row| scope.cluster(&row.value.name)).collect();
        let (cluster_arns, next_token) =
            page("ListClusters", arns, input.max_results, input.next_token.as_deref())?;
        Ok(ListClustersOutput { cluster_arns: Some(cluster_arns), next_token })
    }
}

impl Handle<UpdateCluster> for Ecs {
    async fn access(&self, cx: &Cx, input: &UpdateCluster) -> Result<Vec<Access>, Fault> {
        on(cx, "ecs:UpdateCluster", Some(&input.cluster))
    }

    async fn handle(&self, cx: &Cx, input: UpdateCluster) -> Result<UpdateClusterOutput, Fault> {
        if input.service_connect_defaults.is_some() {
            return Err(client::<()>("serviceConnectDefaults is not served by Longshore: leave it out.")
                .unwrap_err()
                .into());
        }
        let change = |given: &mut CreateCluster| {
            given.settings = input.settings.clone().or(given.settings.take());
            given.configuration = input.configuration.clone().or(given.configuration.take());
        };
        let cluster = self.change_cluster(&Scope::of(cx), &input.cluster, change).await?;
        Ok(UpdateClusterOutput { cluster: Some(cluster) })
    }
}

impl Handle<UpdateClusterSettings> for Ecs {
    async fn access(&self, cx: &Cx, input: &UpdateClusterSettings) -> Result<Vec<Access>, Fault> {
        on(cx, "ecs:UpdateClusterSettings", Some(&input.cluster))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: UpdateClusterSettings,
    ) -> Result<UpdateClusterSettingsOutput, Fault> {
        let change = |given: &mut CreateCluster| given.settings = Some(input.settings.clone());
        let cluster = self.change_cluster(&Scope::of(cx), &input.cluster, change).await?;
        Ok(UpdateClusterSettingsOutput { cluster: Some(cluster) })
    }
}

impl Handle<PutClusterCapacityProviders> for Ecs {
    async fn access(&self, cx: &Cx, input: &PutClusterCapacityProviders) -> Result<Vec<Access>, Fault> {
        on(cx, "ecs:PutClusterCapacityProviders", Some(&input.cluster))
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: PutClusterCapacityProviders,
    ) -> Result<PutClusterCapacityProvidersOutput, Fault> {
        providers(Some(&input.capacity_providers), Some(&input.default_capacity_provider_strategy))?;
        let strategy = &input.default_capacity_provider_strategy;
        if strategy.iter().any(|item| !input.capacity_providers.contains(&item.capacity_provider)) {
            return Err(invalid::<()>(
                "defaultCapacityProviderStrategy names a provider that capacityProviders does not.",
            )
            .unwrap_err()
            .into());
        }
        let change = |given: &mut CreateCluster| {
            given.capacity_providers = Some(input.capacity_providers.clone());
            given.default_capacity_provider_strategy = Some(strategy.clone());
        };
        let cluster = self.change_cluster(&Scope::of(cx), &input.cluster, change).await?;
        Ok(PutClusterCapacityProvidersOutput { cluster: Some(cluster) })
    }
}

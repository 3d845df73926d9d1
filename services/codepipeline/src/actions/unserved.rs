//! Providers that AWS has and Longshore does not: refused by name, so that nobody looks for a typing error.
use api::codepipeline::ActionTypeId;

/// Category, owner, provider.
const PROVIDERS: &[(&str, &str, &str)] = &[
    ("Deploy", "AWS", "AppConfig"),
    ("Deploy", "AWS", "CloudFormation"),
    ("Deploy", "AWS", "CloudFormationStackInstances"),
    ("Deploy", "AWS", "CloudFormationStackSet"),
    ("Deploy", "AWS", "CodeDeploy"),
    ("Deploy", "AWS", "CodeDeployToECS"),
    ("Deploy", "AWS", "EC2"),
    ("Deploy", "AWS", "EKS"),
    ("Deploy", "AWS", "ElasticBeanstalk"),
    ("Deploy", "AWS", "Lambda"),
    ("Deploy", "AWS", "OpsWorks"),
    ("Deploy", "AWS", "ServiceCatalog"),
    ("Deploy", "ThirdParty", "AlexaSkillsKit"),
    ("Invoke", "AWS", "InspectorScan"),
    ("Invoke", "AWS", "StepFunctions"),
    ("Source", "ThirdParty", "GitHub"),
    ("Test", "AWS", "DeviceFarm"),
    ("Test", "ThirdParty", "BlazeMeter"),
    ("Test", "ThirdParty", "GhostInspector"),
    ("Test", "ThirdParty", "Runscope"),
];

/// The refusal of a type that only AWS serves; none: nobody knows it.
pub fn refusal(id: &ActionTypeId) -> Option<String> {
    let known = |(category, owner, provider): &(&str, &str, &str)| {
        (*category, *owner, *provider) == (&*id.category, &*id.owner, &*id.provider) && id.version == "1"
    };
    PROVIDERS.iter().any(known).then(|| {
        format!(
            "actions of AWS's provider {} (category {}, owner {}) are not served by Longshore; list-action-types shows those that are",
            id.provider, id.category, id.owner
        )
    })
}

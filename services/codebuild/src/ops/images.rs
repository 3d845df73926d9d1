//! What there is to choose from: curated images, and credentials for sources elsewhere (none).
use api::codebuild::*;
use kernel::{Access, Cx, Fault, Handle};

use crate::CodeBuild;

impl Handle<ListCuratedEnvironmentImages> for CodeBuild {
    async fn access(&self, _: &Cx, _: &ListCuratedEnvironmentImages) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codebuild:ListCuratedEnvironmentImages", "*")])
    }

    async fn handle(
        &self,
        _: &Cx,
        _: ListCuratedEnvironmentImages,
    ) -> Result<ListCuratedEnvironmentImagesOutput, Fault> {
        let image = |name: &str, description: &str| EnvironmentImage {
            name: Some(name.into()),
            description: Some(description.into()),
            versions: Some(vec![name.into()]),
        };
        let languages = vec![EnvironmentLanguage {
            language: Some("BASE".into()),
            images: Some(vec![
                image("aws/codebuild/standard:7.0", "JDK 17, Maven, Node.js, Python, git, Docker, AWS CLI"),
                image("aws/codebuild/amazonlinux-x86_64-standard:5.0", "The same image under its other name"),
            ]),
        }];
        let platform = EnvironmentPlatform { platform: Some("UBUNTU".into()), languages: Some(languages) };
        Ok(ListCuratedEnvironmentImagesOutput { platforms: Some(vec![platform]) })
    }
}

impl Handle<ListSourceCredentials> for CodeBuild {
    async fn access(&self, _: &Cx, _: &ListSourceCredentials) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("codebuild:ListSourceCredentials", "*")])
    }

    async fn handle(&self, _: &Cx, _: ListSourceCredentials) -> Result<ListSourceCredentialsOutput, Fault> {
        Ok(ListSourceCredentialsOutput { source_credentials_infos: Some(Vec::new()) })
    }
}

impl Handle<InvalidateProjectCache> for CodeBuild {
    async fn access(&self, cx: &Cx, input: &InvalidateProjectCache) -> Result<Vec<Access>, Fault> {
        Ok(super::on_project(cx, "codebuild:InvalidateProjectCache", &input.project_name))
    }

    /// Nothing is kept between builds, so that nothing stale can be.
    async fn handle(
        &self,
        cx: &Cx,
        input: InvalidateProjectCache,
    ) -> Result<InvalidateProjectCacheOutput, Fault> {
        self.project(cx, &input.project_name).await?;
        Ok(InvalidateProjectCacheOutput {})
    }
}

//! Account settings: kept and told; the formats and limits that most of them stand for are always on.
use api::ecs::{self as a, *};
use kernel::{Access, Cx, Fault, Handle};
use store::Batch;

use crate::Ecs;
use crate::error::{Error, Result, invalid};
use crate::names::Scope;
use crate::records::Setting;

/// Settings with AWS's defaults.
const DEFAULTS: [(&str, &str); 9] = [
    ("awsvpcTrunking", "disabled"),
    ("containerInsights", "disabled"),
    ("containerInstanceLongArnFormat", "enabled"),
    ("dualStackIPv6", "enabled"),
    ("fargateTaskRetirementWaitPeriod", "7"),
    ("guardDutyActivate", "off"),
    ("serviceLongArnFormat", "enabled"),
    ("tagResourceAuthorization", "off"),
    ("taskLongArnFormat", "enabled"),
];

impl Ecs {
    async fn put_setting(&self, cx: &Cx, name: &str, value: String, principal: String) -> Result<a::Setting> {
        if !DEFAULTS.iter().any(|(known, _)| *known == name) {
            return invalid(format!("The setting '{name}' is not one that Longshore knows."));
        }
        let key = Scope::of(cx).key().text(name).text(&principal);
        let principal_arn = if principal == "default" { root(cx) } else { principal };
        self.store.commit(Batch::new().put(&key, &Setting { value: value.clone() })).await?;
        Ok(shown(name, value, principal_arn))
    }
}

fn root(cx: &Cx) -> String {
    format!("arn:aws:iam::{}:root", cx.account())
}

fn shown(name: &str, value: String, principal: String) -> a::Setting {
    a::Setting {
        name: Some(name.to_owned()),
        value: Some(value),
        principal_arn: Some(principal),
        r#type: Some("user".into()),
    }
}

impl Handle<ListAccountSettings> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &ListAccountSettings) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:ListAccountSettings", "*")])
    }

    async fn handle(&self, cx: &Cx, input: ListAccountSettings) -> Result<ListAccountSettingsOutput, Fault> {
        let principal = input.principal_arn.clone().unwrap_or_else(|| cx.caller.arn.clone());
        let mut settings = Vec::new();
        for (name, default) in
            DEFAULTS.iter().filter(|(name, _)| input.name.as_deref().is_none_or(|n| n == *name))
        {
            let key = Scope::of(cx).key().text(name);
            let own = self.store.get::<Setting>(&key.clone().text(&principal)).await.map_err(Error::from)?;
            let general = self.store.get::<Setting>(&key.text("default")).await.map_err(Error::from)?;
            let effective = input.effective_settings == Some(true);
            let value = match (own, general) {
                (Some(own), _) => own.value.value,
                (None, Some(general)) => general.value.value,
                (None, None) if effective => (*default).to_owned(),
                (None, None) => continue,
            };
            if input.value.as_ref().is_none_or(|wanted| *wanted == value) {
                settings.push(shown(name, value, principal.clone()));
            }
        }
        Ok(ListAccountSettingsOutput { settings: Some(settings), next_token: None })
    }
}

impl Handle<PutAccountSetting> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &PutAccountSetting) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:PutAccountSetting", "*")])
    }

    async fn handle(&self, cx: &Cx, input: PutAccountSetting) -> Result<PutAccountSettingOutput, Fault> {
        let principal = input.principal_arn.unwrap_or_else(|| cx.caller.arn.clone());
        let setting = self.put_setting(cx, &input.name, input.value, principal).await?;
        Ok(PutAccountSettingOutput { setting: Some(setting) })
    }
}

impl Handle<PutAccountSettingDefault> for Ecs {
    async fn access(&self, _cx: &Cx, _input: &PutAccountSettingDefault) -> Result<Vec<Access>, Fault> {
        Ok(vec![Access::new("ecs:PutAccountSettingDefault", "*")])
    }

    async fn handle(
        &self,
        cx: &Cx,
        input: PutAccountSettingDefault,
    ) -> Result<PutAccountSettingDefaultOutput, Fault> {
        let setting = self.put_setting(cx, &input.name, input.value, "default".into()).await?;
        Ok(PutAccountSettingDefaultOutput { setting: Some(setting) })
    }
}

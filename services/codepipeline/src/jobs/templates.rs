//! The templates of links that a type declares: `{Config:NAME}` and `{ExternalExecutionId}` are replaced.
use std::collections::BTreeMap;

/// What stands between braces in a template.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(inner, _)| inner))
}

/// What is wrong with a template of the given field; `names` are the properties that are not secret.
pub fn refuse(field: &str, template: &str, names: &[&str]) -> Option<String> {
    if !["https://", "http://"].iter().any(|scheme| template.starts_with(scheme)) {
        return Some(format!("settings.{field} must begin with https:// or http://"));
    }
    placeholders(template).find_map(|inner| match inner.strip_prefix("Config:") {
        Some(name) if names.contains(&name) => None,
        Some(name) => Some(format!(
            "settings.{field} refers to {{Config:{name}}}, which is no configuration property of the type or a secret one"
        )),
        None if inner == "ExternalExecutionId" && field == "executionUrlTemplate" => None,
        None => Some(format!(
            "settings.{field} has {{{inner}}}: {{Config:NAME}} is known, and in executionUrlTemplate {{ExternalExecutionId}}"
        )),
    })
}

/// The link; none while something that it is made of is missing.
pub fn expand(
    template: &str,
    configuration: &BTreeMap<String, String>,
    execution: Option<&str>,
) -> Option<String> {
    let mut link = template.to_owned();
    for inner in placeholders(template) {
        let value = match inner.strip_prefix("Config:") {
            Some(name) => configuration.get(name)?,
            None => execution?,
        };
        link = link.replace(&format!("{{{inner}}}"), value);
    }
    Some(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_checked_and_filled() {
        let fits = |field, template| refuse(field, template, &["Job"]);
        assert_eq!(fits("entityUrlTemplate", "https://ci/{Config:Job}"), None);
        assert_eq!(fits("executionUrlTemplate", "https://ci/{Config:Job}/{ExternalExecutionId}/"), None);
        for (field, template, why) in [
            ("entityUrlTemplate", "https://ci/{ExternalExecutionId}", "has {ExternalExecutionId}"),
            ("entityUrlTemplate", "https://ci/{Config:Token}", "refers to {Config:Token}"),
            ("executionUrlTemplate", "ftp://ci", "must begin with https://"),
        ] {
            let said = fits(field, template).unwrap_or_default();
            assert!(said.contains(why), "{template}: {said}");
        }
        let given = BTreeMap::from([("Job".to_owned(), "app".to_owned())]);
        let template = "https://ci/{Config:Job}/{ExternalExecutionId}/";
        assert_eq!(expand(template, &given, Some("7")).as_deref(), Some("https://ci/app/7/"));
        assert_eq!(expand(template, &given, None), None);
        assert_eq!(expand(template, &BTreeMap::new(), Some("7")), None);
    }
}

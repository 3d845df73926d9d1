//! Lifecycle policies: which images expire (ECR guide, "Lifecycle policy parameters").
use kernel::Timestamp;
use serde::Deserialize;

use crate::records::wildcard;
use crate::{Error, Result};

/// A policy, checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    rule_priority: u32,
    #[serde(rename = "description")]
    _description: Option<String>,
    selection: Selection,
    action: Action,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Selection {
    tag_status: String,
    #[serde(default)]
    tag_prefix_list: Vec<String>,
    #[serde(default)]
    tag_pattern_list: Vec<String>,
    count_type: String,
    count_unit: Option<String>,
    count_number: u32,
}

#[derive(Debug, Deserialize)]
struct Action {
    r#type: String,
}

/// An image as rules see it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// `sha256:…`.
    pub digest: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// When it was pushed.
    pub pushed: Timestamp,
}

impl Policy {
    /// Reads and checks a policy.
    pub fn read(text: &str) -> Result<Self> {
        let wrong = |why: String| Error::InvalidParameter("lifecyclePolicyText", why);
        let mut policy: Self = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        policy.rules.sort_by_key(|rule| rule.rule_priority);
        if policy.rules.is_empty() {
            return Err(wrong("a policy has at least one rule".into()));
        }
        for (index, rule) in policy.rules.iter().enumerate() {
            rule.check(index + 1 == policy.rules.len())
                .map_err(|why| wrong(format!("rule {}: {why}", rule.rule_priority)))?;
        }
        match policy.rules.windows(2).find(|pair| pair[0].rule_priority == pair[1].rule_priority) {
            Some(pair) => Err(wrong(format!("rulePriority {} stands twice", pair[0].rule_priority))),
            None => Ok(policy),
        }
    }

    /// Digests of the images that expire. An image is judged by the first rule that selects it.
    pub fn expired(&self, images: &[Candidate], now: Timestamp) -> Vec<String> {
        let mut left: Vec<&Candidate> = images.iter().collect();
        left.sort_by_key(|image| std::cmp::Reverse(image.pushed));
        let mut expired = Vec::new();
        for rule in &self.rules {
            let (selected, others): (Vec<&Candidate>, Vec<&Candidate>) =
                left.into_iter().partition(|image| rule.selects(image));
            expired.extend(
                selected
                    .iter()
                    .enumerate()
                    .filter(|(newer, image)| rule.expires(*newer, image, now))
                    .map(|(_, image)| image.digest.clone()),
            );
            left = others;
        }
        expired
    }
}

impl Rule {
    fn check(&self, last: bool) -> std::result::Result<(), String> {
        let selection = &self.selection;
        let lists = (!selection.tag_prefix_list.is_empty(), !selection.tag_pattern_list.is_empty());
        match (selection.tag_status.as_str(), lists) {
            ("tagged", (true, false) | (false, true)) | ("untagged" | "any", (false, false)) => {}
            ("tagged", _) => {
                return Err("tagStatus tagged takes one of tagPrefixList and tagPatternList".into());
            }
            ("untagged" | "any", _) => return Err("tag lists go with tagStatus tagged only".into()),
            (other, _) => return Err(format!("tagStatus '{other}' is not one of tagged, untagged, any")),
        }
        match (selection.count_type.as_str(), selection.count_unit.as_deref()) {
            ("imageCountMoreThan", None) | ("sinceImagePushed", Some("days")) => {}
            ("imageCountMoreThan", Some(_)) => return Err("imageCountMoreThan takes no countUnit".into()),
            ("sinceImagePushed", _) => return Err("sinceImagePushed takes countUnit days".into()),
            (other, _) => {
                return Err(format!(
                    "countType '{other}' is not served; imageCountMoreThan and sinceImagePushed are"
                ));
            }
        }
        if selection.count_number == 0 || self.rule_priority == 0 {
            return Err("countNumber and rulePriority start at 1".into());
        }
        if selection.tag_status == "any" && !last {
            return Err("a rule with tagStatus any must have the highest rulePriority".into());
        }
        match self.action.r#type.as_str() {
            "expire" => Ok(()),
            other => Err(format!("action '{other}' is not served, only expire")),
        }
    }

    /// Several tags in a list: the image must carry all of them.
    fn selects(&self, image: &Candidate) -> bool {
        let selection = &self.selection;
        match selection.tag_status.as_str() {
            "untagged" => image.tags.is_empty(),
            "tagged" => {
                let prefixed = selection
                    .tag_prefix_list
                    .iter()
                    .all(|prefix| image.tags.iter().any(|tag| tag.starts_with(prefix.as_str())));
                prefixed
                    && selection
                        .tag_pattern_list
                        .iter()
                        .all(|pattern| image.tags.iter().any(|tag| wildcard(pattern, tag)))
            }
            _ => true,
        }
    }

    /// `newer`: how many of the selected were pushed after it.
    fn expires(&self, newer: usize, image: &Candidate, now: Timestamp) -> bool {
        let count = self.selection.count_number;
        match self.selection.count_type.as_str() {
            "imageCountMoreThan" => newer >= count as usize,
            _ => now.as_second() - image.pushed.as_second() >= i64::from(count) * 86_400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &str) -> std::result::Result<Policy, String> {
        Policy::read(&format!(r#"{{"rules":[{rules}]}}"#)).map_err(|e| e.to_string())
    }

    fn image(digest: &str, tags: &[&str], days: i64) -> Candidate {
        let pushed = Timestamp::from_second(100 * 86_400 - days * 86_400).unwrap();
        Candidate { digest: digest.into(), tags: tags.iter().map(|t| (*t).into()).collect(), pushed }
    }

    #[test]
    fn the_first_rule_that_selects_decides() {
        let rules = r#"
            {"rulePriority":2,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}},
            {"rulePriority":1,"selection":{"tagStatus":"tagged","tagPrefixList":["keep"],"countType":"sinceImagePushed","countUnit":"days","countNumber":30},"action":{"type":"expire"}}"#;
        let images = [
            image("old-kept", &["keep-1"], 29),
            image("too-old", &["keep-2"], 30),
            image("a", &[], 3),
            image("b", &["v1"], 2),
        ];
        let now = Timestamp::from_second(100 * 86_400).unwrap();
        assert_eq!(policy(rules).unwrap().expired(&images, now), ["too-old", "a"]);
    }

    #[test]
    fn refusals_name_rule_and_field() {
        let rule = |priority: u32, selection: &str| {
            format!(
                r#"{{"rulePriority":{priority},"selection":{{{selection}}},"action":{{"type":"expire"}}}}"#
            )
        };
        let any = r#""tagStatus":"any","countType":"imageCountMoreThan","countNumber":1"#;
        let untagged = r#""tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1"#;
        for (rules, said) in [
            (String::new(), "at least one rule"),
            (
                rule(1, r#""tagStatus":"tagged","countType":"imageCountMoreThan","countNumber":1"#),
                "tagPrefixList",
            ),
            (
                rule(1, r#""tagStatus":"any","countType":"sinceImagePushed","countNumber":1"#),
                "countUnit days",
            ),
            (rule(1, r#""tagStatus":"any","countType":"imageCountMoreThan","countNumber":0"#), "start at 1"),
            (format!("{},{}", rule(1, any), rule(2, untagged)), "highest rulePriority"),
            (format!("{},{}", rule(1, untagged), rule(1, untagged)), "stands twice"),
        ] {
            let refused = policy(&rules).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}

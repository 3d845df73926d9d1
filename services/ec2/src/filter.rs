//! `Filters`: names are ANDed, values of a name are ORed, `*` and `?` are wildcards in values.
use api::ec2::Filter;

use crate::records::{Kind, Tags};
use crate::{Error, Result};

/// Refuses filters that the kind does not have: ignoring them would answer too much.
pub fn check<K: Kind>(filters: Option<&Vec<Filter>>) -> Result<()> {
    for filter in filters.into_iter().flatten() {
        let name = filter.name.as_deref().unwrap_or_default();
        if !(K::FILTERS.contains(&name)
            || name == "owner-id"
            || name == "tag-key"
            || name == "tag-value"
            || name.starts_with("tag:"))
        {
            return Err(Error::InvalidParameterValue(format!("The filter '{name}' is invalid")));
        }
    }
    Ok(())
}

/// Whether the resource passes all of them.
pub fn passes<K: Kind>(
    resource: &K,
    tags: Option<&Tags>,
    account: &str,
    filters: Option<&Vec<Filter>>,
) -> bool {
    let facts = resource.facts();
    filters.into_iter().flatten().all(|filter| {
        let name = filter.name.as_deref().unwrap_or_default();
        let wanted = |value: &str| filter.values.iter().flatten().any(|pattern| like(pattern, value));
        let tags = || tags.into_iter().flat_map(|tags| &tags.tags);
        match name.strip_prefix("tag:") {
            Some(key) => tags().any(|(k, v)| k == key && wanted(v)),
            None if name == "tag-key" => tags().any(|(k, _)| wanted(k)),
            None if name == "tag-value" => tags().any(|(_, v)| wanted(v)),
            None if name == "owner-id" => wanted(account),
            None => facts.iter().any(|(fact, value)| *fact == name && wanted(value)),
        }
    })
}

/// Whether the text fits the pattern: `*` is any text, `?` any character, `\` takes the next one literally.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some('\\') if pattern.get(p + 1) == Some(&text[t]) => {
                p += 2;
                t += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            // The last star takes one character more.
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    #[test]
    fn wildcards() {
        for (pattern, text, fits) in [
            ("web", "web", true),
            ("w*b", "web", true),
            ("w?b", "web", true),
            ("*", "", true),
            ("w*", "aw", false),
            ("a*b*c", "aXbYbc", true),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("we", "web", false),
        ] {
            assert_eq!(super::like(pattern, text), fits, "{pattern} {text}");
        }
    }
}

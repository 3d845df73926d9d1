//! Rust names for the models' names.

const KEYWORDS: &[&str] = &[
    "as", "async", "await", "box", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
    "false", "final", "fn", "for", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut",
    "override", "priv", "pub", "ref", "return", "static", "struct", "super", "trait", "true", "try", "type",
    "typeof", "unsafe", "use", "virtual", "where", "while", "yield",
];

/// `imageURI` → `image_uri`, `S3Bucket` → `s3_bucket`, `type` → `r#type`.
pub fn field(name: &str) -> String {
    let snake = snake(name);
    if KEYWORDS.contains(&snake.as_str()) { format!("r#{snake}") } else { snake }
}

/// `imageURI` → `image_uri`.
pub fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in chars.iter().enumerate() {
        if *c == '-' || *c == '.' || *c == '_' {
            out.push('_');
            continue;
        }
        let before = i.checked_sub(1).map(|j| chars[j]);
        let after = chars.get(i + 1);
        // A word starts at an upper-case letter after a lower-case one or a digit, or before the tail of a word; a
        // plural's lone `s` after an acronym (`ARNs`) is no tail.
        let plural = after == Some(&'s') && chars.get(i + 2).is_none_or(|c| c.is_uppercase());
        let starts = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase()
                    || b.is_ascii_digit()
                    || (b.is_uppercase() && after.is_some_and(|a| a.is_lowercase()) && !plural)
            });
        if starts && !out.ends_with('_') {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// The first letter in upper case.
pub fn upper_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// `PipelineName` → `PIPELINE_NAME`.
pub fn constant(name: &str) -> String {
    snake(name).to_uppercase()
}

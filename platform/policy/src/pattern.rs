//! Text with wildcards and policy variables.
use super::Context;

/// Text of a policy in which `*` and `?` may be wildcards and `${aws:username}` is filled in from the request.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
    /// The wildcard form, made once where no variable can change it.
    fixed: Option<Vec<Atom>>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// `${*}`, `${?}`, `${$}`: the character itself.
    Literal(char),
    /// `${key}` or `${key, 'default'}`; the key in lower case.
    Variable(String, Option<String>),
}

/// One step of a wildcard pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Atom {
    /// This character.
    Char(char),
    /// Any one character.
    One,
    /// Any run of characters, also none.
    Any,
}

impl Template {
    /// Reads a text; documents of version 2008-10-17 know no variables.
    pub fn parse(text: &str, variables: bool) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${").filter(|_| variables) {
            let (before, after) = (&rest[..start], &rest[start + 2..]);
            let (name, tail) =
                after.split_once('}').ok_or_else(|| format!("'{text}' has a '${{' without its '}}'"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(variable(name).ok_or_else(|| format!("'${{{name}}}' is not a policy variable"))?);
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let mut template = Self { parts, fixed: None };
        if !template.parts.iter().any(|part| matches!(part, Part::Variable(..))) {
            template.fixed = template.atoms(&Context::default());
        }
        Ok(template)
    }

    /// The text with its variables filled in and without wildcards; none if a variable has no value.
    pub fn text(&self, cx: &Context) -> Option<String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Literal(c) => out.push(*c),
                Part::Variable(key, default) => out.push_str(cx.one(key).or(default.as_deref())?),
            }
        }
        Some(out)
    }

    /// The wildcard form; what a variable holds is never a wildcard. None if a variable has no value.
    pub fn atoms(&self, cx: &Context) -> Option<Vec<Atom>> {
        let mut out = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend(text.chars().map(|c| match c {
                    '*' => Atom::Any,
                    '?' => Atom::One,
                    c => Atom::Char(c),
                })),
                Part::Literal(c) => out.push(Atom::Char(*c)),
                Part::Variable(key, default) => {
                    out.extend(cx.one(key).or(default.as_deref())?.chars().map(Atom::Char));
                }
            }
        }
        Some(out)
    }

    /// Whether the text is of this pattern; never, if a variable has no value.
    pub fn matches(&self, text: &str, cx: &Context) -> bool {
        self.with_atoms(cx, |atoms| glob(atoms, text, false))
    }

    /// The same without regard to case, as action names are.
    pub fn matches_folded(&self, text: &str, cx: &Context) -> bool {
        self.with_atoms(cx, |atoms| glob(atoms, text, true))
    }

    fn with_atoms(&self, cx: &Context, matches: impl Fn(&[Atom]) -> bool) -> bool {
        match &self.fixed {
            Some(atoms) => matches(atoms),
            None => self.atoms(cx).is_some_and(|atoms| matches(&atoms)),
        }
    }
}

fn variable(name: &str) -> Option<Part> {
    if let "*" | "?" | "$" = name {
        return name.chars().next().map(Part::Literal);
    }
    let (key, default) = match name.split_once(',') {
        Some((key, default)) => {
            let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
            (key.trim(), Some(default.to_owned()))
        }
        None => (name.trim(), None),
    };
    (key.contains(':') && !key.contains(['$', '{', ' ']))
        .then(|| Part::Variable(key.to_ascii_lowercase(), default))
}

/// Whether the whole text is of the pattern. Linear but for backtracking to the last star.
pub fn glob(pattern: &[Atom], text: &str, fold: bool) -> bool {
    let same = |a: char, b: char| a == b || fold && a.eq_ignore_ascii_case(&b);
    let (mut at, mut rest) = (0, text.chars());
    // Where to go on after the last star, with one character more taken by it.
    let mut star: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let ahead = rest.clone().next();
        match (pattern.get(at), ahead) {
            (Some(Atom::Any), _) => {
                at += 1;
                star = Some((at, rest.clone()));
            }
            (Some(Atom::One), Some(_)) => {
                at += 1;
                rest.next();
            }
            (Some(Atom::Char(c)), Some(d)) if same(*c, d) => {
                at += 1;
                rest.next();
            }
            (None, None) => return true,
            _ => {
                let Some((after, from)) = &mut star else { return false };
                if from.next().is_none() {
                    return false;
                }
                at = *after;
                rest = from.clone();
            }
        }
    }
}

//! What is printed: Longshore's number, the other's, and their ratio.
use std::fmt;

/// A table in Markdown, so that it can go into a document as it is.
pub struct Table {
    title: String,
    /// What the second column measures: `nginx`, `by hand`.
    beside: String,
    rows: Vec<[String; 4]>,
    notes: Vec<String>,
}

impl Table {
    /// Without rows.
    pub fn new(title: impl Into<String>, beside: impl Into<String>) -> Self {
        Self { title: title.into(), beside: beside.into(), rows: Vec::new(), notes: Vec::new() }
    }

    /// Both were measured, in the same unit.
    pub fn compare(&mut self, what: &str, ours: f64, theirs: f64, unit: &str) {
        let ratio = format!("{:.2}", ours / theirs);
        self.rows.push([what.into(), number(ours, unit), number(theirs, unit), ratio]);
    }

    /// Only Longshore does this.
    pub fn ours(&mut self, what: &str, ours: f64, unit: &str) {
        self.rows.push([what.into(), number(ours, unit), "–".into(), "–".into()]);
    }

    /// What has to be known in order to read the numbers.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

fn number(value: f64, unit: &str) -> String {
    if value >= 1000.0 { format!("{value:.0} {unit}") } else { format!("{value:.2} {unit}") }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [String::new(), "Longshore".into(), self.beside.clone(), "ratio".into()];
        let width = |i: usize| {
            self.rows.iter().chain([&head]).map(|row| row[i].chars().count()).max().unwrap_or_default()
        };
        let widths = [width(0), width(1), width(2), width(3)];
        let line = |f: &mut fmt::Formatter<'_>, [what, ours, theirs, ratio]: &[String; 4]| {
            let [a, b, c, d] = widths;
            writeln!(f, "| {what:a$} | {ours:>b$} | {theirs:>c$} | {ratio:>d$} |")
        };
        writeln!(f, "### {}\n", self.title)?;
        line(f, &head)?;
        let [a, b, c, d] = widths.map(|width| "-".repeat(width + 1));
        writeln!(f, "|{a}-|{b}:|{c}:|{d}:|")?;
        self.rows.iter().try_for_each(|row| line(f, row))?;
        self.notes.iter().try_for_each(|note| write!(f, "\n- {note}"))?;
        if self.notes.is_empty() { Ok(()) } else { writeln!(f) }
    }
}

//! The schema: each step of `migrations/` once, in order.
use rusqlite::Connection;
use rusqlite_migration::{Error as Failed, M, MigrationDefinitionError, Migrations};

use crate::{Error, Result, sql};

const STEPS: &[&str] = &[
    include_str!("../migrations/0001_state.sql"),
    include_str!("../migrations/0002_lists.sql"),
    include_str!("../migrations/0003_rows.sql"),
    include_str!("../migrations/0004_appends.sql"),
];

/// Brings a database up to date; each step is done whole or not at all. Errors: [`Error::Schema`] if a newer Longshore
/// wrote it.
pub(crate) fn migrate(db: &mut Connection) -> Result<()> {
    adopt(db)?;
    steps(STEPS.len()).to_latest(db).map_err(|error| match error {
        Failed::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead) => Error::Schema(
            "the state was written by a newer Longshore: use that version or a later one".into(),
        ),
        other => Error::Schema(format!("the state cannot be brought up to date: {other}")),
    })
}

/// The first steps.
pub(crate) fn steps(count: usize) -> Migrations<'static> {
    Migrations::new(STEPS.iter().take(count).map(|step| M::up(step)).collect())
}

/// Until the fourth step, which removes it, Longshore kept the number of the last one in a table.
fn adopt(db: &Connection) -> Result<()> {
    let steps: i64 = db.query_row(sql::USER_VERSION, [], |row| row.get(0))?;
    let kept: bool = db.query_row(sql::HAS_OLD_VERSION, [], |row| row.get(0))?;
    if steps == 0 && kept {
        let old: i64 = db.query_row(sql::OLD_VERSION, [], |row| row.get(0))?;
        db.pragma_update(None, "user_version", old)?;
    }
    Ok(())
}

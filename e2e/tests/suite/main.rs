//! Every test is named for what must be shown; `scripts/test` runs them with the release binary.
//! One binary, so that the suite links once.

mod accounts;
mod actions;
mod bad_input;
mod conditions;
mod events;
mod git;
mod jobs;
mod kill_loop;
mod life;
mod network;
mod protocols;
mod registry;
mod release;
mod tour;
mod triggers;

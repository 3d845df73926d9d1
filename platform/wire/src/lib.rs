//! HTTP, AWS's protocols and SigV4: requests become operations, or go to a face.
pub mod auth;
mod idle;
pub mod limits;
pub mod protocol;
pub mod route;
pub mod serve;
pub mod server;

pub use auth::Auth;
pub use serve::Api;
pub use server::Server;

//! Page tokens: opaque to clients, versioned, and only good for the list that gave them.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::limits;

const VERSION: u8 = 1;

/// The token is not one of ours, or of another list: each service has its own code for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The page token is not valid: use the one of the previous answer, with the same parameters")]
pub struct BadToken;

/// What a token holds. The position is the list's own: a sequence, a key in hex, or a struct.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PageToken<P> {
    v: u8,
    l: String,
    p: P,
}

impl<P: Serialize + DeserializeOwned> PageToken<P> {
    /// The token for the next page of `list`: the operation's name, and with it every parameter that must stay.
    pub fn encode(list: &str, position: P) -> String {
        let token = Self { v: VERSION, l: list.to_owned(), p: position };
        // Positions are numbers, text and structs of these: JSON takes them all.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
    }

    /// The position that a token of this list holds.
    pub fn decode(list: &str, token: &str) -> Result<P, BadToken> {
        if token.len() > limits::TOKEN {
            return Err(BadToken);
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|_| BadToken)?;
        if token.v == VERSION && token.l == list { Ok(token.p) } else { Err(BadToken) }
    }

    /// The position of an optional token, as requests carry it.
    pub fn position(list: &str, token: Option<&str>) -> Result<Option<P>, BadToken> {
        token.filter(|token| !token.is_empty()).map(|token| Self::decode(list, token)).transpose()
    }
}

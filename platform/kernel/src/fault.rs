//! What a caller is told went wrong.
use std::borrow::Cow;
use std::fmt;

/// An error as AWS gives it: a code that clients match, an HTTP status, and a message that names the field and the fix.
#[derive(Clone, PartialEq, Eq)]
pub struct Fault {
    /// AWS's error code, as in `PipelineNotFoundException`.
    pub code: Cow<'static, str>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// What the client reads.
    pub message: String,
    /// Further members of the error's shape, by wire name.
    pub fields: Vec<(&'static str, String)>,
    /// What the client must not read: it goes to the log beside the request id.
    pub detail: Option<String>,
}

impl Fault {
    /// A fault of the given code and status.
    pub fn new(code: impl Into<Cow<'static, str>>, status: u16, message: impl Into<String>) -> Self {
        Self { code: code.into(), status, message: message.into(), fields: Vec::new(), detail: None }
    }

    /// The caller's mistake: status 400.
    pub fn client(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(code, 400, message)
    }

    /// Our mistake: status 500, a message that says nothing, and the detail for the log.
    pub fn internal(detail: impl fmt::Display) -> Self {
        let mut fault = Self::new(
            "InternalFailure",
            500,
            "The request failed because of an internal error; its request id is in the server's log.",
        );
        fault.detail = Some(detail.to_string());
        fault
    }

    /// Refused by authorization. Protocols rename the code where their service has its own (`AccessDenied`, `UnauthorizedOperation`).
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new("AccessDeniedException", 400, message)
    }

    /// Adds a member of the error's shape.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Whether it has this code, with or without AWS's `Exception` suffix.
    pub fn is(&self, code: &str) -> bool {
        let bare = |c: &str| c.strip_suffix("Exception").unwrap_or(c).to_owned();
        bare(&self.code) == bare(code)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.status, self.message)?;
        self.fields.iter().try_for_each(|(n, v)| write!(f, " {n}={v}"))?;
        self.detail.iter().try_for_each(|d| write!(f, " [{d}]"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}

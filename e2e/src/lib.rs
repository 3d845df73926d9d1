//! The real binary driven by unmodified clients.

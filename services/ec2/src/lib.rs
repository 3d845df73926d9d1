//! EC2 networking.

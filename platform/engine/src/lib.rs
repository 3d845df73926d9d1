//! The task trait: what runs containers.

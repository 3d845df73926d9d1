//! Artifacts, layers and log segments, over object_store.

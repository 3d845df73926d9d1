//! The one driver of everything that runs in the background.

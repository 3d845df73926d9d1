//! Fake clock, fake engine, leased address ranges, check helpers.

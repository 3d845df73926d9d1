//! Batches, typed tables, streams, timers, the outbox, leases; secrets sealed at rest.

//! The data plane: load balancers, health checks, DNS.

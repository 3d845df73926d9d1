//! Route 53: hosted zones and their record sets, which the edge's DNS server answers.

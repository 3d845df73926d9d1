//! Attributes: a table for each kind of resource, so that describing, checking and serving them agree.
use crate::error::{Error, Result};
use crate::records::Attributes;

/// What an attribute may be.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// `true` or `false`.
    Bool,
    /// A number.
    Number(u32, u32),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Nothing but the default: another value would change what Longshore does not serve.
    Default,
}

/// An attribute: name, default, values.
pub type Attribute = (&'static str, &'static str, Values);

use Values::{Bool, Default, Number, OneOf};

/// Of load balancers.
pub const LOAD_BALANCER: &[Attribute] = &[
    ("access_logs.s3.enabled", "false", Default),
    ("access_logs.s3.bucket", "", Default),
    ("access_logs.s3.prefix", "", Default),
    ("health_check_logs.s3.enabled", "false", Default),
    ("health_check_logs.s3.bucket", "", Default),
    ("health_check_logs.s3.prefix", "", Default),
    ("connection_logs.s3.enabled", "false", Default),
    ("connection_logs.s3.bucket", "", Default),
    ("connection_logs.s3.prefix", "", Default),
    ("idle_timeout.timeout_seconds", "60", Number(1, 4000)),
    ("client_keep_alive.seconds", "3600", Number(60, 604_800)),
    ("deletion_protection.enabled", "false", Bool),
    ("routing.http2.enabled", "true", Bool),
    ("routing.http.desync_mitigation_mode", "defensive", Default),
    ("routing.http.drop_invalid_header_fields.enabled", "false", Bool),
    ("routing.http.preserve_host_header.enabled", "false", Bool),
    ("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", Bool),
    ("routing.http.xff_client_port.enabled", "false", Bool),
    ("routing.http.xff_header_processing.mode", "append", OneOf(&["append", "preserve", "remove"])),
    ("load_balancing.cross_zone.enabled", "true", Default),
    ("waf.fail_open.enabled", "false", Default),
    ("zonal_shift.config.enabled", "false", Default),
];

/// Of target groups.
pub const TARGET_GROUP: &[Attribute] = &[
    ("deregistration_delay.timeout_seconds", "300", Number(0, 3600)),
    ("stickiness.enabled", "false", Default),
    ("stickiness.type", "lb_cookie", OneOf(&["lb_cookie", "app_cookie"])),
    ("stickiness.lb_cookie.duration_seconds", "86400", Number(1, 604_800)),
    ("stickiness.app_cookie.duration_seconds", "86400", Number(1, 604_800)),
    ("stickiness.app_cookie.cookie_name", "", Default),
    ("slow_start.duration_seconds", "0", Default),
    (
        "load_balancing.algorithm.type",
        "round_robin",
        OneOf(&["round_robin", "least_outstanding_requests", "weighted_random"]),
    ),
    ("load_balancing.algorithm.anomaly_mitigation", "off", Default),
    (
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
        OneOf(&["true", "use_load_balancer_configuration"]),
    ),
    ("target_group_health.dns_failover.minimum_healthy_targets.count", "1", Default),
    ("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off", Default),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1", Default),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off", Default),
];

/// Of listeners.
pub const LISTENER: &[Attribute] = &[("routing.http.response.server.enabled", "true", Default)];

/// The value in force.
pub fn value<'a>(table: &[Attribute], set: &'a Attributes, name: &str) -> &'a str {
    let default = || table.iter().find(|(known, ..)| *known == name).map_or("", |(_, default, _)| *default);
    set.get(name).map_or_else(default, String::as_str)
}

/// A number in force; it was checked when it was set.
pub fn number(table: &[Attribute], set: &Attributes, name: &str) -> u32 {
    value(table, set, name).parse().unwrap_or_default()
}

/// All of them, with the values in force.
pub fn all<'a>(table: &'a [Attribute], set: &'a Attributes) -> impl Iterator<Item = (String, String)> + 'a {
    table.iter().map(|(name, ..)| ((*name).to_owned(), value(table, set, name).to_owned()))
}

/// Sets one, if it may have this value.
pub fn set(table: &[Attribute], set: &mut Attributes, name: &str, value: &str) -> Result<()> {
    let Some((_, default, values)) = table.iter().find(|(known, ..)| *known == name) else {
        return Err(Error::validation(format!("Attribute '{name}' is not supported")));
    };
    let wrong = |wanted: String| {
        Err(Error::validation(format!("Attribute '{name}' must be {wanted}; it was '{value}'")))
    };
    match values {
        Bool if !matches!(value, "true" | "false") => wrong("'true' or 'false'".into()),
        Number(least, most) if !value.parse().is_ok_and(|n: u32| (*least..=*most).contains(&n)) => {
            wrong(format!("a number from {least} to {most}"))
        }
        OneOf(known) if !known.contains(&value) => wrong(format!("one of {}", known.join(", "))),
        Default if value != *default => {
            Err(Error::unserved(&format!("Attribute '{name}' with '{value}'"), &format!("use '{default}'")))
        }
        _ => {
            set.insert(name.to_owned(), value.to_owned());
            Ok(())
        }
    }
}

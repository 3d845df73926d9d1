//! Security policies of HTTPS listeners. TLS below 1.2 is not spoken, whatever a policy's name promises to old clients.
use snapshot::TlsVersion::{self, V12, V13};

/// What a listener gets that names none, as from AWS's API.
pub const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

/// Name, protocols as AWS lists them, and the versions that are spoken.
pub const POLICIES: &[(&str, &[&str], TlsVersion, TlsVersion)] = &[
    ("ELBSecurityPolicy-2016-08", &["TLSv1", "TLSv1.1", "TLSv1.2"], V12, V12),
    ("ELBSecurityPolicy-TLS-1-2-2017-01", &["TLSv1.2"], V12, V12),
    ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", &["TLSv1.2"], V12, V12),
    ("ELBSecurityPolicy-FS-1-2-Res-2020-10", &["TLSv1.2"], V12, V12),
    ("ELBSecurityPolicy-TLS13-1-2-2021-06", &["TLSv1.2", "TLSv1.3"], V12, V13),
    ("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", &["TLSv1.2", "TLSv1.3"], V12, V13),
    ("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", &["TLSv1.2", "TLSv1.3"], V12, V13),
    ("ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", &["TLSv1.2", "TLSv1.3"], V12, V13),
    ("ELBSecurityPolicy-TLS13-1-3-2021-06", &["TLSv1.3"], V13, V13),
];

/// The suites that are spoken, best first, with the versions they belong to.
pub const CIPHERS: &[(&str, TlsVersion)] = &[
    ("TLS_AES_128_GCM_SHA256", V13),
    ("TLS_AES_256_GCM_SHA384", V13),
    ("TLS_CHACHA20_POLY1305_SHA256", V13),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", V12),
    ("ECDHE-RSA-AES128-GCM-SHA256", V12),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", V12),
    ("ECDHE-RSA-AES256-GCM-SHA384", V12),
];

/// The versions of a policy.
pub fn versions(name: &str) -> Option<(TlsVersion, TlsVersion)> {
    POLICIES.iter().find(|(known, ..)| *known == name).map(|(_, _, min, max)| (*min, *max))
}

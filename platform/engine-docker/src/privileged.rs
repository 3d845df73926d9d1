//! What a container needs in order to run a container engine of its own.
use bollard::models::{HostConfig, HostConfigCgroupnsModeEnum, Mount, MountType};

/// Capabilities by number, as engines name them. Docker 20.10 refuses the three later ones; no engine needs them.
const NAMES: [&str; 38] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
];

/// Makes a container privileged. Where the host itself lacks a capability (it is a container, or was hardened),
/// `privileged` fails as a whole: then every capability that there is, one by one, and the rest of what the word
/// means to an engine. Images and layers of the nested engine go to a volume, since overlay does not nest.
pub(crate) fn grant(config: &mut HostConfig) {
    let bounding = bounding_set();
    let all = (1 << NAMES.len()) - 1;
    if bounding & all == all {
        config.privileged = Some(true);
    } else {
        config.cap_add = Some(capabilities(bounding));
        config.security_opt = Some(vec!["seccomp=unconfined".into(), "apparmor=unconfined".into()]);
        config.masked_paths = Some(Vec::new());
        config.readonly_paths = Some(Vec::new());
    }
    config.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::HOST);
    let cgroup = Mount {
        typ: Some(MountType::BIND),
        source: Some("/sys/fs/cgroup".into()),
        target: Some("/sys/fs/cgroup".into()),
        ..Mount::default()
    };
    let images =
        Mount { typ: Some(MountType::VOLUME), target: Some("/var/lib/docker".into()), ..Mount::default() };
    config.mounts.get_or_insert_default().extend([cgroup, images]);
}

fn capabilities(bounding: u64) -> Vec<String> {
    let there = |(number, name): (usize, &&str)| (bounding >> number & 1 == 1).then(|| (*name).to_owned());
    NAMES.iter().enumerate().filter_map(there).collect()
}

/// The most that any process here can have.
fn bounding_set() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_there_is() {
        let some = super::capabilities(0x1ff_feff_ffff);
        assert_eq!(some.len(), 37);
        assert!(!some.contains(&"SYS_RESOURCE".to_owned()) && some.contains(&"AUDIT_READ".to_owned()));
    }
}

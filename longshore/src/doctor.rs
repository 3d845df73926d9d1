//! `longshore doctor`: what Longshore needs of a machine, what is there, and the one command that mends what is not.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use crate::cli::Up;
use crate::exit::Exit;

/// Least free space for data and images, in bytes.
const FREE: u64 = 5 << 30;
/// A clock further off than this breaks signatures (AWS allows 15 minutes).
const CLOCK: Duration = Duration::from_secs(300);

/// One finding.
struct Finding {
    what: &'static str,
    /// What is fine, or what is wrong.
    found: Result<String, String>,
    /// How to mend it.
    mend: String,
    /// Without it nothing works; otherwise something named in `mend` does not.
    needed: bool,
}

/// Checks everything; the exit code tells whether all that is needed is there.
pub async fn run(options: &Up) -> Result<ExitCode, Exit> {
    let findings = [
        engine(),
        nft(),
        git(),
        listen(options),
        dns(options),
        load_balancers(options),
        namespaces(),
        firewall(),
        disk(&options.data.dir),
        clock(&options.data.dir),
    ];
    let mut broken = false;
    for finding in findings {
        match finding.found {
            Ok(found) => println!("ok       {:<16} {found}", finding.what),
            Err(wrong) => {
                broken |= finding.needed;
                let level = if finding.needed { "missing" } else { "warning" };
                println!(
                    "{level:<8} {:<16} {wrong}\n         {:<16} mend: {}",
                    finding.what, "", finding.mend
                );
            }
        }
    }
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn output(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn engine() -> Finding {
    Finding {
        what: "Docker Engine",
        found: output("docker", &["version", "--format", "Engine {{.Server.Version}}, API {{.Server.APIVersion}}"]),
        mend: "install docker.io and start dockerd (`sudo systemctl start docker`); builds and tasks need it, the APIs do not".into(),
        needed: true,
    }
}

fn nft() -> Finding {
    Finding {
        what: "nftables",
        found: output("nft", &["--version"]),
        mend: "`sudo apt-get install nftables`: it enforces security groups inside each task's network namespace".into(),
        needed: true,
    }
}

fn git() -> Finding {
    Finding {
        what: "git",
        found: output("git", &["--version"]),
        mend: "`sudo apt-get install git`: CodeCommit serves repositories through it".into(),
        needed: true,
    }
}

fn listen(options: &Up) -> Finding {
    Finding {
        what: "endpoint",
        found: free(options.listen).map(|()| format!("{} is free", options.listen)),
        mend: "end what listens there, or choose another address with --listen".into(),
        needed: true,
    }
}

fn dns(options: &Up) -> Finding {
    let udp = || UdpSocket::bind(options.dns).map(drop).map_err(|e| format!("{}/udp: {e}", options.dns));
    Finding {
        what: "DNS",
        found: free(options.dns).and_then(|()| udp()).map(|()| format!("{} is free", options.dns)),
        mend: "end what listens there, or choose another address with --dns".into(),
        needed: true,
    }
}

fn free(address: SocketAddr) -> Result<(), String> {
    TcpListener::bind(address).map(drop).map_err(|e| format!("{address}: {e}"))
}

fn load_balancers(options: &Up) -> Finding {
    let address = options.lb_cidr.split('/').next().unwrap_or_default().to_owned();
    let found = address
        .parse()
        .map_err(|_| format!("'{}' is no range of addresses", options.lb_cidr))
        .and_then(|ip: std::net::IpAddr| free(SocketAddr::new(ip, 80)))
        .map(|()| format!("{address}:80 can be bound"));
    Finding {
        what: "load balancers",
        found,
        mend: "ports below 1024 need a capability: `sudo setcap cap_net_bind_service=+ep \"$(command -v longshore)\"`; or use listeners above 1024".into(),
        needed: false,
    }
}

fn namespaces() -> Finding {
    let root = nix::unistd::geteuid().is_root();
    Finding {
        what: "namespaces",
        found: if root { Ok("may enter the tasks' network namespaces".into()) } else { Err("may not enter the tasks' network namespaces as this user".into()) },
        mend: "nothing to do: a one-shot helper container applies the rules instead, which makes task starts slower; run as root to avoid it".into(),
        needed: false,
    }
}

/// Docker's own chains let containers reach the host; a host firewall's input chain with a default drop does not.
fn firewall() -> Finding {
    let chains = output("nft", &["list", "chains"]).unwrap_or_default();
    let drops = chains.lines().any(|line| line.contains("hook input") && line.contains("policy drop"));
    Finding {
        what: "host firewall",
        found: if drops { Err("the host's input chain drops by default: containers may not reach Longshore on their gateway".into()) } else { Ok("lets containers reach the host".into()) },
        mend: "admit the bridges: `sudo nft insert rule inet filter input iifname \"br-*\" accept` (or the like in your firewall)".into(),
        needed: false,
    }
}

fn disk(dir: &Path) -> Finding {
    let at = if dir.exists() { dir } else { Path::new(".") };
    let free = nix::sys::statvfs::statvfs(at).map(|s| s.blocks_available() * s.fragment_size());
    let found = match free {
        Ok(free) if free >= FREE => Ok(format!("{} GiB free", free >> 30)),
        Ok(free) => {
            Err(format!("{} MiB free where the data goes; images and artifacts want 5 GiB", free >> 20))
        }
        Err(e) => Err(format!("{}: {e}", at.display())),
    };
    Finding {
        what: "disk",
        found,
        mend: "free some space, or choose another folder with --data".into(),
        needed: false,
    }
}

/// The file system's clock and ours must agree; a machine resumed from sleep may be far off the network's.
fn clock(dir: &Path) -> Finding {
    let at = if dir.exists() { dir.to_owned() } else { std::env::temp_dir() };
    let skew = tempfile_time(&at)
        .map(|written| SystemTime::now().duration_since(written).unwrap_or_else(|ahead| ahead.duration()));
    let sane = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .is_ok_and(|since| since.as_secs() > 1_700_000_000);
    let found = match skew {
        Ok(skew) if skew < CLOCK && sane => Ok("is plausible".into()),
        Ok(_) => Err("the clock is off: signatures will be refused".into()),
        Err(e) => Err(format!("{}: {e}", at.display())),
    };
    Finding { what: "clock", found, mend: "`sudo timedatectl set-ntp true`".into(), needed: false }
}

fn tempfile_time(dir: &Path) -> std::io::Result<SystemTime> {
    let path = dir.join(format!(".longshore-doctor-{}", std::process::id()));
    std::fs::write(&path, b"")?;
    let written = std::fs::metadata(&path).and_then(|m| m.modified());
    std::fs::remove_file(&path)?;
    written
}

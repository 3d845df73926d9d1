//! Debian's nginx, run by hand: as the backend that both proxies ask, and as the proxy to compare with.
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::{Patient, Serving, until};

/// What every backend answers.
pub const BODY: usize = 1024;

/// Answers everything at once with one kilobyte.
pub fn backend(dir: &Path, listen: SocketAddr) -> Result<Serving, String> {
    let body = "x".repeat(BODY);
    let server = format!(
        "server {{ listen {listen} reuseport; location / {{ default_type text/plain; return 200 {body}; }} }}"
    );
    start(dir, listen, 1, &server)
}

/// Proxies to the backend, with the headers that a load balancer of AWS adds.
pub fn proxy(dir: &Path, listen: SocketAddr, backend: SocketAddr, workers: usize) -> Result<Serving, String> {
    let port = listen.port();
    let server = format!(
        "upstream backend {{ server {backend}; keepalive 64; keepalive_requests 1000000000; }}
         server {{ listen {listen}; location / {{
           proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection \"\";
           proxy_set_header Host $http_host;
           proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
           proxy_set_header X-Forwarded-Proto http; proxy_set_header X-Forwarded-Port {port};
           proxy_set_header X-Amzn-Trace-Id Root=$request_id;
         }} }}"
    );
    start(dir, listen, workers, &server)
}

fn start(dir: &Path, listen: SocketAddr, workers: usize, servers: &str) -> Result<Serving, String> {
    let failed = |e| format!("{}: {e}", dir.display());
    std::fs::create_dir_all(dir).map_err(failed)?;
    let at = |name: &str| dir.join(name).display().to_string();
    let kept = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};", at(kind)))
        .join(" ");
    let configuration = format!(
        "daemon off; worker_processes {workers}; pid {}; error_log {} error;
         events {{ worker_connections 4096; }}
         http {{ access_log off; {kept} keepalive_requests 1000000000; keepalive_timeout 600s; {servers} }}",
        at("pid"),
        at("error.log"),
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, configuration).map_err(failed)?;
    // Debian keeps it where only root's PATH leads.
    let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
    let mut command = Command::new(program);
    command.arg("-p").arg(dir).arg("-c").arg(&file).arg("-e").arg(dir.join("start.log"));
    let nginx = Serving::start(command.stdin(Stdio::null()).stderr(Stdio::null()))?;
    let url = format!("http://{listen}/");
    let answers = || Ok(Patient::new("curl", 5).args(["-sf", "-o", "/dev/null", &url]).text().ok());
    until("nginx's first answer", 10, answers)?;
    Ok(nginx)
}

//! The command line. Every option is also an environment variable, `LONGSHORE_` and its name.
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// AWS CodePipeline that you own.
#[derive(Parser)]
#[command(name = "longshore", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Serves everything until SIGTERM or SIGINT; tasks and the edge go on serving after that.
    Up(Box<Up>),
    /// Ends and removes everything that runs for a data folder; its data stays.
    Down(Data),
    /// Prints the shell lines that point aws, boto3 and git at a running server: `eval "$(longshore env)"`.
    Env(Data),
    /// Checks what Longshore needs of this machine and says how to mend what is missing.
    Doctor(Up),
    /// Follows a pipeline's execution: stages, actions, times, the log of the running build.
    Watch(Watch),
    /// Checks, while no server runs on it, whether a data folder's logs of events add up to what it shows.
    Check(Data),
    /// Says where a connection's repositories are, and shows its webhook: docs/connections.md.
    Connect(Connect),
    /// The data plane, started by `up`: load balancers, health checks, DNS.
    Edge(Edge),
    /// Runs a build inside its container, started by `up`.
    #[command(hide = true)]
    Agent(Agent),
    /// Holds a task's network namespace, started by `up`.
    #[command(hide = true)]
    Pause,
}

/// Where everything is kept.
#[derive(Args, Clone)]
pub struct Data {
    /// The data folder.
    #[arg(long = "data", env = "LONGSHORE_DATA", default_value = "longshore-data")]
    pub dir: PathBuf,
}

#[derive(Args, Clone)]
pub struct Up {
    #[command(flatten)]
    pub data: Data,
    /// Address of the one AWS endpoint.
    #[arg(long, env = "LONGSHORE_LISTEN", default_value = "127.0.0.1:4566")]
    pub listen: SocketAddr,
    /// Address of the DNS server, UDP and TCP.
    #[arg(long, env = "LONGSHORE_DNS", default_value = "127.0.0.1:10053")]
    pub dns: SocketAddr,
    /// Range out of which every load balancer gets an address of its own.
    #[arg(long, env = "LONGSHORE_LB_CIDR", default_value = "127.42.0.0/16")]
    pub lb_cidr: String,
    /// YAML file with the settings that have no option: see docs/configuration.md.
    #[arg(long, env = "LONGSHORE_CONFIG")]
    pub config: Option<PathBuf>,
    /// The account that everything belongs to.
    #[arg(long, env = "LONGSHORE_ACCOUNT", default_value = "000000000000")]
    pub account: String,
    /// The region of requests that name none.
    #[arg(long, env = "LONGSHORE_REGION", default_value = "us-east-1")]
    pub region: String,
}

#[derive(Args)]
pub struct Watch {
    /// The pipeline's name.
    pub pipeline: String,
    /// Ends with a status of 1 unless the execution succeeded.
    #[arg(long)]
    pub exit_status: bool,
    #[command(flatten)]
    pub data: Data,
}

#[derive(Args)]
pub struct Connect {
    /// The connection's ARN, or the id at its end.
    pub connection: String,
    /// Where its repositories are: https://HOST, ssh://git@HOST, or a whole URL with {repository} in it. Without it, the
    /// connection and its webhook are only shown.
    #[arg(long)]
    pub url: Option<String>,
    /// The user that git presents over HTTPS, where the server minds.
    #[arg(long, requires = "url")]
    pub username: Option<String>,
    /// File with the token for HTTPS; - reads it from the standard input.
    #[arg(long, requires = "url", conflicts_with = "ssh_key_file")]
    pub token_file: Option<PathBuf>,
    /// File with the private key for SSH.
    #[arg(long, requires = "url", requires = "known_hosts_file")]
    pub ssh_key_file: Option<PathBuf>,
    /// File with the server's host keys, as in ~/.ssh/known_hosts.
    #[arg(long, requires = "ssh_key_file")]
    pub known_hosts_file: Option<PathBuf>,
    #[command(flatten)]
    pub data: Data,
}

#[derive(Args)]
pub struct Edge {
    #[command(flatten)]
    pub data: Data,
}

#[derive(Args)]
pub struct Agent {
    /// `--plan FILE`, on the build's volume; the agent reads its own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
}

//! The agent alone, for tests that run it in real containers: `agent agent --plan FILE`.

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(2).collect();
    codebuild::agent::run(&args)
}

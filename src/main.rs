//! The command-line tool `millpond`: looks inside snapshots and checks them. It uses nothing that a program could not.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}

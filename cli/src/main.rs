//! The `fsdfs` command.
fn main() -> std::process::ExitCode {
    fsdfs::main_with_args(std::env::args_os())
}

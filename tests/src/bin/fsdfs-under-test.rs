//! The `fsdfs` command, built with the tests, so that integration tests always run fresh code.

fn main() -> std::process::ExitCode {
    fsdfs::main_with_args(std::env::args_os())
}

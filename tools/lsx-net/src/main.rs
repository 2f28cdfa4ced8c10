//! lsx-net: calls the library.

fn main() -> std::process::ExitCode {
    lsx_net::cli::main()
}

//! lsx-net: hands over to the library.

fn main() -> std::process::ExitCode {
    lsx_net::cli::main()
}

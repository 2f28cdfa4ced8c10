//! lsx-dns: calls the library.

fn main() -> std::process::ExitCode {
    lsx_dns::cli::main()
}

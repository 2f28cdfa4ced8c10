//! lsx-pki: calls the library.

fn main() -> std::process::ExitCode {
    lsx_pki::cli::main()
}

//! lsx-store: calls the library.

fn main() -> std::process::ExitCode {
    lsx_store::cli::main()
}

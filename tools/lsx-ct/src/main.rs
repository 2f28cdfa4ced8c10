//! lsx-ct: calls the library.

fn main() -> std::process::ExitCode {
    lsx_ct::cli::main()
}

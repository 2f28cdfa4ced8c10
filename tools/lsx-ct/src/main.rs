//! lsx-ct: hands over to the library.

fn main() -> std::process::ExitCode {
    lsx_ct::cli::main()
}

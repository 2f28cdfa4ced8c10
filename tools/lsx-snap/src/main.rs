//! lsx-snap: calls the library.

fn main() -> std::process::ExitCode {
    lsx_snap::cli::main()
}

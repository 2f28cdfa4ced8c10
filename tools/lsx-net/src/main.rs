//! lsx-net: hands over to the library.

fn main() {}

//! lsx-net.

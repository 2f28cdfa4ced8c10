//! Names that nobody else can know: a question for them would tell others about private networks.

use std::net::Ipv4Addr;

/// Domains for private use and special names (RFC 6761, 6762, 7686, 8375, 9476; `internal` is reserved by ICANN).
pub(crate) const PRIVATE: [&str; 8] =
    ["internal", "localhost", "local", "test", "invalid", "onion", "home.arpa", "alt"];
/// Ranges without global names (RFC 6303 4, RFC 1918, RFC 6598), and that of benchmarks (RFC 2544).
pub(crate) const RANGES: [(Ipv4Addr, u8); 12] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(255, 255, 255, 255), 32),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
];

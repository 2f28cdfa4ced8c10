//! Loss and round trips are computed as ping computes them.

use std::time::Duration;

use crate::probe::Ping;

fn micros(all: &[u64]) -> Vec<Duration> {
    all.iter().map(|us| Duration::from_micros(*us)).collect()
}

#[test]
fn deviation_is_iputils_own() {
    // ((39²+37²+44²+52²+50²) - 222²/5) / 5 = (10030 - 9856) / 5 = 34, and its root is 5.83.
    let ping = Ping::of(5, &micros(&[39, 37, 44, 52, 50]), 0);
    assert_eq!(ping.received, 5);
    assert_eq!(
        (ping.min_ms, ping.avg_ms, ping.max_ms, ping.mdev_ms),
        (Some(0.037), Some(0.044), Some(0.052), Some(0.005))
    );
    let ping = Ping::of(4, &micros(&[1_000, 2_000, 3_000, 4_000]), 0);
    assert_eq!((ping.avg_ms, ping.mdev_ms), (Some(2.5), Some(1.118)));
}

#[test]
fn equal_round_trips_have_no_deviation() {
    let ping = Ping::of(3, &micros(&[7_333; 3]), 0);
    assert_eq!((ping.avg_ms, ping.mdev_ms), (Some(7.333), Some(0.0)));
}

#[test]
fn loss_is_of_what_was_sent() {
    let ping = Ping::of(3, &micros(&[10]), 2);
    assert_eq!((ping.sent, ping.received, ping.loss_percent), (3, 1, 66.667));
    assert_eq!(ping.duplicates, Some(2));
}

#[test]
fn no_reply_has_no_times() {
    let text = serde_json::to_string(&Ping::of(5, &[], 0)).unwrap();
    assert_eq!(text, r#"{"sent":5,"received":0,"loss_percent":100.0}"#);
    assert_eq!(Ping::of(0, &[], 0).loss_percent, 0.0);
}

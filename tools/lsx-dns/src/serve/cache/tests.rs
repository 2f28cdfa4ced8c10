//! What is kept, and for how long.

use super::*;
use crate::serve::said::Written;
use crate::zone::Rr;
use domain::base::iana::{Class, Rtype};
use domain::base::{Name, Record, Ttl};
use domain::rdata::Txt;
use lsx_tests::Dice;

fn key(text: &str) -> Key {
    Key { name: Name::vec_from_str(text).unwrap(), kind: Rtype::A, secure: false, unchecked: false }
}

fn said(ttl: u32, bytes: usize) -> Arc<Said> {
    let text = Txt::<Vec<u8>>::build_from_slice(&vec![b'x'; bytes]).unwrap();
    let record: Rr = Record::new(Name::root_vec(), Class::IN, Ttl::from_secs(ttl), text.into());
    Arc::new(Said {
        code: Rcode::NOERROR,
        records: vec![record],
        authority: Vec::new(),
        ttl,
        written: Written::default(),
    })
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_answer_has_its_time() {
    let mut cache = Cache::new(10);
    let (a, one) = (key("a.example"), said(60, 10));
    assert_eq!(cache.look(&a, at(0)), Kept::Nothing);
    cache.keep(&a, Arc::clone(&one), at(100));
    assert_eq!(cache.look(&a, at(159)), Kept::Fresh(Arc::clone(&one), 59, false));
    assert_eq!(cache.look(&key("A.EXAMPLE"), at(130)), Kept::Fresh(Arc::clone(&one), 30, false));
    // Signatures are another question.
    let secure = Key { secure: true, ..a.clone() };
    assert_eq!(cache.look(&secure, at(130)), Kept::Nothing);
    assert_eq!(cache.look(&a, at(160)), Kept::Stale(Arc::clone(&one), false));
    // No server answered: for a while nobody is asked.
    cache.keep(&a, Arc::new(Said::failed(5)), at(161));
    assert_eq!(cache.look(&a, at(190)), Kept::Stale(Arc::clone(&one), true));
    assert_eq!(cache.look(&a, at(191)), Kept::Stale(Arc::clone(&one), false));
    // A new answer replaces it.
    let two = said(60, 20);
    cache.keep(&a, Arc::clone(&two), at(200));
    assert_eq!(cache.look(&a, at(200)), Kept::Fresh(two, 0, false));
    assert_eq!(cache.look(&a, at(260 + 86_400)), Kept::Nothing);
    assert!(cache.slots.is_empty() && cache.order.is_empty() && cache.size == 0);
}

#[test]
fn a_failure_is_kept_for_a_moment() {
    let mut cache = Cache::new(10);
    let (a, failed) = (key("a.example"), Arc::new(Said::failed(5)));
    cache.keep(&a, Arc::clone(&failed), at(0));
    assert_eq!(cache.look(&a, at(4)), Kept::Fresh(failed, 4, false));
    assert_eq!(cache.look(&a, at(5)), Kept::Nothing);
}

#[test]
fn what_is_used_often_is_asked_again_before_its_end() {
    let mut cache = Cache::new(10);
    let soon = |cache: &mut Cache, seconds| {
        matches!(cache.look(&key("a.example"), at(seconds)), Kept::Fresh(_, _, true))
    };
    cache.keep(&key("a.example"), said(60, 10), at(0));
    assert!(!soon(&mut cache, 55) && !soon(&mut cache, 55) && soon(&mut cache, 55));
    assert!(!soon(&mut cache, 53) && soon(&mut cache, 54));
    cache.keep(&key("a.example"), said(9, 10), at(60));
    assert!((0..9).all(|_| !soon(&mut cache, 68)), "short times are not worth it");
}

#[test]
fn what_is_not_used_goes_first() {
    let mut cache = Cache::new(2);
    for name in ["a.example", "b.example"] {
        cache.keep(&key(name), said(60, 10), at(0));
    }
    assert!(matches!(cache.look(&key("a.example"), at(1)), Kept::Fresh(..)));
    cache.keep(&key("c.example"), said(60, 10), at(1));
    assert_eq!(cache.look(&key("b.example"), at(1)), Kept::Nothing);
    assert!(matches!(cache.look(&key("a.example"), at(1)), Kept::Fresh(..)));
    // Nothing is kept without a time, without room, or when there is no cache.
    cache.keep(&key("d.example"), said(0, 10), at(1));
    cache.keep(&key("e.example"), said(60, 2 * EACH), at(1));
    let mut none = Cache::new(0);
    none.keep(&key("a.example"), said(60, 10), at(1));
    assert_eq!(cache.look(&key("d.example"), at(1)), Kept::Nothing);
    assert_eq!(cache.look(&key("e.example"), at(1)), Kept::Nothing);
    assert_eq!(none.look(&key("a.example"), at(1)), Kept::Nothing);
}

#[test]
fn limits_hold_for_any_use() {
    let mut dice = Dice(7);
    let mut cache = Cache::new(20);
    for step in 0..20_000 {
        let name = key(&format!("n{}.example", dice.below(60)));
        let now = at(step / 4);
        match dice.below(3) {
            0 => _ = cache.look(&name, now),
            1 => {
                let ttl = u32::try_from(dice.below(100)).unwrap();
                cache.keep(&name, said(ttl, dice.below(6000)), now);
            }
            _ => cache.keep(&name, Arc::new(Said::failed(5)), now),
        }
        let size: usize = cache.slots.values().map(|slot| slot.size).sum();
        assert_eq!((size, cache.slots.len()), (cache.size, cache.order.len()));
        assert!(cache.slots.len() <= 20 && size <= 20 * EACH);
        assert!(
            cache.order.iter().all(|(used, key)| cache.slots.get(key).is_some_and(|slot| slot.used == *used))
        );
    }
}

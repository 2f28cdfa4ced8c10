//! What earlier versions left on a host is replaced, and removed.

use crate::balance::{HAPROXY, answers, both, changes, end, shop};
use crate::peer::ask_here;
use lsx_tests::lab::{Lab, until};

pub(crate) const CASES: &[crate::Case] =
    &[("what_an_earlier_version_left_is_replaced", what_an_earlier_version_left_is_replaced)];

/// Versions before 2026-11-26 had a supervisor with its files in other places, and HAProxy without a mark.
fn what_an_earlier_version_left_is_replaced(lab: &Lab) {
    let (stack, servers) = shop(lab);
    let leave = "kill -9 $(jq .supervisor /run/lsx/shop/net/balance.state.json) $(pgrep -x haproxy)\n\
        rm -r /run/lsx/shop/net /var/lib/lsx/net/shop/log\n\
        cd /run/lsx/shop/balance; mkdir -p /var/lib/lsx/net/shop/balance; touch /var/lib/lsx/net/shop/balance/log\n\
        setsid flock -o balance.net.lock sleep 4711 >/dev/null 2>&1 </dev/null &\n\
        echo '{\"supervisor\": '$!'}' >state.json\n\
        setsid ip netns exec lsx-shop haproxy -W -S $PWD/master,mode,600 -f $PWD/haproxy.cfg >/dev/null 2>&1 </dev/null &";
    let outside = || answers(|| ask_here(lab, &["198.18.0.11:80"]));
    let left = || {
        lab.script("h1", leave).ok();
        assert!(until(60, || outside() == both()));
        lab.script("h1", &format!("{HAPROXY}; pgrep -f '[f]lock -o balance'")).ok().stdout
    };
    let ended =
        |old: &str| old.lines().for_each(|one| _ = lab.script("h1", &format!("! test -e /proc/{one}")).ok());
    let old = left();
    lab.net(&["plan", "--exit-code", &stack.file]).exits(2);
    assert_eq!(changes(lab, &stack.file), 1);
    assert_eq!(changes(lab, &stack.file), 0);
    assert!(until(60, || outside() == both()));
    ended(&old);
    let there = "test -e /run/lsx/shop/balance/state.json || test -e /var/lib/lsx/net/shop/balance";
    assert_ne!(lab.script("h1", there).code, 0, "its files are gone");
    let old = left();
    end(lab, &stack, servers);
    ended(&old);
    lab.script("h1", "pkill -fx 'sleep 4711' || true").ok();
}

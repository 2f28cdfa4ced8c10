//! Wanted against existing objects.

use super::{Thing, have, ids, thing, want};
use crate::plan::diff;

#[test]
fn what_is_there_as_wanted_needs_no_step() {
    let steps = diff(
        "h",
        &[want(thing("a"), &[]), want(thing("b"), &["a"])],
        &[have(thing("b"), &["a"]), have(thing("a"), &[])],
    );
    assert_eq!(steps, []);
}

#[test]
fn what_is_missing_is_made_in_order() {
    let steps = diff("h", &[want(thing("a"), &[]), want(thing("b"), &["a"])], &[have(thing("a"), &[])]);
    assert_eq!(ids(&steps), ["thing.create:b"]);
    assert_eq!(steps[0].needs, [""; 0], "what is there already is not waited for");
    let steps = diff("h", &[want(thing("a"), &[]), want(thing("b"), &["a"])], &[]);
    assert_eq!(ids(&steps), ["thing.create:a", "thing.create:b"]);
    assert_eq!(steps[1].needs, ["thing.create:a"]);
    assert_eq!((steps[1].why.as_str(), steps[1].host.as_str()), ("it is in the document", "h"));
}

#[test]
fn what_nobody_wants_goes_after_what_stands_on_it() {
    let steps =
        diff("h", &[], &[have(thing("a"), &[]), have(thing("b"), &["a"]), have(thing("c"), &["a", "b"])]);
    assert_eq!(ids(&steps), ["thing.remove:c", "thing.remove:b", "thing.remove:a"]);
    assert_eq!(steps[2].needs, ["thing.remove:b", "thing.remove:c"]);
    assert!(steps.iter().all(|s| s.before.is_some() && s.after.is_none()));
}

#[test]
fn a_change_says_which_field_and_what_it_was() {
    let steps = diff("h", &[want(Thing { size: 2, ..thing("a") }, &[])], &[have(thing("a"), &[])]);
    assert_eq!(ids(&steps), ["thing.change:a"]);
    assert_eq!(steps[0].why, "size 1 becomes 2");
    let steps = diff("h", &[want(Thing { seat: Some(7), ..thing("a") }, &[])], &[have(thing("a"), &[])]);
    assert_eq!(steps[0].why, "seat is set to 7");
    let steps = diff("h", &[want(thing("a"), &[])], &[have(Thing { seat: Some(7), ..thing("a") }, &[])]);
    assert_eq!(steps[0].why, "seat 7 is removed");
    let long = Thing { sort: "x".repeat(99), ..thing("a") };
    let steps = diff("h", &[want(long, &[])], &[have(thing("a"), &[])]);
    assert_eq!(steps[0].why, format!("sort plain becomes {}...", "x".repeat(37)));
}

#[test]
fn what_is_made_anew_takes_along_what_stands_on_it_and_nothing_else() {
    let wants = [
        want(Thing { sort: "other".to_owned(), ..thing("a") }, &[]),
        want(thing("b"), &["a"]),
        want(thing("c"), &["b"]),
        want(thing("last"), &["a", "b", "c"]),
    ];
    let haves =
        [have(thing("a"), &[]), have(thing("b"), &["a"]), have(thing("c"), &["b"]), have(thing("last"), &[])];
    let steps = diff("h", &wants, &haves);
    assert_eq!(ids(&steps), ["thing.change:a", "thing.create:b", "thing.create:c"]);
    assert_eq!(steps[1].why, "thing:a is recreated");
    assert_eq!(
        (steps[1].before.as_ref(), steps[1].needs.as_slice()),
        (None, &["thing.change:a".to_owned()][..])
    );
}

#[test]
fn what_is_in_the_way_goes_first() {
    let seated = |name: &str, seat| Thing { seat: Some(seat), ..thing(name) };
    let steps = diff(
        "h",
        &[want(seated("new", 1), &[]), want(seated("free", 3), &[])],
        &[have(seated("old", 1), &[]), have(seated("far", 2), &[])],
    );
    assert_eq!(
        ids(&steps),
        ["thing.remove:far", "thing.remove:old", "thing.create:new", "thing.create:free"]
    );
    assert_eq!((steps[2].needs.as_slice(), steps[3].needs.len()), (&["thing.remove:old".to_owned()][..], 0));
}

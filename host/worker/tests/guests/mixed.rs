//! Typed services between components of which one is in PID 1 and the other in a worker process. Both in PID 1 and both in
//! workers are the tests of the guests themselves.

use crate::rig::Rig;
use crate::typed;

/// A rig in which only the client has a process of its own, and one in which only the provider has.
fn rigs() -> [Rig; 2] {
    ["typed_provider", "typed_client"].map(|inside| {
        let rig = Rig::new();
        rig.place.keep_inside(inside);
        if inside == "typed_client" {
            rig.place.keep_inside("wat"); // the clients that are written by the tests
        }
        rig
    })
}

#[test]
fn values_cross_in_both_directions() {
    rigs().iter().for_each(typed::values_cross);
}

#[test]
fn what_is_not_answered_is_said_in_the_same_words() {
    rigs().iter().for_each(typed::what_is_not_answered_is_said);
}

#[test]
fn who_would_wait_for_itself_is_told_at_once() {
    rigs().iter().for_each(typed::a_circle_is_refused);
}

#[test]
fn versions_match_as_in_one_process() {
    rigs().iter().for_each(typed::versions);
}

#[test]
fn what_means_something_else_is_refused_in_the_same_words() {
    rigs().iter().for_each(typed::refusals);
}

//! Deployment is for components in PID 1: in a body there is no room for a second one. Here the case runs as any other.

use crate::calls::{endpoint, peer};
use crate::rig::{Rig, card};

#[test]
pub fn counter_bad() {
    let rig = Rig::new();
    let mut bad = card("counter_bad", "service");
    bad.provides = [endpoint(1)].into();
    let _bad = rig.serve(bad);
    let caller = rig.serve(peer("caller", 2));
    assert_eq!(rig.has_call(&caller, 1, "add 1"), "bad");
}

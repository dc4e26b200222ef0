//! What a Card may ask for that this version, on this machine, does not do.
//!
//! A permission or limit that is read but not enforced would be a lie, so each is refused when the
//! seed is loaded, with the Card, the field and the reason. A seed from a file is judged when it is read
//! ([`crate::seed`]); this is for one that comes with the program.

use arje_card::{Card, Reading};
use arje_native::cgroup::Support;
use arje_verify::{Machine, judge};

/// Everything that is wrong with this tree here, one line each. `support` is what cgroups can do here.
#[must_use]
pub fn problems(root: &Card, support: &Support) -> Vec<String> {
    let findings = judge(&Reading::of(root.clone()), Machine::This(support));
    findings.problems.iter().map(ToString::to_string).collect()
}

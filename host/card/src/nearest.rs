//! "Did you mean …": the known name nearest to an unknown one.

/// Names longer than this are not compared: nobody means them by a typing error, and comparing a long text
/// with each would be wasted work.
const LONGEST: usize = 64;

/// The known name nearest to `unknown`, if it is near enough to be meant: at most a third of its characters
/// wrong, and at most three. Case, `-` and `_` are no difference.
#[must_use]
pub fn nearest<'k>(unknown: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if unknown.len() > LONGEST {
        return None;
    }
    let folded = fold(unknown);
    known
        .into_iter()
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (strsim::osa_distance(&folded, &fold(name)), name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .map(|(_, name)| name)
}

/// `, did you mean "x"?` or nothing.
pub(crate) fn hint(unknown: &str, known: &[&str]) -> String {
    nearest(unknown, known.iter().copied())
        .map(|name| format!(", did you mean {name:?}?"))
        .unwrap_or_default()
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far() {
        let known = ["label", "provides", "requires", "supervision", "id"];
        let cases = [
            ("lable", Some("label")),
            ("Label", Some("label")),
            ("provide", Some("provides")),
            ("requries", Some("requires")),
            ("superivsion", Some("supervision")),
            ("module", None),
            ("if", Some("id")),
            ("xx", None),
            ("", None),
        ];
        for (unknown, expected) in cases {
            assert_eq!(nearest(unknown, known), expected, "{unknown}");
        }
        let long = "h".repeat(10_000);
        assert_eq!(nearest(&long, [long.as_str()]), None);
        assert_eq!(hint("lable", &known), ", did you mean \"label\"?");
    }
}

//! "Did you mean …": the known name nearest to an unknown one.

/// Names longer than this are not compared: nobody means them by a typing error.
const LONGEST: usize = 64;

/// The known name nearest to `unknown`, if it is near enough to be meant: at most a third of its
/// characters wrong, and at most three.
#[must_use]
pub fn nearest<'k>(unknown: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if unknown.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .filter(|name| name.len() <= LONGEST)
        .map(|name| (strsim::osa_distance(unknown, name), name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_and_far() {
        let known = ["hello", "ticker", "greet", "web"];
        let cases = [
            ("helo", Some("hello")),
            ("tikcer", Some("ticker")),
            ("wib", Some("web")),
            ("database", None),
            ("", None),
        ];
        for (unknown, expected) in cases {
            assert_eq!(nearest(unknown, known), expected, "{unknown}");
        }
        let long = "h".repeat(10_000);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }
}

//! "Did you mean …": the known name nearest to an unknown one.

/// The known name nearest to `unknown`, if it is near enough to be meant: at most a third of its
/// characters wrong, and at most three.
pub(crate) fn nearest<'k>(unknown: &str, known: &[&'k str]) -> Option<&'k str> {
    // No name of ours is longer; comparing a long text with each would be wasted work.
    const LONGEST: usize = 40;
    if unknown.len() > LONGEST {
        return None;
    }
    let folded = fold(unknown);
    known
        .iter()
        .map(|name| (distance(&folded, &fold(name)), *name))
        .min()
        .filter(|(distance, name)| *distance <= (name.len() / 3).clamp(1, 3))
        .map(|(_, name)| name)
}

/// `, did you mean "x"?` or nothing.
pub(crate) fn hint(unknown: &str, known: &[&str]) -> String {
    nearest(unknown, known)
        .map(|name| format!(", did you mean {name:?}?"))
        .unwrap_or_default()
}

/// Case and the two ways to join words are no difference.
fn fold(name: &str) -> Vec<char> {
    name.chars()
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Edits (insert, delete, replace, swap of neighbours) from one text to the other: the optimal string
/// alignment distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
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
            assert_eq!(nearest(unknown, &known), expected, "{unknown}");
        }
        assert_eq!(hint("lable", &known), ", did you mean \"label\"?");
    }
}

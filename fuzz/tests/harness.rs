//! The harness itself: it finds what is there to be found, says it, and makes it small; and a run can be had again.

use arje_fuzz::mutate::input;
use arje_fuzz::shrink::shrink;

/// A reader with a defect: it fails on a length that is larger than what follows.
fn fails(bytes: &[u8]) -> bool {
    let Some(at) = bytes.windows(2).position(|two| two == b"ab") else {
        return false;
    };
    bytes
        .get(at + 2)
        .is_some_and(|length| usize::from(*length) > bytes.len())
}

#[test]
fn a_defect_is_found_and_made_small() {
    let corpus = [
        b"some text, ab\x02cd, and more of it".to_vec(),
        b"other".to_vec(),
    ];
    let found = (0..20_000)
        .map(|number| input(&corpus, 100, 1, number))
        .find(|input| fails(input));
    let small = shrink(&found.expect("found within 20,000 inputs"), fails);
    assert!(fails(&small));
    assert_eq!((small.len(), &small[..2]), (3, &b"ab"[..]), "{small:?}");
}

#[test]
fn an_input_follows_from_its_seed_and_number() {
    let corpus = [vec![1; 50], vec![2; 50]];
    let inputs = |seed| {
        (0..100)
            .map(|number| input(&corpus, 100, seed, number))
            .collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
    let mut different = inputs(1);
    different.sort();
    different.dedup();
    assert!(different.len() > 90, "{}", different.len());
}

#[test]
fn an_input_that_does_not_fail_stays_as_it_is() {
    assert_eq!(shrink(b"fine", |_| false), b"fine");
}

//! Going over a tree of Cards, and adding to one.

use std::collections::HashSet;
use std::slice;

use crate::Card;

/// A Card met on a walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Visit<'c> {
    /// Where it is, as a JSON path: `$` is the root, `$.genesis[0]` its first child.
    pub path: String,
    /// How deep; the root is at 1.
    pub depth: usize,
    /// The Card.
    pub card: &'c Card,
}

/// An iterator over a tree of Cards: parents before children, siblings in order.
#[derive(Clone, Debug)]
pub struct Walk<'c> {
    root: Option<&'c Card>,
    /// For each level the path of the parent, and its children not yet met.
    levels: Vec<(String, std::iter::Enumerate<slice::Iter<'c, Card>>)>,
}

impl<'c> Iterator for Walk<'c> {
    type Item = Visit<'c>;

    fn next(&mut self) -> Option<Visit<'c>> {
        if let Some(root) = self.root.take() {
            return Some(self.meet("$".to_owned(), root));
        }
        loop {
            let (parent, children) = self.levels.last_mut()?;
            if let Some((index, card)) = children.next() {
                let path = format!("{parent}.genesis[{index}]");
                return Some(self.meet(path, card));
            }
            self.levels.pop();
        }
    }
}

impl<'c> Walk<'c> {
    fn meet(&mut self, path: String, card: &'c Card) -> Visit<'c> {
        self.levels
            .push((path.clone(), card.genesis.iter().enumerate()));
        Visit {
            path,
            depth: self.levels.len(),
            card,
        }
    }
}

impl Card {
    /// Goes over this Card and all below it: parents before children, siblings in order.
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            root: Some(self),
            levels: Vec::new(),
        }
    }
}

/// Adds the genesis of a session fragment to a base, and returns the labels left out because a Card of
/// that label was there already (with the Cards below it). The base comes first, then the fragment in
/// its own order. The fragment's root itself is not added.
///
/// The result may still break a rule (equal ids, too many Cards): work on a copy, validate it, and keep
/// the base when it is refused.
pub fn append_fragment(base: &mut Card, fragment: Card) -> Vec<String> {
    let mut labels: HashSet<String> = base.walk().map(|visit| visit.card.label.clone()).collect();
    let mut skipped = Vec::new();
    let added = keep_new(fragment.genesis, &mut labels, &mut skipped);
    base.genesis.extend(added);
    skipped
}

fn keep_new(
    cards: Vec<Card>,
    labels: &mut HashSet<String>,
    skipped: &mut Vec<String>,
) -> Vec<Card> {
    let mut kept = Vec::new();
    for mut card in cards {
        if !labels.insert(card.label.clone()) {
            skipped.push(card.label);
            continue;
        }
        card.genesis = keep_new(card.genesis, labels, skipped);
        kept.push(card);
    }
    kept
}

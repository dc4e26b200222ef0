//! Circles of needs, found before anything is taken in.
//!
//! The graph has three kinds of nodes. `Open(e)`: e may run. `Ready(e)`: e is ready. `Cap(c)`: c is
//! provided. An Ente may run only when what it requires (or comes after) is provided, and when its
//! parent lets it: a container by running, any other parent by being ready. A capability is provided
//! when a provider is ready; an Ente is ready when it runs, and a container also only when its
//! children are ready. All alternatives count as needs: without a circle among them, everything can
//! be stopped in order whichever of them was used.

use std::collections::BTreeMap;

use crate::index::{CapIx, EnteIx};
use crate::refusal::{CycleLink, Need};
use crate::supervisor::Supervisor;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Open(EnteIx),
    Ready(EnteIx),
    Cap(CapIx),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    OnPath,
    Clear,
}

impl Supervisor {
    /// A circle that goes through one of `starts`, if there is any. The rest is known to have none.
    pub(crate) fn find_cycle(&self, starts: &[EnteIx]) -> Option<Vec<CycleLink>> {
        let mut marks: BTreeMap<Node, Mark> = BTreeMap::new();
        for ix in starts {
            // Ready needs Open, so this visits both.
            if let Some(path) = self.visit(Node::Ready(*ix), &mut marks) {
                return Some(self.describe(&path));
            }
        }
        None
    }

    /// Depth-first search with its own stack: a chain may be as long as there are Entes.
    fn visit(&self, start: Node, marks: &mut BTreeMap<Node, Mark>) -> Option<Vec<Node>> {
        if marks.contains_key(&start) {
            return None;
        }
        marks.insert(start, Mark::OnPath);
        let mut path = vec![start];
        let mut left = vec![self.needed_by(start)];
        while let Some(next) = left.last_mut() {
            let Some(node) = next.pop() else {
                left.pop();
                if let Some(done) = path.pop() {
                    marks.insert(done, Mark::Clear);
                }
                continue;
            };
            match marks.get(&node) {
                Some(Mark::Clear) => {}
                Some(Mark::OnPath) => {
                    let from = path.iter().position(|on_path| *on_path == node)?;
                    return Some(path.split_off(from));
                }
                None => {
                    marks.insert(node, Mark::OnPath);
                    path.push(node);
                    left.push(self.needed_by(node));
                }
            }
        }
        None
    }

    fn needed_by(&self, node: Node) -> Vec<Node> {
        match node {
            Node::Cap(cap) => {
                let providers = self
                    .index
                    .servers(cap)
                    .flat_map(|(_, slot)| &slot.providers);
                providers.map(|ix| Node::Ready(*ix)).collect()
            }
            Node::Ready(ix) => {
                let ente = self.table.get(ix).filter(|ente| ente.is_container());
                let children = ente.into_iter().flat_map(|ente| &ente.children);
                let children = children.map(|child| Node::Ready(*child));
                children.chain([Node::Open(ix)]).collect()
            }
            Node::Open(ix) => self.needed_to_open(ix),
        }
    }

    fn needed_to_open(&self, ix: EnteIx) -> Vec<Node> {
        let Some(ente) = self.table.get(ix) else {
            return Vec::new();
        };
        let caps = ente
            .needs
            .required()
            .chain(ente.needs.after.iter().copied());
        let mut needed: Vec<Node> = caps.map(Node::Cap).collect();
        if let Some(parent_ix) = ente.parent
            && let Some(parent) = self.table.get(parent_ix)
        {
            needed.push(match parent.is_container() {
                true => Node::Open(parent_ix),
                false => Node::Ready(parent_ix),
            });
        }
        needed
    }

    /// The circle as links between Entes.
    fn describe(&self, path: &[Node]) -> Vec<CycleLink> {
        let following = path.iter().cycle().skip(1);
        let steps = path.iter().zip(following);
        let links = steps.filter_map(|(this, next)| {
            let (ix, need) = match (*this, *next) {
                (Node::Open(ix), Node::Cap(cap)) => {
                    let slot = self.index.get(cap)?;
                    (ix, Need::Capability(slot.capability.clone()))
                }
                (Node::Open(ix), Node::Open(_) | Node::Ready(_)) => (ix, Need::Parent),
                (Node::Ready(ix), Node::Ready(_)) => (ix, Need::Child),
                // Steps within one Ente, or from a capability to its provider.
                _ => return None,
            };
            let card = &self.table.get(ix)?.card;
            let (id, label) = (card.id, card.label.clone());
            Some(CycleLink { id, label, need })
        });
        links.collect()
    }
}

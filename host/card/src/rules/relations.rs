//! Rules between a Card and others: capabilities, contracts, flows, references.

use super::Findings;
use crate::capability::{CapabilitySet, Contract};
use crate::flow::Flow;
use crate::path::Path;
use crate::report::{Finding, quoted};
use crate::rule::Rule;
use crate::{Capability, Card};

pub(super) fn check(card: &Card, at: &Path<'_>, findings: &mut Findings) {
    // Of a set, what could be read is in it, whatever could not be.
    for provided in both(&card.provides, &card.requires) {
        let finding = Finding::new(
            Rule::ProvidesRequires,
            provided.to_string(),
            "nothing that the Card itself provides",
            "remove it from provides or from requires",
        );
        findings.add(&at.key("requires"), finding);
    }
    let contracts = at.key("contracts");
    for (index, contract) in card.contracts.iter().enumerate() {
        let at = contracts.index(index);
        check_contract(contract, &card.provides, &at, findings);
    }
    let flow = at.key("flow");
    check_flows(&card.flow.input, &flow.key("input"), findings);
    check_flows(&card.flow.output, &flow.key("output"), findings);
    let references = at.key("references");
    for (index, reference) in card.references.iter().enumerate() {
        super::nil_id(
            reference.target_id,
            &references.index(index).key("target_id"),
            findings,
        );
    }
}

/// What is wanted (or not wanted) and would be served by what is provided.
fn both<'c>(
    provided: &'c CapabilitySet,
    wanted: &'c CapabilitySet,
) -> impl Iterator<Item = &'c Capability> {
    wanted
        .iter()
        .filter(|wanted| provided.iter().any(|provided| provided.satisfies(wanted)))
}

fn check_contract(
    contract: &Contract,
    provides: &CapabilitySet,
    at: &Path<'_>,
    findings: &mut Findings,
) {
    match contract {
        Contract::Any(set) if set.is_empty() && findings.is_sound(&at.key("Any")) => {
            let expected = "at least one capability";
            let remedy = "name one, or remove the contract: of nothing, nothing can be provided";
            let finding = Finding::new(Rule::AnyEmpty, "an empty list", expected, remedy);
            findings.add(&at.key("Any"), finding);
        }
        Contract::Quorum { of, at_least } => {
            check_quorum(of, *at_least, &at.key("Quorum"), findings);
        }
        Contract::Conflicts(set) => {
            for provided in both(provides, set) {
                let finding = Finding::new(
                    Rule::ConflictsProvides,
                    provided.to_string(),
                    "nothing that the Card itself provides",
                    "remove it from provides or from the contract",
                );
                findings.add(&at.key("Conflicts"), finding);
            }
        }
        Contract::Any(_) | Contract::After(_) => {}
    }
}

fn check_quorum(of: &CapabilitySet, at_least: u32, at: &Path<'_>, findings: &mut Findings) {
    if !findings.is_sound(&at.key("of")) {
        return;
    }
    if of.is_empty() {
        let expected = "at least one capability";
        let remedy = "name what is counted";
        let finding = Finding::new(Rule::Quorum, "an empty list", expected, remedy);
        findings.add(&at.key("of"), finding);
    } else if !(1..=of.len() as u64).contains(&u64::from(at_least)) {
        let expected = format!(
            "1 to {}, the number of different capabilities in of",
            of.len()
        );
        let remedy = "correct the number or the list";
        let finding = Finding::new(Rule::Quorum, at_least.to_string(), expected, remedy);
        findings.add(&at.key("at_least"), finding);
    }
}

fn check_flows(flows: &[Flow], at: &Path<'_>, findings: &mut Findings) {
    for (index, flow) in flows
        .iter()
        .enumerate()
        .filter(|(_, flow)| flow.name.trim().is_empty())
    {
        let finding = Finding::new(
            Rule::FlowName,
            quoted(&flow.name),
            "a name",
            "name the flow",
        );
        findings.add(&at.index(index).key("name"), finding);
    }
    let names = flows.iter().map(|flow| flow.name.as_str());
    findings.distinct(Rule::FlowDuplicate, at, "name", names);
}

//! [`verify`]: everything that can be said about a Card file without running it, components included.

use std::path::Path;

use arje_card::grants::{self, Surplus};
use arje_card::{LoadError, Payload, Reading, Visit, WasmPayload};

use crate::component::Component;
use crate::entry;
use crate::findings::{Findings, Place, Problem};
use crate::judge::{Machine, judge};
use crate::modules::Modules;
use crate::pins::{self, MODULE_KEY};
use crate::provides;

/// Checks a Card file by the rules, and its Wasm Cards against their modules where some are given.
///
/// # Errors
/// [`LoadError::Io`] and [`LoadError::TooLarge`] only: whatever can be read is judged.
pub fn verify(file: &Path, modules: Option<&mut Modules>) -> Result<Findings, LoadError> {
    match Reading::load(file) {
        Ok(reading) => Ok(verify_reading(&reading, modules)),
        Err(LoadError::Invalid { report, .. }) => Ok(Findings::of_report(&report)),
        Err(error) => Err(error),
    }
}

/// The same of what was read before; its pins may have been resolved since.
#[must_use]
pub fn verify_reading(reading: &Reading, mut modules: Option<&mut Modules>) -> Findings {
    let mut findings = judge(reading, Machine::Any);
    for visit in reading.walk() {
        findings.problems.extend(unusable_name(reading, &visit));
        if let (Payload::Wasm(wasm), Some(modules)) = (&visit.card.payload, modules.as_deref_mut())
        {
            judge_wasm(reading, &visit, wasm, modules, &mut findings.problems);
        }
    }
    findings
}

/// A `module` key that names no component whatever is at hand.
fn unusable_name(reading: &Reading, visit: &Visit<'_>) -> Option<Problem> {
    if !reading.is_sound(&visit.path, "payload") {
        return None;
    }
    let problem = pins::unusable(visit.card)?;
    let place = Place::of(format!("{}.{MODULE_KEY}", visit.path), &visit.card.label);
    Some(Problem::at(place, problem.reason()))
}

fn judge_wasm(
    reading: &Reading,
    visit: &Visit<'_>,
    wasm: &WasmPayload,
    modules: &mut Modules,
    problems: &mut Vec<Problem>,
) {
    let (path, card) = (&visit.path, visit.card);
    if wasm.module_sha256.is_zero() || !reading.is_sound(path, "payload.Wasm.module_sha256") {
        return; // said already
    }
    let name = card.extensions.get(MODULE_KEY);
    let name = name.and_then(|name| name.as_str());
    match modules.component(wasm.module_sha256, name) {
        Ok(component) => judge_component(reading, visit, wasm, &component, problems),
        Err(problem) => {
            let place = Place::of(format!("{path}.payload.Wasm.module_sha256"), &card.label);
            problems.push(Problem::at(place, problem.to_string()));
        }
    }
    for text in modules.artifact_problems(wasm.module_sha256) {
        let place = Place::of(format!("{path}.payload.Wasm.module_sha256"), &card.label);
        problems.push(Problem::at(place, text));
    }
    let of_index = modules.index_problems().into_iter();
    problems.extend(of_index.map(|text| Problem { place: None, text }));
}

fn judge_component(
    reading: &Reading,
    visit: &Visit<'_>,
    wasm: &WasmPayload,
    component: &Component,
    problems: &mut Vec<Problem>,
) {
    let (path, card) = (&visit.path, visit.card);
    let mut add = |key: &str, text: String| {
        let place = Place::of(format!("{path}.{key}"), &card.label);
        problems.push(Problem::at(place, text));
    };
    if let Err(missing) = entry::check(component, &wasm.entry)
        && reading.is_sound(path, "payload.Wasm.entry")
    {
        add("payload.Wasm.entry", missing.to_string());
    }
    if let Some(liveness) = card.liveness_ms
        && !entry::has_health(component)
        && reading.is_sound(path, "liveness_ms")
    {
        let text = format!(
            "liveness_ms is {liveness}, but the component does not export \
             arje:ente/health@1.x; export it or remove liveness_ms"
        );
        add("liveness_ms", text);
    }
    if reading.is_sound(path, "provides") {
        let texts = provides::missing(component, card).into_iter();
        texts.for_each(|text| add("provides", text));
    }
    let imports = component.imports.iter().map(String::as_str);
    if let Err(surplus) = grants::audit(card, imports)
        && reading.is_sound(path, "permissions")
    {
        let texts = surplus.iter().map(Surplus::refusal);
        texts.for_each(|text| add("payload.Wasm", text));
    }
}

//! `ente verify`: says everything that is wrong with Card files.

use std::io::Write;
use std::path::PathBuf;

use arje_card::LoadError;
use arje_verify::modules::Modules;
use arje_verify::{Findings, verify};
use clap::Args;
use serde_json::{Value, json};

use super::{Failure, Outcome, count};

/// Check seeds and other Card files without running them
///
/// Lists every broken rule with its JSON path, and what this version of the host does on no machine, and
/// warns about what is hardly meant, such as unknown keys. With --modules or --store it also checks that
/// each pinned component is there, has its hash, exports what its entry names and imports no more than its
/// Card grants; with --store also that nothing compiled from it is damaged.
#[derive(Args)]
pub struct Arguments {
    /// Card files (JSON, or TOML by extension)
    #[arg(required = true, value_name = "SEED")]
    seeds: Vec<PathBuf>,
    /// Folder of NAME.wasm components; may be given several times, earlier ones win
    #[arg(long, value_name = "DIR")]
    modules: Vec<PathBuf>,
    /// Content store (in an image: /ente)
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Print one JSON object instead of lines
    #[arg(long)]
    json: bool,
}

/// What became of one file.
type Judged = (PathBuf, Result<Findings, LoadError>);

impl Arguments {
    pub fn run(self, out: &mut dyn Write) -> Result<Outcome, Failure> {
        let with_modules = !self.modules.is_empty() || self.store.is_some();
        let mut modules = with_modules
            .then(|| Modules::open(&self.modules, self.store.as_deref()))
            .transpose()
            .map_err(Failure::unusable)?;
        let mut judged: Vec<Judged> = Vec::new();
        for seed in self.seeds {
            let findings = verify(&seed, modules.as_mut());
            judged.push((seed, findings));
        }
        let asked_for = modules.as_ref().map(Modules::asked_for);
        if self.json {
            print_json(&judged, asked_for, out)?;
        } else {
            print_lines(&judged, asked_for, out)?;
        }
        outcome(&judged)
    }
}

/// A file that cannot be read weighs more than what is wrong with the others.
fn outcome(judged: &[Judged]) -> Result<Outcome, Failure> {
    let unreadable: Vec<String> = judged
        .iter()
        .filter_map(|(_, findings)| Some(findings.as_ref().err()?.to_string()))
        .collect();
    if !unreadable.is_empty() {
        return Err(Failure::Unusable(unreadable.join("\nerror: ")));
    }
    Ok(match total(judged, |findings| findings.problems.len()) {
        0 => Outcome::Done,
        _ => Outcome::Found,
    })
}

/// Everything that is wrong, files that cannot be read included.
fn errors(judged: &[Judged]) -> usize {
    let unreadable = judged.iter().filter(|(_, findings)| findings.is_err());
    unreadable.count() + total(judged, |findings| findings.problems.len())
}

fn total(judged: &[Judged], of: impl Fn(&Findings) -> usize) -> usize {
    judged
        .iter()
        .filter_map(|(_, findings)| findings.as_ref().ok())
        .map(of)
        .sum()
}

fn print_lines(
    judged: &[Judged],
    modules: Option<usize>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    for (file, findings) in judged {
        let (file, Ok(findings)) = (file.display(), findings) else {
            continue;
        };
        for line in findings.lines() {
            writeln!(out, "{file}: {line}")?;
        }
    }
    let seeds = count(judged.len(), "file");
    let cards = count(total(judged, |findings| findings.cards), "Card");
    let errors = count(errors(judged), "error");
    let warnings = count(total(judged, |findings| findings.warnings.len()), "warning");
    let modules = match modules {
        Some(number) => count(number, "module"),
        None => "modules not checked".to_owned(),
    };
    writeln!(out, "{seeds}, {cards}, {modules}: {errors}, {warnings}")
}

fn print_json(
    judged: &[Judged],
    modules: Option<usize>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let files: Vec<Value> = judged.iter().map(file_json).collect();
    let report = json!({
        "files": files,
        "cards": total(judged, |findings| findings.cards),
        "modules": modules,
        "errors": errors(judged),
        "warnings": total(judged, |findings| findings.warnings.len()),
    });
    writeln!(out, "{report:#}")
}

fn file_json((file, findings): &Judged) -> Value {
    let file = file.display().to_string();
    let findings = match findings {
        Ok(findings) => findings,
        Err(error) => return json!({ "file": file, "unreadable": error.to_string() }),
    };
    let problems = findings.problems.iter().map(|problem| {
        json!({
            "path": problem.path(),
            "label": problem.label(),
            "text": problem.to_string(),
        })
    });
    let warnings = findings.warnings.iter().map(|warning| {
        json!({
            "path": warning.path,
            "label": warning.label,
            "text": warning.to_string(),
        })
    });
    json!({
        "file": file,
        "cards": findings.cards,
        "errors": problems.collect::<Value>(),
        "warnings": warnings.collect::<Value>(),
    })
}

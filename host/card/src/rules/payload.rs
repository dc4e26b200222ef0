//! Rules on what an Ente runs.

use std::collections::HashMap;

use super::Findings;
use crate::path::Path;
use crate::report::{Finding, quoted};
use crate::rule::Rule;
use crate::{Bind, Card, Entry, Env, Filesystem, ListenOn, Payload, WasmPayload};

pub(super) fn check(card: &Card, at: &Path<'_>, findings: &mut Findings) {
    let payload = at.key("payload");
    match &card.payload {
        Payload::Virtual => {}
        Payload::Wasm(wasm) => check_wasm(card, wasm, at, &payload.key("Wasm"), findings),
        Payload::Native(native) => {
            let at = payload.key("Native");
            check_exec(&native.exec, &at.key("exec"), findings);
            check_argv(&native.argv, &at.key("argv"), findings);
            check_env(&native.envp, &at.key("envp"), findings);
        }
        Payload::Legacy(legacy) => {
            let at = payload.key("Legacy");
            check_exec(&legacy.exec, &at.key("exec"), findings);
            check_argv(&legacy.argv, &at.key("argv"), findings);
        }
    }
}

fn check_wasm(
    card: &Card,
    wasm: &WasmPayload,
    card_at: &Path<'_>,
    at: &Path<'_>,
    findings: &mut Findings,
) {
    if wasm.module_sha256.is_zero() {
        let finding = Finding::new(
            Rule::PinZero,
            "64 zeros",
            "the sha256 of the component's file",
            "write it with `ente pin`",
        );
        findings.add(&at.key("module_sha256"), finding);
    }
    check_entry(card, &wasm.entry, card_at, &at.key("entry"), findings);
    check_argv(&wasm.argv, &at.key("argv"), findings);
    check_env(&wasm.envp, &at.key("envp"), findings);
    let preopens = at.key("preopens");
    for (index, preopen) in wasm.preopens.iter().enumerate() {
        check_preopen(card, preopen, card_at, &preopens.index(index), findings);
    }
    let targets = wasm.preopens.iter().map(|preopen| preopen.target.as_str());
    findings.distinct(Rule::TargetDuplicate, &preopens, "target", targets);
}

fn check_entry(
    card: &Card,
    entry: &Entry,
    card_at: &Path<'_>,
    at: &Path<'_>,
    findings: &mut Findings,
) {
    if entry.as_str().trim().is_empty() {
        let expected = "run, service, http, or the full name of an exported function";
        let finding = Finding::new(
            Rule::EntryBlank,
            quoted(entry.as_str()),
            expected,
            "name what is to run",
        );
        findings.add(at, finding);
    }
    let listens = card
        .listen
        .iter()
        .any(|listen| matches!(listen.on, ListenOn::Tcp(_) | ListenOn::Unix(_)));
    if *entry == Entry::Http && !listens && findings.is_sound(&card_at.key("listen")) {
        let finding = Finding::new(
            Rule::EntryListen,
            "no socket for it",
            "an entry with tcp or unix in listen",
            "say in listen where the requests come from",
        );
        findings.add(at, finding);
    }
}

fn check_preopen(
    card: &Card,
    preopen: &Bind,
    card_at: &Path<'_>,
    at: &Path<'_>,
    findings: &mut Findings,
) {
    findings.absolute(&at.key("source"), &preopen.source);
    findings.absolute(&at.key("target"), &preopen.target);
    let needed = if preopen.ro {
        Filesystem::ReadOnly
    } else {
        Filesystem::ReadWrite
    };
    let granted = card.permissions.filesystem;
    if granted < needed && findings.is_granted(card_at, "filesystem") {
        let finding = Finding::new(
            Rule::PreopenPermission,
            format!("permissions.filesystem = {:?}", granted.as_str()),
            format!("at least {:?}", needed.as_str()),
            if preopen.ro {
                "grant it"
            } else {
                "grant it, or make the folder read-only with \"ro\": true"
            },
        );
        findings.add(at, finding);
    }
}

fn check_exec(exec: &str, at: &Path<'_>, findings: &mut Findings) {
    if !exec.starts_with('/') || exec.contains('\0') {
        let expected = "the absolute path of an executable";
        let remedy = "write the path from the root: there is no search path";
        findings.add(
            at,
            Finding::new(Rule::ExecPath, quoted(exec), expected, remedy),
        );
    }
}

fn check_argv(argv: &[String], at: &Path<'_>, findings: &mut Findings) {
    for (index, argument) in argv.iter().enumerate() {
        check_nul(argument, &at.index(index), findings);
    }
}

fn check_nul(text: &str, at: &Path<'_>, findings: &mut Findings) {
    if text.contains('\0') {
        let remedy = "remove it: arguments and environment end at a NUL byte";
        findings.add(
            at,
            Finding::new(Rule::Nul, quoted(text), "no NUL byte", remedy),
        );
    }
}

fn check_env(env: &Env, at: &Path<'_>, findings: &mut Findings) {
    let mut first = HashMap::new();
    for (index, (name, value)) in env.iter().enumerate() {
        let pair = at.index(index);
        if name.is_empty() || name.contains('=') {
            let expected = "a name without `=`";
            let finding = Finding::new(
                Rule::EnvName,
                quoted(name),
                expected,
                "correct the variable's name",
            );
            findings.add(&pair, finding);
        }
        check_nul(name, &pair, findings);
        check_nul(value, &pair, findings);
        let before = *first.entry(name).or_insert(index);
        if before != index && !findings.taints.cover(&at.index(before).to_string()) {
            let expected = format!("another name than {}", at.index(before));
            let found = format!("{} again", quoted(name));
            let finding =
                Finding::new(Rule::EnvDuplicate, found, expected, "remove one of the two");
            findings.add(&pair, finding);
        }
    }
}

//! `ente card new` where a transcript cannot show it: identities of its own, and Cards that verify.

#![expect(clippy::unwrap_used, reason = "tests say what they expect")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output};

use arje_card::{Card, Id};
use common::Workplace;

fn ente(workplace: &Workplace, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ente"))
        .args(arguments)
        .current_dir(workplace.path("."))
        .output()
        .unwrap()
}

#[test]
fn what_it_prints_verifies() {
    let workplace = Workplace::new();
    let cases: &[&[&str]] = &[
        &["--wasm", "modules/hello.wasm"],
        &["--wasm", "modules/hello.wasm", "--module", "hello"],
        &["--native", "/bin/true", "--oneshot"],
        &[
            "--native",
            "/usr/bin/server",
            "--listen",
            "tcp:127.0.0.1:80",
            "--listen",
            "unix:/run/s",
        ],
        &["--wasm", "modules/ticker.wasm", "--entry", "tick"],
        &["--wasm", "modules/fetch.wasm", "--preopen", "/etc:/etc:ro"],
        &["--wasm", "modules/web.wasm", "--listen", "tcp:127.0.0.1:80"],
        &[
            "--wasm",
            "modules/web.wasm",
            "--listen",
            "tcp:[::]:80",
            "--listen",
            "unix:/run/w",
        ],
        &[
            "--wasm",
            "modules/both.wasm",
            "--entry",
            "run",
            "--preopen",
            "/srv:/data",
        ],
        &[
            "--native",
            "/bin/sh",
            "--console",
            "--env",
            "PS1=arje# ",
            "--arg",
            "-i",
        ],
        &["--wasm", "modules/plain.wasm", "--entry", "go"],
        &["--virtual", "--label", "group"],
    ];
    for case in cases {
        let arguments = [&["card", "new"], *case].concat();
        let printed = ente(&workplace, &arguments);
        assert!(printed.status.success(), "{case:?}: {printed:?}");
        let file = workplace.path("new.card.json");
        fs::write(&file, &printed.stdout).unwrap();
        let judged = ente(
            &workplace,
            &["verify", "new.card.json", "--modules", "modules"],
        );
        assert!(judged.status.success(), "{case:?}: {judged:?}");
        let text = String::from_utf8(judged.stdout).unwrap();
        assert!(
            text.ends_with("0 errors, 0 warnings\n"),
            "{case:?}: {}",
            workplace.mask(&text)
        );
        let card = Card::load(&file).unwrap();
        assert_eq!(arje_native::enforceable(&card), Ok(()), "{case:?}");
    }
}

#[test]
fn who_could_never_be_ready_is_warned_about() {
    let workplace = Workplace::new();
    let cases: &[&[&str]] = &[
        &["--wasm", "modules/hello.wasm"],
        &["--wasm", "modules/web.wasm", "--listen", "tcp:127.0.0.1:80"],
    ];
    for case in cases {
        let printed = ente(&workplace, &[&["card", "new", "--oneshot"], *case].concat());
        let warning = String::from_utf8(printed.stderr).unwrap();
        assert!(
            warning.starts_with("warning: $.supervision"),
            "{case:?}: {warning}"
        );
        fs::write(workplace.path("new.card.json"), &printed.stdout).unwrap();
        let judged = ente(&workplace, &["verify", "new.card.json"]);
        assert!(judged.status.success(), "{case:?}: {judged:?}");
        let text = String::from_utf8(judged.stdout).unwrap();
        assert!(text.ends_with("0 errors, 1 warning\n"), "{case:?}: {text}");
        // As it is without being told otherwise.
        let printed = ente(&workplace, &[&["card", "new"], *case].concat());
        assert_eq!(String::from_utf8(printed.stderr).unwrap(), "", "{case:?}");
    }
}

#[test]
fn each_card_is_somebody_else() {
    let workplace = Workplace::new();
    let id = || -> Id {
        let printed = ente(&workplace, &["card", "new", "--virtual", "--label", "x"]);
        Card::from_json(&printed.stdout).unwrap().id
    };
    let ids: BTreeSet<Id> = (0..16).map(|_| id()).collect();
    assert_eq!(ids.len(), 16);
    // The first 48 bits are the time: after this line was written.
    let written = Id::from_parts(1_760_000_000_000, [0; 10]);
    assert!(ids.iter().all(|id| *id > written));
}

#[test]
fn the_schema_is_the_published_one() {
    let printed = ente(&Workplace::new(), &["card", "schema"]);
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed, arje_card::json_schema());
}

//! Transcripts of the command line: arguments, standard output, standard error and exit status.
//!
//! Each file in `tests/golden` is one session in a fresh folder (see `common`), in which a pretended bus listens at `bus.sock`. A line that begins with
//! `$` is a command: `ente …`, or `cat FILE`. What follows is what it gives: standard output indented by
//! two spaces, standard error after `! `, then the exit status unless it is 0. With `UPDATE_GOLDEN=1` the
//! test writes the files instead; a new case is a file of commands only.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

mod common;
mod pretended_bus;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::Workplace;

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut different = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let expected = fs::read_to_string(&path).unwrap();
        let found = play(&expected);
        count += 1;
        if update {
            fs::write(&path, &found).unwrap();
        } else if found != expected {
            different.push(format!("--- {}, found:\n{found}", path.display()));
        }
    }
    assert!(count > 0, "there are no transcripts");
    assert!(
        different.is_empty(),
        "{}\n(UPDATE_GOLDEN=1 writes what was found)",
        different.join("\n")
    );
}

/// Runs the commands of a transcript and writes it anew.
fn play(transcript: &str) -> String {
    let workplace = Workplace::new();
    pretended_bus::serve(&workplace.path("."));
    let mut text = String::new();
    for command in transcript.lines().filter(|line| line.starts_with("$ ")) {
        if !text.is_empty() {
            text.push('\n');
        }
        writeln!(text, "{command}").unwrap();
        let words = words(&command[2..]);
        match words[0].as_str() {
            "ente" => run(&workplace, &words[1..], &mut text),
            "cat" => {
                let file = fs::read_to_string(workplace.path(&words[1])).unwrap();
                put(&workplace, "  ", &file, &mut text);
            }
            other => panic!("{other} is not a command of transcripts"),
        }
    }
    text
}

fn run(workplace: &Workplace, arguments: &[String], text: &mut String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_ente"))
        .args(arguments)
        .current_dir(workplace.path("."))
        .output()
        .unwrap();
    put(
        workplace,
        "  ",
        str::from_utf8(&ended.stdout).unwrap(),
        text,
    );
    put(
        workplace,
        "! ",
        str::from_utf8(&ended.stderr).unwrap(),
        text,
    );
    if !ended.status.success() {
        writeln!(text, "{}", ended.status).unwrap();
    }
}

fn put(workplace: &Workplace, prefix: &str, output: &str, text: &mut String) {
    for line in workplace.mask(output).lines() {
        let line = format!("{prefix}{line}");
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
}

/// Splits at spaces; single quotes keep them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words
}

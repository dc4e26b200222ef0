//! `arje:ente/log`: structured log lines.

use crate::ctx::Ctx;
use crate::output::{MAX_LINE, printable};
use std::fmt::Write as _;
use wasmtime::Result;
use wasmtime::component::{ComponentType, Lift, Linker};

/// The interface's name.
pub(crate) const NAME: &str = "arje:ente/log@1.0.0";

/// Fields in one line, and bytes in a field's name or value, as the WIT promises.
const MAX_FIELDS: usize = 32;
const MAX_FIELD: usize = 1024;

/// How much a line matters (`log.level`).
#[derive(ComponentType, Lift, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// Every step.
    #[component(name = "trace")]
    Trace,
    /// For those who look for a fault.
    #[component(name = "debug")]
    Debug,
    /// What happened.
    #[component(name = "info")]
    Info,
    /// Something is not as it should be.
    #[component(name = "warn")]
    Warn,
    /// Something failed.
    #[component(name = "error")]
    Error,
}

type Fields = Vec<(String, String)>;

pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>) -> Result<()> {
    linker.instance(NAME)?.func_wrap_async(
        "log",
        |store, (level, message, fields): (Level, String, Fields)| {
            let output = store.data().output.clone();
            Box::new(async move {
                // Waits while the Ente has too many lines under way: a storm slows its own maker.
                output.print(level, line(&message, &fields)).await;
                Ok(())
            })
        },
    )
}

fn line(message: &str, fields: &Fields) -> String {
    let mut text = cut(message, MAX_LINE);
    for (name, value) in fields.iter().take(MAX_FIELDS) {
        // Writing to a String cannot fail.
        let _ = write!(text, " {}={:?}", cut(name, MAX_FIELD), cut(value, MAX_FIELD));
    }
    if fields.len() > MAX_FIELDS {
        let _ = write!(text, " [{} more fields]", fields.len() - MAX_FIELDS);
    }
    text
}

/// The printable text, cut at a character boundary, with a note of what is missing.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return printable(text);
    }
    let end = text.floor_char_boundary(max);
    format!(
        "{} [{} more bytes]",
        printable(&text[..end]),
        text.len() - end
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_line_cannot_forge_another() {
        assert_eq!(line("a\nb\x1b[2J", &vec![]), "a\\nb\\u{1b}[2J");
        assert_eq!(
            line("m", &vec![field("k", "v\n2")]),
            "m k=\"v\\\\n2\"",
            "a value is escaped, then quoted"
        );
    }

    #[test]
    fn what_is_cut_is_said() {
        let text = line(&"é".repeat(MAX_LINE), &vec![]);
        assert!(text.ends_with(&format!("[{MAX_LINE} more bytes]")), "{}", &text[text.len() - 40..]);
        let many = vec![field("k", "v"); MAX_FIELDS + 3];
        assert!(line("m", &many).ends_with("[3 more fields]"));
    }
}

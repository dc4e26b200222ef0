//! `arje:ente/log`: structured log lines.

use crate::ctx::Ctx;
use crate::output::{MAX_LINE, more_bytes, printable};
use std::fmt::Write as _;
use wasmtime::component::{ComponentType, Lift, Linker, WasmList, WasmStr};
use wasmtime::{Result, StoreContextMut};

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

impl Level {
    /// The level with this number, from 0 for trace to 4 for error.
    pub(crate) fn from_number(number: u8) -> Option<Level> {
        [
            Level::Trace,
            Level::Debug,
            Level::Info,
            Level::Warn,
            Level::Error,
        ]
        .into_iter()
        .find(|level| *level as u8 == number)
    }
}

/// Strings that stay in the component's memory: nothing is copied before it is cut.
type Fields = WasmList<(WasmStr, WasmStr)>;

pub(crate) fn add_to_linker(linker: &mut Linker<Ctx>) -> Result<()> {
    linker.instance(NAME)?.func_wrap_async(
        "log",
        |mut store, (level, message, fields): (Level, WasmStr, Fields)| {
            let output = store.data().output.clone();
            let text = read(&mut store, &message, &fields);
            Box::new(async move {
                // Waits while the Ente has too many lines under way: a storm slows its own maker.
                output.print(level, text?).await;
                Ok(())
            })
        },
    )
}

fn read(
    store: &mut StoreContextMut<'_, Ctx>,
    message: &WasmStr,
    fields: &Fields,
) -> Result<String> {
    let mut text = cut(&message.to_str(&*store)?, MAX_LINE);
    let kept: Vec<(WasmStr, WasmStr)> = fields
        .iter(&mut *store)?
        .take(MAX_FIELDS)
        .collect::<Result<_>>()?;
    for (name, value) in kept {
        push_field(&mut text, &name.to_str(&*store)?, &value.to_str(&*store)?);
    }
    if fields.len() > MAX_FIELDS {
        // Writing to a String cannot fail.
        let _ = write!(text, " [{} more fields]", fields.len() - MAX_FIELDS);
    }
    Ok(text)
}

fn push_field(text: &mut String, name: &str, value: &str) {
    let _ = write!(
        text,
        " {}={:?}",
        cut(name, MAX_FIELD),
        cut(value, MAX_FIELD)
    );
}

/// The printable text, cut at a character boundary, with a note of what is missing.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return printable(text);
    }
    let end = text.floor_char_boundary(max);
    printable(&text[..end]) + &more_bytes((text.len() - end) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_forge_another() {
        assert_eq!(cut("a\nb\x1b[2J", 100), "a\\nb\\u{1b}[2J");
        let mut text = "m".to_owned();
        push_field(&mut text, "k", "v\n2");
        assert_eq!(text, "m k=\"v\\\\n2\"", "escaped, then quoted");
    }

    #[test]
    fn what_is_cut_is_said() {
        let text = cut(&"é".repeat(MAX_LINE), MAX_LINE);
        assert!(text.ends_with(&format!("é [{MAX_LINE} more bytes]")));
    }
}

//! The lines that `ente dev` prints between those of the system that it runs.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

/// Where the lines go.
pub struct Screen<'w> {
    out: &'w mut dyn Write,
    coloured: bool,
}

impl<'w> Screen<'w> {
    /// Coloured if standard output, which `out` writes to, is a terminal, unless the variable `NO_COLOR` is set.
    pub fn new(out: &'w mut dyn Write) -> Self {
        let coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { out, coloured }
    }

    /// What goes as it should.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub fn good(&mut self, line: impl Display) -> io::Result<()> {
        self.line("32", &line)
    }

    /// What somebody has to look after.
    ///
    /// # Errors
    /// Nobody reads any more.
    pub fn bad(&mut self, line: impl Display) -> io::Result<()> {
        self.line("31", &line)
    }

    fn line(&mut self, colour: &str, line: &dyn Display) -> io::Result<()> {
        match self.coloured {
            true => writeln!(self.out, "\x1b[1;{colour}mente dev:\x1b[0m {line}"),
            false => writeln!(self.out, "ente dev: {line}"),
        }?;
        self.out.flush()
    }
}

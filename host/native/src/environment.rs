//! The environment of a native Ente: clean, and built from four sources.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

/// What a native Ente inherits from PID 1. Everything else there is PID 1's own business.
const INHERITED: [&str; 4] = ["PATH", "TERM", "LANG", "RUST_LOG"];

/// `PATH` where PID 1 has none: the kernel gives the first process only `HOME` and `TERM`.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables by name, so that none appears twice and the order is always the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<Vec<u8>, Value>,
}

/// What a variable holds.
#[derive(Clone, Debug)]
enum Value {
    Text(Vec<u8>),
    /// The process id of the program, which the executor fills in: nobody knows it before.
    OwnPid,
}

/// A name or value that no environment can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadVariable {
    /// The name, for the message.
    pub(crate) name: String,
    /// What is wrong with it.
    pub(crate) problem: &'static str,
}

impl Environment {
    /// What is inherited, out of `variables`: PID 1's own.
    pub(crate) fn inherited(variables: impl Iterator<Item = (OsString, OsString)>) -> Environment {
        let mut environment = Environment::default();
        environment
            .variables
            .insert(b"PATH".to_vec(), Value::Text(DEFAULT_PATH.into()));
        for (name, value) in variables {
            if INHERITED.iter().any(|inherited| name == *inherited) {
                environment
                    .variables
                    .insert(name.into_vec(), Value::Text(value.into_vec()));
            }
        }
        environment
    }

    /// Sets a variable; a later value replaces an earlier one.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), BadVariable> {
        let problem = if name.is_empty() {
            "its name is empty"
        } else if name.contains('=') {
            "its name contains \"=\""
        } else if name.contains('\0') || value.contains('\0') {
            "it contains a NUL character"
        } else {
            self.variables
                .insert(name.as_bytes().to_vec(), Value::Text(value.into()));
            return Ok(());
        };
        Err(BadVariable {
            name: name.to_owned(),
            problem,
        })
    }

    /// Sets a variable to the process id of the program.
    pub(crate) fn set_own_pid(&mut self, name: &'static str) {
        let name = name.as_bytes().to_vec();
        self.variables.insert(name, Value::OwnPid);
    }

    /// As a plan takes them: `NAME=VALUE`, or `NAME` alone for the process id, in the order of the names.
    pub(crate) fn strings(self) -> Vec<CString> {
        self.variables
            .into_iter()
            .filter_map(|(name, value)| {
                // Never fails: `set` refuses NUL, and the kernel cannot hand one over.
                match value {
                    Value::Text(value) => {
                        CString::new([name.as_slice(), b"=", value.as_slice()].concat()).ok()
                    }
                    Value::OwnPid => CString::new(name).ok(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(environment: Environment) -> Vec<String> {
        let strings = environment.strings();
        strings
            .into_iter()
            .map(|s| s.into_string().unwrap())
            .collect()
    }

    fn inherited(variables: &[(&str, &str)]) -> Environment {
        let own = |(name, value): &(&str, &str)| (name.into(), value.into());
        Environment::inherited(variables.iter().map(own))
    }

    #[test]
    fn only_four_variables_are_inherited() {
        let environment = inherited(&[
            ("HOME", "/"),
            ("LANG", "C"),
            ("LD_PRELOAD", "/evil.so"),
            ("PATH", "/bin"),
            ("RUST_LOG", "debug"),
            ("TERM", "linux"),
            ("TERMINFO", "/x"),
        ]);
        assert_eq!(
            texts(environment),
            ["LANG=C", "PATH=/bin", "RUST_LOG=debug", "TERM=linux"]
        );
    }

    #[test]
    fn a_path_is_always_there() {
        assert_eq!(
            texts(inherited(&[("TERM", "linux")])),
            [&format!("PATH={DEFAULT_PATH}"), "TERM=linux"]
        );
    }

    #[test]
    fn a_later_value_replaces_an_earlier_one() {
        let mut environment = inherited(&[("PATH", "/bin")]);
        environment.set("PATH", "/mine").unwrap();
        environment.set("A", "").unwrap();
        assert_eq!(texts(environment), ["A=", "PATH=/mine"]);
    }

    #[test]
    fn impossible_variables_are_refused() {
        for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0y")] {
            let error = Environment::default().set(name, value).unwrap_err();
            assert_eq!(error.name, name);
        }
    }
}

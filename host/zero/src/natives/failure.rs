//! Why a process could not be started, in the words of its Card: the field, what it says, and what to do.

use arje_card::{Card, Payload};
use arje_native::{ExecFailure, StepKind};
use arje_supervisor::ExitStatus;
use nix::errno::Errno;

/// A step of the plan that failed. Without the Card, which is not known of a process that another image of this
/// program started, what the executor said has to do.
pub fn exec_failed(failure: &ExecFailure, card: Option<&Card>) -> ExitStatus {
    let message = card
        .and_then(|card| explain(failure, card))
        .unwrap_or_else(|| plain(failure));
    start_failed(failure.step.name(), message)
}

/// A start that failed in this step.
pub fn start_failed(step: &str, error: impl ToString) -> ExitStatus {
    ExitStatus::StartFailed {
        step: step.to_owned(),
        message: error.to_string(),
    }
}

fn plain(failure: &ExecFailure) -> String {
    failure.reason()
}

fn explain(failure: &ExecFailure, card: &Card) -> Option<String> {
    match failure.step {
        StepKind::Exec => exec(failure, card),
        StepKind::Mounts => mount(failure, card),
        _ => None,
    }
}

fn exec(failure: &ExecFailure, card: &Card) -> Option<String> {
    let (field, path) = match &card.payload {
        Payload::Native(native) => ("payload.Native.exec", &native.exec),
        Payload::Legacy(legacy) => ("payload.Legacy.exec", &legacy.exec),
        // The program of a component's process is the image's.
        Payload::Wasm(_) | Payload::Virtual => return None,
    };
    let remedy = match failure.errno {
        // The kernel says the same of both (execve(2)).
        Errno::ENOENT => {
            "the program, or the interpreter that it names, is not among the files that the Ente sees: install it, or \
             correct the path"
        }
        Errno::EACCES => {
            "it has to be a file with the mode to be executed, in a place where permissions.filesystem and the user in \
             soma.run_as allow that"
        }
        Errno::ENOEXEC => {
            "it is neither a program for this machine nor a script that begins with `#!`: correct the path"
        }
        _ => return Some(format!("{field}: {path:?}: {}", failure.errno.desc())),
    };
    let why = failure.errno.desc();
    Some(format!("{field}: {path:?}: {why}; {remedy}"))
}

fn mount(failure: &ExecFailure, card: &Card) -> Option<String> {
    let mounts = &card.soma.mounts;
    let is_subject = |path: &str| path == failure.subject;
    let binds = mounts.binds.iter().enumerate().flat_map(|(index, bind)| {
        let field = |name| format!("soma.mounts.binds[{index}].{name}");
        [
            (&bind.source, field("source")),
            (&bind.target, field("target")),
        ]
    });
    let tmpfs = mounts.tmpfs.iter().enumerate().map(|(index, tmpfs)| {
        let field = format!("soma.mounts.tmpfs[{index}].target");
        (&tmpfs.target, field)
    });
    let credentials = card.credentials.iter().enumerate().map(|(index, given)| {
        let field = format!("credentials[{index}].source");
        (&given.source, field)
    });
    let mut paths = binds.chain(tmpfs).chain(credentials);
    let (path, field) = paths.find(|(path, _)| is_subject(path))?;
    Some(match failure.errno {
        Errno::ENOENT => format!(
            "{field}: {path:?}: {}; make it, correct the path, or remove the entry",
            failure.errno.desc()
        ),
        // It has words of its own.
        Errno::ELOOP => format!("{field}: {}", failure.reason()),
        errno => format!("{field}: {path:?}: {}", errno.desc()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arje_card::{Bind, Credential, Id, NativePayload, Supervision};

    fn card() -> Card {
        let payload = Payload::Native(NativePayload {
            exec: "/bin/none".into(),
            ..NativePayload::default()
        });
        let mut card = Card::new(Id::from_bytes([1; 16]), "x", payload, Supervision::OneShot);
        let bind = |source: &str, target: &str| Bind {
            source: source.into(),
            target: target.into(),
            ro: true,
        };
        card.soma.mounts.binds = vec![bind("/a", "/b"), bind("/c", "/d")];
        card.credentials = vec![Credential {
            name: "key".into(),
            source: "/etc/key".into(),
        }];
        card
    }

    fn said(step: StepKind, errno: Errno, subject: &str, card: Option<&Card>) -> String {
        let failure = ExecFailure {
            step,
            errno,
            subject: subject.into(),
        };
        exec_failed(&failure, card).to_string()
    }

    #[test]
    fn the_field_and_the_remedy_are_named() {
        let card = card();
        let of = |step, errno, subject| said(step, errno, subject, Some(&card));
        assert_eq!(
            of(StepKind::Exec, Errno::ENOENT, "/bin/none"),
            "could not be started: exec: payload.Native.exec: \"/bin/none\": No such file or directory; the program, or \
             the interpreter that it names, is not among the files that the Ente sees: install it, or correct the path"
        );
        for (errno, remedy) in [
            (Errno::EACCES, "permissions.filesystem"),
            (Errno::ENOEXEC, "`#!`"),
            (Errno::E2BIG, "Argument list too long"),
        ] {
            let text = of(StepKind::Exec, errno, "/bin/none");
            assert!(
                text.contains("payload.Native.exec") && text.contains(remedy),
                "{text}"
            );
        }
        for (subject, field) in [
            ("/c", "soma.mounts.binds[1].source: \"/c\""),
            ("/b", "soma.mounts.binds[0].target: \"/b\""),
            ("/etc/key", "credentials[0].source: \"/etc/key\""),
        ] {
            let text = of(StepKind::Mounts, Errno::ENOENT, subject);
            let expected = format!(
                "could not be started: mounts: {field}: No such file or directory; make it, correct the path, or remove \
                 the entry"
            );
            assert_eq!(text, expected);
        }
        let text = of(StepKind::Mounts, Errno::ELOOP, "/c");
        assert!(
            text.contains("soma.mounts.binds[1].source: \"/c\" leads over a symbolic link"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_the_cards_is_said_as_it_is() {
        let card = card();
        for card in [Some(&card), None] {
            assert_eq!(
                said(StepKind::Mounts, Errno::EPERM, "/proc", card),
                "could not be started: mounts: Operation not permitted: \"/proc\""
            );
        }
    }
}

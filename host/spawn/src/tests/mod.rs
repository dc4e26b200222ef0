//! Encoder and decoder against each other, and the decoder against everything else.

mod confinement;

use alloc::ffi::CString;
use alloc::vec::Vec;

use proptest::prelude::*;

use self::confinement::confinement;

use crate::{
    Confinement, DecodeError, EncodeError, MAX_PASSED, MAX_PLAN_BYTES, MAX_STRINGS, Namespaces,
    Plan, Recipe, Resource, Rlimit, Step, StepKind, encode,
};

const FILES: Rlimit = Rlimit {
    resource: Resource::Files,
    limit: 64,
};
const MEMORY: Rlimit = Rlimit {
    resource: Resource::AddressSpace,
    limit: u64::MAX,
};

fn strings(values: &[&str]) -> Vec<CString> {
    values.iter().map(|v| CString::new(*v).unwrap()).collect()
}

/// Nothing around the program.
static PLAIN: Confinement = Confinement {
    namespaces: Namespaces {
        mount: false,
        net: false,
        uts: false,
        ipc: false,
        cgroup: false,
    },
    host_name: None,
    loopback: false,
    mounts: Vec::new(),
    user_namespace: None,
    init: false,
    affinity: None,
    no_new_privileges: false,
    landlock: None,
    capabilities: None,
    credentials: None,
    seccomp: Vec::new(),
};

fn recipe(argv: &[CString]) -> Recipe<'_> {
    Recipe {
        confinement: &PLAIN,
        terminal: false,
        umask: 0o022,
        working_directory: c"/",
        passed: 0,
        rlimits: &[],
        program: c"/bin/true",
        argv,
        envp: &[],
    }
}

fn kinds(bytes: &[u8]) -> Vec<StepKind> {
    Plan::parse(bytes)
        .unwrap()
        .steps()
        .map(|step| step.unwrap().kind())
        .collect()
}

/// A record as the format describes it.
fn record(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from([tag, 0, 0, 0]);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A plan of these records with a right header.
fn plan(records: &[Vec<u8>]) -> Vec<u8> {
    let body = records.concat();
    let mut bytes = Vec::from(*b"ENTEPLAN\x03\x00");
    bytes.extend_from_slice(&(records.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&(16 + body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn descriptors() -> Vec<u8> {
    record(0x48, &[0; 4])
}

fn exec() -> Vec<u8> {
    record(
        0x7f,
        b"/x\0\x01\x00\x00\x00\x02\x00\x00\x00x\0\x00\x00\x00\x00\x00\x00\x00\x00",
    )
}

#[test]
fn the_bytes_are_pinned() {
    let argv = strings(&["x"]);
    let bytes = encode(&Recipe {
        program: c"/x",
        ..recipe(&argv)
    })
    .unwrap();
    let expected = plan(&[
        record(0x10, &[]),
        record(0x20, &[0o022, 0, 0, 0]),
        record(0x40, b"/\0"),
        descriptors(),
        exec(),
    ]);
    assert_eq!(bytes, expected);
}

#[test]
fn steps_come_in_the_one_order() {
    let argv = strings(&["true"]);
    let bytes = encode(&Recipe {
        terminal: true,
        rlimits: &[MEMORY, FILES],
        confinement: &confinement(),
        ..recipe(&argv)
    })
    .unwrap();
    let mut expected = Vec::from(StepKind::ALL);
    expected.drain(..2); // A plan holds neither the step that reads it nor the one before.
    for repeated in [StepKind::Rlimit, StepKind::Seccomp] {
        let place = expected.iter().position(|kind| *kind == repeated).unwrap();
        expected.insert(place, repeated);
    }
    assert_eq!(kinds(&bytes), expected);
}

#[test]
fn the_encoder_refuses_what_the_format_cannot_hold() {
    let argv = strings(&["true"]);
    let many = strings(&[""; MAX_STRINGS + 1]);
    let huge = [CString::new(Vec::from([b'a'; 1 << 16]).repeat(128)).unwrap()];
    let length = |bytes: &[CString]| match encode(&recipe(bytes)) {
        Err(EncodeError::TooLong(length)) => length,
        other => panic!("{other:?}"),
    };
    assert!(length(&huge) > MAX_PLAN_BYTES);
    let cases = [
        (
            Recipe {
                program: c"true",
                ..recipe(&argv)
            },
            EncodeError::RelativePath(StepKind::Exec),
        ),
        (
            Recipe {
                working_directory: c"",
                ..recipe(&argv)
            },
            EncodeError::RelativePath(StepKind::WorkingDirectory),
        ),
        (
            Recipe {
                umask: 0o1000,
                ..recipe(&argv)
            },
            EncodeError::Umask(0o1000),
        ),
        (
            Recipe {
                passed: MAX_PASSED + 1,
                ..recipe(&argv)
            },
            EncodeError::TooManyDescriptors(MAX_PASSED + 1),
        ),
        (
            Recipe {
                rlimits: &[FILES, MEMORY, FILES],
                ..recipe(&argv)
            },
            EncodeError::RepeatedLimit(FILES),
        ),
        (recipe(&[]), EncodeError::NoArguments),
        (recipe(&many), EncodeError::TooManyStrings(MAX_STRINGS + 1)),
    ];
    for (recipe, expected) in cases {
        assert_eq!(encode(&recipe), Err(expected));
    }
}

#[test]
fn malformed_plans_are_refused_by_name() {
    let good = plan(&[descriptors(), exec()]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let cases = [
        (Vec::new(), DecodeError::Truncated),
        (
            Vec::from([0; 65536]).repeat(129),
            DecodeError::TooLong(129 << 16),
        ),
        (with(0, b'e'), DecodeError::Magic),
        (with(8, 2), DecodeError::Version(2)),
        (with(10, 3), DecodeError::Length),
        (with(12, 0), DecodeError::Length),
        (with(17, 1), DecodeError::Reserved),
        (with(16, 0x47), DecodeError::UnknownStep(0x47)),
        (with(16, 0x00), DecodeError::UnknownStep(0x00)),
        (with(20, 0xff), DecodeError::Truncated),
        (plan(&[]), DecodeError::Missing(StepKind::Descriptors)),
        (plan(&[exec()]), DecodeError::Missing(StepKind::Descriptors)),
        (plan(&[descriptors()]), DecodeError::Missing(StepKind::Exec)),
        (
            plan(&[exec(), descriptors()]),
            DecodeError::Order(StepKind::Descriptors),
        ),
        (
            plan(&[descriptors(), descriptors(), exec()]),
            DecodeError::Order(StepKind::Descriptors),
        ),
        (
            plan(&[
                descriptors(),
                record(0x58, &[9; 9]),
                record(0x58, &[7; 9]),
                exec(),
            ]),
            DecodeError::Order(StepKind::Rlimit),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Plan::parse(&bytes).map(|_| ()), Err(expected));
    }
}

#[test]
fn malformed_bodies_are_refused_by_step() {
    let no_arguments = b"/x\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let relative = b"x\0\x01\0\0\0\x02\0\0\0x\0\0\0\0\0\0\0\0\0";
    let too_few = b"/x\0\x02\0\0\0\x02\0\0\0x\0\0\0\0\0\0\0\0\0";
    let unterminated = b"/x\0\x01\0\0\0\x02\0\0\0\0x\0\0\0\0\0\0\0\0";
    let no_path = b"/x";
    let cases: [(u8, &[u8]); 32] = [
        (0x28, &[0]),
        (0x28, &[32]),
        (0x2a, b"\0"),
        (0x2c, &[0]),
        (0x30, b""),
        (0x30, b"\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0/x\0"),
        (0x30, b"\x03\x02\0\0\0\0\0\0\0\0\0\0\0\0\0/x\0"),
        (0x30, b"\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0x\0"),
        (0x30, b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0/x\0"),
        (0x34, &[0, 0, 0, 0]),
        (0x38, &[0]),
        (0x3c, &[0]),
        (0x50, &[1, 0, 0]),
        (0x60, &[0]),
        (0x64, &[0; 23]),
        (
            0x64,
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04/x\0",
        ),
        (0x68, &[0; 7]),
        (0x6c, &[0; 9]),
        (0x70, &[0; 7]),
        (0x70, b""),
        (0x10, &[0]),
        (0x20, &[0, 2]),
        (0x20, &[0, 2, 0, 0]),
        (0x40, b"relative\0"),
        (0x40, b"/x\0surplus"),
        (0x58, &[1, 0, 0, 0, 0, 0, 0, 0, 0]),
        (0x58, &[7, 0, 0, 0, 0, 0, 0, 0]),
        (0x7f, no_arguments),
        (0x7f, relative),
        (0x7f, too_few),
        (0x7f, unterminated),
        (0x7f, no_path),
    ];
    for (tag, body) in cases {
        let kind = StepKind::from_tag(tag).unwrap();
        let mut records = Vec::from([record(tag, body)]);
        let place = usize::from(kind > StepKind::Descriptors);
        records.insert(1 - place, descriptors());
        records.sort_by_key(|record| record[0]);
        if kind != StepKind::Exec {
            records.push(exec());
        }
        assert_eq!(
            Plan::parse(&plan(&records)).map(|_| ()),
            Err(DecodeError::Body(kind)),
            "{tag:#x} {body:?}"
        );
    }
    let too_many = record(0x48, &(MAX_PASSED + 1).to_le_bytes());
    assert_eq!(
        Plan::parse(&plan(&[too_many, exec()])).map(|_| ()),
        Err(DecodeError::Body(StepKind::Descriptors))
    );
}

fn c_string() -> impl Strategy<Value = CString> {
    prop::collection::vec(1u8..=255, 0..20).prop_map(|bytes| CString::new(bytes).unwrap())
}

fn c_path() -> impl Strategy<Value = CString> {
    c_string().prop_map(|tail| {
        let mut path = Vec::from([b'/']);
        path.extend_from_slice(tail.as_bytes());
        CString::new(path).unwrap()
    })
}

fn rlimits() -> impl Strategy<Value = Vec<Rlimit>> {
    let all = Vec::from([Resource::Processes, Resource::Files, Resource::AddressSpace]);
    (prop::sample::subsequence(all, 0..=3), any::<u64>()).prop_map(|(resources, limit)| {
        let limited = |resource| Rlimit { resource, limit };
        resources.into_iter().map(limited).collect()
    })
}

/// What a plan says, as owned values in the fields of a recipe.
#[derive(Debug, Default, PartialEq)]
struct Content {
    terminal: bool,
    umask: u32,
    directory: CString,
    passed: u32,
    rlimits: Vec<Rlimit>,
    program: CString,
    argv: Vec<CString>,
    envp: Vec<CString>,
}

fn content(bytes: &[u8]) -> Content {
    let mut content = Content::default();
    for step in Plan::parse(bytes).unwrap().steps() {
        match step.unwrap() {
            Step::Terminal => content.terminal = true,
            Step::Umask(mask) => content.umask = mask,
            Step::WorkingDirectory(path) => content.directory = path.into(),
            Step::Descriptors { passed } => content.passed = passed,
            Step::Rlimit(rlimit) => content.rlimits.push(rlimit),
            Step::Exec {
                program,
                argv,
                envp,
            } => {
                assert_eq!(argv.count(), argv.iter().count());
                assert_eq!(envp.count(), envp.iter().count());
                content.program = program.into();
                content.argv = argv.iter().map(CString::from).collect();
                content.envp = envp.iter().map(CString::from).collect();
            }
            _ => {}
        }
    }
    content
}

prop_compose! {
    fn contents()(
        terminal in any::<bool>(),
        umask in 0u32..=0o777,
        directory in c_path(),
        passed in 0..=MAX_PASSED,
        rlimits in rlimits(),
        program in c_path(),
        argv in prop::collection::vec(c_string(), 1..8),
        envp in prop::collection::vec(c_string(), 0..8),
    ) -> Content {
        Content { terminal, umask, directory, passed, rlimits, program, argv, envp }
    }
}

impl Content {
    fn encode(&self) -> Vec<u8> {
        encode(&Recipe {
            terminal: self.terminal,
            confinement: &confinement(),
            umask: self.umask,
            working_directory: &self.directory,
            passed: self.passed,
            rlimits: &self.rlimits,
            program: &self.program,
            argv: &self.argv,
            envp: &self.envp,
        })
        .unwrap()
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(contents in contents()) {
        prop_assert_eq!(content(&contents.encode()), contents);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Plan::parse(&bytes);
    }

    #[test]
    fn a_damaged_plan_is_refused_or_still_whole(
        contents in contents(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = contents.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        // A changed letter of an argument is another plan, not a damaged one: then every step must be readable.
        if let Ok(plan) = Plan::parse(&bytes) {
            prop_assert!(plan.steps().all(|step| step.is_ok()));
        }
    }

    #[test]
    fn a_shortened_plan_is_refused(contents in contents(), at in any::<prop::sample::Index>()) {
        let bytes = contents.encode();
        prop_assert!(Plan::parse(&bytes[..at.index(bytes.len())]).is_err());
    }
}

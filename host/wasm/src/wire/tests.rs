//! What is written is read, and nothing else is.

use super::*;
use crate::event::EnteInfo;
use arje_bus::limits::{MAX_NAMED, MAX_TEXT};
use arje_bus::{
    Announce, CallError, CallOrigin, EnteState, HandlerError, ListEntes, Process,
    UpdateCapabilities,
};
use arje_card::{
    Capability, Card, DeviceClass, Entry, Id, InterfaceId, Netlink, Payload, Pin, Supervision,
    WasmPayload,
};

/// Splits off the length, which must be right.
fn inner(frame: &[u8]) -> &[u8] {
    let (length, rest) = frame.split_at(4);
    assert_eq!(
        u32::from_le_bytes(length.try_into().unwrap()) as usize,
        rest.len()
    );
    rest
}

fn reports() -> Vec<Report> {
    let ends = [
        End::Exited(-3),
        End::Failed("no such thing".into()),
        End::Refused("é".into()),
        End::Trapped {
            kind: "stack-overflow",
            message: "deep".into(),
        },
        End::Deadline {
            call: "start",
            after_ms: 5,
        },
        End::Unhealthy(String::new()),
        End::Killed,
        End::HostPanic("index".into()),
    ];
    let ends = ends.into_iter().map(|end| Report::Ended {
        end,
        memory_peak: u64::MAX,
    });
    let line = Report::Line {
        level: Level::Error,
        text: "a line".into(),
    };
    let answers = [
        Ok(vec![0, 1, 2]),
        Err(InvokeError::NotRunning),
        Err(InvokeError::MailboxFull),
        Err(InvokeError::NoSuchFunction("f".into())),
        Err(InvokeError::ProviderDied),
        Err(InvokeError::TooLarge),
        Err(InvokeError::Refused(HandlerError::Unsupported)),
        Err(InvokeError::Refused(HandlerError::BadRequest("b".into()))),
        Err(InvokeError::Refused(HandlerError::Forbidden(String::new()))),
        Err(InvokeError::Refused(HandlerError::Failed("f".into()))),
    ];
    let answers = answers
        .into_iter()
        .map(|answer| Report::Answer { number: 7, answer });
    [Report::Started, Report::Ready, Report::Alive, line]
        .into_iter()
        .chain(ends)
        .chain(answers)
        .chain(questions().into_iter().map(asks))
        .collect()
}

fn asks(question: Question) -> Report {
    Report::Asks {
        number: 9,
        question,
    }
}

fn endpoint() -> Capability {
    Capability::Endpoint {
        interface: InterfaceId([5; 16]),
        version: 2,
    }
}

fn questions() -> Vec<Question> {
    let list = |after| Question::List(ListEntes { after });
    vec![
        Question::Invoke(Invoke {
            capability: endpoint(),
            payload: vec![1, 2, 3],
            deadline_ms: 300,
        }),
        Question::Announce(Announce {
            capabilities: vec![Capability::Power, endpoint()],
        }),
        Question::Update(UpdateCapabilities {
            adds: vec![],
            removes: vec![Capability::Wit("a:b/c@1.0.0".parse().unwrap())],
        }),
        list(None),
        list(Some(Id::from_bytes([3; 16]))),
        Question::Typed {
            function: 7,
            call: Invoke {
                capability: Capability::Wit("a:b/c@1.0.0".parse().unwrap()),
                payload: vec![4, 5],
                deadline_ms: 1,
            },
        },
    ]
    .into_iter()
    .chain(tend::tests::wishes().into_iter().map(Question::Tend))
    .collect()
}

fn told() -> Vec<Told> {
    let ente = |number, pid| EnteInfo {
        id: Id::from_bytes([number; 16]),
        label: "é".into(),
        state: EnteState::Backoff,
        incarnation: 4,
        pid,
        pin: pid.map(|_| Pin([8; 32])),
        provides: vec![endpoint()],
    };
    vec![
        Told::Invoked(Ok(vec![4, 5])),
        Told::Invoked(Err(CallError::NoProvider)),
        Told::Invoked(Err(CallError::Overloaded)),
        Told::Invoked(Err(CallError::Deadline)),
        Told::Invoked(Err(CallError::ProviderDied)),
        Told::Invoked(Err(CallError::Deadlock)),
        Told::Invoked(Err(CallError::TooLarge(7))),
        Told::Invoked(Err(CallError::Refused(HandlerError::Failed("x".into())))),
        Told::Registered(Ok(())),
        Told::Registered(Err("not now".into())),
        Told::Page(vec![]),
        Told::Page(vec![ente(1, None), ente(2, Some(77))]),
        Told::Differs("two types".into()),
    ]
    .into_iter()
    .chain(tend::tests::tended().into_iter().map(Told::Tended))
    .collect()
}

fn commands() -> Vec<Command> {
    let caller = |origin, label: Option<&str>| CallFrom {
        ente: label.map(|_| Id::from_bytes([6; 16])),
        label: label.map(str::to_owned),
        origin,
    };
    let process = CallOrigin::Process(Process {
        pid: 1,
        uid: 2,
        gid: 3,
    });
    let handle = |caller| Command::Handle {
        number: 11,
        caller,
        call: Invoke {
            capability: endpoint(),
            payload: vec![9],
            deadline_ms: 1,
        },
    };
    let told = told().into_iter().map(|told| Command::Told {
        number: u64::MAX,
        told,
    });
    [
        Command::Start {
            incarnation: 7,
            card: "{}".into(),
        },
        Command::Stop(StopReason::Shutdown),
        Command::Call {
            number: 1,
            function: "ns:pkg/iface@1.0.0#f".repeat(100),
            payload: vec![0xff; 3],
        },
        handle(caller(CallOrigin::Component, Some("one"))),
        handle(caller(process, None)),
        Command::Typed {
            number: 12,
            function: "get-all".into(),
            caller: caller(CallOrigin::Component, Some("one")),
            call: Invoke {
                capability: Capability::Wit("a:b/c@1.0.0".parse().unwrap()),
                payload: vec![1],
                deadline_ms: 2,
            },
        },
    ]
    .into_iter()
    .chain(told)
    .chain(tend::tests::events())
    .collect()
}

#[test]
fn what_is_written_is_read() {
    for report in reports() {
        assert_eq!(Report::decode(inner(&report.encode())), Ok(report));
    }
    for command in commands() {
        assert_eq!(Command::decode(inner(&command.encode())), Ok(command));
    }
}

#[test]
fn no_cut_and_no_addition_is_taken() {
    for report in reports() {
        let frame = report.encode();
        let frame = inner(&frame);
        for end in 0..frame.len() {
            // A text may end anywhere, so its frame may become another text, never the same.
            assert_ne!(Report::decode(&frame[..end]), Ok(report.clone()));
        }
        let longer = [frame, b"x"].concat();
        assert_ne!(Report::decode(&longer), Ok(report));
    }
    for command in commands() {
        let frame = command.encode();
        let frame = inner(&frame);
        for end in 0..frame.len() {
            assert_ne!(Command::decode(&frame[..end]), Ok(command.clone()));
        }
        let longer = [frame, b"x"].concat();
        assert_ne!(Command::decode(&longer), Ok(command));
    }
    assert!(Report::decode(&[STARTED, 0]).is_err());
    assert!(Report::decode(&[]).is_err());
    assert!(Report::decode(&[0x7f]).is_err());
    assert!(Report::decode(&[LINE, 9, b'x']).is_err());
}

#[test]
fn unknown_words_of_an_end_are_not_repeated() {
    let kind = Writer::new(ENDED).u64(0).u8(3).text("made-up").rest("m");
    let call = Writer::new(ENDED).u64(0).u8(4).text("made-up").u64(1);
    let end = |writer: Writer| match Report::decode(inner(&writer.frame())) {
        Ok(Report::Ended { end, .. }) => end,
        other => panic!("{other:?}"),
    };
    assert!(matches!(end(kind), End::Trapped { kind: "other", .. }));
    assert!(matches!(end(call), End::Deadline { call: "a call", .. }));
}

#[test]
fn a_line_always_fits() {
    let text = "é".repeat(MAX_LINE_TEXT);
    let line = Report::Line {
        level: Level::Info,
        text,
    };
    let frame = line.encode();
    assert!(inner(&frame).len() <= MAX_REPORT);
    let Ok(Report::Line { text, .. }) = Report::decode(inner(&frame)) else {
        panic!("it was not taken")
    };
    assert!(
        text.ends_with(" more bytes]"),
        "{}",
        &text[text.len() - 40..]
    );
}

#[test]
fn the_bytes_of_calls_and_questions_are_these() {
    let number = [9, 0, 0, 0, 0, 0, 0, 0];
    let bytes = |question| inner(&asks(question).encode()).to_vec();
    let word = |number: u8| [number, 0, 0, 0, 0, 0, 0, 0];
    let endpoint = [&[8][..], &[5; 16], &word(2)].concat();
    let asked: Vec<Vec<u8>> = questions().into_iter().map(bytes).collect();
    let expected: [Vec<u8>; 6] = [
        [
            &[0][..],
            &endpoint,
            &[0x2c, 1, 0, 0, 0, 0, 0, 0],
            &[1, 2, 3],
        ]
        .concat(),
        [&[1][..], &word(2), &[5], &endpoint].concat(),
        [
            &[2][..],
            &word(0),
            &word(1),
            &[9, 11, 0, 0, 0],
            b"a:b/c@1.0.0",
        ]
        .concat(),
        vec![3],
        [&[4][..], &[3; 16]].concat(),
        [
            &[5][..],
            &word(7),
            &[9, 11, 0, 0, 0],
            b"a:b/c@1.0.0",
            &word(1),
            &[4, 5],
        ]
        .concat(),
    ];
    for (asked, body) in asked.iter().zip(expected) {
        assert_eq!(*asked, [&[0x47][..], &number, &body].concat());
    }
    let handle = commands().remove(4).encode();
    let expected = [
        &[4][..],
        &word(11),
        &[0, 1], // no Ente, a process
        &word(1),
        &word(2),
        &word(3),
        &endpoint,
        &word(1),
        &[9],
    ];
    assert_eq!(inner(&handle), expected.concat());
    let typed = commands().remove(5).encode();
    let expected = [
        &[6][..],
        &word(12),
        &[7, 0, 0, 0],
        b"get-all",
        &[1],
        &[6; 16],
        &[3, 0, 0, 0],
        b"one",
        &[0], // a component
        &[9, 11, 0, 0, 0],
        b"a:b/c@1.0.0",
        &word(2),
        &[1],
    ];
    assert_eq!(inner(&typed), expected.concat());
}

#[test]
fn every_capability_crosses() {
    let class = |class| Capability::Device { class };
    let mut capabilities: Vec<Capability> = DeviceClass::ALL.into_iter().map(class).collect();
    capabilities.extend([
        Capability::FilesystemRoot,
        Capability::LegacyLogind,
        Capability::Spawn,
        Capability::Journal,
        Capability::SwitchRoot,
        Capability::Power,
        Capability::KernelNetlink(Netlink::Uevent),
        Capability::KernelNetlink(Netlink::Route),
        Capability::KernelNetlink(Netlink::Generic),
        Capability::KernelNetlink(Netlink::Audit),
        endpoint(),
        Capability::Wit("acme:kv/store@1.2.0".parse().unwrap()),
    ]);
    let report = asks(Question::Announce(Announce { capabilities }));
    assert_eq!(Report::decode(inner(&report.encode())), Ok(report));
}

#[test]
fn a_question_is_bounded() {
    let refused = |question| Report::decode(inner(&asks(question).encode())).unwrap_err();
    let most = arje_bus::MAX_PAYLOAD;
    let call = |capability, bytes| {
        Question::Invoke(Invoke {
            capability,
            payload: vec![0; bytes],
            deadline_ms: 1,
        })
    };
    assert!(refused(call(endpoint(), most + 1)).0.contains("payload"));
    let largest = asks(call(endpoint(), most)).encode();
    assert!(inner(&largest).len() <= MAX_REPORT);
    assert!(Report::decode(inner(&largest)).is_ok());
    let long = Capability::Wit(
        format!("a:b/{}@1.0.0", "c".repeat(MAX_TEXT))
            .parse()
            .unwrap(),
    );
    assert!(!can_name(&long));
    refused(call(long.clone(), 1));
    let many = vec![Capability::Power; MAX_NAMED + 1];
    refused(Question::Announce(Announce {
        capabilities: many.clone(),
    }));
    for (adds, removes) in [(many.clone(), vec![]), (vec![], many)] {
        refused(Question::Update(UpdateCapabilities { adds, removes }));
    }
    assert!(Report::decode(&[&[ASKS][..], &[0; 8], &[5]].concat()).is_err());
}

#[test]
fn a_page_ends_before_it_is_too_long() {
    let name = format!("a:b/{}@1.0.0", "c".repeat(400));
    let provides = vec![Capability::Wit(name.parse().unwrap()); 2 * MAX_NAMED];
    let entes: Vec<EnteInfo> = (0..255)
        .map(|number| EnteInfo {
            id: Id::from_bytes([number; 16]),
            label: "l".repeat(256),
            state: EnteState::Ready,
            incarnation: 1,
            pid: None,
            pin: None,
            provides: provides.clone(),
        })
        .collect();
    let command = Command::Told {
        number: 1,
        told: Told::Page(entes.clone()),
    };
    let frame = command.encode();
    assert!(inner(&frame).len() <= MAX_COMMAND);
    let Ok(Command::Told { told, .. }) = Command::decode(inner(&frame)) else {
        panic!("it was not taken")
    };
    let Told::Page(page) = told else {
        panic!("no page")
    };
    assert!((1..entes.len()).contains(&page.len()), "{}", page.len());
    assert_eq!(page[0].id, entes[0].id);
}

#[test]
fn one_question_for_each_instance() {
    let mut payload = WasmPayload {
        entry: Entry::Service,
        ..WasmPayload::default()
    };
    let mut most = |entry, mailbox| {
        payload.entry = entry;
        let wasm = Payload::Wasm(payload.clone());
        let mut card = Card::new(Id::NIL, "x", wasm, Supervision::OneShot);
        card.limits.mailbox = mailbox;
        questions_at_once(&card)
    };
    assert_eq!(most(Entry::Service, 100), 1);
    assert_eq!(most(Entry::Run, 100), 1);
    assert_eq!(most(Entry::Http, 0), 1);
    assert_eq!(most(Entry::Http, 3), 3);
    assert_eq!(most(Entry::Http, 65_536), 16);
}

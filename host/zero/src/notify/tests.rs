//! What is taken, from whom, and what comes of it.

use super::*;
use arje_card::{NativePayload, Payload, Readiness, Supervision};
use std::os::unix::net::UnixDatagram;

struct Rig {
    notify: Notify,
    sender: UnixDatagram,
    card: Card,
    incarnation: Incarnation,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn new() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let mut poller = Poller::new().unwrap();
        let notify = Notify::listen(&folder.path().join("notify"), None, &mut poller).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(notify.path().unwrap()).unwrap();
        let payload = Payload::Native(NativePayload::default());
        let mut card = Card::new(
            Id::from_bytes([1; 16]),
            "web",
            payload,
            Supervision::OneShot,
        );
        card.readiness = Readiness::Notify;
        Rig {
            notify,
            sender,
            card,
            incarnation: 7,
            _folder: folder,
        }
    }

    /// Says this as a process of the Card's Ente.
    fn say(&mut self, text: &str) -> Vec<Report> {
        self.sender.send(text.as_bytes()).unwrap();
        let (card, incarnation) = (&self.card, self.incarnation);
        let ours = std::process::id() as i32;
        let reports = self
            .notify
            .take(|pid| (pid == ours).then_some(Sender { card, incarnation }));
        reports
            .into_iter()
            .map(|(who, report)| {
                assert_eq!((who.id, who.incarnation), (card.id, incarnation));
                report
            })
            .collect()
    }

    fn said(&self) -> Said {
        self.notify
            .said(self.card.id, self.incarnation)
            .cloned()
            .unwrap()
    }
}

#[test]
fn what_is_said_becomes_reports() {
    let mut rig = Rig::new();
    let ready = Report::Ready {
        by: ReadyBy::Notify,
    };
    assert_eq!(rig.say("READY=1\nSTATUS=up"), [ready]);
    assert_eq!(rig.say("WATCHDOG=1"), [Report::Alive]);
    assert_eq!(rig.say("WATCHDOG=trigger"), [Report::NotAlive]);
    assert_eq!(
        rig.say("WATCHDOG_USEC=1500\nEXTEND_TIMEOUT_USEC=2000000"),
        [Report::Liveness { ms: 2 }, Report::MoreTime { ms: 2000 }]
    );
    // Whether it is watched is its Card's to say.
    assert_eq!(rig.say("WATCHDOG_USEC=0"), []);
    assert_eq!(rig.say("BARRIER=1"), []);
    assert_eq!(rig.said().status, "up");
}

#[test]
fn what_was_said_is_kept_until_the_next_incarnation() {
    let mut rig = Rig::new();
    let ours = std::process::id() as i32;
    rig.say(&format!(
        "STATUS=a\nERRNO=5\nMAINPID={ours}\nSTOPPING=1\nRELOADING=1"
    ));
    let said = rig.said();
    assert_eq!(
        (said.status.as_str(), said.errno, said.main_pid),
        ("a", Some(5), Some(ours))
    );
    assert!(said.stopping && said.reloading);
    let expected = format!("a (reloading; stopping; error 5, I/O error; main process {ours})");
    assert_eq!(said.to_string(), expected);
    // Of another Ente, or of nobody.
    rig.say("MAINPID=1");
    assert_eq!(rig.said().main_pid, Some(ours));
    rig.say("READY=1\nSTATUS=");
    assert!(!rig.said().reloading && rig.said().status.is_empty());
    rig.incarnation += 1;
    assert_eq!(rig.notify.said(rig.card.id, rig.incarnation), None);
    rig.say("STATUS=b");
    assert_eq!(rig.said().main_pid, None);
    rig.notify.removed(rig.card.id);
    assert_eq!(rig.notify.said(rig.card.id, rig.incarnation), None);
}

#[test]
fn nobody_is_heard_whose_card_does_not_say_so() {
    let mut rig = Rig::new();
    rig.card.readiness = Readiness::Started;
    assert_eq!(rig.say("READY=1"), []);
    rig.card.liveness_ms = Some(1000);
    assert_eq!(rig.say("WATCHDOG=1"), [Report::Alive]);
    rig.sender.send(b"READY=1").unwrap();
    assert_eq!(rig.notify.take(|_| None), []);
    assert_eq!(rig.say("READY=1\0x"), []);
    let expected = Ignored {
        malformed: 1,
        strangers: 1,
        uninvited: 1,
    };
    assert_eq!(rig.notify.ignored, expected);
}

#[test]
fn a_flood_is_taken_in_batches() {
    let mut rig = Rig::new();
    rig.sender.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent < 3 * BATCH && rig.sender.send(b"WATCHDOG=1").is_ok() {
        sent += 1;
    }
    let card = rig.card.clone();
    let mut taken = 0;
    while taken < sent {
        let turn = rig.notify.take(|_| {
            Some(Sender {
                card: &card,
                incarnation: 1,
            })
        });
        assert!(!turn.is_empty() && turn.len() <= BATCH);
        taken += turn.len();
    }
    assert_eq!(taken, sent);
}

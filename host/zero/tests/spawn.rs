//! Cards that come by the bus, in dev mode, with real processes; and what a spawner tries in vain.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use arje_bus::{
    CardFile, Client, ClientError, EnteState, ErrorCode, Event, Request, Response, RunCard,
    Subscribe, Target,
};
use common::{DEADLINE, Dev, folder};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;
use tempfile::TempDir;

fn sleeper(label: &str) -> Value {
    let payload = json!({"Native": {"exec": "/bin/sleep", "argv": ["100000"]}});
    let mut card = common::card(
        label,
        payload,
        json!({"Restart": {"initial": 10, "max": 100}}),
    );
    card["permissions"] =
        json!({"networking": "full", "filesystem": "read-write", "processes": true});
    card
}

struct System {
    dev: Dev,
    client: Client,
    cards: PathBuf,
    socket: PathBuf,
}

fn start(folder: TempDir, genesis: &[Value]) -> System {
    let run = folder.path().join("run");
    let cards = folder.path().join("cards");
    fs::create_dir(&cards).unwrap();
    let mut dev = Dev::start(folder, genesis, |command| {
        command.arg("--forever").arg("--run-dir").arg(&run);
        command.env("ARJE_CARDS_DIR", &cards);
    });
    dev.wait("the seed is up");
    let socket = run.join("ente-bus.sock");
    let mut client = Client::connect(&socket).unwrap();
    client
        .request(Request::Subscribe(Subscribe::default()))
        .unwrap();
    System {
        dev,
        client,
        cards,
        socket,
    }
}

impl System {
    fn run(&mut self, card: &Value) -> Result<(), (ErrorCode, String)> {
        let card = card.to_string();
        outcome(self.client.request(Request::RunCard(RunCard { card })))
    }

    fn disk(&mut self, request: fn(CardFile) -> Request, name: &str) -> Result<(), ErrorCode> {
        let name = name.to_owned();
        let answer = self.client.request(request(CardFile { name }));
        outcome(answer).map_err(|(code, _)| code)
    }

    fn wait_ready(&mut self, label: &str) {
        loop {
            let event = self.client.next_event(Some(Instant::now() + DEADLINE));
            if let Event::Ready(what) = event.unwrap()
                && what.label == label
            {
                return;
            }
        }
    }

    /// Waits until nobody has this label any more.
    fn wait_gone(&mut self, label: &str) {
        let deadline = Instant::now() + DEADLINE;
        while self
            .client
            .list()
            .unwrap()
            .iter()
            .any(|ente| ente.label == label)
        {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
    }
}

fn outcome(answer: Result<Response, ClientError>) -> Result<(), (ErrorCode, String)> {
    match answer {
        Ok(Response::Ok) => Ok(()),
        Err(ClientError::Refused(error)) => Err((error.code, error.message)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_card_comes_to_life_while_the_system_runs() {
    let mut system = start(folder(), &[sleeper("first")]);
    let mut tree = sleeper("tree");
    tree["genesis"] = json!([sleeper("leaf")]);
    system.run(&tree).unwrap();
    system.wait_ready("leaf");
    // A second time it is refused, and the first one is not touched.
    let (code, why) = system.run(&tree).unwrap_err();
    assert_eq!(code, ErrorCode::Refused);
    assert!(why.contains("`tree`"), "{why}");
    let all = system.client.list().unwrap();
    let leaf = all.iter().find(|ente| ente.label == "leaf").unwrap();
    assert_eq!(leaf.state, EnteState::Ready);
    let parent = all
        .iter()
        .find(|ente| Some(ente.id) == leaf.parent)
        .unwrap();
    assert_eq!((parent.label.as_str(), parent.parent), ("tree", None));
    // Removed, it can come again.
    let remove = Request::Remove(Target::of("tree"));
    system.client.request(remove).unwrap();
    system.wait_gone("tree");
    system.run(&tree).unwrap();
    system.wait_ready("leaf");
    // The machine is not dev mode's to suspend.
    for request in [Request::Suspend(false), Request::Hibernate(false)] {
        let (code, _) = outcome(system.client.request(request)).unwrap_err();
        assert_eq!(code, ErrorCode::Unsupported);
    }
    assert!(system.dev.stop().0);
}

#[test]
fn a_card_that_cannot_be_is_refused_as_a_whole_with_all_that_is_wrong() {
    let folder = folder();
    let taken = folder.path().join("taken");
    let free = folder.path().join("free");
    let mut system = start(folder, &[sleeper("first")]);
    let mut bad = sleeper("bad");
    bad["payload"]["Native"]["exec"] = json!("relative");
    bad["genesis"] = json!([sleeper("below")]);
    bad["genesis"][0]["soma"] = json!({"rlimits": {"nofile": 0}});
    let (code, why) = system.run(&bad).unwrap_err();
    assert_eq!(code, ErrorCode::BadRequest);
    for path in ["$.payload.Native.exec", "$.genesis[0].soma.rlimits.nofile"] {
        assert!(why.contains(path), "{path} in {why}");
    }
    assert!(system.run(&json!("nonsense")).is_err());

    // One socket can be had, the other one cannot: neither stays, and nobody is taken in.
    let _listener = std::os::unix::net::UnixListener::bind(&taken).unwrap();
    let mut tree = sleeper("tree");
    tree["listen"] = json!([{"name": "free", "unix": free}]);
    let mut leaf = sleeper("leaf");
    leaf["listen"] = json!([{"name": "taken", "unix": taken}]);
    tree["genesis"] = json!([leaf]);
    let (code, why) = system.run(&tree).unwrap_err();
    assert_eq!(code, ErrorCode::Failed);
    assert!(why.contains("`leaf`") && why.contains("in use"), "{why}");
    assert!(UnixStream::connect(&free).is_err());
    // Refused by the supervisor: its label is taken.
    tree["genesis"] = json!([sleeper("first")]);
    assert_eq!(system.run(&tree).unwrap_err().0, ErrorCode::Refused);
    assert!(UnixStream::connect(&free).is_err());
    tree["genesis"] = json!([]);
    system.run(&tree).unwrap();
    system.wait_ready("tree");
    assert!(UnixStream::connect(&free).is_ok());
    system.dev.stop();
}

/// Containers, each as long a text as one frame takes.
fn long(number: u32, bytes: usize) -> Request {
    let label = format!("long-{number}");
    let mut card = common::card(&label, json!("Virtual"), json!("Delegate")).to_string();
    card.push_str(&" ".repeat(bytes - card.len()));
    Request::RunCard(RunCard { card })
}

#[test]
fn a_new_image_knows_how_much_everybody_has_brought() {
    const LONGEST: usize = (1 << 20) - 4096;
    let mut system = start(folder(), &[sleeper("stays")]);
    // 16 MiB are the most; 64 KiB of it are left then.
    for number in 0..16 {
        outcome(system.client.request(long(number, LONGEST))).unwrap();
    }
    outcome(system.client.request(Request::Reexec)).unwrap();
    system.dev.wait("reexec: image 1 took over");
    let mut client = Client::connect(&system.socket).unwrap();
    let (code, text) = outcome(client.request(long(16, 80 << 10))).unwrap_err();
    assert_eq!(code, ErrorCode::Busy, "{text}");
    outcome(client.request(long(17, 40 << 10))).unwrap();
    // Also of what is forgotten then.
    let target = Target::Label("long-0".into());
    outcome(client.request(Request::Remove(target))).unwrap();
    outcome(client.request(long(18, LONGEST))).unwrap();
    assert!(system.dev.stop().0);
}

#[test]
fn cards_of_the_folder_are_spawned_and_stopped_by_name() {
    let mut system = start(folder(), &[sleeper("first")]);
    let write = |system: &System, name: &str, text: &str| {
        fs::write(system.cards.join(name), text).unwrap();
    };
    write(&system, "web.card.json", &sleeper("web").to_string());
    write(&system, "broken.card.json", "{");
    nix::unistd::mkfifo(
        &system.cards.join("fifo"),
        nix::sys::stat::Mode::from_bits_truncate(0o600),
    )
    .unwrap();
    let (spawn, stop) = (Request::SpawnCardFromDisk, Request::StopCardFromDisk);
    assert_eq!(
        system.disk(stop, "web.card.json"),
        Err(ErrorCode::UnknownEnte)
    );
    for _ in 0..2 {
        assert_eq!(system.disk(spawn, "web.card.json"), Ok(()));
        system.wait_ready("web");
        assert_eq!(system.disk(stop, "web.card.json"), Ok(()));
        system.wait_gone("web");
    }
    for (name, code) in [
        ("broken.card.json", ErrorCode::BadRequest),
        ("nobody.card.json", ErrorCode::Failed),
        ("fifo", ErrorCode::Refused),
        ("../seed.card.json", ErrorCode::BadRequest),
    ] {
        assert_eq!(system.disk(spawn, name), Err(code), "{name}");
    }
    assert!(system.dev.stop().0);
}

// --- a spawner under restrictions ----------------------------------------------------------------

/// Not a test: a spawner of another test.
#[test]
#[ignore = "started by the other tests"]
fn probe() {
    let Ok(card) = std::env::var("ARJE_CARD") else {
        return;
    };
    let own: Value = serde_json::from_str(&card).unwrap();
    let mut client =
        Client::connect(&PathBuf::from(std::env::var("ENTE_BUS_SOCK").unwrap())).unwrap();
    let mut run = |card: Value| {
        let card = card.to_string();
        outcome(client.request(Request::RunCard(RunCard { card })))
    };
    let mut powerful = own.clone();
    powerful["holds"] = json!(["Spawn", "Power"]);
    let mut networked = own.clone();
    networked["permissions"]["networking"] = json!("full");
    let mut hidden = own.clone();
    hidden["genesis"] = json!([sleeper("unconfined")]);
    for card in [powerful, networked, hidden, sleeper("unconfined")] {
        let (code, why) = run(card).unwrap_err();
        assert_eq!(code, ErrorCode::Forbidden, "{why}");
        assert!(why.contains("its spawner `spawner`"), "{why}");
    }
    run(own).unwrap();
    println!("\nno more than itself");
    loop {
        thread::park();
    }
}

#[test]
fn a_spawner_brings_nothing_to_life_that_may_more_than_itself() {
    let confined = |mut card: Value| {
        card["permissions"] = json!({
            "networking": "none", "filesystem": "read-write", "processes": true,
            "ipc": {"allow": ["wit-v1"]},
        });
        card["holds"] = json!(["Spawn"]);
        card
    };
    let child = confined(sleeper("child"));
    let mut spawner = confined(sleeper("spawner"));
    spawner["payload"] = json!({"Native": {
        "exec": std::env::current_exe().unwrap(),
        "argv": ["probe", "--exact", "--ignored", "--nocapture"],
        "envp": {"ARJE_CARD": child.to_string()},
    }});
    let mut system = start(folder(), &[spawner]);
    system.dev.wait_once("spawner: no more than itself");
    let all = system.client.list().unwrap();
    let of = |label: &str| all.iter().find(|ente| ente.label == label).unwrap();
    assert_eq!(of("child").parent, Some(of("spawner").id));
    assert!(!all.iter().any(|ente| ente.label == "unconfined"));
    system.dev.stop();
}

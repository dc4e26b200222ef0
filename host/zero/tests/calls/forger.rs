//! An attacker that knows the id of a call: whoever was asked lets it out.

use crate::common::folder;
use crate::roles::{connect, for_ever, say};
use crate::{PATIENT, endpoint};
use crate::{endpoint_json, provider, role, start};
use arje_bus::{CallId, Client, ClientError, ErrorCode};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use crate::common::DEADLINE;

fn place(name: &str) -> PathBuf {
    PathBuf::from(std::env::var("ARJE_FOLDER").unwrap()).join(name)
}

/// Waits for a file of another Ente's; its content.
fn wait_for(name: &str) -> Vec<u8> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Ok(content) = fs::read(place(name)) {
            return content;
        }
        assert!(Instant::now() < deadline, "no {name}");
        thread::yield_now();
    }
}

/// Whole at once, so that nobody reads a part of it.
fn put(name: &str, content: &[u8]) {
    let new = place(&format!("{name}.new"));
    fs::write(&new, content).unwrap();
    fs::rename(new, place(name)).unwrap();
}

/// Lets out the id of the call that it is sent, and answers when that has been tried elsewhere.
pub fn leak() {
    let mut client = connect();
    client.announce(vec![]).unwrap();
    let call = client.next_call(None).unwrap();
    put("leaked", &call.id.0);
    wait_for("tried");
    client.answer(call.id, Ok(b"mine".to_vec())).unwrap();
    for_ever();
}

/// Answers what somebody else was asked.
pub fn forge() {
    let mut client = connect();
    let id = CallId(wait_for("leaked").try_into().unwrap());
    for result in [
        Ok(b"forged".to_vec()),
        Err(arje_bus::HandlerError::Unsupported),
    ] {
        match client.answer(id, result) {
            Err(ClientError::Refused(error)) => assert_eq!(error.code, ErrorCode::Refused),
            other => panic!("{other:?}"),
        }
    }
    say("refused to forge");
    put("tried", b"");
    for_ever();
}

#[test]
fn nobody_answers_the_call_of_another_also_by_its_id() {
    let folder = folder();
    let mut forger = role("forger", "forger", &folder);
    forger["permissions"]["networking"] = json!("none");
    // Whatever it provides itself.
    forger["provides"] = json!([endpoint_json(2)]);
    let genesis = [forger, provider("leaky", "leak", &folder)];
    let (mut dev, socket) = start(folder, &genesis);
    dev.wait("the seed is up");
    let mut client = Client::connect(&socket).unwrap();
    let answer = client.invoke(endpoint(1), vec![], PATIENT).unwrap();
    assert_eq!(answer, Ok(b"mine".to_vec()));
    dev.wait_once("forger: refused to forge");
    dev.stop();
}

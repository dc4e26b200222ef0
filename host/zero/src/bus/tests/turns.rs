//! How much is done in one turn of the core loop.

use super::calls::connect;
use super::*;
use crate::bus::limits::{CARD_BATCH, REQUEST_BATCH};
use arje_bus::{CardFile, RunCard};

/// Connections, each with its token.
fn connected(rig: &mut Rig, count: usize) -> Vec<(UnixStream, u64)> {
    (0..count).map(|_| connect(rig, user(0))).collect()
}

/// Sends frames, and has the server read them, without taking any.
fn send_all(rig: &mut Rig, (stream, token): &mut (UnixStream, u64), frames: &[RequestFrame]) {
    let token = *token;
    stream.set_nonblocking(true).unwrap();
    let bytes: Vec<u8> = frames.iter().flat_map(|it| encode(it).unwrap()).collect();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        if let Ok(count) = stream.write(rest) {
            rest = &rest[count..];
        }
        rig.bus
            .ready(token, rig.now, &mut rig.poller, |_| unreachable!());
    }
    // What is still in the socket.
    for _ in 0..2 * bytes.len() / limits::READ_CHUNK + 2 {
        rig.bus
            .ready(token, rig.now, &mut rig.poller, |_| unreachable!());
    }
}

/// Serials of the requests that are taken in one turn.
fn turn(rig: &mut Rig) -> Vec<u32> {
    rig.bus.begin_turn();
    let mut serials = Vec::new();
    while let Some(incoming) = rig.bus.next_request(rig.now, &mut rig.poller) {
        serials.push(incoming.frame.unwrap().serial);
    }
    serials
}

fn run_card(serial: u32, bytes: usize) -> RequestFrame {
    let card = "x".repeat(bytes);
    let request = Request::RunCard(RunCard { card });
    RequestFrame { serial, request }
}

#[test]
fn large_cards_are_taken_one_in_a_turn_and_small_ones_as_they_come() {
    let mut rig = Rig::new();
    let mut peers = connected(&mut rig, 4);
    for (serial, peer) in (1..4).zip(&mut peers) {
        send_all(&mut rig, peer, &[run_card(serial, CARD_BATCH)]);
    }
    assert_eq!(turn(&mut rig), [1]);
    assert!(rig.bus.has_more(), "the others have their turn");
    assert_eq!(turn(&mut rig), [2]);
    // Other sockets that are ready do not make the turn a longer one.
    send_all(&mut rig, &mut peers[3], &[who_am_i(9)]);
    assert!(rig.bus.next_request(rig.now, &mut rig.poller).is_none());
    assert_eq!(turn(&mut rig), [3]);
    assert_eq!(turn(&mut rig), [9]);
    let mut peers = connected(&mut rig, 8);
    for (serial, peer) in (0..8).zip(&mut peers) {
        send_all(&mut rig, peer, &[run_card(serial, CARD_BATCH / 4)]);
    }
    assert_eq!(turn(&mut rig), [0, 1, 2, 3]);
    assert_eq!(turn(&mut rig), [4, 5, 6, 7]);
}

#[test]
fn files_of_cards_are_taken_one_in_a_turn() {
    let mut rig = Rig::new();
    let name = || CardFile { name: "web".into() };
    let requests = [
        Request::SpawnCardFromDisk(name()),
        Request::StopCardFromDisk(name()),
        Request::WhoAmI,
    ];
    let frames: Vec<RequestFrame> = (0..)
        .zip(requests)
        .map(|(serial, request)| RequestFrame { serial, request })
        .collect();
    let mut peers = connected(&mut rig, 1);
    send_all(&mut rig, &mut peers[0], &frames);
    assert_eq!(turn(&mut rig), [0]);
    assert_eq!(turn(&mut rig), [1]);
    assert_eq!(turn(&mut rig), [2]);
}

#[test]
fn so_many_requests_are_taken_in_a_turn() {
    let mut rig = Rig::new();
    let frames: Vec<RequestFrame> = (0..REQUEST_BATCH as u32 + 5).map(who_am_i).collect();
    let mut peers = connected(&mut rig, 1);
    send_all(&mut rig, &mut peers[0], &frames);
    assert_eq!(turn(&mut rig).len(), REQUEST_BATCH);
    assert_eq!(turn(&mut rig).len(), 5);
    assert!(turn(&mut rig).is_empty());
}

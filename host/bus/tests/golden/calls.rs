//! Calls, and what comes by the bus while the system runs.

use super::{ID, golden, id, label};
use arje_bus::{
    Announce, Answer, Call, CallError, CallFrom, CallId, CallOrigin, CardFile, Freeze,
    HandlerError, Invoke, Invoked, Process, Request, Response, RunCard, ServerFrame, SetMemory,
    SetWeight, UpdateCapabilities,
};
use arje_card::{Capability, InterfaceId};

fn endpoint() -> Capability {
    Capability::Endpoint {
        interface: InterfaceId([0xec; 16]),
        version: 300,
    }
}

const ENDPOINT: &str = "08 ecececececececececececececececec ac02";

#[test]
fn requests_about_calls() {
    let announce = Announce {
        capabilities: vec![Capability::Journal, endpoint()],
    };
    let update = UpdateCapabilities {
        adds: vec![Capability::Spawn],
        removes: vec![],
    };
    let invoke = Invoke {
        capability: endpoint(),
        payload: vec![1, 255],
        deadline_ms: 300,
    };
    let answer = |result| Answer {
        call: CallId([0xc1; 16]),
        result,
    };
    let call = "c1".repeat(16);
    let failed = HandlerError::Failed("f".into());
    let cases: Vec<(Request, String)> = vec![
        (Request::Announce(announce), format!("10 02 03 {ENDPOINT}")),
        (Request::UpdateCapabilities(update), "11 01 02 00".into()),
        (
            Request::Invoke(invoke),
            format!("12 {ENDPOINT} 02 01 ff ac02"),
        ),
        (
            Request::Answer(answer(Ok(vec![7]))),
            format!("13 {call} 00 01 07"),
        ),
        (
            Request::Answer(answer(Err(failed))),
            format!("13 {call} 01 03 0166"),
        ),
    ];
    for (request, bytes) in cases {
        golden(&request, &bytes);
    }
}

#[test]
fn capabilities() {
    use Capability as C;
    use arje_card::DeviceClass as D;
    use arje_card::Netlink as N;
    let device = |class| C::Device { class };
    let cases = [
        (C::FilesystemRoot, "00"),
        (C::LegacyLogind, "01"),
        (C::Spawn, "02"),
        (C::Journal, "03"),
        (C::SwitchRoot, "04"),
        (C::Power, "05"),
        (C::KernelNetlink(N::Uevent), "06 00"),
        (C::KernelNetlink(N::Route), "06 01"),
        (C::KernelNetlink(N::Generic), "06 02"),
        (C::KernelNetlink(N::Audit), "06 03"),
        (device(D::Block), "07 00"),
        (device(D::Tty), "07 01"),
        (device(D::Input), "07 02"),
        (device(D::Drm), "07 03"),
        (device(D::Net), "07 04"),
        (device(D::Hidraw), "07 05"),
        (endpoint(), ENDPOINT),
        (
            C::Wit("a:b/c@1.2.3".parse().unwrap()),
            "09 0b 613a622f6340312e322e33",
        ),
    ];
    for (capability, bytes) in cases {
        let announce = Announce {
            capabilities: vec![capability],
        };
        golden(&announce, &format!("01 {bytes}"));
    }
}

#[test]
fn calls_and_what_they_come_to() {
    let call = |ente, label, origin| Call {
        id: CallId([0xc1; 16]),
        caller: CallFrom {
            ente,
            label,
            origin,
        },
        capability: endpoint(),
        payload: vec![7, 8],
        left_ms: 300,
    };
    let call_id = "c1".repeat(16);
    let process = CallOrigin::Process(Process {
        pid: 300,
        uid: 1,
        gid: 2,
    });
    golden(
        &ServerFrame::Call(call(None, None, process)),
        &format!("03 {call_id} 00 00 01 ac02 01 02 {ENDPOINT} 02 0708 ac02"),
    );
    golden(
        &ServerFrame::Call(call(Some(id()), Some("web".into()), CallOrigin::Component)),
        &format!("03 {call_id} 01 {ID} 01 03776562 00 {ENDPOINT} 02 0708 ac02"),
    );
    let refused = |error| CallError::Refused(error);
    let cases = [
        (Ok(vec![9]), "07 00 01 09"),
        (Err(CallError::NoProvider), "07 01 00"),
        (Err(CallError::Overloaded), "07 01 01"),
        (Err(CallError::Deadline), "07 01 02"),
        (Err(CallError::ProviderDied), "07 01 03"),
        (Err(CallError::Deadlock), "07 01 04"),
        (Err(CallError::TooLarge(300)), "07 01 05 ac02"),
        (Err(refused(HandlerError::Unsupported)), "07 01 06 00"),
        (
            Err(refused(HandlerError::BadRequest("b".into()))),
            "07 01 06 01 0162",
        ),
        (
            Err(refused(HandlerError::Forbidden("n".into()))),
            "07 01 06 02 016e",
        ),
        (
            Err(refused(HandlerError::Failed("f".into()))),
            "07 01 06 03 0166",
        ),
    ];
    for (result, bytes) in cases {
        golden(&Response::Invoked(Invoked { result }), bytes);
    }
}

#[test]
fn requests_about_cards() {
    let run = RunCard { card: "{}".into() };
    let file = || CardFile { name: "w".into() };
    golden(&Request::RunCard(run), "14 027b7d");
    golden(&Request::SpawnCardFromDisk(file()), "15 0177");
    golden(&Request::StopCardFromDisk(file()), "16 0177");
    golden(&Request::Remove(label()), "20 01 03776562");
    golden(&Request::Rollback(label()), "21 01 03776562");
    let deploy = arje_bus::Deploy {
        target: label(),
        module: [7; 32],
    };
    let bytes = format!("17 01 03776562{}", "07".repeat(32));
    golden(&Request::Deploy(deploy), &bytes);
    for (paused_us, bytes) in [(None, "08 02 00"), (Some(300), "08 02 01ac02")] {
        let deployed = arje_bus::Deployed {
            incarnation: 2,
            paused_us,
        };
        golden(&Response::Deployed(deployed), bytes);
    }
}

#[test]
fn requests_about_resources() {
    let weight = || SetWeight {
        target: label(),
        weight: 300,
    };
    let memory = || SetMemory {
        target: label(),
        bytes: 300,
    };
    let freeze = Freeze {
        target: label(),
        frozen: true,
    };
    let cases = [
        (Request::SetCpuWeight(weight()), "18 01 03776562 ac02"),
        (Request::SetIoWeight(weight()), "19 01 03776562 ac02"),
        (Request::SetMemoryMax(memory()), "1a 01 03776562 ac02"),
        (Request::SetMemoryHigh(memory()), "1b 01 03776562 ac02"),
        (Request::Freeze(freeze), "1c 01 03776562 01"),
        (Request::Suspend(true), "1d 01"),
        (Request::Hibernate(false), "1e 00"),
    ];
    for (request, bytes) in cases {
        golden(&request, bytes);
    }
}

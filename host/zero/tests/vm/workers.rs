//! Components with a body, in the machine.

use crate::machine::{Booted, folder, restart, seed, shell, tree_with, wasm, with_bus};
use crate::programs::{role, with_itself};
use arje_bus::{Client, SOCKET};
use arje_card::{Capability, InterfaceId};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// A component that stays, with this body.
fn bodied(label: &str, soma: Value) -> Value {
    let mut card = wasm(label, "hello", "service", restart());
    card["soma"] = soma;
    card
}

#[test]
fn a_component_with_a_body_is_a_process_in_it() {
    let soma = json!({
        "namespaces": {"pid": true, "uts": true},
        "rlimits": {"nofile": 64, "mem_bytes": 64 << 20},
        "run_as": {"uid": 4711, "gid": 4711},
        "cpu_affinity": [0],
    });
    let seed = seed(vec![shell(), bodied("greeting", soma), {
        wasm("inside", "hello", "service", restart())
    }]);
    let mut booted = Booted::to_prompt(&seed);
    booted.wait("the seed is up");
    let pin = arje_guest_artifacts::guest("hello").pin();
    booted.wait(&format!("Ente greeting encarnado wasm={}\n", &pin[..12]));
    booted.wait("greeting: hello label=\"greeting\"");

    // One worker, which is the same program as PID 1 and yet not PID 1.
    let worker = booted.answer("pidof ente-worker");
    assert!(worker.parse::<u32>().is_ok(), "one worker: {worker}");
    let look = |what: &str| format!("cat /proc/{worker}/{what}");
    let status = booted.run(&look("status"));
    for line in [
        "Uid:\t4711\t4711\t4711\t4711",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "Cpus_allowed_list:\t0",
    ] {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert!(status.contains(&format!("NSpid:\t{worker}\t2")), "{status}");
    println!(
        "{}",
        booted.run(&format!("cat /proc/{worker}/smaps_rollup"))
    );

    // Killed from outside it is an Ente that was killed, and comes back.
    booted.run(&format!("kill -9 {worker}"));
    booted.wait("Ente greeting: ended by signal 9");
    booted.run("until pidof ente-worker; do sleep 0.1; done");
    assert_ne!(booted.answer("pidof ente-worker"), worker);
}

#[test]
fn limits_of_a_workers_cgroup_hold() {
    let limited = |label: &str, guest: &str, entry: &str, limit: Value| {
        let mut card = wasm(label, guest, entry, json!("OneShot"));
        card["soma"] = json!({"cgroup": limit});
        card["soma"]["cgroup"]["path"] = json!(label);
        card
    };
    // Without the limit of its cgroup it would have all that its own `limits` allow, and say so.
    let mut hog = limited(
        "hog",
        "grow_memory",
        "service",
        json!({"memory_max": 32 << 20}),
    );
    // It touches one page of the processor in each of WebAssembly's, which is 64 MiB of this.
    hog["limits"] = json!({"memory_bytes": 1 << 30});
    let spin = limited(
        "spin",
        "loop_forever_in_run",
        "run",
        json!({"cpu_max": {"quota_us": 5_000}}),
    );
    let mut booted = Booted::to_prompt(&seed(vec![shell(), hog, spin]));
    booted.wait("Ente hog: ended by signal 9");
    booted.run("dmesg | grep -q 'constraint=CONSTRAINT_MEMCG.*ente/hog'");
    booted.run(
        "until grep -q 'nr_throttled [1-9]' /sys/fs/cgroup/ente/spin/cpu.stat; do usleep 20000; done",
    );
}

/// The interface that the guest `bus_peer` calls, in this version.
fn endpoint(version: u16) -> Value {
    json!({"Endpoint": {"interface": "7e570000-0000-0000-0000-000000000000", "version": version}})
}

/// Not a test: a native Ente that has two components call each other.
#[test]
#[ignore = "started in the machine"]
fn asker() {
    if std::env::var("ARJE_ROLE").is_err() {
        return;
    }
    let mut client = Client::connect(Path::new(SOCKET)).unwrap();
    for (version, command) in [(1, "invoke 2 0 who"), (2, "invoke 1 0 who")] {
        let mut uuid = [0; 16];
        uuid[..2].copy_from_slice(&[0x7e, 0x57]);
        let capability = Capability::Endpoint {
            interface: InterfaceId(uuid),
            version,
        };
        let answer = client.invoke(capability, command.into(), Duration::from_secs(60));
        let answer = String::from_utf8(answer.unwrap().unwrap()).unwrap();
        println!("\n{version} was told: {answer}");
    }
    loop {
        std::thread::park();
    }
}

#[test]
fn components_with_and_without_a_body_call_each_other() {
    let peer = |label: &str, version| {
        let mut card = with_bus(wasm(label, "bus_peer", "service", restart()));
        card["provides"] = json!([endpoint(version)]);
        card
    };
    let mut bodied = peer("bodied", 1);
    bodied["soma"] = json!({
        "namespaces": {"pid": true},
        "run_as": {"uid": 4711, "gid": 4711},
    });
    let mut asker = with_bus(role("asker", "workers::asker", "ask"));
    asker["requires"] = json!([endpoint(1), endpoint(2)]);
    let seed = seed(vec![shell(), bodied, peer("plain", 2), asker]);
    let inputs = folder();
    let image = tree_with(inputs.path(), &seed, with_itself);
    let booted = Booted::with_tree(folder(), &image, |_| {});
    booted.wait("1 was told: component bodied for 2");
    booted.wait("2 was told: component plain for 1");
}

#[test]
fn a_typed_service_with_a_body_serves_components_with_and_without_one() {
    let store = json!([{"Wit": "example:kv/store@1.0.0"}]);
    let body = json!({
        "namespaces": {"pid": true},
        "run_as": {"uid": 4711, "gid": 4711},
    });
    let mut kv = with_bus(wasm("kv", "kv", "service", restart()));
    kv["provides"] = store.clone();
    kv["soma"] = body.clone();
    let mut counter = wasm("counter", "kv-counter", "service", restart());
    counter["requires"] = store.clone();
    counter["soma"] = body;
    let mut front = wasm("front", "kv-front", "http", restart());
    front["requires"] = store;
    front["permissions"] = json!({"networking": "loopback"});
    front["listen"] = json!([{"name": "http", "tcp": "127.0.0.1:8080"}]);
    let mut booted = Booted::to_prompt(&seed(vec![shell(), kv, counter, front]));
    booted.wait("the seed is up");
    booted.run("ip link set lo up");
    // What the counter has put into the store, as the front sees it.
    let counted = |at_least: u32| {
        let get = "wget -q -O - http://127.0.0.1:8080/counter";
        format!("until [ $({get} || echo 0) -ge {at_least} ]; do usleep 100000; done 2>/dev/null")
    };
    booted.run(&counted(2));
    // Provider and client die, and find each other again.
    let before = booted.answer("pidof ente-worker");
    assert_eq!(before.split(' ').count(), 2, "{before}");
    let (one, other) = before.split_once(' ').unwrap();
    booted.run(&format!("kill -9 {before}"));
    // Who ends second may have been told to stop first, and says that instead.
    booted.run(&format!(
        "until ! test -e /proc/{one} && ! test -e /proc/{other} && [ $(pidof ente-worker | wc -w) = 2 ]; \
         do usleep 100000; done"
    ));
    booted.run(&counted(2));
}

//! What `soma.cgroup` says is enforced, by a kernel that has the controllers.

use crate::devices::Disk;
use crate::machine::{self, Booted, changed, folder, kernel, native, seed, shell, tree, tree_with};
use serde_json::{Value, json};

/// A native Card with a cgroup named like itself.
fn limited(label: &str, script: &str, mut cgroup: Value) -> Value {
    cgroup["path"] = json!(label);
    let mut card = native(
        label,
        "/bin/sh",
        &["-c", script],
        json!({"Restart": {"initial": 500, "max": 500}}),
    );
    card["start_limit"] = json!({"burst": 1000, "interval_ms": 1000});
    card["soma"] = json!({"cgroup": cgroup});
    card
}

/// Waits in the guest until a shell condition holds.
fn until(booted: &mut Booted, condition: &str) {
    booted.run(&format!("until {condition}; do usleep 20000; done"));
}

#[test]
fn limits_of_cgroups_hold() {
    let spin = "while :; do :; done";
    let forks = "i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done; wait";
    let cards = vec![
        shell(),
        limited(
            "everything",
            "sleep 100000",
            json!({
                "cpu_weight": 50, "io_weight": 70, "memory_max": 67_108_864, "memory_high": 50_331_648,
                "pids_max": 9, "cpu_max": {"quota_us": 50_000, "period_us": 100_000},
            }),
        ),
        limited("pids", forks, json!({"pids_max": 6})),
        limited(
            "memory",
            "tail /dev/zero",
            json!({"memory_max": 16_777_216}),
        ),
        limited(
            "high",
            "head -c 30000000 /dev/zero | tail -c 25000000 | sleep 100000",
            json!({"memory_high": 4_194_304}),
        ),
        limited("cpu", spin, json!({"cpu_max": {"quota_us": 5_000}})),
        limited(
            "io",
            "sleep 100000",
            json!({"io_max": [{"device": "1:0", "wbps": 65_536}]}),
        ),
    ];
    let mut booted = Booted::to_prompt(&seed(cards));

    // All settings, as the kernel understood them.
    until(
        &mut booted,
        "grep -q . /sys/fs/cgroup/ente/everything/cgroup.procs",
    );
    for (file, value) in [
        ("cpu.weight", "50"),
        ("io.weight", "default 70"),
        ("memory.max", "67108864"),
        ("memory.high", "50331648"),
        ("pids.max", "9"),
        ("cpu.max", "50000 100000"),
    ] {
        booted.run(&format!(
            "grep -qx '{value}' /sys/fs/cgroup/ente/everything/{file}"
        ));
    }

    // And that they bite: each of these events is one that only a limit makes.
    until(
        &mut booted,
        "grep -q 'max [1-9]' /sys/fs/cgroup/ente/pids/pids.events",
    );
    until(
        &mut booted,
        "dmesg | grep -q 'constraint=CONSTRAINT_MEMCG.*ente/memory'",
    );
    booted.wait("Ente memory: ended by signal 9: the kernel killed it because memory was out");
    until(
        &mut booted,
        "grep -q 'high [1-9]' /sys/fs/cgroup/ente/high/memory.events",
    );
    until(
        &mut booted,
        "grep -q 'nr_throttled [1-9]' /sys/fs/cgroup/ente/cpu/cpu.stat",
    );

    // A device that is not there fails the start, with the setting; the Ente starts when it has come.
    booted.wait(
        "Ente io: could not be started: cgroup: cannot set soma.cgroup.io_max to 1:0 wbps=65536: ",
    );

    // Every process is where its Ente's cgroup is, PID 1 is in none, and a refused start leaves none.
    booted.run("grep -q '^0::/ente/01J' /proc/self/cgroup && grep -qx '0::/' /proc/1/cgroup");
    booted.run("! grep -q . /sys/fs/cgroup/ente/cgroup.procs");
}

#[test]
fn the_rate_of_a_disk_is_limited() {
    // The only device of the kind whose numbers the kernel gives out as they come.
    const DEVICE: &str = "259:0";
    let read = "until test -e /tmp/go; do usleep 20000; done; touch /tmp/reads; \
                dd if=/dev/nvme0n1 of=/dev/null bs=4k count=256; touch /tmp/has-read; sleep 100000";
    let inputs = folder();
    let disk = Disk::ext4(inputs.path(), "disk");
    let slow = limited(
        "slow",
        read,
        json!({"io_max": [{"device": DEVICE, "rbps": 8_192}]}),
    );
    let image = tree_with(inputs.path(), &seed(vec![shell(), slow]), |options| {
        options.modules = vec!["nvme".into()]; // some kernels have it built in
        options.modules_dir = kernel().modules;
    });
    let mut booted = Booted::with_tree(folder(), &image, |machine| disk.plug(machine, "disk"));
    booted.wait(machine::PROMPT);
    until(
        &mut booted,
        &format!("grep -qx {DEVICE} /sys/block/nvme0n1/dev"),
    );
    let setting = "/sys/fs/cgroup/ente/slow/io.max";
    until(
        &mut booted,
        &format!("grep -q '^{DEVICE} rbps=8192 ' {setting}"),
    );

    // One MiB would take it two minutes; others read eight meanwhile.
    until(&mut booted, "touch /tmp/go && test -e /tmp/reads");
    booted.run("dd if=/dev/nvme0n1 of=/dev/null bs=64k skip=64 count=128");
    booted.run("! test -e /tmp/has-read");
    // And it is the limit that held it.
    booted.run(&format!("echo '{DEVICE} rbps=max' > {setting}"));
    until(&mut booted, "test -e /tmp/has-read");
}

#[test]
fn what_cgroups_cannot_enforce_is_refused_at_load() {
    let cards = vec![
        shell(),
        limited("first", "sleep 1000", json!({"memory_max": 4_194_304})),
        limited("second", "sleep 1000", json!({"pids_max": 5})),
        limited("third", "sleep 1000", json!({})),
    ];
    let inputs = folder();
    let mut bad = seed(cards);
    let image = tree(inputs.path(), &bad);
    // The builder would refuse it, too.
    bad["genesis"][3]["soma"]["cgroup"]["path"] = json!("second/inner");
    let text = bad.to_string();
    let image = changed(&image, "/ente/seed.card.json", |data| {
        *data = text.clone().into_bytes();
    });
    let booted = Booted::with_tree(folder(), &image, |machine| {
        machine.append = vec!["cgroup_disable=memory".into()];
    });
    booted.wait("rescue# ");
    booted.wait(
        "$.genesis[1].soma.cgroup.memory_max (Card \"first\"): 4194304, but cgroups have no memory.max here: ",
    );
    booted.wait("$.genesis[3].soma.cgroup.path (Card \"third\"): \"second/inner\" lies in \"second\", the cgroup of `second`; give each its own");
    assert!(!booted.printed().contains("(Card \"second\")"));
    assert!(!booted.printed().contains(machine::PROMPT));
}

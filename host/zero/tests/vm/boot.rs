//! ente-zero as PID 1, in QEMU: booting, refusing, enduring, ending.

use crate::machine::{self, Booted, changed, folder, native, restart, seed, shell, tree, wasm};
use serde_json::{Value, json};

#[test]
fn a_seed_comes_up_with_its_milestones_and_a_shell() {
    let seed = seed(vec![
        shell(),
        wasm("greeting", "hello", "service", restart()),
        wasm("once", "greet", "run", json!("OneShot")),
    ]);
    let mut booted = Booted::to_prompt(&seed);
    booted.wait("the seed is up");
    let pin = arje_guest_artifacts::guest("hello").pin();
    for milestone in [
        "ente-zero despierta como PID 1\n",
        "Tarjeta Semilla cargada y validada path=/ente/seed.card.json\n",
        "bus interno escuchando path=/run/ente-bus.sock\n",
        "instanciando genesis seed=arje.seed.test count=3\n",
        &format!("Ente greeting encarnado wasm={}\n", &pin[..12]),
        "Ente shell encarnado pid=",
        "greeting: hello label=\"greeting\"",
        "once: hello, world",
    ] {
        booted.wait(milestone);
    }
    booted.pid_1_lives();
    assert_eq!(booted.number("dmesg | grep -c despierta"), 1);

    // What the shell was given.
    assert_eq!(booted.answer("tty"), "/dev/ttyS0");
    assert_eq!(
        booted.answer("ls /proc/$$/fd | tr '\\n' ' '").trim(),
        "0 1 10 2"
    );
    let environment = booted.answer("tr '\\0' '\\n' </proc/$$/environ | cut -d= -f1 | sort");
    assert_eq!(
        environment.split_whitespace().collect::<Vec<_>>(),
        [
            "ENTE_BUS_SOCK",
            "ENTE_ID",
            "ENTE_LABEL",
            "PATH",
            "PS1",
            "TERM"
        ]
    );

    // The file systems that every userspace expects.
    let mounts = booted.run("cat /proc/mounts");
    for mount in [
        " /proc proc rw,nosuid,nodev,noexec",
        " /sys sysfs rw,nosuid,nodev,noexec",
        " /dev devtmpfs rw,nosuid",
        " /dev/pts devpts rw,nosuid,noexec",
        " /dev/shm tmpfs rw,nosuid,nodev",
        " /run tmpfs rw,nosuid,nodev",
        " /tmp tmpfs rw,nosuid,nodev",
        " /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec",
    ] {
        assert!(mounts.contains(mount), "{mount} in {mounts}");
    }

    // Ctrl-C reaches the foreground job: the shell has a controlling terminal. The words are
    // typed with quotes in them, so that the terminal's echo is not taken for the output.
    let job =
        "sh -c 'trap \"echo cau\"\"ght; exit\" INT; echo ar\"\"med; while :; do sleep 1; done'";
    booted.vm.send_line(job).unwrap();
    booted.wait("armed");
    booted.vm.send_line("\x03").unwrap();
    booted.wait("caught");
}

#[test]
fn one_flipped_bit_stops_one_ente() {
    let other = wasm("other", "ticker", "service", restart());
    let seed = seed(vec![
        shell(),
        wasm("victim", "hello", "service", json!("OneShot")),
        other,
    ]);
    let pin = arje_guest_artifacts::guest("hello").pin();
    let inputs = folder();
    let image = tree(inputs.path(), &seed);
    let index = image
        .iter()
        .find_map(|(path, entry)| match &entry.node {
            initrd_builder::tree::Node::File(data) if path == "ente/aot/index" => {
                Some(String::from_utf8(data.to_vec()).unwrap())
            }
            _ => None,
        })
        .unwrap();
    let record = index.lines().position(|line| line.contains(&pin)).unwrap();
    let artifact = index
        .lines()
        .nth(record)
        .unwrap()
        .split_whitespace()
        .find(|word| image.contains(&format!("/ente/aot/{word}")))
        .unwrap();
    let in_record = record * index.lines().next().unwrap().len() + record + 30;
    let module = format!("/ente/cas/{pin}");
    let artifact = format!("/ente/aot/{artifact}");
    for (file, byte) in [
        (&module, 100),
        (&artifact, 5000),
        (&"/ente/aot/index".to_owned(), in_record),
    ] {
        let flipped = changed(&image, file, |data| data[byte] ^= 0x10);
        let booted = Booted::with_tree(folder(), &flipped, |_| {});
        booted.wait(machine::PROMPT);
        booted.wait("Ente other encarnado wasm=");
        let line = booted.line("Ente victim: could not be started: load the component: ");
        let console = booted.printed();
        assert!(
            line.contains("expected") && line.contains("found"),
            "{file}: {line}"
        );
        assert!(!console.contains("Ente victim encarnado"), "{file}");
    }
}

#[test]
fn a_bad_seed_lists_all_that_is_wrong_and_opens_the_rescue_shell() {
    let good = seed(vec![shell()]);
    let inputs = folder();
    let image = tree(inputs.path(), &good);
    let mut bad = good.clone();
    bad["genesis"][0]["payload"]["Native"]["exec"] = json!("bin/sh");
    bad["genesis"][0]["soma"] = json!({"rlimits": {"nofile": 0}});
    bad["genesis"][0]["label"] = json!("");
    bad["genesis"][0]["liveness_ms"] = json!("often");
    bad["genesis"][0]["prioritty"] = json!("high");
    bad["genesis"][0]["dbus"] = json!({});
    let bad = bad.to_string();
    let image = changed(&image, "/ente/seed.card.json", |data| {
        *data = bad.clone().into_bytes()
    });
    let mut booted = Booted::with_tree(folder(), &image, |_| {});
    booted.wait("rescue# ");
    let console = booted.printed();
    for violation in [
        "$.genesis[0].payload.Native.exec",
        "$.genesis[0].soma.rlimits.nofile",
        "$.genesis[0].label",
        "$.genesis[0].liveness_ms",
        "$.genesis[0].dbus: ",
        "unknown key \"prioritty\", kept and without effect; did you mean \"priority\"?",
        "rescue: the seed /ente/seed.card.json cannot be booted",
    ] {
        assert!(console.contains(violation), "{violation} in {console}");
    }
    booted.pid_1_lives();
    // It comes back when it is left, and has job control.
    booted.run("tty");
    let mark = booted.vm.mark();
    booted.vm.send_line("exit").unwrap();
    booted.wait_for_new_shell(mark, "rescue# ");
}

#[test]
fn what_cannot_be_enforced_is_not_booted() {
    let inputs = folder();
    let image = tree(inputs.path(), &seed(vec![shell()]));
    let mut owner = seed(vec![shell()]);
    owner["genesis"][0]["dbus"] = json!({"own": ["org.example.Shell1"]});
    let text = owner.to_string();
    let image = changed(&image, "/ente/seed.card.json", |data| {
        *data = text.clone().into_bytes()
    });
    let booted = Booted::with_tree(folder(), &image, |_| {});
    booted.wait("rescue# ");
    booted.wait("$.genesis[0].dbus (Card \"shell\"): ");
}

#[test]
fn pid_1_endures_signals_floods_and_starvation() {
    let loops = (0..4).map(|n| {
        wasm(
            &format!("loop-{n}"),
            "loop_forever_in_run",
            "run",
            json!("OneShot"),
        )
    });
    let mut genesis: Vec<Value> = vec![shell(), wasm("greeting", "hello", "service", restart())];
    genesis.extend(loops);
    let mut booted = Booted::to_prompt(&seed(genesis));
    booted.wait("greeting: hello");
    booted.wait("Ente loop-3 encarnado");

    // Signals: those that would end any other process, and those that components trap with.
    for signal in [
        "KILL", "STOP", "SEGV", "ILL", "FPE", "BUS", "ABRT", "PIPE", "ALRM", "QUIT", "HUP", "CHLD",
        "TSTP", "WINCH", "34", "64",
    ] {
        booted.run(&format!("kill -{signal} 1"));
    }
    booted.run("i=0; while [ $i -lt 2000 ]; do kill -CHLD 1; kill -SEGV 1; i=$((i+1)); done");
    booted.pid_1_lives();

    // Orphans by the hundred: all are reaped.
    booted.run("i=0; while [ $i -lt 300 ]; do ( (exit 3) & ) ; i=$((i+1)); done");
    booted.run("n=1; while [ $n -gt 0 ]; do n=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l); done");

    // Memory: whoever eats it all is killed, and that is not PID 1.
    let hog = booted.try_run("tail /dev/zero");
    assert_ne!(hog.code, 0);

    // Console: a flood on it, and the loops still spinning, do not keep PID 1 from its work: it
    // still starts the shell again.
    booted.run("i=0; while [ $i -lt 200 ]; do echo flood flood flood; i=$((i+1)); done");
    let mark = booted.vm.mark();
    booted.vm.send_line("exit").unwrap();
    booted
        .vm
        .wait_for_since(mark, "Ente shell encarnado pid=", machine::DEADLINE)
        .unwrap();
    booted.wait_for_new_shell(mark, machine::PROMPT);
    booted.run("grep -q greeting /ente/seed.card.json");
    booted.pid_1_lives();
    assert!(!booted.vm.console().contains("Kernel panic"));
}

#[test]
fn a_component_traps_after_pid_1_was_sent_sigsegv() {
    // The trap of a component is a real SIGSEGV in PID 1; a sent one before must not disarm it.
    let mut late = wasm(
        "late",
        "deep_recursion",
        "service",
        json!({"Restart": {"initial": 3000, "max": 3000}}),
    );
    late["start_limit"] = json!({"burst": 100, "interval_ms": 1000});
    let mut booted = Booted::to_prompt(&seed(vec![shell(), late]));
    booted.wait("Ente late: trapped: stack-overflow");
    booted.run("kill -SEGV 1; kill -SEGV 1");
    let mark = booted.vm.mark();
    booted
        .vm
        .wait_for_since(
            mark,
            "Ente late: trapped: stack-overflow",
            machine::DEADLINE,
        )
        .unwrap();
    booted.pid_1_lives();
}

fn endpoint(number: u8) -> Value {
    json!({"Endpoint": {"interface": vec![number; 16], "version": 1}})
}

#[test]
fn signals_end_the_machine_in_order() {
    for signal in ["USR2", "TERM"] {
        let slow = native(
            "slow",
            "/bin/sh",
            &[
                "-c",
                "trap 'echo slow got TERM; exit 0' TERM; echo slow listens; while :; do sleep 1; done",
            ],
            restart(),
        );
        // The shell ends before the others are told to: when it does, the kernel hangs its terminal up, and throws away
        // what has not left the serial line yet, last words of others too.
        let needs = json!([endpoint(1), endpoint(2)]);
        let (mut shell, mut slow) = (shell(), slow);
        let mut ok = wasm("ok", "service_ok", "service", restart());
        slow["provides"] = json!([endpoint(1)]);
        ok["provides"] = json!([endpoint(2)]);
        shell["requires"] = needs;
        let mut booted = Booted::to_prompt(&seed(vec![shell, slow, ok]));
        booted.wait("Ente ok encarnado");
        booted.wait("slow listens");
        booted.vm.send_line(&format!("kill -{signal} 1")).unwrap();
        booted.vm.wait_exit(machine::DEADLINE).unwrap();
        let console = booted.printed();
        assert!(console.contains("stopped reason=\"shutdown\""), "{console}");
        assert!(console.contains("slow got TERM"), "{console}");
        assert!(!booted.vm.console().contains("Kernel panic"), "{console}");
    }
}

#[test]
fn the_command_line_chooses_seed_session_and_rescue() {
    let inputs = folder();
    let image = tree(inputs.path(), &seed(vec![shell()]));
    let booted = Booted::with_tree(folder(), &image, |machine| {
        machine.append = vec!["ente.rescue".into()];
    });
    booted.wait("rescue: asked for on the kernel command line");
    booted.wait("rescue# ");
    drop(booted);

    let booted = Booted::with_tree(folder(), &image, |machine| {
        machine.append = vec!["ente.seed=/nowhere".into(), "ente.rescue=off".into()];
    });
    booted.wait("rescue: the seed /nowhere cannot be booted; rebooting");
    let mut booted = booted;
    booted.vm.wait_exit(machine::DEADLINE).unwrap(); // it reboots instead

    let booted = Booted::with_tree(folder(), &image, |machine| {
        machine.append = vec!["arje.session=absent".into(), "ente.typo=1".into()];
    });
    booted.wait("session absent:");
    booted.wait("\"ente.typo=1\" is not known; ignored");
    booted.wait(machine::PROMPT);
}

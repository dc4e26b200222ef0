//! What a boot must say, and in which words. These lines are a stable interface: they are printed exactly so on
//! the console, and other programs wait for them too.

use arje_card::{Capability, Card, Contract, Payload};

use crate::console;

/// The first words of PID 1.
pub const AWAKE: &str = "ente-zero despierta como PID 1";
/// The seed was read and keeps every rule; `path` is where it was.
pub const SEED_LOADED: &str = "Tarjeta Semilla cargada y validada path=";
/// Where the seed is in an image.
pub const SEED_PATH: &str = "/ente/seed.card.json";
/// The bus listens; `path` is where.
pub const BUS: &str = "bus interno escuchando path=/run/ente-bus.sock";
/// Genesis begins: `seed` is the root's label, `count` the number of Cards below it.
pub const GENESIS: &str = "instanciando genesis seed=";
/// Every Ente of the seed has come up: a service is Ready, a one-shot has ended well.
pub const UP: &str = "the seed is up, ";
/// All have, but for those that the rest of the line names, which failed for good.
pub const NOT_UP: &str = "the seed is not up: ";
/// The core is lost, or the seed cannot be booted; a line before it says why.
pub const RESCUE: &str = "rescue: starting a shell; ";
/// The prompt of a console shell.
pub const PROMPT: &str = "arje# ";

/// One thing that the console must show, in one of several forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// The texts that count as it.
    pub any_of: Vec<String>,
}

impl Milestone {
    fn new(text: impl Into<String>) -> Self {
        Self {
            any_of: vec![text.into()],
        }
    }

    /// An Ente came to life: a component in PID 1 shows the start of its pin, anything that got a process its
    /// process id.
    fn incarnated(card: &Card) -> Option<Self> {
        let label = &card.label;
        let pid = format!("Ente {label} encarnado pid=");
        match &card.payload {
            Payload::Wasm(wasm) => {
                let pin = wasm.module_sha256.short();
                Some(Self {
                    any_of: vec![format!("Ente {label} encarnado wasm={pin}"), pid],
                })
            }
            Payload::Native(_) | Payload::Legacy(_) => Some(Self::new(pid)),
            Payload::Virtual => None,
        }
    }

    /// Whether it is the prompt, at which commands can be run.
    #[must_use]
    pub fn is_prompt(&self) -> bool {
        self.any_of == [PROMPT]
    }

    /// Whether the console shows it.
    #[must_use]
    pub fn is_in(&self, console: &str) -> bool {
        self.any_of
            .iter()
            .any(|text| console::contains(console, text))
    }
}

impl std::fmt::Display for Milestone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.any_of.join("` or `"))
    }
}

/// The milestones of any image, whatever its seed.
#[must_use]
pub fn of_any_seed() -> Vec<Milestone> {
    [AWAKE, SEED_LOADED, BUS, GENESIS, UP]
        .map(Milestone::new)
        .into()
}

/// Whose session the kernel's command line asks for (`arje.session=NAME`); the last one counts.
#[must_use]
pub fn session_in(command_line: &[String]) -> Option<&str> {
    let words = command_line.iter().flat_map(|text| text.split_whitespace());
    words
        .filter_map(|word| word.strip_prefix("arje.session="))
        .next_back()
}

/// The milestones of an image with this seed, in the order of a boot: PID 1, the seed, genesis, one line for
/// each Card that has something to run and one that all of them have come up, and the prompt where a shell has it.
/// A Card that a rival may keep out (`Conflicts`) need not come to life; if nobody does it instead, the seed is not up.
#[must_use]
pub fn of_seed(seed: &Card) -> Vec<Milestone> {
    let count = seed.walk().count() - 1; // without the seed itself
    // The line end keeps `count=1` from standing for `count=16`.
    of_genesis(seed, &format!("{count}\n"))
}

/// As [`of_seed`], where a session's fragment that nobody here knows adds Cards to the seed's.
#[must_use]
pub fn of_seed_and_more(seed: &Card) -> Vec<Milestone> {
    of_genesis(seed, "")
}

fn of_genesis(seed: &Card, count: &str) -> Vec<Milestone> {
    let cards = || seed.walk().map(|visit| visit.card);
    let label = &seed.label;
    let mut milestones = vec![
        Milestone::new(AWAKE),
        Milestone::new(format!("{SEED_LOADED}{SEED_PATH}")),
        Milestone::new(BUS),
        Milestone::new(format!("{GENESIS}{label} count={count}")),
    ];
    let sure = cards().filter(|card| !cards().any(|other| exclude(card, other)));
    milestones.extend(sure.filter_map(Milestone::incarnated));
    if cards().any(|card| card.payload != Payload::Virtual) {
        milestones.push(Milestone::new(UP));
    }
    if cards().any(has_prompt) {
        milestones.push(Milestone::new(PROMPT));
    }
    milestones
}

/// Whether these two Cards never live at the same time.
fn exclude(one: &Card, other: &Card) -> bool {
    let refuses = |one: &Card, other: &Card| {
        one.contracts.iter().any(|contract| match contract {
            Contract::Conflicts(of) => {
                let provides = |cap: &Capability| other.provides.iter().any(|p| p.satisfies(cap));
                of.iter().any(provides)
            }
            _ => false,
        })
    };
    refuses(one, other) || refuses(other, one)
}

/// Whether the Card's shell shows our prompt: it is told so in `PS1`.
fn has_prompt(card: &Card) -> bool {
    match &card.payload {
        Payload::Native(native) => native.envp.get("PS1") == Some(PROMPT),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = r#"{
      "schema_version": 1, "id": "01J00000000000000000000000", "label": "s", "payload": "Virtual",
      "supervision": "OneShot",
      "genesis": [
        { "schema_version": 1, "id": "01J00000000000000000000001", "label": "shell", "supervision": "OneShot",
          "payload": { "Native": { "exec": "/bin/sh", "envp": [["PS1", "arje# "]] } } },
        { "schema_version": 1, "id": "01J00000000000000000000002", "label": "group", "supervision": "OneShot",
          "payload": "Virtual",
          "genesis": [
            { "schema_version": 1, "id": "01J00000000000000000000003", "label": "w", "supervision": "OneShot",
              "payload": { "Wasm": { "module_sha256": "abababababababababababababababababababababababababababababababab", "entry": "run" } } }
          ] }
      ] }"#;

    #[test]
    fn the_lines_of_a_seed() {
        let seed = Card::from_json(SEED.as_bytes()).unwrap();
        let lines: Vec<String> = of_seed(&seed).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "ente-zero despierta como PID 1",
                "Tarjeta Semilla cargada y validada path=/ente/seed.card.json",
                "bus interno escuchando path=/run/ente-bus.sock",
                "instanciando genesis seed=s count=3\n",
                "Ente shell encarnado pid=",
                "Ente w encarnado wasm=abababababab` or `Ente w encarnado pid=",
                "the seed is up, ",
                "arje# ",
            ]
        );
    }

    #[test]
    fn whom_a_rival_may_keep_out_need_not_come_to_life() {
        let mut seed = Card::from_json(SEED.as_bytes()).unwrap();
        seed.genesis[0].provides = [Capability::Journal].into();
        let component = &mut seed.genesis[1].genesis[0];
        component.contracts = vec![Contract::Conflicts([Capability::Journal].into())];
        let lines = of_seed(&seed).into_iter().map(|line| line.to_string());
        let lines: Vec<String> = lines.filter(|line| line.contains("encarnado")).collect();
        assert_eq!(lines, Vec::<String>::new());
        let any_count = of_seed_and_more(&seed)[3].to_string();
        assert_eq!(any_count, "instanciando genesis seed=s count=");
    }

    #[test]
    fn the_last_session_on_the_command_line_counts() {
        let line = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(session_in(&line(&["quiet", "x arje.session"])), None);
        let several = line(&["arje.session=a quiet", "arje.session=b ente.log=debug"]);
        assert_eq!(session_in(&several), Some("b"));
    }

    #[test]
    fn milestones_are_found_through_kernel_noise() {
        let seed = Card::from_json(SEED.as_bytes()).unwrap();
        let milestones = of_seed(&seed);
        let console = "[    1.000000] ente-zero despierta como PID 1\nente-zero desp[    2.000000] x\nierta como PID 1\n\
                       instanciando genesis seed=s count=31\nEnte w encarnado wasm=abababababab\n";
        let found: Vec<bool> = milestones.iter().map(|m| m.is_in(console)).collect();
        assert_eq!(
            found,
            [true, false, false, false, false, true, false, false]
        );
    }
}

//! What breaks a release, and what does not, on small texts.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; the lint spares only the tests themselves"
)]

use arje_wit::{Api, Broken, Resolve, compare};

const RELEASED: &str = "package test:it@1.0.0;
    /// What it is.
    interface host {
        /// A point.
        record point { x: u32, y: u32 }
        /// A colour.
        enum colour { red, green }
        /// A reason.
        variant reason { lost, late(u64) }
        /// Bits.
        flags bits { one, two }
        draw: func(at: point, in: colour) -> result<_, reason>;
        clear: func();
    }
    interface more { use host.{point}; far: func(start: point) -> list<point>; }
    interface guest { run: func() -> bool; }
    world all { import host; export guest; }";

fn api(text: &str) -> Api {
    let mut resolve = Resolve::new();
    let id = resolve.push_source("test.wit", text).unwrap();
    Api::of(&resolve, &[id])
}

/// What breaks when `from` becomes `to` in the released text.
fn change(from: &str, to: &str) -> Vec<Broken> {
    assert!(RELEASED.contains(from), "{from}");
    compare(&api(RELEASED), &api(&RELEASED.replace(from, to)))
}

/// The same, with the version 1.1.0.
fn next(from: &str, to: &str) -> Vec<Broken> {
    assert!(RELEASED.contains(from), "{from}");
    let text = RELEASED.replace(from, to);
    compare(&api(RELEASED), &api(&text.replace("@1.0.0", "@1.1.0")))
}

/// The one thing that broke: its name, its two texts.
fn one(broken: &[Broken]) -> (&str, Option<&str>, Option<&str>) {
    let [only] = broken else {
        unreachable!("{broken:#?}");
    };
    (
        only.name.as_str(),
        only.released.as_deref(),
        only.today.as_deref(),
    )
}

#[test]
fn the_same_is_compatible() {
    assert_eq!(change("interface", "interface"), []);
    // Comments and order do not matter.
    assert_eq!(change("/// What it is.", "/// Other words."), []);
    assert_eq!(
        change(
            "world all { import host; export guest; }",
            "world all { export guest; import host; }"
        ),
        []
    );
    assert_eq!(next("/// What it is.", ""), [], "a new version of the same");
}

#[test]
fn a_removed_function() {
    assert_eq!(
        one(&change("clear: func();", "")),
        ("test:it@1/host#clear", Some("func()"), None)
    );
}

#[test]
fn a_changed_parameter() {
    let released = "func(at: test:it@1/host#point, in: test:it@1/host#colour) -> result<_, test:it@1/host#reason>";
    assert_eq!(
        one(&change("in: colour", "in: u8")),
        (
            "test:it@1/host#draw",
            Some(released),
            Some("func(at: test:it@1/host#point, in: u8) -> result<_, test:it@1/host#reason>")
        )
    );
    assert_eq!(
        one(&change("in: colour", "of: colour")).0,
        "test:it@1/host#draw",
        "its name"
    );
    assert_eq!(
        one(&change("-> list<point>", "-> point")).0,
        "test:it@1/more#far",
        "a result"
    );
}

#[test]
fn a_changed_type() {
    assert_eq!(
        one(&change("y: u32 }", "y: u32, z: u32 }")),
        (
            "test:it@1/host#point",
            Some("record { x: u32, y: u32 }"),
            Some("record { x: u32, y: u32, z: u32 }")
        )
    );
    assert_eq!(
        one(&change("{ red, green }", "{ red, blue }")),
        (
            "test:it@1/host#colour",
            Some("enum { red, green }"),
            Some("enum { red, blue }")
        )
    );
    for (from, to, name) in [
        ("{ red, green }", "{ green, red }", "colour"),
        ("late(u64)", "late(u32)", "reason"),
        ("late(u64)", "late(u64), never", "reason"),
        ("{ one, two }", "{ one }", "bits"),
    ] {
        let name = format!("test:it@1/host#{name}");
        assert_eq!(one(&change(from, to)).0, name, "{to}");
        assert_eq!(one(&next(from, to)).0, name, "{to}, whatever the version");
    }
}

#[test]
fn something_of_a_world_or_the_whole_of_it() {
    assert_eq!(
        one(&change("import host;", "import more;")).0,
        "test:it@1/all#import test:it@1/more",
        "`host` is still there, as `more` uses it"
    );
    let broken = change("world all {", "world other {");
    let gone = broken.iter().filter(|it| it.today.is_none());
    let gone: Vec<&str> = gone.map(|it| it.name.as_str()).collect();
    assert_eq!(
        gone,
        [
            "test:it@1/all",
            "test:it@1/all#export test:it@1/guest",
            "test:it@1/all#import test:it@1/host"
        ]
    );
}

#[test]
fn what_is_new_has_a_gate() {
    let new = "clear: func(); fill: func();";
    assert_eq!(
        one(&change("clear: func();", new)),
        ("test:it@1/host#fill", None, Some("func()"))
    );
    assert_eq!(one(&next("clear: func();", new)).0, "test:it@1/host#fill");
    let gated = "clear: func(); @since(version = 1.1.0) fill: func();";
    assert_eq!(next("clear: func();", gated), []);
    let old = "clear: func(); @since(version = 1.0.0) fill: func();";
    assert_eq!(one(&next("clear: func();", old)).0, "test:it@1/host#fill");
    let unstable = "clear: func(); @unstable(feature = filling) fill: func();";
    assert_eq!(
        change("clear: func();", unstable),
        [],
        "nothing is promised"
    );
    let lie = "@since(version = 1.1.0) clear: func();";
    assert_eq!(one(&next("clear: func();", lie)).0, "test:it@1/host#clear");
}

#[test]
fn what_is_in_something_new_needs_no_gate_of_its_own() {
    let with = |gate: &str| {
        let new = format!(
            "{gate} interface new {{ record it {{ a: u8 }} do: func(it: it); }} world all {{"
        );
        next("world all {", &new)
    };
    assert_eq!(with("@since(version = 1.1.0)"), []);
    let names: Vec<String> = with("").into_iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        ["test:it@1/new", "test:it@1/new#do", "test:it@1/new#it"]
    );
}

#[test]
fn what_components_implement_does_not_grow() {
    let gated = "run: func() -> bool; @since(version = 1.1.0) end: func();";
    let broken = next("run: func() -> bool;", gated);
    assert_eq!(one(&broken).0, "test:it@1/guest#end");
    assert!(broken[0].why.contains("of its own"), "{}", broken[0]);
    // A type harms nobody.
    let gated = "run: func() -> bool; @since(version = 1.1.0) type it = u8;";
    assert_eq!(next("run: func() -> bool;", gated), []);
    let gated = "export guest; @since(version = 1.1.0) export more;";
    assert_eq!(
        one(&next("export guest;", gated)).0,
        "test:it@1/all#export test:it@1/more"
    );
    let gated = "export guest; @since(version = 1.1.0) import more;";
    assert_eq!(next("export guest;", gated), [], "the host offers more");
}

#[test]
fn versions_only_rise_and_a_major_one_is_another_package() {
    let broken = compare(&api(&RELEASED.replace("1.0.0", "1.2.0")), &api(RELEASED));
    assert_eq!(one(&broken), ("test:it@1", Some("1.2.0"), Some("1.0.0")));
    let broken = compare(&api(RELEASED), &api(&RELEASED.replace("1.0.0", "2.0.0")));
    assert!(
        broken
            .iter()
            .any(|it| it.name == "test:it@1" && it.today.is_none())
    );
}

#[test]
fn the_words_name_it_and_have_both_texts() {
    let text = change("clear: func();", "clear: func(all: bool);")[0].to_string();
    for part in [
        "test:it@1/host#clear",
        "released: func()",
        "today:    func(all: bool)",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn what_has_no_description_is_found() {
    let api = api(RELEASED);
    assert!(!api.entries["test:it@1/host"].undocumented);
    assert!(!api.entries["test:it@1/host#point"].undocumented);
    assert!(api.entries["test:it@1/host#draw"].undocumented);
    assert!(api.entries["test:it@1/all"].undocumented);
}

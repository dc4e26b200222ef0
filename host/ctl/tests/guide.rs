//! The guide to Cards: each of its examples is one that `ente verify` accepts, without a warning.

use std::path::Path;
use std::process::Command;

#[test]
fn every_example_verifies() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cards.md");
    let text = std::fs::read_to_string(guide).unwrap();
    let blocks = text.split("```json\n").skip(1);
    let examples: Vec<&str> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(examples.len() >= 2);
    let folder = tempfile::tempdir().unwrap();
    for (number, example) in examples.iter().enumerate() {
        let file = folder.path().join(format!("{number}.card.json"));
        std::fs::write(&file, example).unwrap();
        let verify = Command::new(env!("CARGO_BIN_EXE_ente"))
            .arg("verify")
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verify.stderr);
        let found = String::from_utf8_lossy(&verify.stdout);
        assert!(verify.status.success(), "{found}{said}\n{example}");
        let all = format!("{found}{said}");
        assert!(all.contains(" 0 warnings"), "{all}");
    }
}

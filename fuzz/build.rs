//! The component of `typed_values`, from its text. Here, since what reads the text would be built into PID 1's copy of the
//! Wasm parser otherwise: whatever is built along shares its features.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(folder.join("typed_values.wasm"), wat::parse_str(types())?)?;
    Ok(())
}

/// Types of every kind that the engine takes from a component, but for those that cannot cross.
fn types() -> String {
    let tall: String = (0..12).fold("u8".to_owned(), |inner, _| format!("(tuple {inner})"));
    let colours: String = (0..300).map(|number| format!(" \"c{number}\"")).collect();
    let name = "a".repeat(500);
    format!(
        r#"(component (import "t:t/t@1.0.0" (instance
        (type $p (record (field "x" s32) (field "name" (option string))))
        (export "point" (type $point (eq $p)))
        (type $s (variant (case "nothing") (case "circle" f64) (case "line" (tuple $point $point))))
        (export "shape" (type $shape (eq $s)))
        (type $c (enum "red" "green" "blue"))
        (export "colour" (type $colour (eq $c)))
        (type $w (enum{colours}))
        (export "wide" (type $wide (eq $w)))
        (type $r (flags "a" "b" "c" "d" "e" "f" "g" "h" "i"))
        (export "rights" (type $rights (eq $r)))
        (type $n (record (field "{name}" bool)))
        (export "named" (type $named (eq $n)))
        (export "nothing" (func))
        (export "numbers" (func (param "n" (tuple bool s8 u8 s16 u16 s32 u32 s64 u64 f32 f64 char))))
        (export "texts" (func (param "t" string) (param "l" (list string)) (param "c" (list char))))
        (export "bytes" (func (param "b" (list u8)) (param "s" (list s8))))
        (export "lists" (func (param "l" (list (list (list u16)))) (param "o" (option (list bool)))))
        (export "shapes" (func (param "s" $shape) (param "l" (list $shape))))
        (export "colours" (func (param "c" (list $colour)) (param "w" (list $wide))))
        (export "sets" (func (param "r" $rights) (param "l" (list $rights))))
        (export "results" (func (param "a" (result)) (param "b" (result string (error $colour)))
            (param "c" (result (error $shape))) (param "d" (option (option (option u8))))))
        (export "tall" (func (param "l" (list {tall}))))
        (export "named-ones" (func (param "l" (list $named)))))))"#
    )
}

//! Modules for the tests: well-formed, malformed, and costly.

/// A component from its text.
pub fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// Exports `answer: func() -> u32`, which is 42, and `trap: func()`.
pub const ANSWER: &str = r#"
(component
  (core module $m
    (func $forty_two (export "answer") (result i32) i32.const 42)
    (func $deliberately (export "trap") unreachable))
  (core instance $i (instantiate $m))
  (func (export "answer") (result u32) (canon lift (core func $i "answer")))
  (func (export "trap") (canon lift (core func $i "trap"))))
"#;

/// A component around one core module, whose text is given.
pub fn around(core: &str) -> Vec<u8> {
    component(&format!("(component (core module {core}))"))
}

/// A component that costs much to compile: `functions` functions of `operators` additions each, in
/// a file of about `3 * functions * operators` bytes.
pub fn costly(functions: u32, operators: usize) -> Vec<u8> {
    let mut core = b"\0asm\x01\0\0\0".to_vec();
    // One type: (param i32) (result i32).
    section(&mut core, 1, &[1, 0x60, 1, 0x7f, 1, 0x7f]);
    let mut declarations = leb(functions);
    declarations.extend(std::iter::repeat_n(0, functions as usize));
    section(&mut core, 3, &declarations);

    // No locals; local.get 0; (local.get 0; i32.add)*; end.
    let mut body = vec![0, 0x20, 0];
    body.extend(std::iter::repeat_n([0x20, 0, 0x6a], operators).flatten());
    body.push(0x0b);
    let mut code = leb(functions);
    for _ in 0..functions {
        code.extend(leb(body.len() as u32));
        code.extend_from_slice(&body);
    }
    section(&mut core, 10, &code);

    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut component, 1, &core);
    component
}

fn section(file: &mut Vec<u8>, id: u8, contents: &[u8]) {
    file.push(id);
    file.extend(leb(contents.len() as u32));
    file.extend_from_slice(contents);
}

/// Unsigned LEB128.
fn leb(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

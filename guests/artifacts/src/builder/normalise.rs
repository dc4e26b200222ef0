//! Removes custom sections from a component and from everything nested in it: names, producers,
//! debug information. They do not run, but they are hashed, and they differ between tools.

use super::Result;

/// `\0asm`, which opens a module as well as a component.
const MAGIC: &[u8] = b"\0asm";
/// Magic, version and layer.
const HEADER: usize = 8;
/// What the last two header bytes are in a component; they are zero in a module.
const COMPONENT_LAYER: [u8; 2] = [1, 0];
/// Section numbers, by the WebAssembly core specification (5.5.2) and the component model's
/// binary format.
const CUSTOM: u8 = 0;
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;

/// The same module or component without custom sections.
///
/// # Errors
/// The bytes are no well-formed sequence of sections.
pub fn strip(wasm: &[u8]) -> Result<Vec<u8>> {
    if wasm.len() < HEADER || !wasm.starts_with(MAGIC) {
        return Err("not a WebAssembly module or component: the header is missing".to_owned());
    }
    let (header, mut rest) = wasm.split_at(HEADER);
    let is_component = header[6..] == COMPONENT_LAYER;
    let mut out = header.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let (size, after) = read_leb(after)?;
        if size > after.len() {
            return Err(format!(
                "section {id} says {size} bytes, {} are left",
                after.len()
            ));
        }
        let (body, after) = after.split_at(size);
        rest = after;
        match id {
            CUSTOM => {}
            CORE_MODULE | COMPONENT if is_component => push(&mut out, id, &strip(body)?),
            _ => push(&mut out, id, body),
        }
    }
    Ok(out)
}

fn push(out: &mut Vec<u8>, id: u8, body: &[u8]) {
    out.push(id);
    let mut size = body.len();
    loop {
        let low = (size & 0x7f) as u8;
        size >>= 7;
        if size == 0 {
            out.push(low);
            break;
        }
        out.push(low | 0x80);
    }
    out.extend_from_slice(body);
}

/// An unsigned LEB128 of at most 32 bits, and what follows it.
fn read_leb(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let mut value: u64 = 0;
    for (index, &byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| "a size above 32 bits".to_owned())?;
            return Ok((value as usize, &bytes[index + 1..]));
        }
    }
    Err("a section's size does not end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT_HEAD: &[u8] = b"\0asm\x0d\0\x01\0";

    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, id, body);
        out
    }

    #[test]
    fn custom_sections_go_at_every_depth() {
        let noise = section(CUSTOM, b"\x04namexyz");
        let code = section(10, &[7; 300]);
        let module = [MODULE, &noise, &code, &noise].concat();
        let inner = [COMPONENT_HEAD, &noise, &section(CORE_MODULE, &module)].concat();
        let outer = [COMPONENT_HEAD, &section(COMPONENT, &inner), &noise].concat();

        let clean_module = [MODULE, &code].concat();
        let clean_inner = [COMPONENT_HEAD, &section(CORE_MODULE, &clean_module)].concat();
        let clean_outer = [COMPONENT_HEAD, &section(COMPONENT, &clean_inner)].concat();
        assert_eq!(strip(&outer).unwrap(), clean_outer);
        assert_eq!(strip(&clean_outer).unwrap(), clean_outer);
    }

    #[test]
    fn a_type_section_of_a_module_is_no_nested_module() {
        let module = [MODULE, &section(CORE_MODULE, &[0])].concat();
        assert_eq!(strip(&module).unwrap(), module);
    }

    #[test]
    fn malformed_input_is_refused() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "header is missing"),
            (b"ELF.....", "header is missing"),
            (b"\0asm\x01\0\0\0\x01\x05\0", "says 5 bytes, 1 are left"),
            (b"\0asm\x01\0\0\0\x01\xff\xff", "does not end"),
            (b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\xff", "does not end"),
            (b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\x7f", "above 32 bits"),
        ];
        for (bytes, expected) in cases {
            let error = strip(bytes).unwrap_err();
            assert!(error.contains(expected), "{bytes:?}: {error}");
        }
    }
}

//! Values of every kind of type as bytes, and bytes that are none.

use super::*;
use arje_bus::MAX_PAYLOAD;
use arje_guest_artifacts::ente_compile;
use arje_store::Store;
use arje_store::compiler::Compiler;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

const TYPES: &str = r#"(component (import "t:t/t@1.0.0" (instance
    (type $p (record (field "x" s32) (field "name" (option string))))
    (export "point" (type $point (eq $p)))
    (type $s (variant (case "nothing") (case "circle" f64) (case "line" (tuple $point $point))))
    (export "shape" (type $shape (eq $s)))
    (type $c (enum "red" "green" "blue"))
    (export "colour" (type $colour (eq $c)))
    (type $r (flags "a" "b" "c" "d" "e" "f" "g" "h" "i"))
    (export "rights" (type $rights (eq $r)))
    (type $n (record (field "a-field-with-a-name-of-forty-characters-e" bool)))
    (export "named" (type $named (eq $n)))
    (export "numbers" (func (param "n" (tuple bool s8 u8 s16 u16 s32 u32 s64 u64 f32 f64 char))))
    (export "texts" (func (param "t" string) (param "b" (list u8)) (param "l" (list (option string)))))
    (export "shape-of" (func (param "s" $shape)))
    (export "rest" (func (param "c" $colour) (param "r" $rights) (param "ok" (result string (error $colour)))
        (param "bare" (result))))
    (export "bytes" (func (param "b" (list u8))))
    (export "one" (func (param "c" bool) (param "l" char)))
    (export "deep" (func (param "l" (list (tuple (tuple (tuple (tuple (tuple u8)))))))))
    (export "names" (func (param "l" (list $named)))))))"#;

/// Types of the parameters of a function of these.
pub(super) struct Types(pub(super) Component);

impl Types {
    fn new() -> Types {
        Types::parse(TYPES)
    }

    pub(super) fn parse(text: &str) -> Types {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path().join("store")).unwrap();
        let engine = arje_engine::engine().unwrap();
        let fingerprint = arje_engine::fingerprint(&engine).into();
        let pin = store.put_module(&wat::parse_str(text).unwrap()).unwrap();
        let compiler = Compiler::new(ente_compile().unwrap());
        store.ensure(pin, fingerprint, &compiler).unwrap();
        let artifact = store.artifact(pin, fingerprint).unwrap();
        // SAFETY: it was compiled just now.
        Types(unsafe { Component::deserialize(&engine, artifact.bytes()) }.unwrap())
    }

    fn of(&self, function: &str) -> Vec<Type> {
        let engine = self.0.engine();
        let ty = self.0.component_type();
        let Some(ComponentItem::ComponentInstance(instance)) =
            ty.imports(engine).next().map(|(_, item)| item.ty)
        else {
            panic!("no instance");
        };
        match instance.get_export(engine, function).map(|item| item.ty) {
            Some(ComponentItem::ComponentFunc(function)) => params(&function),
            _ => panic!("no {function}"),
        }
    }
}

fn text(text: &str) -> Val {
    Val::String(text.into())
}

fn some(value: Val) -> Option<Box<Val>> {
    Some(Box::new(value))
}

fn point(x: i32, name: Option<&str>) -> Val {
    let name = name.map(|name| Box::new(text(name)));
    let fields = [("x", Val::S32(x)), ("name", Val::Option(name))];
    Val::Record(fields.map(|(name, value)| (name.into(), value)).into())
}

/// Values, with the function that takes them and the bytes that they are.
fn samples() -> Vec<(&'static str, Vec<Val>, Vec<u8>)> {
    let numbers = Val::Tuple(vec![
        Val::Bool(true),
        Val::S8(-1),
        Val::U8(2),
        Val::S16(-2),
        Val::U16(3),
        Val::S32(i32::MIN),
        Val::U32(4),
        Val::S64(-3),
        Val::U64(5),
        Val::Float32(1.0),
        Val::Float64(-0.0),
        Val::Char('é'),
    ]);
    let numbers_bytes = [
        &[1, 0xff, 2, 0xfe, 0xff, 3, 0][..],
        &[0, 0, 0, 0x80, 4, 0, 0, 0],
        &[0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0x80, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xe9, 0, 0, 0],
    ];
    let line = Val::Tuple(vec![point(1, None), point(2, Some("p"))]);
    let flags = Val::Flags(vec!["a".into(), "i".into()]);
    vec![
        ("numbers", vec![numbers], numbers_bytes.concat()),
        (
            "texts",
            vec![
                text("é"),
                Val::List(vec![Val::U8(7), Val::U8(8)]),
                Val::List(vec![Val::Option(None), Val::Option(some(text("")))]),
            ],
            vec![
                2, 0, 0, 0, 0xc3, 0xa9, 2, 0, 0, 0, 7, 8, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0,
            ],
        ),
        (
            "shape-of",
            vec![Val::Variant("line".into(), some(line))],
            vec![2, 1, 0, 0, 0, 0, 2, 0, 0, 0, 1, 1, 0, 0, 0, b'p'],
        ),
        (
            "shape-of",
            vec![Val::Variant("nothing".into(), None)],
            vec![0],
        ),
        (
            "rest",
            vec![
                Val::Enum("green".into()),
                flags,
                Val::Result(Err(some(Val::Enum("blue".into())))),
                Val::Result(Ok(None)),
            ],
            vec![1, 1, 1, 1, 2, 0],
        ),
    ]
}

#[test]
fn values_of_every_kind_are_these_bytes_and_come_back() {
    let types = Types::new();
    for (function, values, bytes) in samples() {
        let types = types.of(function);
        let encoded = encode(&values, &types);
        assert_eq!(encoded.as_ref(), Ok(&bytes), "{function} of {types:?}");
        assert_eq!(decode(&bytes, &types).unwrap(), values, "{function}");
        assert_eq!(check(&bytes, &types), Ok(()));
    }
}

#[test]
fn no_cut_and_no_addition_is_taken_and_a_check_says_what_decoding_would() {
    let types = Types::new();
    for (function, _, bytes) in samples() {
        let types = types.of(function);
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end], &types), Err(Unfit::Malformed));
            assert_eq!(check(&bytes[..end], &types), Err(Unfit::Malformed));
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(decode(&longer, &types), Err(Unfit::Malformed));
        assert_eq!(check(&longer, &types), Err(Unfit::Malformed));
        for at in 0..bytes.len() {
            for value in [0, 1, 2, 3, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let decoded = decode(&changed, &types);
                assert_eq!(check(&changed, &types), decoded.clone().map(drop));
                if let Ok(values) = decoded {
                    assert_eq!(encode(&values, &types).unwrap(), changed, "{function} {at}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_value_of_its_type_is_not_taken() {
    let types = Types::new();
    let nonsense: [(&str, &[u8]); 8] = [
        ("one", &[2, 0x41, 0, 0, 0]),  // a bool
        ("one", &[1, 0, 0xd8, 0, 0]),  // a surrogate
        ("one", &[1, 0, 0, 0x11, 0]),  // beyond Unicode
        ("rest", &[3, 0, 0, 1, 2, 0]), // no such colour
        ("rest", &[1, 0, 2, 1, 2, 0]), // no such right
        ("shape-of", &[3]),            // no such shape
        ("bytes", &[0xff, 0xff, 0xff, 0xff, 1]),
        ("texts", &[1, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]), // not UTF-8
    ];
    for (function, bytes) in nonsense {
        let types = types.of(function);
        assert_eq!(decode(bytes, &types), Err(Unfit::Malformed), "{function}");
        assert_eq!(check(bytes, &types), Err(Unfit::Malformed), "{function}");
    }
    let types = types.of("rest");
    assert_eq!(encode(&[Val::Bool(true)], &types), Err(Unfit::Malformed));
    let colours = vec![Val::Enum("red".into()); 4];
    assert_eq!(encode(&colours, &types), Err(Unfit::Malformed));
}

#[test]
fn no_more_crosses_than_a_payload_holds() {
    let types = Types::new().of("bytes");
    let bytes = |count| vec![Val::List(vec![Val::U8(1); count])];
    let most = bytes(MAX_PAYLOAD - 4);
    let encoded = encode(&most, &types).unwrap();
    assert_eq!(encoded.len(), MAX_PAYLOAD);
    // As they lie in a component's memory; as `Val`s they are too many.
    assert_eq!(check(&encoded, &types), Ok(()));
    assert_eq!(decode(&encoded, &types), Err(Unfit::TooLarge));
    let half = bytes(MAX_PAYLOAD / 2);
    let encoded = encode(&half, &types).unwrap();
    assert_eq!(decode(&encoded, &types).unwrap(), half);
    let more = bytes(MAX_PAYLOAD - 3);
    assert_eq!(encode(&more, &types), Err(Unfit::TooLarge));
}

#[test]
fn few_bytes_do_not_become_much_memory() {
    let types = Types::new();
    for function in ["deep", "names"] {
        let types = types.of(function);
        let list = |count: u32| [&count.to_le_bytes()[..], &vec![1; count as usize]].concat();
        assert_eq!(
            check(&list(1000), &types),
            Ok(()),
            "{function} of {types:?}"
        );
        assert!(decode(&list(1000), &types).is_ok());
        let large = list(900_000);
        assert_eq!(check(&large, &types), Err(Unfit::TooLarge), "{function}");
        assert_eq!(decode(&large, &types), Err(Unfit::TooLarge), "{function}");
    }
}

#[test]
fn few_bytes_do_not_take_much_time() {
    // As many cases as a type may have, nearly, and a list of the last of them.
    let cases = 9_000_u16;
    let names: String = (0..cases)
        .map(|number| format!(" (case \"c{number}\" (tuple u8 u8))"))
        .collect();
    let text = format!(
        r#"(component (import "t:t/t@1.0.0" (instance
            (type $v (variant{names})) (export "v" (type $t (eq $v)))
            (export "f" (func (param "l" (list $t)))))))"#
    );
    let types = Types::parse(&text).of("f");
    let list = |count: u32| {
        let one = [&(cases - 1).to_le_bytes()[..], &[1, 2]].concat();
        [&count.to_le_bytes()[..], &one.repeat(count as usize)].concat()
    };
    let few = list(100);
    let values = decode(&few, &types).unwrap();
    assert_eq!(encode(&values, &types).unwrap(), few);
    // A minute, if every case were passed.
    let many = list(250_000);
    assert_eq!(check(&many, &types), Err(Unfit::TooLarge));
    assert_eq!(decode(&many, &types), Err(Unfit::TooLarge));
    let Val::List(values) = &values[0] else {
        panic!("no list");
    };
    let values = [Val::List(vec![values[0].clone(); 1000])];
    assert_eq!(encode(&values, &types), Err(Unfit::TooLarge));
}

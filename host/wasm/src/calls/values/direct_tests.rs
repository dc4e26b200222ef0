//! What is taken out of components and given to them, held against what wasmtime makes of the same: by its `Val`s.

use super::direct::{Given, IN_MEMORY, MAX_FLAT_PARAMS, Taken};
use super::tests::Types;
use super::*;
use wasmtime::component::{Component, Func, Instance, Linker};
use wasmtime::{Engine, Store};

/// How many of the first types are one number of 32 bits on the stack.
const SINGLE: usize = 7;

/// A component whose functions return whatever lies at a place of its memory, by these types, and take lists of them.
const TYPES: &[&str] = &[
    "bool",
    "char",
    "u8",
    "s8",
    "s16",
    "$colour",
    "$rights",
    "string",
    "(list u8)",
    "(list s8)",
    "(list u64)",
    "(list f32)",
    "(list bool)",
    "(list char)",
    "(list string)",
    "(list $colour)",
    "(list $rights)",
    "(list $shape)",
    "(list (list (list u16)))",
    "(tuple u8 s16 u64 f32 char)",
    "(option (option u16))",
    "(option string)",
    "(result string (error $colour))",
    "(result (error $shape))",
    "$point",
    "$shape",
];

fn component() -> Component {
    let single = TYPES[..SINGLE].iter().enumerate().map(|(n, ty)| {
        format!(r#"(func (export "keep{n}") (param "v" {ty}) (canon lift (core func $i "keep")))"#)
    });
    let functions: String = TYPES
        .iter()
        .enumerate()
        .map(|(n, ty)| {
            format!(
                r#"(func (export "get{n}") (param "at" u32) (result {ty}) (canon lift (core func $i "same") (memory (core memory $m))))
                   (func (export "put{n}") (param "v" (list {ty}))
                       (canon lift (core func $i "leave") (memory (core memory $m)) (realloc (core func $i "realloc"))))"#
            )
        })
        .chain(single)
        .collect();
    Types::parse(&format!(
        r#"(component
        (core module $module
            (memory (export "memory") 4)
            (global $top (mut i32) (i32.const 65536))
            ;; Never gives anything back; from the second page on.
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                (global.get $top)
                (global.set $top (i32.add (global.get $top) (local.get 3))))
            (func (export "same") (param i32) (result i32) (local.get 0))
            (func (export "leave") (param i32 i32)
                (i32.store (i32.const 0) (local.get 0))
                (i32.store (i32.const 4) (local.get 1)))
            (func (export "keep") (param i32) (i32.store (i32.const 0) (local.get 0)))
            (func (export "fill") (param i32 i32)
                (memory.copy (i32.const 0) (local.get 0) (local.get 1)))
            (func (export "all") (result i32)
                (i32.store (i32.const 8) (i32.const 0))
                (i32.store (i32.const 12) (i32.const 262144))
                (i32.const 8)))
        (core instance $i (instantiate $module))
        (alias core export $i "memory" (core memory $m))
        (type $p (record (field "a" u8) (field "x" s64) (field "name" (option string))))
        (export $point "point" (type $p))
        (type $c (enum "red" "green" "blue"))
        (export $colour "colour" (type $c))
        (type $r (flags "a" "b" "c" "d" "e" "f" "g" "h" "i" "j"))
        (export $rights "rights" (type $r))
        (type $s (variant (case "nothing") (case "circle" f64) (case "named" $point) (case "many" (list $rights))))
        (export $shape "shape" (type $s))
        (func (export "fill") (param "b" (list u8))
            (canon lift (core func $i "fill") (memory (core memory $m)) (realloc (core func $i "realloc"))))
        (func (export "all") (result (list u8)) (canon lift (core func $i "all") (memory (core memory $m))))
        {functions})"#
    ))
    .0
}

/// One life of the component.
struct Life {
    store: Store<()>,
    instance: Instance,
    runtime: tokio::runtime::Runtime,
}

impl Life {
    fn new(engine: &Engine, component: &Component) -> Life {
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let linker = Linker::new(engine);
        let instance = linker.instantiate_async(&mut store, component);
        let instance = runtime.block_on(instance).unwrap();
        Life {
            store,
            instance,
            runtime,
        }
    }

    fn function(&mut self, name: &str) -> Func {
        self.instance.get_func(&mut self.store, name).unwrap()
    }

    /// By `Val`s, as bytes.
    fn by_vals(&mut self, name: &str, params: &[u8]) -> Result<Vec<u8>, String> {
        let function = self.function(name);
        let ty = function.ty(&self.store);
        let params = decode(params, &super::params(&ty)).map_err(|unfit| format!("{unfit:?}"))?;
        let types = results(&ty);
        let mut values = vec![Val::Bool(false); types.len()];
        let call = function.call_async(&mut self.store, &params, &mut values);
        let called = self.runtime.block_on(call);
        called.map_err(|error| format!("{error:#}"))?;
        encode(&values, &types).map_err(|unfit| format!("{unfit:?}"))
    }

    /// As components are called.
    fn direct(&mut self, name: &str, params: &[u8]) -> Result<Vec<u8>, String> {
        let function = self.function(name);
        let way = Way::of(&function.ty(&self.store));
        assert!(way.stack.is_some());
        let given = Given::<{ MAX_FLAT_PARAMS }>(params.to_vec());
        let taken = if way.returns_in_memory {
            let function = function.typed::<_, Taken<IN_MEMORY>>(&self.store).unwrap();
            let call = function.call_async(&mut self.store, given);
            self.runtime.block_on(call).map(|taken| taken.0)
        } else {
            let function = function.typed::<_, Taken<1>>(&self.store).unwrap();
            let call = function.call_async(&mut self.store, given);
            self.runtime.block_on(call).map(|taken| taken.0)
        };
        let taken = taken.map_err(|error| format!("{error:#}"))?;
        taken.map_err(|unfit| format!("{unfit:?}"))
    }

    fn fill(&mut self, memory: &[u8]) {
        let list = [&(memory.len() as u32).to_le_bytes(), memory].concat();
        self.direct("fill", &list).unwrap();
    }
}

/// A way to call a function.
type Call = fn(&mut Life, &str, &[u8]) -> Result<Vec<u8>, String>;

/// A generator of numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Memory in which many numbers are places in it, lengths and cases, and some are anything.
    fn memory(&mut self) -> Vec<u8> {
        let mut memory = Vec::new();
        while memory.len() < 512 {
            let word = match self.below(8) {
                0 => self.below(1 << 32),
                1 => self.below(0x11_0000),
                2 | 3 => self.below(64) * 8,
                _ => self.below(5),
            };
            memory.extend_from_slice(&(word as u32).to_le_bytes());
        }
        memory
    }
}

#[test]
fn what_is_taken_and_given_is_what_the_engine_makes_of_it() {
    let component = component();
    let engine = component.engine().clone();
    let (mut taken, mut refused) = ([0; TYPES.len()], 0);
    for seed in 0..200 {
        let mut random = Random(seed);
        let memory = random.memory();
        for (n, ty) in TYPES.iter().enumerate() {
            let at = match random.below(8) {
                0 => random.below(1 << 18),
                1 => random.below(64),
                2 => random.below(4),
                _ => random.below(32) * 8,
            };
            let at = (at as u32).to_le_bytes();
            let context = format!("seed {seed}, {ty} at {at:?}");
            let get = |way: Call| {
                let mut life = Life::new(&engine, &component);
                life.fill(&memory);
                way(&mut life, &format!("get{n}"), &at)
            };
            let value = match (get(Life::direct), get(Life::by_vals)) {
                (Ok(one), Ok(other)) => {
                    assert_eq!(one, other, "{context}");
                    one
                }
                (Err(_), Err(_)) => {
                    refused += 1;
                    continue;
                }
                (one, other) => panic!("{context}: {one:?}, and by Vals {other:?}"),
            };
            taken[n] += 1;
            let twice = [&2_u32.to_le_bytes()[..], &value, &value].concat();
            let put = |way: Call| -> Result<Vec<u8>, String> {
                let mut life = Life::new(&engine, &component);
                way(&mut life, &format!("put{n}"), &twice)?;
                let mut memory = life.direct("all", &[])?;
                if n < SINGLE {
                    way(&mut life, &format!("keep{n}"), &value)?;
                }
                memory.extend(life.direct("all", &[])?);
                Ok(memory)
            };
            match (put(Life::direct), put(Life::by_vals)) {
                (Ok(one), Ok(other)) => assert!(one == other, "{context}"),
                (Err(one), Err(other)) => assert_eq!(one, other, "{context}"), // its memory is full
                (one, other) => panic!("{context}: {:?}, {:?}", one.err(), other.err()),
            }
        }
    }
    for (ty, taken) in TYPES.iter().zip(taken) {
        assert!(taken > 3, "only {taken} of {ty}");
    }
    assert!(refused > 100, "only {refused}");
}

#[test]
fn what_is_not_of_its_type_is_not_given() {
    let component = component();
    let engine = component.engine().clone();
    for (n, ty) in TYPES.iter().enumerate() {
        for bytes in [
            &[][..],
            &[0; 3],
            &[1, 0, 0, 0],
            &[0xff; 40],
            &[2, 0, 0, 0, 9],
        ] {
            let mut life = Life::new(&engine, &component);
            let given = life.direct(&format!("put{n}"), bytes);
            assert!(given.is_err(), "{ty} {bytes:?}");
        }
    }
}

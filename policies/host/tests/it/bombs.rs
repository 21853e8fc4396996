//! Modules that are small to send and would cost the compiler minutes, gigabytes or the process:
//! each is refused before anything of it is compiled.

use std::time::Duration;

use leasehold_domain::Clock;
use leasehold_domain::SystemClock;
use leasehold_policy_host::HostError;
use wasm_encoder::BlockType;
use wasm_encoder::CodeSection;
use wasm_encoder::Component;
use wasm_encoder::ComponentTypeSection;
use wasm_encoder::ConstExpr;
use wasm_encoder::DataSection;
use wasm_encoder::Function;
use wasm_encoder::FunctionSection;
use wasm_encoder::MemorySection;
use wasm_encoder::MemoryType;
use wasm_encoder::Module;
use wasm_encoder::ModuleSection;
use wasm_encoder::NestedComponentSection;
use wasm_encoder::RawSection;
use wasm_encoder::TypeSection;
use wasm_encoder::ValType;

use crate::guest::Guest;
use crate::guest::engine;

/// A linear memory of one page.
const MEMORY: MemoryType = MemoryType {
    minimum: 1,
    maximum: None,
    memory64: false,
    shared: false,
    page_size_log2: None,
};
/// The component type section's id.
const COMPONENT_TYPES: u8 = 7;
/// More than any refusal takes, also on a busy machine; compiling what is refused takes far longer.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);

/// A component around a core module.
fn around(module: &Module) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(module));
    component.finish()
}

/// A component with a memory and `count` functions of this type and body.
pub(crate) fn functions(count: u32, params: usize, results: usize, body: &Function) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    types
        .ty()
        .function(vec![ValType::I32; params], vec![ValType::I32; results]);
    let mut section = FunctionSection::new();
    let mut code = CodeSection::new();
    for number in 0..count {
        // The last is of the type that was asked for.
        section.function(u32::from(number + 1 == count && params > 0));
        code.function(body);
    }
    let mut module = Module::new();
    let mut memories = MemorySection::new();
    memories.memory(MEMORY);
    module.section(&types).section(&section);
    module.section(&memories).section(&code);
    around(&module)
}

pub(crate) fn body(
    locals: u32,
    instructions: impl FnOnce(&mut wasm_encoder::InstructionSink<'_>),
) -> Function {
    let runs = (locals > 0).then_some((locals, ValType::I32));
    let mut function = Function::new(runs);
    instructions(&mut function.instructions());
    function.instructions().end();
    function
}

fn raw(section: u8, data: &[u8]) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&RawSection { id: section, data });
    component.finish()
}

/// `depth` instance types, each the only declaration of the one around it.
fn nested_types(depth: usize) -> Vec<u8> {
    let mut data = vec![1];
    for _ in 0..depth {
        // An instance type of one declaration, which is a type.
        data.extend_from_slice(&[0x42, 1, 1]);
    }
    data.extend_from_slice(&[0x42, 0]);
    raw(COMPONENT_TYPES, &data)
}

fn nested_components(depth: usize) -> Vec<u8> {
    let mut inner = Component::new();
    for _ in 0..depth {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&inner));
        inner = outer;
    }
    inner.finish()
}

fn many_components(count: usize) -> Vec<u8> {
    let (empty, mut outer) = (Component::new(), Component::new());
    for _ in 0..count {
        outer.section(&NestedComponentSection(&empty));
    }
    outer.finish()
}

/// `count` core types in one module.
fn many_types(count: usize) -> Vec<u8> {
    let mut types = TypeSection::new();
    for _ in 0..count {
        types.ty().function([], []);
    }
    let mut module = Module::new();
    module.section(&types);
    around(&module)
}

fn many_component_types(count: usize) -> Vec<u8> {
    let mut types = ComponentTypeSection::new();
    for _ in 0..count {
        types
            .defined_type()
            .primitive(wasm_encoder::PrimitiveValType::U8);
    }
    let mut component = Component::new();
    component.section(&types);
    component.finish()
}

fn many_data_segments(count: usize) -> Vec<u8> {
    let mut memories = MemorySection::new();
    memories.memory(MEMORY);
    let mut data = DataSection::new();
    for _ in 0..count {
        data.active(0, &ConstExpr::i32_const(0), [0]);
    }
    let mut module = Module::new();
    module.section(&memories).section(&data);
    around(&module)
}

fn text(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("it parses")
}

/// A bomb, and what it has too much of.
type Bomb = (&'static str, Vec<u8>, &'static str);

/// Bombs in the code of functions.
fn bombs_of_code() -> Vec<Bomb> {
    let empty = body(0, |_| {});
    let deep = body(0, |code| {
        (0..60_000).for_each(|_| {
            code.block(BlockType::Empty);
        });
        (0..60_000).for_each(|_| {
            code.end();
        });
    });
    let table = body(0, |code| {
        for _ in 0..4 {
            code.i32_const(0).br_table(vec![0; 200_000], 0);
        }
    });
    let calls = body(0, |code| {
        (0..900).for_each(|_| {
            code.i32_const(0);
        });
        (0..60_000).for_each(|_| {
            code.call(1);
        });
        code.unreachable();
    });
    let long = body(0, |code| {
        (0..300_000).for_each(|_| {
            code.nop();
        })
    });
    let locals = body(50_000, |_| {});
    let one = |body| functions(1, 0, 0, body);
    let bytes = "bytes in one function";
    vec![
        ("empty", functions(1_000_000, 0, 0, &empty), "functions"),
        (
            "locals",
            functions(15_000, 0, 0, &locals),
            "local variables",
        ),
        ("deep blocks", one(&deep), "blocks in one another"),
        ("branch tables", one(&table), bytes),
        (
            "wide calls",
            functions(2, 900, 900, &calls),
            "work in one function",
        ),
        ("a long function", one(&long), bytes),
    ]
}

/// Bombs in what a module is made of.
fn bombs_of_parts() -> Vec<Bomb> {
    let instances = "(core instance)".repeat(900);
    let instances = text(&format!("(component {instances})"));
    let table = text("(component (core module (table 9000000 funcref)))");
    let bytes = "bytes in one type section";
    let nested = "types in one another";
    vec![
        ("core types", many_types(900_000), "types"),
        ("component types", many_component_types(30_000), "types"),
        ("more component types", many_component_types(900_000), bytes),
        ("nested types", nested_types(20_000), nested),
        ("deeply nested types", nested_types(1_300_000), bytes),
        (
            "nested components",
            nested_components(300),
            "components in one another",
        ),
        (
            "many components",
            many_components(900),
            "modules and components",
        ),
        ("data segments", many_data_segments(90_000), "data segments"),
        ("instances", instances, "instances"),
        ("memories", around(&memories(90)), "memories"),
        ("tables", table, "one table"),
        ("globals", many_globals(20_000), "globals"),
    ]
}

fn memories(count: usize) -> Module {
    let mut section = MemorySection::new();
    for _ in 0..count {
        section.memory(MEMORY);
    }
    let mut module = Module::new();
    module.section(&section);
    module
}

fn many_globals(count: usize) -> Vec<u8> {
    let rows: String = std::iter::repeat_n("(global i32 (i32.const 0))", count).collect();
    text(&format!("(component (core module {rows}))"))
}

#[test]
fn a_bomb_is_refused_before_it_is_compiled() {
    let (engine, clock) = (engine(), SystemClock::new());
    let bombs = bombs_of_code().into_iter().chain(bombs_of_parts());
    for (what, wasm, too_many) in bombs {
        let began = clock.monotonic();
        let error = engine.compile(&wasm).expect_err(what);
        let took = clock.monotonic() - began;
        let HostError::TooComplex { what: counted, .. } = &error else {
            panic!("{what}, {} bytes: {error}", wasm.len());
        };
        assert!(counted.contains(too_many), "{what}: {error}");
        assert!(took < REFUSED_WITHIN, "{what}: {took:?}");
    }
}

#[test]
fn a_policy_as_large_as_the_limits_allow_is_still_a_policy() {
    // Many functions, each with some code, beside the policy's own.
    let more =
        "(func (param i32) (result i32) (i32.mul (local.get 0) (i32.const 7)))".repeat(2_000);
    let guest = Guest {
        more,
        ..Guest::default()
    };
    assert!(engine().compile(&guest.wasm()).is_ok());
}

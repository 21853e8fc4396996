//! Functions that are small to send and cost the compiler more than their length: each shape is
//! refused from some size on, which is counted in instructions, and passes well below it.

use leasehold_policy_host::HostError;
use wasm_encoder::BlockType;
use wasm_encoder::Function;
use wasm_encoder::InstructionSink;
use wasm_encoder::MemArg;

use crate::bombs::body;
use crate::bombs::functions;
use crate::guest::engine;

const WORD: MemArg = MemArg {
    offset: 0,
    align: 2,
    memory_index: 0,
};

/// Gives each local variable a value that the compiler cannot know.
fn fill(code: &mut InstructionSink<'_>, locals: u32) {
    for local in 0..locals {
        code.i32_const(0).i32_load(WORD).local_set(local);
    }
}

/// Reads all of them, so that each must be kept until here.
fn read(code: &mut InstructionSink<'_>, locals: u32) {
    for local in 0..locals {
        code.i32_const(0).local_get(local).i32_store(WORD);
    }
}

fn branches(blocks: u32) -> Function {
    body(1, |code| {
        for _ in 0..blocks {
            code.local_get(0).if_(BlockType::Empty).end();
        }
    })
}

fn loops(blocks: u32) -> Function {
    body(1, |code| {
        for _ in 0..blocks {
            code.loop_(BlockType::Empty).local_get(0).br_if(0).end();
        }
    })
}

/// Variables that live across blocks.
fn live(locals: u32, blocks: u32) -> Function {
    body(locals, |code| {
        fill(code, locals);
        for _ in 0..blocks {
            code.block(BlockType::Empty).local_get(0).br_if(0).end();
        }
        read(code, locals);
    })
}

/// The same with values on the stack.
fn stacked(values: u32, blocks: u32) -> Function {
    body(1, |code| {
        (0..values).for_each(|_| {
            code.i32_const(0).i32_load(WORD);
        });
        for _ in 0..blocks {
            code.block(BlockType::Empty).local_get(0).br_if(0).end();
        }
        (0..values).for_each(|_| {
            code.drop();
        });
    })
}

/// Variables that differ by the branch that was taken.
fn merged(locals: u32, blocks: u32) -> Function {
    body(locals, |code| {
        for block in 0..blocks {
            let local = block % locals;
            code.local_get(local).if_(BlockType::Empty);
            code.i32_const(0).i32_load(WORD).local_set(local).end();
        }
        read(code, locals);
    })
}

/// Variables that change in loops in one another.
fn nested(locals: u32, depth: u32) -> Function {
    body(locals, |code| {
        (0..depth).for_each(|_| {
            code.loop_(BlockType::Empty);
        });
        for local in 0..locals {
            code.local_get(local).i32_const(1).i32_add();
            code.local_set(local);
        }
        (0..depth).for_each(|_| {
            code.local_get(0).br_if(0).end();
        });
    })
}

/// A branch table over many variables.
fn switched(locals: u32, targets: usize) -> Function {
    body(locals, |code| {
        fill(code, locals);
        code.block(BlockType::Empty);
        code.local_get(0).br_table(vec![0; targets], 0).end();
        read(code, locals);
    })
}

fn calls(count: u32) -> Function {
    body(0, |code| {
        (0..count).for_each(|_| {
            code.call(0);
        });
    })
}

/// A shape in a size that is refused, and in one that is not.
type Shape = (&'static str, Function, Function);

fn shapes() -> Vec<Shape> {
    vec![
        ("branches", branches(10_000), branches(2_000)),
        ("loops", loops(3_000), loops(500)),
        ("live variables", live(1_200, 1_000), live(300, 400)),
        ("live values", stacked(1_200, 1_000), stacked(300, 400)),
        ("merged variables", merged(1_200, 1_000), merged(300, 400)),
        ("variables in loops", nested(1_200, 40), nested(300, 10)),
        ("loops in one another", nested(100, 150), nested(100, 20)),
        ("a branch table", switched(500, 3_000), switched(100, 1_000)),
        ("calls", calls(60_000), calls(10_000)),
    ]
}

#[test]
fn a_function_is_refused_for_the_work_that_it_makes_and_not_for_its_length() {
    let engine = engine();
    for (what, large, small) in shapes() {
        let error = engine.compile(&functions(1, 0, 0, &large)).expect_err(what);
        let HostError::TooComplex { what: counted, .. } = &error else {
            panic!("{what}: {error}");
        };
        assert_eq!(*counted, "work in one function", "{what}: {error}");
        // It is no policy, which is said after all counts and before anything is compiled.
        let error = engine.compile(&functions(1, 0, 0, &small)).expect_err(what);
        assert!(matches!(error, HostError::WrongWorld(_)), "{what}: {error}");
    }
}

#[test]
fn many_functions_are_refused_for_the_work_that_they_make_together() {
    let engine = engine();
    for (what, _, small) in shapes() {
        let error = engine
            .compile(&functions(300, 0, 0, &small))
            .expect_err(what);
        let HostError::TooComplex { what: counted, .. } = &error else {
            panic!("{what}: {error}");
        };
        assert_eq!(*counted, "work for the compiler", "{what}: {error}");
    }
}

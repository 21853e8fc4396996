//! An estimate of what compiling a function costs, in units of about a microsecond.
//!
//! The compiler's time and memory do not follow the length of a function alone. It keeps every
//! variable apart in every block in which that may differ, so its cost grows with variables times
//! blocks, and in nested loops with their depth besides; and each block costs a little more than the
//! one before it. A few KiB can be made to cost minutes that way. The weights were measured: see the
//! README.

use wasmparser::ModuleArity;
use wasmparser::Operator;

/// What a function costs that does nothing.
const FUNCTION: usize = 150;
/// What a call costs besides its values: fuel is counted around it.
const CALL: usize = 10;
/// What each value costs that a call takes or gives.
const CALL_VALUE: usize = 4;
/// So many variables that must be kept apart in one more block cost one.
const VARIABLES_PER_UNIT: usize = 2;
/// So many variables make each of them cost twice as much in a loop.
const VARIABLES_PER_FACTOR_OF_LOOP: usize = 32;
/// So many blocks that a function has already make one more cost one more.
const BLOCKS_PER_UNIT: usize = 64;
/// The same for a loop.
const BLOCKS_PER_UNIT_OF_LOOP: usize = 8;

/// What the function so far costs.
#[derive(Debug)]
pub(super) struct Work {
    sum: usize,
    locals: usize,
    /// Blocks so far, those that only a branch makes included.
    blocks: usize,
    /// Which of the open blocks are loops.
    open: Vec<bool>,
    /// How many of them are.
    loops: usize,
}

impl Work {
    /// Starts with the function's parameters and local variables.
    pub(super) fn new(locals: usize) -> Self {
        Self {
            sum: FUNCTION,
            locals,
            blocks: 0,
            open: Vec::new(),
            loops: 0,
        }
    }

    pub(super) fn sum(&self) -> usize {
        self.sum
    }

    /// Adds an instruction that meets a stack of this height. One that is not valid here costs
    /// little: its validation follows.
    pub(super) fn add(
        &mut self,
        module: &impl ModuleArity,
        height: usize,
        operator: &Operator<'_>,
    ) {
        let (params, results) = operator.operator_arity(module).unwrap_or((0, 0));
        let values = params as usize + results as usize;
        let cost = match operator {
            Operator::Loop { .. } => {
                let cost = self.loop_cost(height);
                self.enter(true);
                1 + values + cost
            }
            Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                let cost = self.block_cost(height);
                self.enter(false);
                1 + values + cost
            }
            Operator::End => {
                if self.open.pop() == Some(true) {
                    self.loops -= 1;
                }
                1 + values
            }
            Operator::Else
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. } => {
                let cost = self.block_cost(height);
                self.blocks += 1;
                1 + values + cost
            }
            Operator::BrTable { targets } => {
                let arity = module.label_block(targets.default()).and_then(|(ty, _)| {
                    let (params, results) = module.block_type_arity(ty)?;
                    Some(params.max(results) as usize)
                });
                let targets = targets.len() as usize + 1;
                let each = 1 + arity.unwrap_or(0) + self.block_cost(height);
                self.blocks = self.blocks.saturating_add(targets);
                targets.saturating_mul(each)
            }
            Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::MemoryGrow { .. }
            | Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryInit { .. }
            | Operator::TableGrow { .. }
            | Operator::TableCopy { .. }
            | Operator::TableFill { .. }
            | Operator::TableInit { .. } => CALL + CALL_VALUE.saturating_mul(values),
            _ => 1 + values,
        };
        self.sum = self.sum.saturating_add(cost);
    }

    fn enter(&mut self, is_loop: bool) {
        self.blocks += 1;
        self.loops += usize::from(is_loop);
        self.open.push(is_loop);
    }

    /// What keeping the variables apart in one more block costs.
    fn block_cost(&self, height: usize) -> usize {
        let variables = self.locals.saturating_add(height);
        variables / VARIABLES_PER_UNIT + self.blocks / BLOCKS_PER_UNIT
    }

    /// The same for a loop: the loops around it and the other variables multiply it.
    fn loop_cost(&self, height: usize) -> usize {
        let variables = self.locals.saturating_add(height);
        let factor = self.loops + 1 + variables / VARIABLES_PER_FACTOR_OF_LOOP;
        let deep = variables.saturating_mul(factor);
        deep / VARIABLES_PER_UNIT + self.blocks / BLOCKS_PER_UNIT_OF_LOOP
    }
}

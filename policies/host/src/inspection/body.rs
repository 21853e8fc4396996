//! Validates and measures one function.

use leasehold_domain::limits::MODULE_BLOCK_DEPTH_MAX;
use leasehold_domain::limits::MODULE_FUNCTION_BYTES_MAX;
use leasehold_domain::limits::MODULE_FUNCTION_OPERANDS_MAX;
use leasehold_domain::limits::MODULE_LOCALS_MAX;
use wasmparser::FuncValidator;
use wasmparser::FunctionBody;
use wasmparser::ModuleArity;
use wasmparser::Operator;
use wasmparser::WasmModuleResources;

use super::counts::within;
use super::invalid;
use crate::error::HostError;

/// What one function costs the compiler.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) locals: usize,
    pub(super) operands: usize,
}

/// Validates a function, and measures it on the way.
pub(super) fn measure<T: WasmModuleResources>(
    function: &mut FuncValidator<T>,
    body: &FunctionBody<'_>,
) -> Result<Measured, HostError> {
    let bytes = body.range().len();
    within("bytes in one function", bytes, MODULE_FUNCTION_BYTES_MAX)?;
    let locals = count_locals(body)?;
    let mut reader = body.get_binary_reader();
    function.read_locals(&mut reader).map_err(invalid)?;
    let mut operators = body.get_operators_reader().map_err(invalid)?;
    let mut operands = 0_usize;
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset().map_err(invalid)?;
        operands = operands.saturating_add(cost(&function.visitor(offset), &operator));
        within(
            "operands in one function",
            operands,
            MODULE_FUNCTION_OPERANDS_MAX,
        )?;
        function.op(offset, &operator).map_err(invalid)?;
        let depth = function.control_stack_height() as usize;
        within("blocks in one another", depth, MODULE_BLOCK_DEPTH_MAX)?;
    }
    operators.finish().map_err(invalid)?;
    Ok(Measured { locals, operands })
}

/// Local variables are declared as runs, so that five bytes may declare thousands.
fn count_locals(body: &FunctionBody<'_>) -> Result<usize, HostError> {
    let mut locals = 0_usize;
    for run in body.get_locals_reader().map_err(invalid)? {
        let (count, _) = run.map_err(invalid)?;
        locals = locals.saturating_add(count as usize);
        within("local variables", locals, MODULE_LOCALS_MAX)?;
    }
    Ok(locals)
}

/// How many values an instruction moves, and at least one. An instruction that is not valid here
/// costs nothing: its validation follows.
fn cost(module: &impl ModuleArity, operator: &Operator<'_>) -> usize {
    if let Operator::BrTable { targets } = operator {
        let arity = module.label_block(targets.default()).and_then(|(ty, _)| {
            let (params, results) = module.block_type_arity(ty)?;
            Some(params.max(results) as usize)
        });
        return (targets.len() as usize + 1).saturating_mul(1 + arity.unwrap_or(0));
    }
    let (params, results) = operator.operator_arity(module).unwrap_or((0, 0));
    1 + params as usize + results as usize
}

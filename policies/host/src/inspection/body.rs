//! Validates one function and estimates what compiling it costs.

use leasehold_domain::limits::MODULE_BLOCK_DEPTH_MAX;
use leasehold_domain::limits::MODULE_FUNCTION_BYTES_MAX;
use leasehold_domain::limits::MODULE_FUNCTION_WORK_MAX;
use leasehold_domain::limits::MODULE_LOCALS_MAX;
use wasmparser::FuncValidator;
use wasmparser::FunctionBody;
use wasmparser::WasmModuleResources;

use super::invalid;
use super::within;
use super::work::Work;
use crate::error::HostError;

/// What one function costs the compiler.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) locals: usize,
    pub(super) work: usize,
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
    let mut work = Work::new(function.len_locals() as usize);
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset().map_err(invalid)?;
        let height = function.operand_stack_height() as usize;
        work.add(&function.visitor(offset), height, &operator);
        within("work in one function", work.sum(), MODULE_FUNCTION_WORK_MAX)?;
        function.op(offset, &operator).map_err(invalid)?;
        let depth = function.control_stack_height() as usize;
        within("blocks in one another", depth, MODULE_BLOCK_DEPTH_MAX)?;
    }
    operators.finish().map_err(invalid)?;
    Ok(Measured {
        locals,
        work: work.sum(),
    })
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

//! What the host keeps beside one instance: its limits, and what it traced.

use wasmtime::ResourceLimiter;
use wasmtime::Store;
use wasmtime::StoreContextMut;
use wasmtime::Trap;
use wasmtime::component::Linker;
use wasmtime::component::WasmStr;

use crate::limits::Budget;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::limits::TRACE_FUEL;
use crate::limits::TRACES_MAX;

/// The data of one store. A store lives for one call.
#[derive(Debug)]
pub(crate) struct Guest {
    memory_bytes_max: usize,
    /// Bytes of all its linear memories.
    memory_bytes: usize,
    traces: Option<Vec<String>>,
    /// The last message, also where nobody listens.
    last_trace: Option<String>,
}

/// A guest asked for more memory than it may have.
#[derive(Debug, thiserror::Error)]
#[error("more memory than allowed")]
pub(crate) struct MemoryRefused;

impl ResourceLimiter for Guest {
    /// Refusing is a trap, not a `-1` that a guest could act upon: a verdict must not depend on how
    /// much memory this gateway allows.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        self.memory_bytes = self.memory_bytes.saturating_add(more);
        if self.memory_bytes > self.memory_bytes_max {
            return Err(MemoryRefused.into());
        }
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Err(MemoryRefused.into());
        }
        Ok(true)
    }
}

/// A store for one call, with every guard armed before anything of the guest runs.
pub(crate) fn store(
    engine: &wasmtime::Engine,
    memory_bytes_max: usize,
    budget: Budget,
    answer_bytes: usize,
    traced: bool,
) -> wasmtime::Result<Store<Guest>> {
    let guest = Guest {
        memory_bytes_max,
        memory_bytes: 0,
        traces: traced.then(Vec::new),
        last_trace: None,
    };
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| guest);
    store.set_epoch_deadline(budget.deadline_ticks());
    store.set_fuel(budget.fuel)?;
    store.set_hostcall_fuel(answer_bytes);
    Ok(store)
}

impl Guest {
    /// What the guest traced last, whether or not all of it was kept.
    pub(crate) fn take_last_trace(&mut self) -> Option<String> {
        self.last_trace.take()
    }

    /// What the guest traced, if that was kept.
    pub(crate) fn into_traces(self) -> Vec<String> {
        self.traces.unwrap_or_default()
    }
}

/// A linker that offers `trace` and nothing else.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.root().func_wrap("trace", trace)?;
    Ok(linker)
}

/// Host work is paid for in the guest's fuel, and does not depend on whether anybody listens.
fn trace(mut store: StoreContextMut<'_, Guest>, (message,): (WasmStr,)) -> wasmtime::Result<()> {
    let text = message.to_str(&store)?.into_owned();
    let price = TRACE_FUEL + text.len() as u64;
    let fuel = store.get_fuel()?;
    store.set_fuel(fuel.saturating_sub(price))?;
    if fuel < price {
        return Err(Trap::OutOfFuel.into());
    }
    let guest = store.data_mut();
    let text = truncated(text);
    if let Some(traces) = &mut guest.traces
        && traces.len() < TRACES_MAX
    {
        traces.push(text.clone());
    }
    guest.last_trace = Some(text);
    Ok(())
}

fn truncated(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
    text
}

//! A verified module.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

use leasehold_domain::Digest;
use leasehold_domain::limits::MODULE_BYTES_MAX;
use wasmtime::Store;
use wasmtime::component::Component;
use wasmtime::component::ComponentExportIndex;
use wasmtime::component::Instance;
use wasmtime::component::InstancePre;
use wasmtime::component::TypedFunc;
use wasmtime::component::types::ComponentItem;

use crate::bindings as wit;
use crate::contract::Contract;
use crate::convert::shortened;
use crate::engine::PolicyEngine;
use crate::error::ConfigError;
use crate::error::HostError;
use crate::fault::Met;
use crate::fault::PolicyFault;
use crate::guest;
use crate::guest::Guest;
use crate::inspection::inspect;
use crate::limits::ANSWER_BYTES_MAX;
use crate::limits::Budget;
use crate::limits::MANIFEST_BYTES_MAX;
use crate::manifest::Manifest;
use crate::schema::Schema;
use crate::schema::canonical;
use crate::verdict_cache::VerdictCache;

/// The first bytes of a core module and of a component: magic, version, layer.
const CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A compiled module whose manifest was checked and whose own test cases passed. Immutable.
pub struct Module {
    engine: PolicyEngine,
    digest: Digest,
    pre: InstancePre<Guest>,
    exports: Exports,
    manifest: Manifest,
    contract: Contract,
    schema: Schema,
    /// The verdict caches that are in use, by configuration: binding the module to the same
    /// configuration again continues with the same cache.
    verdict_caches: Mutex<HashMap<Digest, Weak<VerdictCache>>>,
}

/// What a policy is asked with: request, principal, facts, configuration.
pub(crate) type Arguments<'a> = (
    wit::Request<'a>,
    wit::Principal<'a>,
    wit::Facts<'a>,
    &'a str,
);

type Check = TypedFunc<(String,), (Result<(), String>,)>;
type Decide<'a, Verdict> = TypedFunc<Arguments<'a>, (Result<Verdict, String>,)>;

/// Where a module's functions are.
#[derive(Debug, Clone, Copy)]
struct Exports {
    describe: ComponentExportIndex,
    check: ComponentExportIndex,
    decide: ComponentExportIndex,
}

impl Exports {
    fn of(component: &Component) -> Result<Self, HostError> {
        let index = |name: &str| {
            let missing = || HostError::WrongWorld(format!("it does not export `{name}`"));
            component.get_export_index(None, name).ok_or_else(missing)
        };
        Ok(Self {
            describe: index("describe")?,
            check: index("check")?,
            decide: index("decide")?,
        })
    }

    /// The function that tells the manifest.
    fn describe(
        &self,
        instance: &Instance,
        store: &mut Store<Guest>,
        contract: Contract,
    ) -> wasmtime::Result<Describe> {
        Ok(match contract.declares_inputs() {
            true => Describe::Now(instance.get_typed_func(store, self.describe)?),
            false => Describe::Before(instance.get_typed_func(store, self.describe)?),
        })
    }

    /// Checks the types of what is called later.
    fn check_types(
        &self,
        instance: &Instance,
        store: &mut Store<Guest>,
        contract: Contract,
    ) -> wasmtime::Result<()> {
        let _: Check = instance.get_typed_func(&mut *store, self.check)?;
        if contract.has_counters() {
            let _: Decide<'_, wit::Verdict> = instance.get_typed_func(store, self.decide)?;
        } else {
            let _: Decide<'_, wit::VerdictBefore> = instance.get_typed_func(store, self.decide)?;
        }
        Ok(())
    }
}

/// `describe` of a contract with inputs in the manifest, or of one before.
enum Describe {
    Now(TypedFunc<(), (wit::Manifest,)>),
    Before(TypedFunc<(), (wit::ManifestBefore,)>),
}

impl Describe {
    fn call(&self, store: &mut Store<Guest>) -> wasmtime::Result<wit::Manifest> {
        match self {
            Self::Now(describe) => Ok(describe.call(store, ())?.0),
            Self::Before(describe) => Ok(describe.call(store, ())?.0.into()),
        }
    }
}

/// What one call of a guest came to.
pub(crate) struct Called<T> {
    pub(crate) result: Result<T, PolicyFault>,
    pub(crate) fuel: u64,
    pub(crate) traces: Vec<String>,
}

impl Module {
    /// Compiles and links a module, and checks what it says about itself.
    pub(crate) fn compile(engine: &PolicyEngine, wasm: &[u8]) -> Result<Self, HostError> {
        check_header(wasm)?;
        let contract = inspect(wasm)?;
        let component = Component::new(engine.engine(), wasm)
            .map_err(|error| HostError::Compile(format!("{error:#}")))?;
        check_imports(engine, &component)?;
        let wrong = |error: wasmtime::Error| HostError::WrongWorld(format!("{error:#}"));
        let pre = engine.linker().instantiate_pre(&component).map_err(wrong)?;
        let exports = Exports::of(&component)?;
        let budget = engine.limits().budget();
        let described = call(engine, budget, MANIFEST_BYTES_MAX, false, |store| {
            let instance = pre.instantiate(&mut *store)?;
            let typed = exports.check_types(&instance, store, contract);
            let typed = typed.and_then(|()| exports.describe(&instance, store, contract));
            match typed {
                Ok(describe) => Ok(Ok(describe.call(store)?)),
                Err(error) => Ok(Err(wrong(error))),
            }
        });
        let manifest = Manifest::checked(described.result.map_err(HostError::Describe)??)?;
        let schema =
            Schema::compile(&manifest.config_schema).map_err(|problem| HostError::Manifest {
                field: "config-schema",
                problem,
            })?;
        let digest = Digest::of(wasm);
        Ok(Self {
            engine: engine.clone(),
            digest,
            pre,
            exports,
            manifest,
            contract,
            schema,
            verdict_caches: Mutex::default(),
        })
    }

    /// Returns the verdict cache for a configuration; `None` if verdicts of this module are not cached.
    pub(crate) fn verdict_cache(&self, config: Digest) -> Option<Arc<VerdictCache>> {
        let reads = self.manifest.reads?;
        if !reads.is_cacheable() {
            return None;
        }
        let caches = self.verdict_caches.lock();
        let mut caches = caches.unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = caches.get(&config).and_then(Weak::upgrade) {
            return Some(cache);
        }
        // Dropped caches are removed each time the map could have doubled: amortized constant time.
        if caches.len().is_power_of_two() {
            caches.retain(|_, cache| cache.strong_count() > 0);
        }
        let cache = Arc::new(self.engine.new_verdict_cache()?);
        caches.insert(config, Arc::downgrade(&cache));
        Some(cache)
    }

    /// The SHA-256 of the module's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it says about itself, checked.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The version of the contract that it was built for.
    #[must_use]
    pub fn contract(&self) -> Contract {
        self.contract
    }

    /// Checks a configuration against the module's schema, and then asks the module itself. Returns
    /// it as canonical JSON.
    pub(crate) fn check(&self, config: &serde_json::Value) -> Result<String, ConfigError> {
        self.schema.check(config)?;
        let text = canonical(config)?;
        let budget = self.engine.limits().budget();
        let checked = call(&self.engine, budget, ANSWER_BYTES_MAX, false, |store| {
            let instance = self.pre.instantiate(&mut *store)?;
            let check: Check = instance.get_typed_func(&mut *store, self.exports.check)?;
            let (checked,) = check.call(store, (text.clone(),))?;
            Ok(checked)
        });
        match checked.result {
            Ok(Ok(())) => Ok(text),
            Ok(Err(message)) => Err(ConfigError::whole(shortened(message))),
            Err(fault) => Err(ConfigError::whole(format!(
                "`check` failed: the policy {fault}"
            ))),
        }
    }

    /// What one decision of this module may spend.
    pub(crate) fn budget(&self) -> Budget {
        self.engine.limits().budget()
    }

    /// Asks for a verdict, in a fresh instance.
    ///
    /// `decide` is looked up alone: the generated bindings would do so for all exports, each time.
    pub(crate) fn decide(
        &self,
        budget: Budget,
        traced: bool,
        arguments: Arguments<'_>,
    ) -> Called<Result<wit::Verdict, String>> {
        call(&self.engine, budget, ANSWER_BYTES_MAX, traced, |store| {
            let instance = self.pre.instantiate(&mut *store)?;
            let decide = self.exports.decide;
            if self.contract.has_counters() {
                let decide: Decide<'_, wit::Verdict> =
                    instance.get_typed_func(&mut *store, decide)?;
                let (verdict,) = decide.call(store, arguments)?;
                return Ok(verdict);
            }
            let decide: Decide<'_, wit::VerdictBefore> =
                instance.get_typed_func(&mut *store, decide)?;
            let (verdict,) = decide.call(store, arguments)?;
            Ok(verdict.map(wit::Verdict::from))
        })
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.manifest.name)
            .field("version", &self.manifest.version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

fn check_header(wasm: &[u8]) -> Result<(), HostError> {
    if wasm.len() > MODULE_BYTES_MAX {
        return Err(HostError::TooLarge {
            bytes: wasm.len(),
            max: MODULE_BYTES_MAX,
        });
    }
    if wasm.starts_with(CORE_MODULE) {
        let problem = "it is a core module; link it with wasm-component-ld";
        return Err(HostError::NotAComponent(problem));
    }
    if !wasm.starts_with(COMPONENT) {
        return Err(HostError::NotAComponent("it does not begin as one"));
    }
    Ok(())
}

/// A world's types are imports too, and nothing has to be given for them, nor for an interface of
/// them.
fn check_imports(engine: &PolicyEngine, component: &Component) -> Result<(), HostError> {
    for (name, import) in component.component_type().imports(engine.engine()) {
        match import.ty {
            ComponentItem::Type(_) => {}
            ComponentItem::ComponentInstance(types) if Contract::of_import(name).is_some() => {
                let mut items = types.exports(engine.engine());
                let other = items.find(|(_, item)| !matches!(item.ty, ComponentItem::Type(_)));
                if let Some((item, _)) = other {
                    return Err(HostError::ForbiddenImport(format!("{name}#{item}")));
                }
            }
            _ if name == "trace" => {}
            _ => return Err(HostError::ForbiddenImport(name.to_owned())),
        }
    }
    Ok(())
}

/// Runs something of a guest in a store of its own, with every guard armed.
fn call<T>(
    engine: &PolicyEngine,
    budget: Budget,
    answer_bytes: usize,
    traced: bool,
    run: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<T>,
) -> Called<T> {
    let memory_bytes = engine.limits().memory_bytes;
    let made = guest::store(engine.engine(), memory_bytes, budget, answer_bytes, traced);
    let mut store = match made {
        Ok(store) => store,
        Err(error) => {
            let result = Err(PolicyFault::Host(error.to_string()));
            return Called {
                result,
                fuel: 0,
                traces: Vec::new(),
            };
        }
    };
    let met = Met {
        fuel: budget.fuel,
        deadline_ms: budget.deadline_ms,
        memory_bytes,
    };
    // Nothing is expected to panic here; if it does, one decision fails and not the gateway. The
    // store is thrown away, so nothing half-changed is seen again.
    let ran = catch_unwind(AssertUnwindSafe(|| run(&mut store)));
    let result = match ran {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            let last = store.data_mut().take_last_trace();
            Err(PolicyFault::of(&error, met).with_trace(last))
        }
        Err(_) => Err(PolicyFault::Host("it panicked".to_owned())),
    };
    let left = store.get_fuel().unwrap_or(0);
    let traces = if traced {
        store.into_data().into_traces()
    } else {
        Vec::new()
    };
    Called {
        result,
        fuel: budget.fuel.saturating_sub(left),
        traces,
    }
}

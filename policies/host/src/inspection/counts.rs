//! What a module is made of, over all modules and components in it.

use leasehold_domain::limits;
use wasmparser::ElementItems;
use wasmparser::ElementSectionReader;
use wasmparser::Payload;
use wasmparser::SectionLimited;
use wasmparser::TypeSectionReader;

use super::body::Measured;
use super::invalid;
use super::types;
use crate::error::HostError;

/// How many there are of each, so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    depth: usize,
    parts: usize,
    functions: usize,
    locals: usize,
    operands: usize,
    types: usize,
    names: usize,
    globals: usize,
    tables: usize,
    elements: usize,
    memories: usize,
    data_segments: usize,
    instances: usize,
    aliases: usize,
    canonical_functions: usize,
    custom_sections: usize,
}

/// Refuses more than `max`.
pub(super) fn within(what: &'static str, count: usize, max: usize) -> Result<(), HostError> {
    if count <= max {
        return Ok(());
    }
    Err(HostError::TooComplex { what, count, max })
}

/// Adds to a count, and refuses more than `max`.
fn add(count: &mut usize, more: usize, what: &'static str, max: usize) -> Result<(), HostError> {
    *count = count.saturating_add(more);
    within(what, *count, max)
}

fn rows<T>(section: &SectionLimited<'_, T>) -> usize {
    section.count() as usize
}

impl Counts {
    /// Counts what comes next. Returns how deep it lies; the outermost component is at depth 1.
    pub(super) fn count(&mut self, payload: &Payload<'_>) -> Result<usize, HostError> {
        match payload {
            Payload::Version { .. } => self.enter()?,
            Payload::TypeSection(section) => self.add_core_types(section)?,
            Payload::CoreTypeSection(section) => {
                self.check_type_section(section)?;
                for ty in section.clone() {
                    self.add_types(types::of_core(&ty.map_err(invalid)?))?;
                }
            }
            Payload::ComponentTypeSection(section) => {
                self.check_type_section(section)?;
                for ty in section.clone() {
                    self.add_types(types::of_component(&ty.map_err(invalid)?, 1)?)?;
                }
            }
            Payload::ElementSection(section) => self.add_elements(section)?,
            Payload::TableSection(section) => {
                add(
                    &mut self.tables,
                    rows(section),
                    "tables",
                    limits::MODULE_TABLES_MAX,
                )?;
                for table in section.clone() {
                    let initial = table.map_err(invalid)?.ty.initial;
                    let initial = usize::try_from(initial).unwrap_or(usize::MAX);
                    let max = limits::MODULE_TABLE_ELEMENTS_MAX;
                    within("elements in one table at its start", initial, max)?;
                }
            }
            Payload::DataCountSection { count, .. } => within(
                "data segments",
                self.data_segments.saturating_add(*count as usize),
                limits::MODULE_DATA_SEGMENTS_MAX,
            )?,
            Payload::CodeSectionStart { count, .. } => {
                within("functions", *count as usize, limits::MODULE_FUNCTIONS_MAX)?;
            }
            other => self.add_rows(other)?,
        }
        Ok(self.depth)
    }

    /// Counts a section whose rows cost the same each.
    fn add_rows(&mut self, payload: &Payload<'_>) -> Result<(), HostError> {
        let (count, more, what, max) = match payload {
            Payload::ImportSection(s) => {
                // Of an import only its kind tells whether it is a function; all count as one.
                add(
                    &mut self.functions,
                    rows(s),
                    "functions",
                    limits::MODULE_FUNCTIONS_MAX,
                )?;
                (
                    &mut self.names,
                    rows(s),
                    "imports and exports",
                    limits::MODULE_NAMES_MAX,
                )
            }
            Payload::ExportSection(s) => (
                &mut self.names,
                rows(s),
                "imports and exports",
                limits::MODULE_NAMES_MAX,
            ),
            Payload::ComponentImportSection(s) => (
                &mut self.names,
                rows(s),
                "imports and exports",
                limits::MODULE_NAMES_MAX,
            ),
            Payload::ComponentExportSection(s) => (
                &mut self.names,
                rows(s),
                "imports and exports",
                limits::MODULE_NAMES_MAX,
            ),
            Payload::FunctionSection(s) => (
                &mut self.functions,
                rows(s),
                "functions",
                limits::MODULE_FUNCTIONS_MAX,
            ),
            Payload::GlobalSection(s) => (
                &mut self.globals,
                rows(s),
                "globals",
                limits::MODULE_GLOBALS_MAX,
            ),
            Payload::MemorySection(s) => (
                &mut self.memories,
                rows(s),
                "memories",
                limits::MODULE_MEMORIES_MAX,
            ),
            Payload::DataSection(s) => {
                let max = limits::MODULE_DATA_SEGMENTS_MAX;
                (&mut self.data_segments, rows(s), "data segments", max)
            }
            Payload::InstanceSection(s) => (
                &mut self.instances,
                rows(s),
                "instances",
                limits::MODULE_INSTANCES_MAX,
            ),
            Payload::ComponentInstanceSection(s) => (
                &mut self.instances,
                rows(s),
                "instances",
                limits::MODULE_INSTANCES_MAX,
            ),
            Payload::ComponentAliasSection(s) => (
                &mut self.aliases,
                rows(s),
                "aliases",
                limits::MODULE_ALIASES_MAX,
            ),
            Payload::ComponentCanonicalSection(s) => {
                let max = limits::MODULE_CANONICAL_FUNCTIONS_MAX;
                (
                    &mut self.canonical_functions,
                    rows(s),
                    "lifted and lowered functions",
                    max,
                )
            }
            Payload::CustomSection(_) => {
                let max = limits::MODULE_CUSTOM_SECTIONS_MAX;
                (&mut self.custom_sections, 1, "custom sections", max)
            }
            _ => return Ok(()),
        };
        add(count, more, what, max)
    }

    /// A function was measured.
    pub(super) fn add_body(&mut self, body: Measured) -> Result<(), HostError> {
        add(
            &mut self.locals,
            body.locals,
            "local variables",
            limits::MODULE_LOCALS_MAX,
        )?;
        add(
            &mut self.operands,
            body.operands,
            "operands",
            limits::MODULE_OPERANDS_MAX,
        )
    }

    /// A module or component has ended.
    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn enter(&mut self) -> Result<(), HostError> {
        self.depth += 1;
        let max = limits::MODULE_PART_DEPTH_MAX;
        within("components in one another", self.depth, max)?;
        add(
            &mut self.parts,
            1,
            "modules and components",
            limits::MODULE_PARTS_MAX,
        )
    }

    fn add_types(&mut self, more: usize) -> Result<(), HostError> {
        add(&mut self.types, more, "types", limits::MODULE_TYPES_MAX)
    }

    /// One row may be a group of several types.
    fn add_core_types(&mut self, section: &TypeSectionReader<'_>) -> Result<(), HostError> {
        within("types", rows(section), limits::MODULE_TYPES_MAX)?;
        for group in section.clone() {
            self.add_types(group.map_err(invalid)?.types().len())?;
        }
        Ok(())
    }

    /// Types of components are read by recursion, so the length of their section bounds the stack.
    fn check_type_section<T>(&self, section: &SectionLimited<'_, T>) -> Result<(), HostError> {
        let bytes = section.range().len();
        let max = limits::MODULE_TYPE_SECTION_BYTES_MAX;
        within("bytes in one type section", bytes, max)?;
        within(
            "types",
            self.types.saturating_add(rows(section)),
            limits::MODULE_TYPES_MAX,
        )
    }

    fn add_elements(&mut self, section: &ElementSectionReader<'_>) -> Result<(), HostError> {
        let (what, max) = ("elements of tables", limits::MODULE_ELEMENTS_MAX);
        within(what, rows(section), max)?;
        for segment in section.clone() {
            let more = match segment.map_err(invalid)?.items {
                ElementItems::Functions(items) => items.count() as usize,
                ElementItems::Expressions(_, items) => items.count() as usize,
            };
            add(&mut self.elements, more.saturating_add(1), what, max)?;
        }
        Ok(())
    }
}

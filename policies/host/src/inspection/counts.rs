//! What a module is made of, over all modules and components in it.

use leasehold_domain::limits;
use wasmparser::ElementItems;
use wasmparser::ElementSectionReader;
use wasmparser::Payload;
use wasmparser::SectionLimited;
use wasmparser::TableSectionReader;
use wasmparser::TypeSectionReader;

use super::body::Measured;
use super::invalid;
use super::types;
use super::within;
use crate::error::HostError;

/// What is counted.
#[derive(Debug, Clone, Copy)]
enum Part {
    Parts,
    Functions,
    Locals,
    Work,
    Types,
    Names,
    Globals,
    Tables,
    Elements,
    Memories,
    DataSegments,
    Instances,
    CoreInstances,
    Aliases,
    CanonicalFunctions,
    CustomSections,
}

/// How many kinds of parts there are.
const PARTS: usize = Part::CustomSections as usize + 1;

impl Part {
    /// What messages call it, and how many there may be.
    fn limit(self) -> (&'static str, usize) {
        match self {
            Self::Parts => ("modules and components", limits::MODULE_PARTS_MAX),
            Self::Functions => ("functions", limits::MODULE_FUNCTIONS_MAX),
            Self::Locals => ("local variables", limits::MODULE_LOCALS_MAX),
            Self::Work => ("work for the compiler", limits::MODULE_WORK_MAX),
            Self::Types => ("types", limits::MODULE_TYPES_MAX),
            Self::Names => ("imports and exports", limits::MODULE_NAMES_MAX),
            Self::Globals => ("globals", limits::MODULE_GLOBALS_MAX),
            Self::Tables => ("tables", limits::MODULE_TABLES_MAX),
            Self::Elements => ("elements of tables", limits::MODULE_ELEMENTS_MAX),
            Self::Memories => ("memories", limits::MODULE_MEMORIES_MAX),
            Self::DataSegments => ("data segments", limits::MODULE_DATA_SEGMENTS_MAX),
            Self::Instances => ("instances", limits::MODULE_INSTANCES_MAX),
            Self::CoreInstances => ("core instances", limits::MODULE_CORE_INSTANCES_MAX),
            Self::Aliases => ("aliases", limits::MODULE_ALIASES_MAX),
            Self::CanonicalFunctions => (
                "lifted and lowered functions",
                limits::MODULE_CANONICAL_FUNCTIONS_MAX,
            ),
            Self::CustomSections => ("custom sections", limits::MODULE_CUSTOM_SECTIONS_MAX),
        }
    }
}

/// How many there are of each, so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    depth: usize,
    counts: [usize; PARTS],
}

fn rows<T>(section: &SectionLimited<'_, T>) -> usize {
    section.count() as usize
}

/// What a section adds whose rows cost the same each.
fn rows_of(payload: &Payload<'_>) -> Option<(Part, usize)> {
    Some(match payload {
        Payload::ImportSection(section) => (Part::Names, rows(section)),
        Payload::ExportSection(section) => (Part::Names, rows(section)),
        Payload::ComponentImportSection(section) => (Part::Names, rows(section)),
        Payload::ComponentExportSection(section) => (Part::Names, rows(section)),
        Payload::FunctionSection(section) => (Part::Functions, rows(section)),
        Payload::GlobalSection(section) => (Part::Globals, rows(section)),
        Payload::MemorySection(section) => (Part::Memories, rows(section)),
        Payload::DataSection(section) => (Part::DataSegments, rows(section)),
        Payload::InstanceSection(section) => (Part::Instances, rows(section)),
        Payload::ComponentInstanceSection(section) => (Part::Instances, rows(section)),
        Payload::ComponentAliasSection(section) => (Part::Aliases, rows(section)),
        Payload::ComponentCanonicalSection(section) => (Part::CanonicalFunctions, rows(section)),
        Payload::CustomSection(_) => (Part::CustomSections, 1),
        _ => return None,
    })
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
                    self.add(Part::Types, types::of_core(&ty.map_err(invalid)?))?;
                }
            }
            Payload::ComponentTypeSection(section) => {
                self.check_type_section(section)?;
                for ty in section.clone() {
                    let types = types::of_component(&ty.map_err(invalid)?, 1)?;
                    self.add(Part::Types, types)?;
                }
            }
            Payload::ElementSection(section) => self.add_elements(section)?,
            Payload::TableSection(section) => self.add_tables(section)?,
            Payload::DataCountSection { count, .. } => {
                self.check(Part::DataSegments, *count as usize)?;
            }
            Payload::CodeSectionStart { count, .. } => {
                let (what, max) = Part::Functions.limit();
                within(what, *count as usize, max)?;
            }
            other => {
                if let Some((part, more)) = rows_of(other) {
                    self.add(part, more)?;
                }
                // Of an import only its row tells whether it is a function; all count as one.
                if let Payload::ImportSection(section) = other {
                    self.add(Part::Functions, rows(section))?;
                }
            }
        }
        Ok(self.depth)
    }

    /// A function was measured.
    pub(super) fn add_body(&mut self, body: Measured) -> Result<(), HostError> {
        self.add(Part::Locals, body.locals)?;
        self.add(Part::Work, body.work)
    }

    /// A core module is instantiated.
    pub(super) fn add_core_instance(&mut self) -> Result<(), HostError> {
        self.add(Part::CoreInstances, 1)
    }

    /// Work beside that of functions.
    pub(super) fn add_work(&mut self, work: usize) -> Result<(), HostError> {
        self.add(Part::Work, work)
    }

    /// A module or component has ended.
    pub(super) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn enter(&mut self) -> Result<(), HostError> {
        self.depth += 1;
        let max = limits::MODULE_PART_DEPTH_MAX;
        within("components in one another", self.depth, max)?;
        self.add(Part::Parts, 1)
    }

    /// Refuses more than there may be, before they are counted one by one.
    fn check(&self, part: Part, more: usize) -> Result<(), HostError> {
        let (what, max) = part.limit();
        within(what, self.counts[part as usize].saturating_add(more), max)
    }

    fn add(&mut self, part: Part, more: usize) -> Result<(), HostError> {
        self.check(part, more)?;
        self.counts[part as usize] += more;
        Ok(())
    }

    /// One row may be a group of several types.
    fn add_core_types(&mut self, section: &TypeSectionReader<'_>) -> Result<(), HostError> {
        self.check(Part::Types, rows(section))?;
        for group in section.clone() {
            self.add(Part::Types, group.map_err(invalid)?.types().len())?;
        }
        Ok(())
    }

    /// Types of components are read by recursion, so the length of their section bounds the stack.
    fn check_type_section<T>(&self, section: &SectionLimited<'_, T>) -> Result<(), HostError> {
        let bytes = section.range().len();
        let max = limits::MODULE_TYPE_SECTION_BYTES_MAX;
        within("bytes in one type section", bytes, max)?;
        self.check(Part::Types, rows(section))
    }

    fn add_tables(&mut self, section: &TableSectionReader<'_>) -> Result<(), HostError> {
        self.add(Part::Tables, rows(section))?;
        for table in section.clone() {
            let initial = table.map_err(invalid)?.ty.initial;
            let initial = usize::try_from(initial).unwrap_or(usize::MAX);
            let max = limits::MODULE_TABLE_ELEMENTS_MAX;
            within("elements in one table at its start", initial, max)?;
        }
        Ok(())
    }

    fn add_elements(&mut self, section: &ElementSectionReader<'_>) -> Result<(), HostError> {
        self.check(Part::Elements, rows(section))?;
        for segment in section.clone() {
            let items = match segment.map_err(invalid)?.items {
                ElementItems::Functions(items) => items.count(),
                ElementItems::Expressions(_, items) => items.count(),
            };
            self.add(Part::Elements, items as usize + 1)?;
        }
        Ok(())
    }
}

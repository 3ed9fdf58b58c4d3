//! Compiles one translation unit: preprocesses it, takes it from the store by its key, or runs its stages and stores
//! the result.

use crate::compile::detour::{Brought, Detour};
use crate::compile::inputs::context::UnitContext;
use crate::compile::inputs::known_files::ReadFiles;
use crate::compile::inputs::line_insensitive::{self, LineInsensitive, ObservedPositions};
use crate::compile::inputs::preprocess::{self, PassResults};
use crate::compile::inputs::shown_roots;
use crate::compile::stages::make::{compile_stages, count_passes};
use crate::compile::stages::one_step::OneStep;
use crate::compile::stages::stage_cache::StageResults;
use crate::compile::unit::audit::audit;
use crate::compile::unit::elf;
use crate::compile::unit::key::UnitKeys;
use crate::compile::unit::module::{self, OutputScope};
use crate::compile::unit::needs::Needs;
use crate::compile::unit::product::{Ending, Product};
use crate::compile::unit::result::{collect, quoted};
use crate::compile::unit::single_flight::take_turn;
use crate::compile::unit::stored::{
    KeyParts, StoredUnit, copy, fetch, keep, keep_per_output, record,
};
use crate::key::{Digest, Explanation, RootName, RootSet};
use crate::remote::PendingFetch;
use crate::store::Turn;
use std::cell::{Cell, RefCell};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

/// A unit's product, where it came from, and what direct mode and `pcache explain` need to know of it.
pub(crate) struct Finished {
    pub product: Product,
    pub ending: Ending,
    /// Whether a server has brought what it was made from: of a hit, its result.
    pub is_served: bool,
    pub key: Digest,
    /// The fields of the key.
    pub fields: Explanation,
    /// Wall time of the passes, in milliseconds.
    pub passes: u64,
    /// The files that its passes read.
    pub known: ReadFiles,
    /// Whether its key names the output.
    pub scope: OutputScope,
    /// The roots whose places its outputs show.
    pub roots: RootSet,
    /// The roots whose paths its messages hold.
    pub message_roots: RootSet,
    /// Which positions in its sources the output can observe; `None` if every byte matters.
    pub observed: Option<ObservedPositions>,
    /// Why semantic matching is off, if it is.
    pub semantic_off_reason: Option<String>,
}

/// A result and whether its key names the output.
type Obtained = (Product, Ending, OutputScope);

/// The outcome of looking a unit up, or compiling it, under the keys of one scope.
enum Attempt {
    Done(Box<Obtained>),
    /// Its key must name the output: it has to be looked up, or compiled, once more.
    PerOutput,
}

/// A unit whose passes have run.
struct UnitRun<'a> {
    work: &'a UnitContext<'a>,
    /// Compiles the unit in one step (`PCACHE_STAGES=0`); `None` if its stages run separately.
    one_step: Option<&'a OneStep<'a>>,
    read: &'a PassResults,
    keys: UnitKeys<'a>,
    /// The line-insensitive digests of the passes. `None` if every byte matters, and before the lookup under the exact
    /// key has failed.
    line_insensitive: Option<LineInsensitive>,
    /// Whether the passes have been counted. A second attempt does not run them again.
    counted: Cell<bool>,
    /// What distant servers were asked for and have yet to answer.
    pending: RefCell<Vec<PendingFetch>>,
}

/// Runs the passes of `work`, then takes the product from the store or compiles it. `overlap` is called with what the
/// passes read while the last stage runs, so that direct mode's bookkeeping costs no time of its own. It may be called
/// several times.
pub(crate) fn compile_unit(
    work: &UnitContext<'_>,
    one_step: Option<&OneStep<'_>>,
    overlap: &mut dyn FnMut(&ReadFiles),
) -> Result<Finished, Detour> {
    let started = Instant::now();
    let read = preprocess::preprocess(work)?;
    let passes = milliseconds(started);
    let semantic_off_reason = line_insensitive::semantic_off_reason(work, &read);
    let mut run = UnitRun {
        work,
        one_step,
        read: &read,
        keys: UnitKeys::of(work, &read),
        line_insensitive: None,
        counted: Cell::new(false),
        pending: RefCell::default(),
    };
    // The line-insensitive digests take time, so they are only computed once the exact key has missed.
    let brought = work.cache.brought();
    let (product, ending, scope) = match run.fetch_exact() {
        (Some(product), scope) => (product, Ending::Hit, scope),
        (None, scope) => {
            if semantic_off_reason.is_none() {
                run.line_insensitive = LineInsensitive::of(work);
            }
            run.fetch_or_compile(scope, overlap)?
        }
    };
    let roots = shown_by(work, &product);
    let message_roots = named_in_messages(work, &product);
    let (fields, key) = (run.keys.explain(scope), run.keys.exact(scope));
    let mut known = read.known;
    for binary in &product.binaries {
        known.add_raw(binary.path.clone());
    }
    Ok(Finished {
        observed: match semantic_off_reason {
            None => line_insensitive::observed(work),
            Some(_) => None,
        },
        semantic_off_reason,
        product,
        ending,
        is_served: work.cache.brought() > brought,
        fields,
        key,
        roots,
        message_roots,
        passes,
        scope,
        known,
    })
}

/// The roots whose places the product's files show.
fn shown_by(work: &UnitContext<'_>, product: &Product) -> RootSet {
    let outputs = product.outputs.iter().map(|(_, bytes)| bytes.as_slice());
    let kept = product.kept.iter().map(|(_, bytes)| bytes.as_slice());
    let hides_text = |(_, bytes): &(_, Vec<u8>)| elf::may_hide_text(bytes);
    if product.outputs.iter().any(hides_text) || module::names_output(work) {
        return RootSet::all();
    }
    let mut shown = shown_roots::of_passes(work)
        .and(shown_roots::of_options(work.facts, work.roots))
        .and(product.roots);
    for bytes in outputs.chain(kept) {
        shown = shown.and(work.roots.mentioned(bytes, &mut |_| true));
    }
    // The assembler may have been given the path in pieces.
    let binaries = product.binaries.iter();
    let named =
        binaries.filter_map(|binary| work.roots.root_of(binary.path.as_os_str().as_bytes()));
    shown = named.fold(shown, RootSet::with);
    // Directories without a base may go into one link, where two modules must not have the same id.
    let is_unique = !product.shows_id || !module::is_in_directory_alone(work);
    if is_unique {
        shown
    } else {
        shown.with(RootName::Directory)
    }
}

/// The roots whose paths the product's messages hold.
fn named_in_messages(work: &UnitContext<'_>, product: &Product) -> RootSet {
    let printed = product.printed.iter();
    let texts = printed.flat_map(|(_, printed)| printed.texts());
    texts.fold(RootSet::default(), |named, text| {
        named.and(work.roots.mentioned(text, &mut |_| true))
    })
}

impl UnitRun<'_> {
    /// What is stored under the exact key for any output, or under the one for this output; and which of them it is.
    fn fetch_exact(&self) -> (Option<Product>, OutputScope) {
        match self.fetch(&self.keys.exact(OutputScope::AnyOutput)) {
            Some(StoredUnit::Product(product)) => (Some(product), OutputScope::AnyOutput),
            None => (None, OutputScope::AnyOutput),
            Some(StoredUnit::PerOutput) => {
                let stored = self.fetch(&self.keys.exact(OutputScope::ThisOutput));
                (
                    stored.and_then(StoredUnit::product),
                    OutputScope::ThisOutput,
                )
            }
        }
    }

    fn fetch(&self, key: &Digest) -> Option<StoredUnit> {
        let cache = self.work.cache;
        if cache.recache {
            return None;
        }
        self.pending.borrow_mut().extend(cache.ask_for_record(key));
        fetch(self.work, key, self.keys.stages())
    }

    fn fetch_or_compile(
        &self,
        mut scope: OutputScope,
        overlap: &mut dyn FnMut(&ReadFiles),
    ) -> Result<Obtained, Detour> {
        loop {
            match self.attempt(scope, overlap) {
                Ok(Attempt::Done(obtained)) => return Ok(*obtained),
                Ok(Attempt::PerOutput) => scope = OutputScope::ThisOutput,
                Err(Detour::Overtaken(Brought::Unit)) => {}
                Err(detour) => return Err(detour),
            }
        }
    }

    /// Looks the unit up under the line-insensitive key, waits for another process that is compiling it, or compiles
    /// it.
    fn attempt(
        &self,
        scope: OutputScope,
        overlap: &mut dyn FnMut(&ReadFiles),
    ) -> Result<Attempt, Detour> {
        let exact = self.keys.exact(scope);
        if let Some(key) = self.line_insensitive_key(scope)
            && let Some(stored) = self.fetch(&key)
        {
            // So that the next lookup hits under the exact key.
            copy(self.work, &key, &exact);
            return Ok(Attempt::of(stored, Ending::SemanticHit, scope));
        }
        // Held until the record is stored.
        let _lead = match take_turn(self.work, &exact, self.keys.stages())? {
            Turn::Found { value, waited } => {
                let ending = if waited {
                    Ending::Coalesced
                } else {
                    Ending::Hit
                };
                return Ok(Attempt::of(value, ending, scope));
            }
            Turn::Make(lead) => lead,
        };
        self.compile(scope, overlap)
    }

    fn line_insensitive_key(&self, scope: OutputScope) -> Option<Digest> {
        let passes = self.line_insensitive.as_ref()?;
        Some(self.keys.line_insensitive(scope, passes))
    }

    /// Runs the stages and stores the product.
    fn compile(
        &self,
        mut scope: OutputScope,
        overlap: &mut dyn FnMut(&ReadFiles),
    ) -> Result<Attempt, Detour> {
        if !self.counted.replace(true) && self.one_step.is_none() {
            count_passes(self.work);
        }
        let started = Instant::now();
        let passes = self.line_insensitive.as_ref();
        let id = module::id(self.work, passes, scope);
        let stages = compile_stages(
            self.work,
            self.one_step,
            &id,
            self.read,
            passes,
            &self.pending.take(),
            &mut || overlap(&self.read.known),
        )?;
        let mut product = collect(self.work)?;
        product.milliseconds = milliseconds(started);
        product.shows_id = module::is_shown(self.work, &product);
        product.roots = shown_roots::of_stages(self.work).and(stages.roots);
        let is_one_step = self.one_step.is_some();
        if scope == OutputScope::AnyOutput
            && module::is_per_output(self.work, &product, &id, is_one_step)
        {
            // Only the product shows that each output has its own id. Other outputs of the source must not get it.
            let keys = [
                Some(self.keys.exact(scope)),
                self.line_insensitive_key(scope),
            ];
            keys.iter()
                .flatten()
                .for_each(|key| keep_per_output(self.work, key));
            // An id of nvcc's own is that of the output already.
            if !is_one_step && !module::names_output(self.work) {
                let recorder = self.work.runner.recorder;
                recorder.note("module id", "each output of this source has its own");
                return Ok(Attempt::PerOutput);
            }
            scope = OutputScope::ThisOutput;
        }
        let ending = self.store(&stages, &mut product, scope);
        Ok(Attempt::Done(Box::new((product, ending, scope))))
    }

    /// Stores the product, if the audit finds that its stages read nothing but what its keys hold.
    fn store(&self, stages: &StageResults, product: &mut Product, scope: OutputScope) -> Ending {
        let read_files = &self.read.known;
        let read = audit(self.work, self.one_step, read_files, stages).and_then(|binaries| {
            let sources = quoted(
                self.work,
                product,
                read_files,
                self.line_insensitive.as_ref(),
            );
            Ok((binaries, sources.ok_or("a source is gone")?))
        });
        (product.binaries, product.sources) = match read {
            Ok(read) => read,
            Err(doubt) => return Ending::Unstored(doubt),
        };
        let cache = self.work.cache;
        let needs = Needs {
            messages: !product.printed.is_empty(),
            roots: shown_by(self.work, product).and(named_in_messages(self.work, product)),
            ..Needs::default()
        };
        let parts = KeyParts {
            needs,
            binaries: &product.binaries,
        };
        match record(self.work, self.keys.stages(), product) {
            Some(record) if keep(self.work, &self.keys.exact(scope), &parts, &record) => {
                if let Some(key) = self.line_insensitive_key(scope) {
                    keep(self.work, &key, &parts, &record);
                }
                Ending::Miss
            }
            _ => Ending::Unstored(cache.why_unstored()),
        }
    }
}

impl Attempt {
    fn of(stored: StoredUnit, ending: Ending, scope: OutputScope) -> Self {
        match stored {
            StoredUnit::Product(product) => Self::Done(Box::new((product, ending, scope))),
            StoredUnit::PerOutput => Self::PerOutput,
        }
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

//! `pcache trace`: compiles and their stages as trace events, which Perfetto, chrome://tracing and
//! others show. The format is Google's "Trace Event Format": complete events (`X`) on tracks, names of
//! processes and tracks (`M`), counters (`C`); times in microseconds.

use super::context::{Context, Status, is_there};
use super::journal::compiles;
use super::range::Range;
use super::screen::json_text;
use super::screen::write_to;
use super::spans::{Span, name, spans};
use super::zone::Zone;
use crate::journal::Compile;
use anyhow::{Error, bail};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// What `pcache trace` takes.
#[derive(Debug, clap::Args)]
pub(super) struct TraceArguments {
    /// The file to write; if left out, standard output
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    range: Range,
}

pub(super) fn run(arguments: &TraceArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    let root = context.root().to_owned();
    if !is_there(&root)? {
        bail!("there is no cache at {root:?}");
    }
    let all = match context.store_for_reading()? {
        Some(store) => compiles(&store)?,
        None => Vec::new(),
    };
    let trace = Trace::of(arguments.range.of(&all));
    let text = json_text(&trace)?;
    write_to(arguments.output.as_deref(), &text, &mut context.out)?;
    Ok(Status::Fine)
}

/// The file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    trace_events: Vec<Event>,
    display_time_unit: &'static str,
    other_data: Value,
}

/// One event; `dur` of complete ones alone.
#[derive(Serialize)]
struct Event {
    name: String,
    cat: &'static str,
    ph: &'static str,
    ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<u64>,
    pid: u64,
    tid: u64,
    args: Value,
}

/// The track of a compile; its stages are on those that follow.
const COMPILE: u64 = 1;
/// What counters belong to; no compile has this number.
const SLOTS: u64 = 0;
/// Process numbers are below this, on every Linux. Of compiles with the same, later ones get more.
const PIDS: u64 = 1 << 22;

impl Trace {
    fn of(compiles: &[Compile]) -> Self {
        let zero = compiles.first().map_or(0, |first| first.start);
        let mut events = vec![named("process_name", SLOTS, 0, &json!({ "name": "slots" }))];
        let mut seen: HashMap<u32, u64> = HashMap::new();
        for (order, compile) in compiles.iter().enumerate() {
            let times = seen.entry(compile.pid).or_default();
            let process = Process {
                compile,
                pid: u64::from(compile.pid) + PIDS * *times,
                begin: compile.start - zero,
            };
            *times += 1;
            process.write(order, &mut events);
        }
        events.extend(slots(compiles, zero));
        Self {
            trace_events: events,
            display_time_unit: "ms",
            other_data: json!({
                "program": concat!("pcache ", env!("CARGO_PKG_VERSION")),
                "begins": compiles.first().map(|first| Zone::utc().time(first.start)),
            }),
        }
    }
}

/// One compile in the trace.
struct Process<'a> {
    compile: &'a Compile,
    pid: u64,
    /// Since the trace begins.
    begin: u64,
}

impl Process<'_> {
    fn write(&self, order: usize, events: &mut Vec<Event>) {
        let Self { compile, pid, .. } = *self;
        let level = compile.level.text();
        let spans = spans(compile);
        for (what, args) in [
            ("process_name", json!({ "name": name(compile) })),
            ("process_labels", json!({ "labels": level })),
            ("process_sort_index", json!({ "sort_index": order + 1 })),
        ] {
            events.push(named(what, pid, 0, &args));
        }
        events.push(named(
            "thread_name",
            pid,
            COMPILE,
            &json!({ "name": "compile" }),
        ));
        let lanes = spans.iter().map(|span| span.lane + 1).max().unwrap_or(0) as u64;
        for lane in 1..=lanes {
            let args = json!({ "name": format!("stages {lane}") });
            events.push(named("thread_name", pid, COMPILE + lane, &args));
        }
        let title = format!("{} ({level})", name(compile));
        let args = told(compile);
        events.push(self.event(title, "compile", COMPILE, (0, compile.wall), args));
        for span in &spans {
            self.write_span(span, events);
        }
    }

    /// The wait and what follows it side by side.
    fn write_span(&self, span: &Span<'_>, events: &mut Vec<Event>) {
        let track = COMPILE + 1 + span.lane as u64;
        if span.start > span.begin {
            let what = match span.stage {
                Some(_) => format!("slot for {}", span.name()),
                None => span.name(),
            };
            let times = (span.begin, span.start);
            events.push(self.event(what, "wait", track, times, json!({})));
        }
        let Some(stage) = span.stage else {
            return;
        };
        let source = stage.unit.and_then(|at| self.compile.units.get(at));
        let args = json!({
            "outcome": span.outcome(),
            "architecture": stage.arch,
            "source": source.map(|unit| &unit.source),
        });
        let category = if stage.hit { "stage,hit" } else { "stage" };
        let times = (span.start, span.end);
        events.push(self.event(span.name(), category, track, times, args));
    }

    fn event(
        &self,
        name: String,
        cat: &'static str,
        tid: u64,
        (begin, end): (u64, u64),
        args: Value,
    ) -> Event {
        Event {
            name,
            cat,
            ph: "X",
            ts: self.begin.saturating_add(begin),
            dur: Some(end - begin),
            pid: self.pid,
            tid,
            args,
        }
    }
}

/// What is told of a compile besides its times.
fn told(compile: &Compile) -> Value {
    let mut told = json!({
        "level": compile.level,
        "process": compile.pid,
        "directory": compile.directory,
        "sources": compile.sources,
    });
    let others = [
        ("output", &compile.output),
        ("reason", &compile.reason),
        ("detail", &compile.detail),
    ];
    for (name, value) in others {
        if let Some(value) = value {
            told[name] = json!(value);
        }
    }
    if compile.remote || compile.remote_wait > 0 {
        told["from"] = json!(if compile.remote { "a server" } else { "here" });
        told["milliseconds for servers"] = json!(compile.remote_wait as f64 / 1e3);
    }
    if compile.stored > 0 {
        told["milliseconds when compiled"] = json!(compile.stored);
    }
    told
}

/// A name of a process or track.
fn named(what: &str, pid: u64, tid: u64, args: &Value) -> Event {
    Event {
        name: what.to_owned(),
        cat: "__metadata",
        ph: "M",
        ts: 0,
        dur: None,
        pid,
        tid,
        args: args.clone(),
    }
}

/// How many stages ran and how many waited for a slot, whenever that changed.
fn slots(compiles: &[Compile], zero: u64) -> Vec<Event> {
    let mut changes: BTreeMap<u64, (i64, i64)> = BTreeMap::new();
    for compile in compiles {
        let begin = compile.start - zero;
        let at = |within: u64| begin.saturating_add(within);
        let spans = spans(compile);
        // What is in the cache needs no slot.
        let run = spans
            .iter()
            .filter(|span| span.stage.is_some_and(|stage| !stage.hit));
        for span in run {
            changes.entry(at(span.begin)).or_default().1 += 1;
            let started = changes.entry(at(span.start)).or_default();
            *started = (started.0 + 1, started.1 - 1);
            changes.entry(at(span.end)).or_default().0 -= 1;
        }
    }
    let (mut used, mut awaited) = (0, 0);
    let counters = changes.into_iter().map(|(at, (more, waiting))| {
        used += more;
        awaited += waiting;
        Event {
            name: "slots".to_owned(),
            cat: "slots",
            ph: "C",
            ts: at,
            dur: None,
            pid: SLOTS,
            tid: 0,
            args: json!({ "in use": used, "waited for": awaited }),
        }
    });
    counters.collect()
}

//! The parts of the page that show what `pcache stats` counts: the most telling numbers, results,
//! stages, the store.

use super::html::{Html, element};
use super::parts::{Numbers, bar, keyed, section, share, stack, stage_class, table, time};
use crate::cli::stats::kind;
use crate::config::ByteSize;
use crate::journal::Compile;
use crate::stats::StageKind;
use std::collections::BTreeMap;

/// How units come about: the name in `pcache stats --json`, that for people, and the colour.
const RESULTS: [(&str, &str, &str); 4] = [
    ("direct_hits", "direct hits", "direct"),
    ("preprocessed_hits", "preprocessed hits", "preprocessed"),
    ("coalesced", "hits after waiting", "coalesced"),
    ("misses", "misses", "miss"),
];

/// The most telling numbers.
pub(super) fn cards(numbers: &Numbers) -> Html {
    let units: u64 = RESULTS.iter().map(|(name, ..)| numbers.get(name)).sum();
    let hits = units - numbers.get("misses");
    let milliseconds =
        |name: &str| numbers.shown(name, &time(numbers.get(name).saturating_mul(1000)));
    let detours = numbers.sum("bypassed") + numbers.sum("fallbacks");
    let (held, cap) = (numbers.get("store.bytes"), numbers.get("store.max_bytes"));
    let cards = [
        (
            "hit rate",
            share(hits, units).into(),
            format!("{hits} of {units} units").into(),
        ),
        (
            "time saved",
            milliseconds("saved_milliseconds"),
            "by hits, as measured when they were compiled".into(),
        ),
        (
            "time compiling",
            milliseconds("spent_milliseconds"),
            "in processes that had to compile".into(),
        ),
        (
            "left to nvcc",
            detours.to_string().into(),
            "compiles passed on or handed back".into(),
        ),
        (
            "cache",
            ByteSize::approximate(held).into(),
            bar(held, cap, "store"),
        ),
    ];
    let cards: Html = cards.into_iter().map(card).collect();
    element("div").class("cards").with(cards).into()
}

fn card((name, value, note): (&str, Html, Html)) -> Html {
    let value = element("p").class("value").with(value);
    let card = element("div").class("card");
    let card = card.with(element("h2").with(name)).with(value);
    card.with(element("p").with(note)).into()
}

/// How translation units came about.
pub(super) fn results(numbers: &Numbers) -> Html {
    let units: u64 = RESULTS.iter().map(|(name, ..)| numbers.get(name)).sum();
    let parts = RESULTS.map(|(name, shown, class)| (numbers.get(name), class, shown));
    let mut rows: Vec<_> = RESULTS
        .iter()
        .map(|(name, shown, class)| {
            [
                keyed(class, shown),
                numbers.count(name),
                share(numbers.get(name), units).into(),
            ]
        })
        .collect();
    for (name, shown) in [
        (
            "semantic_hits",
            "of the hits, after edits that change nothing",
        ),
        ("uncacheable", "of the misses, not stored"),
        (
            "remote.served",
            "of all hits, at run time too, from servers",
        ),
    ] {
        let whole = match name {
            "uncacheable" => numbers.get("misses"),
            "remote.served" => {
                let at_run_time = ["nvrtc.hits", "nvrtc.coalesced"].map(|name| numbers.get(name));
                units - numbers.get("misses") + at_run_time.iter().sum::<u64>()
            }
            _ => units - numbers.get("misses"),
        };
        rows.push([
            shown.into(),
            numbers.count(name),
            share(numbers.get(name), whole).into(),
        ]);
    }
    let body = stack(&parts).with(table(["", "#units", "#share"], rows));
    let body = body.with(run_time(numbers));
    section("results", "Translation units", "", body)
}

/// Programs that were compiled at run time, if there were any.
fn run_time(numbers: &Numbers) -> Html {
    let names = [("nvrtc.hits", "hits"), ("nvrtc.misses", "misses")];
    let programs: u64 = names.iter().map(|(name, _)| numbers.get(name)).sum();
    if programs == 0 {
        return Html::default();
    }
    let rows = names.map(|(name, shown)| {
        let part = share(numbers.get(name), programs);
        [shown.into(), numbers.count(name), part.into()]
    });
    table(["compiled at run time", "#programs", "#share"], rows)
}

/// Time that stages took, in microseconds.
#[derive(Default)]
struct Times {
    run: u64,
    waited: u64,
}

/// What became of stages, and how long they took.
pub(super) fn stages(numbers: &Numbers, chosen: &[Compile]) -> Html {
    let mut times: BTreeMap<&str, Times> = BTreeMap::new();
    for stage in chosen.iter().flat_map(|compile| &compile.stages) {
        let known = kind(&stage.name).map(|kind| kind.code());
        let name = known.unwrap_or(&stage.name);
        let times = times.entry(name).or_default();
        times.run = times.run.saturating_add(stage.run);
        times.waited = times.waited.saturating_add(stage.wait);
    }
    let longest = times.values().map(|times| times.run).max().unwrap_or(0);
    let mut names: Vec<&str> = StageKind::ALL.iter().map(|kind| kind.code()).collect();
    names.extend(times.keys().filter(|name| kind(name).is_none()));
    let nothing = Times::default();
    let mut rows = Vec::new();
    for name in names {
        let times = times.get(name).unwrap_or(&nothing);
        rows.push(stage_row(numbers, name, times, longest));
    }
    let headings = [
        "stage",
        "#from the cache",
        "#run",
        "",
        "#time",
        "",
        "#waited for slots",
    ];
    let note = "Counts are of misses. Times are of all compiles; stages that run side by side each count \
        in full.";
    section("stages", "Stages", note, table(headings, rows))
}

/// The row of one stage; `longest` is the longest time of all rows.
fn stage_row(numbers: &Numbers, name: &str, times: &Times, longest: u64) -> [Html; 7] {
    let paths = ["hits", "misses"].map(|what| format!("stages.{name}.{what}"));
    // Stages that the counters do not know have times alone.
    let counts = match kind(name) {
        Some(_) => paths.each_ref().map(|path| numbers.count(path)),
        None => [Html::default(), Html::default()],
    };
    let [hits, misses] = paths.map(|path| numbers.get(&path));
    let class = stage_class(name);
    let [from_cache, run] = counts;
    [
        keyed(class, name),
        from_cache,
        run,
        stack(&[(hits, "found", "from the cache"), (misses, "ran", "run")]),
        time(times.run).into(),
        bar(times.run, longest, class),
        time(times.waited).into(),
    ]
}

/// What the store holds.
pub(super) fn store(numbers: &Numbers) -> Html {
    let (held, cap) = (numbers.get("store.bytes"), numbers.get("store.max_bytes"));
    let bytes = |name: &str| numbers.shown(name, &ByteSize::approximate(numbers.get(name)));
    let rows = [
        ["held".into(), bytes("store.bytes"), bar(held, cap, "store")],
        [
            "at most".into(),
            bytes("store.max_bytes"),
            share(held, cap).into(),
        ],
        [
            "artefacts".into(),
            numbers.count("store.entries"),
            "".into(),
        ],
        ["records".into(), numbers.count("store.records"), "".into()],
        [
            "evicted".into(),
            numbers.count("store.evicted"),
            "since the counters were zero".into(),
        ],
        [
            "compressed".into(),
            bytes("store.compressed.from"),
            "since then".into(),
        ],
        [
            "compressed to".into(),
            bytes("store.compressed.to"),
            "".into(),
        ],
    ];
    let note = "As it is now, whatever the range.";
    section("store", "Cache", note, table(["", "#", ""], rows))
}

//! The part of the page that lists what was left to nvcc, by reason.

use super::html::Html;
use super::parts::{self, Numbers, code, keyed, level_class, table};
use crate::journal::{Compile, CompileOutcome};
use crate::outcome::{BypassReason, FallbackReason};
use std::collections::BTreeMap;

/// Details that are shown of each reason.
const DETAILS: usize = 3;

pub(super) fn section(numbers: &Numbers, chosen: &[Compile]) -> Html {
    let bypassed = BypassReason::ALL.iter().map(|reason| DetourReason {
        level: CompileOutcome::Bypass,
        group: "bypassed",
        code: reason.code(),
        sentence: reason.sentence(),
    });
    let fallbacks = FallbackReason::ALL.iter().map(|reason| DetourReason {
        level: CompileOutcome::Fallback,
        group: "fallbacks",
        code: reason.code(),
        sentence: reason.sentence(),
    });
    let reasons = bypassed.chain(fallbacks);
    let rows = reasons.filter_map(|reason| reason.row(numbers, chosen));
    let rows: Vec<_> = rows.collect();
    let (note, body) = if rows.is_empty() {
        ("There was nothing.", Html::default())
    } else {
        ("", table(["", "#compiles", "reason", "", "by"], rows))
    };
    parts::section("detours", "Left to nvcc", note, body)
}

struct DetourReason {
    level: CompileOutcome,
    group: &'static str,
    code: &'static str,
    sentence: &'static str,
}

impl DetourReason {
    /// None of a reason that did not occur.
    fn row(&self, numbers: &Numbers, chosen: &[Compile]) -> Option<[Html; 5]> {
        let name = format!("{}.{}", self.group, self.code);
        if numbers.get(&name) == 0 {
            return None;
        }
        Some([
            keyed(level_class(self.level), self.level.text()),
            numbers.count(&name),
            code(self.code),
            self.sentence.into(),
            self.details(chosen),
        ])
    }

    /// What decided so most often.
    fn details(&self, chosen: &[Compile]) -> Html {
        let alike = chosen.iter().filter(|compile| {
            compile.level == self.level && compile.reason.as_deref() == Some(self.code)
        });
        let mut details: BTreeMap<&str, u64> = BTreeMap::new();
        for detail in alike.filter_map(|compile| compile.detail.as_deref()) {
            *details.entry(detail).or_default() += 1;
        }
        let mut details: Vec<_> = details.into_iter().collect();
        details.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let shown = details.iter().take(DETAILS);
        Html::join(shown.map(|(detail, _)| code(detail)), ", ")
    }
}

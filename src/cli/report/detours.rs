//! The part of the page that lists what was left to nvcc, by reason.

use super::html::{self, HtmlText, Numbers, table};
use crate::journal::{Compile, CompileOutcome};
use crate::outcome::{BypassReason, FallbackReason};
use std::collections::BTreeMap;

/// Details that are shown of each reason.
const DETAILS: usize = 3;

pub(super) fn section(numbers: &Numbers, chosen: &[Compile]) -> String {
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
        ("There was nothing.", String::new())
    } else {
        ("", table(&["", "#compiles", "reason", "", "by"], &rows))
    };
    html::section("detours", "Left to nvcc", note, &body)
}

struct DetourReason {
    level: CompileOutcome,
    group: &'static str,
    code: &'static str,
    sentence: &'static str,
}

impl DetourReason {
    /// None of a reason that did not occur.
    fn row(&self, numbers: &Numbers, chosen: &[Compile]) -> Option<Vec<String>> {
        let name = format!("{}.{}", self.group, self.code);
        if numbers.get(&name) == 0 {
            return None;
        }
        let class = html::level_class(self.level);
        Some(vec![
            format!("<i class=\"key {class}\"></i>{}", self.level.text()),
            numbers.count(&name),
            format!("<code>{}</code>", self.code),
            HtmlText(self.sentence).to_string(),
            self.details(chosen),
        ])
    }

    /// What decided so most often.
    fn details(&self, chosen: &[Compile]) -> String {
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
        let shown = shown.map(|(detail, _)| format!("<code>{}</code>", HtmlText(detail)));
        shown.collect::<Vec<_>>().join(", ")
    }
}

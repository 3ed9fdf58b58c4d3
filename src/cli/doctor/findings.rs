//! What was found, how bad that is, and what to do.

use crate::cli::context::Status;
use crate::secret::hide_text;
use serde::Serialize;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Costs time, or does not do what the settings ask for.
    Warning,
    /// Compiles fail, or gain nothing.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Severity,
    /// What was looked at.
    pub(super) about: &'static str,
    pub(super) text: String,
    /// What to do.
    pub(super) advice: Option<String>,
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    pub(super) fn ok(&mut self, about: &'static str, text: impl Into<String>) {
        self.add(Severity::Ok, about, text, None);
    }

    /// A note that asks for nothing.
    pub(super) fn note(&mut self, about: &'static str, text: impl Into<String>) {
        self.add(Severity::Note, about, text, None);
    }

    pub(super) fn advise(
        &mut self,
        level: Severity,
        about: &'static str,
        text: impl Into<String>,
        advice: &str,
    ) {
        self.add(level, about, text, Some(advice.to_owned()));
    }

    fn add(
        &mut self,
        level: Severity,
        about: &'static str,
        text: impl Into<String>,
        advice: Option<String>,
    ) {
        let text: String = text.into();
        self.0.push(Finding {
            level,
            about,
            // Variables and settings are shown with their values, which may be commands.
            text: hide_text(&text).into_owned(),
            advice,
        });
    }

    pub(super) fn count(&self, level: Severity) -> usize {
        self.0.iter().filter(|found| found.level == level).count()
    }

    pub(super) fn status(&self) -> Status {
        match self.0.iter().map(|found| found.level).max() {
            Some(Severity::Error) => Status::Failed,
            _ => Status::Fine,
        }
    }
}

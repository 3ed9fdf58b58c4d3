//! The lines of `pcache top`. Pure.

use std::time::Duration;

/// What is shown.
#[derive(Debug, Default)]
pub(super) struct LiveView {
    pub(super) time: String,
    /// Slots in use, and all; `None` if there is no pool of slots.
    pub(super) slots: Option<(usize, usize)>,
    pub(super) build: Option<BuildSoFar>,
    pub(super) compiles: Vec<RunningCompile>,
}

/// The last build of the journal.
#[derive(Debug)]
pub(super) struct BuildSoFar {
    pub(super) began: String,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) saved: Duration,
}

/// A compile that has not ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RunningCompile {
    pub(super) name: String,
    pub(super) age: Duration,
    /// The tools that it runs, each with how long it has run.
    pub(super) tools: Vec<(String, Duration)>,
}

impl LiveView {
    /// At most `rows` lines. Of too many compiles, the last to begin are left out.
    pub(super) fn lines(&self, rows: usize) -> Vec<String> {
        let mut lines = vec![self.headline(), self.build_line(), String::new()];
        if self.compiles.is_empty() {
            lines.push("no compile is running".to_owned());
            return lines;
        }
        lines.push(format!("{:>8}  {:<32}  runs", "time", "compile"));
        let room = rows.saturating_sub(lines.len()).max(1);
        let all = self.compiles.len();
        let shown = if all <= room { all } else { room - 1 };
        lines.extend(self.compiles[..shown].iter().map(RunningCompile::line));
        if shown < all {
            lines.push(format!("{:>8}  {} more", "", all - shown));
        }
        lines
    }

    fn headline(&self) -> String {
        let running = match self.compiles.len() {
            1 => "1 compile running".to_owned(),
            n => format!("{n} compiles running"),
        };
        let slots = match self.slots {
            Some((used, all)) => format!(", {used} of {all} slots in use"),
            None => String::new(),
        };
        format!("{}  {running}{slots}", self.time)
    }

    fn build_line(&self) -> String {
        let Some(build) = &self.build else {
            return "the journal has no compile yet".to_owned();
        };
        let units = build.hits + build.misses;
        let rate = if units == 0 {
            String::new()
        } else {
            let rate = 100.0 * build.hits as f64 / units as f64;
            format!(" ({rate:.1} %)")
        };
        let (began, hits, misses) = (&build.began, build.hits, build.misses);
        let saved = seconds(build.saved);
        format!("build of {began}: {hits} hits{rate}, {misses} misses, {saved} saved")
    }
}

impl RunningCompile {
    fn line(&self) -> String {
        let tools = self.tools.iter();
        let tools = tools.map(|(name, age)| format!("{name} {}", seconds(*age)));
        let tools = tools.collect::<Vec<_>>().join(", ");
        let tools = if tools.is_empty() { "no tool" } else { &tools };
        let (age, name) = (seconds(self.age), &self.name);
        format!("{age:>8}  {name:<32}  {tools}")
    }
}

/// A time to a tenth of a second, or in minutes.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 100.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BuildSoFar, LiveView, RunningCompile};
    use std::time::Duration;

    fn compile(name: &str, tools: &[(&str, u64)]) -> RunningCompile {
        let tools = tools.iter();
        let tools = tools.map(|(name, age)| ((*name).to_owned(), Duration::from_millis(*age)));
        RunningCompile {
            name: name.to_owned(),
            age: Duration::from_millis(12_340),
            tools: tools.collect(),
        }
    }

    #[test]
    fn compiles_are_shown_with_their_tools() {
        let view = LiveView {
            time: "10:00:00Z".to_owned(),
            slots: Some((3, 8)),
            build: Some(BuildSoFar {
                began: "09:59:00Z".to_owned(),
                hits: 3,
                misses: 1,
                saved: Duration::from_secs(150),
            }),
            compiles: vec![
                compile("reduce.cu", &[("cicc", 3_200), ("cudafe++", 900)]),
                compile("sort.cu", &[]),
            ],
        };
        let shown = view.lines(usize::MAX).join("\n");
        insta::assert_snapshot!(shown, @r"
        10:00:00Z  2 compiles running, 3 of 8 slots in use
        build of 09:59:00Z: 3 hits (75.0 %), 1 misses, 2.5 min saved

            time  compile                           runs
          12.3 s  reduce.cu                         cicc 3.2 s, cudafe++ 0.9 s
          12.3 s  sort.cu                           no tool
        ");
    }

    #[test]
    fn lines_fit_the_terminal() {
        let compiles = (0..9).map(|at| compile(&format!("{at}.cu"), &[]));
        let view = LiveView {
            compiles: compiles.collect(),
            ..LiveView::default()
        };
        let lines = view.lines(10);
        assert_eq!(lines.len(), 10, "{lines:#?}");
        assert!(lines[9].ends_with(" 4 more"), "{lines:#?}");
        assert_eq!(view.lines(13).len(), 13);
    }

    #[test]
    fn nothing_is_said_in_words() {
        let lines = LiveView::default().lines(10);
        assert_eq!(lines[0], "  0 compiles running");
        assert_eq!(lines[1], "the journal has no compile yet");
        assert_eq!(lines[3], "no compile is running");
    }
}

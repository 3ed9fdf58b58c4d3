//! Finds the value of a setting: environment first, then the files of settings, nearest first, then the default.
//! Collects the problems with values that could not be used.

use super::base_dir::BaseDir;
use super::layers::{CHECKOUT_FILE, FileOrigin, SettingsFile, checkout_files};
use super::place_paths::PathStart;
use super::setting::Setting;
use super::value::{Effective, SettingKind, SettingSource};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// Looks up an environment variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// A setting whose value could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The variable or key; `settings` for a problem with the whole file.
    pub setting: String,
    /// The value as written; empty for a problem with the whole file.
    pub value: String,
    /// Where it was set.
    pub source: SettingSource,
    /// What is wrong, what to do, and what is used instead.
    pub hint: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            setting,
            value,
            source,
            hint,
        } = self;
        match source {
            SettingSource::File(path) if value.is_empty() => {
                write!(f, "{setting} in {path:?}: {hint}")
            }
            SettingSource::File(path) => write!(f, "{setting} = {value} in {path:?}: {hint}"),
            _ if value.is_empty() => write!(f, "{setting}: {hint}"),
            _ => write!(f, "{setting}={value}: {hint}"),
        }
    }
}

/// The path of the configuration file: `$XDG_CONFIG_HOME/pcache/config.toml`. `None` if the home
/// directory is unknown.
pub fn config_file(env: &Environment<'_>) -> Option<PathBuf> {
    let base = base_directory(env, "XDG_CONFIG_HOME", ".config").or_else(dirs::config_dir)?;
    Some(base.join("pcache").join("config.toml"))
}

/// `$XDG_CACHE_HOME/pcache-nvcc`. Empty if the home directory is unknown, which the store refuses.
pub(super) fn default_dir(env: &Environment<'_>) -> PathBuf {
    below_cache_home(env, "pcache-nvcc")
}

/// `$XDG_CACHE_HOME/pcache-nvcc-private`. Empty if the home directory is unknown.
pub(super) fn default_private_dir(env: &Environment<'_>) -> PathBuf {
    below_cache_home(env, "pcache-nvcc-private")
}

fn below_cache_home(env: &Environment<'_>, name: &str) -> PathBuf {
    let base = base_directory(env, "XDG_CACHE_HOME", ".cache").or_else(dirs::cache_dir);
    base.map(|base| base.join(name)).unwrap_or_default()
}

/// `$variable`, or `$HOME/fallback`. Relative paths are ignored, as the XDG specification demands.
fn base_directory(env: &Environment<'_>, variable: &str, fallback: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(fallback)))
}

/// Reads settings one after another, and collects problems.
pub(super) struct SettingsReader<'a> {
    env: &'a Environment<'a>,
    /// Nearest first: those of checkouts, the user's, the system's.
    files: Vec<SettingsFile>,
    problems: Vec<ConfigProblem>,
    /// Where a setting that guards results cannot be used, or may stand in a file that cannot.
    lost_guard: Option<SettingSource>,
}

impl<'a> SettingsReader<'a> {
    /// Reads no file yet.
    pub(super) fn new(env: &'a Environment<'a>) -> Self {
        Self {
            env,
            files: Vec::new(),
            problems: Vec::new(),
            lost_guard: None,
        }
    }

    /// Reads the user's file, and the one for all users at `system`.
    pub(super) fn read_trusted(&mut self, system: &Path) {
        let files = config_file(self.env).into_iter().chain([system.to_owned()]);
        for path in files {
            let file = self.read_file(&path, FileOrigin::Trusted);
            self.files.extend(file);
        }
    }

    /// Reads the files of the checkouts that a compile in `directory` lies in. `base_dir` is that setting, which the
    /// files that were read before decide.
    pub(super) fn read_checkouts(&mut self, directory: &Path, base_dir: &Setting) {
        let count = self.problems.len();
        let base = self.effective(base_dir, |_| BaseDir::Auto).value;
        // They are reported when the setting itself is read.
        self.problems.truncate(count);
        let base = match &base {
            BaseDir::At(path) => Some(path.as_path()),
            BaseDir::Auto | BaseDir::None => None,
        };
        let files: Vec<_> = checkout_files(directory, base)
            .iter()
            .filter_map(|path| self.read_file(path, FileOrigin::Checkout))
            .collect();
        self.files.splice(0..0, files);
    }

    /// Reports the keys of the files that are not in `settings`, and those that a checkout's file may not have.
    /// `nearest` finds the setting that a key may mean.
    pub(super) fn report_keys(
        &mut self,
        settings: &[Setting],
        nearest: impl Fn(&str) -> Option<&'static Setting>,
    ) {
        let users_file = config_file(self.env);
        for file in &self.files {
            for (key, value) in &file.table {
                let row = settings.iter().find(|row| row.key == key);
                let hint = match row {
                    Some(row) if may_set(file, row) => continue,
                    Some(row) => refusal(row, settings, users_file.as_deref()),
                    None => unknown(nearest(key), settings),
                };
                self.problems.push(ConfigProblem {
                    setting: key.clone(),
                    value: as_written(value),
                    source: SettingSource::File(file.path.clone()),
                    hint,
                });
            }
        }
    }

    /// The problems, and where a setting that guards results could not be read, if so: without it, the cache might serve
    /// what it was to keep apart, or believe what it was not to.
    pub(super) fn into_problems(self) -> (Vec<ConfigProblem>, Option<SettingSource>) {
        (self.problems, self.lost_guard)
    }

    /// The value of `setting`. An empty variable is treated as unset.
    pub(super) fn effective<T: SettingKind>(
        &mut self,
        setting: &Setting,
        default: impl Fn(&Environment<'_>) -> T,
    ) -> Effective<T> {
        let text = (self.env)(setting.variable).filter(|text| !text.is_empty());
        if let Some(text) = text {
            match T::from_text(&text) {
                Ok(value) => {
                    let source = SettingSource::Environment;
                    return Effective { value, source };
                }
                Err(hint) => {
                    let source = SettingSource::Environment;
                    note_guard::<T>(&mut self.lost_guard, &source);
                    self.problems.push(ConfigProblem {
                        setting: setting.variable.into(),
                        value: text.to_string_lossy().into_owned(),
                        source,
                        hint: format!("{hint}; {}", consequence::<T>()),
                    });
                }
            }
        }
        self.file_value(setting).unwrap_or_else(|| Effective {
            value: default(self.env),
            source: SettingSource::Default,
        })
    }

    /// The value of the nearest file that has a good one.
    fn file_value<T: SettingKind>(&mut self, setting: &Setting) -> Option<Effective<T>> {
        let Self {
            env,
            files,
            problems,
            lost_guard,
        } = self;
        files
            .iter()
            .filter(|file| may_set(file, setting))
            .find_map(|file| {
                let value = file.table.get(setting.key)?;
                let source = SettingSource::File(file.path.clone());
                match read_value(value, file, env) {
                    Ok(value) => Some(Effective { value, source }),
                    Err(hint) => {
                        note_guard::<T>(lost_guard, &source);
                        problems.push(ConfigProblem {
                            setting: setting.key.into(),
                            value: as_written(value),
                            source,
                            hint: format!("{hint}; {}", consequence::<T>()),
                        });
                        None
                    }
                }
            })
    }

    fn read_file(&mut self, path: &Path, origin: FileOrigin) -> Option<SettingsFile> {
        let read = SettingsFile::read(path, origin);
        // Only of a file that is there: without one, nothing asks for the working directory.
        let whole = || std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match read {
            Ok(file) => file.map(|file| SettingsFile {
                path: whole(),
                ..file
            }),
            Err(trouble) => {
                let source = SettingSource::File(whole());
                self.lost_guard.get_or_insert_with(|| source.clone());
                self.problems.push(ConfigProblem {
                    setting: "settings".into(),
                    value: String::new(),
                    source,
                    hint: format!("{trouble}; correct or remove the file: until then {UNUSED}"),
                });
                None
            }
        }
    }
}

/// What becomes of compiles while a setting that guards results cannot be read.
const UNUSED: &str = "the cache is not used";

/// What becomes of a setting whose value cannot be used.
fn consequence<T: SettingKind>() -> &'static str {
    if T::GUARDS {
        UNUSED
    } else {
        "the setting is ignored"
    }
}

fn note_guard<T: SettingKind>(lost: &mut Option<SettingSource>, source: &SettingSource) {
    if T::GUARDS {
        lost.get_or_insert_with(|| source.clone());
    }
}

fn read_value<T: SettingKind>(
    value: &toml::Value,
    file: &SettingsFile,
    env: &Environment<'_>,
) -> Result<T, String> {
    if !T::HOLDS_PATHS {
        return T::from_toml(value);
    }
    let home = env("HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = home.or_else(dirs::home_dir);
    let is_checkouts = file.origin == FileOrigin::Checkout;
    let start = PathStart {
        home: home.as_deref(),
        directory: file.path.parent().filter(|_| is_checkouts),
    };
    T::from_toml(&start.complete(value)?)
}

/// Whether `file` may have the key of `setting`.
fn may_set(file: &SettingsFile, setting: &Setting) -> bool {
    file.origin == FileOrigin::Trusted || setting.in_checkouts
}

/// Why the key of `row` in a checkout's file is ignored, and where it can stand.
fn refusal(row: &Setting, settings: &[Setting], users_file: Option<&Path>) -> String {
    let users_file = users_file.map_or_else(
        || "the user's configuration file".to_owned(),
        |path| format!("{path:?}"),
    );
    let allowed = settings.iter().filter(|row| row.in_checkouts);
    let allowed: Vec<_> = allowed.map(|row| row.key).collect();
    let (variable, allowed) = (row.variable, allowed.join(", "));
    format!(
        "ignored, as a checkout brings this file along; write it in {users_file} or set {variable} if you want it; a {CHECKOUT_FILE} can have {allowed}"
    )
}

/// That a key is no setting, and the one that it may mean.
fn unknown(nearest: Option<&Setting>, settings: &[Setting]) -> String {
    let suggestion = nearest.map(|row| format!("did you mean {}? ", row.key));
    let suggestion = suggestion.unwrap_or_default();
    let keys: Vec<_> = settings.iter().map(|setting| setting.key).collect();
    format!("no such setting; {suggestion}there are {}", keys.join(", "))
}

/// `value` approximately as it is written in the configuration file, so that the user finds it there.
fn as_written(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("{text:?}"),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(value) => value.to_string(),
        other => format!("({})", other.type_str()),
    }
}

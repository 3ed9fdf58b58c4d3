//! Finds the value of a setting: environment first, then the configuration file, then the default. Collects the
//! problems with values that could not be used.

use super::setting::Setting;
use super::value::{Effective, SettingKind, SettingSource};
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
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

/// The configuration file, parsed.
struct ConfigFile {
    path: PathBuf,
    table: toml::Table,
}

/// Reads settings one after another, and collects problems.
pub(super) struct SettingsReader<'a> {
    env: &'a Environment<'a>,
    file: Option<ConfigFile>,
    problems: Vec<ConfigProblem>,
}

impl<'a> SettingsReader<'a> {
    pub(super) fn new(env: &'a Environment<'a>) -> Self {
        let mut reader = Self {
            env,
            file: None,
            problems: Vec::new(),
        };
        if let Some(path) = config_file(env) {
            reader.file = reader.read_file(path);
        }
        reader
    }

    /// Reports the keys of the file that are not in `settings`. `nearest` finds the setting that a key may mean.
    pub(super) fn report_unknown_keys(
        &mut self,
        settings: &[Setting],
        nearest: impl Fn(&str) -> Option<&'static Setting>,
    ) {
        let Some(file) = &self.file else { return };
        let keys: Vec<_> = settings.iter().map(|setting| setting.key).collect();
        for (key, value) in &file.table {
            if !keys.contains(&key.as_str()) {
                let suggestion = nearest(key)
                    .map(|row| format!("did you mean {}? ", row.key))
                    .unwrap_or_default();
                self.problems.push(ConfigProblem {
                    setting: key.clone(),
                    value: as_written(value),
                    source: SettingSource::File(file.path.clone()),
                    hint: format!("no such setting; {suggestion}there are {}", keys.join(", ")),
                });
            }
        }
    }

    pub(super) fn into_problems(self) -> Vec<ConfigProblem> {
        self.problems
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
                Err(hint) => self.problems.push(ConfigProblem {
                    setting: setting.variable.into(),
                    value: text.to_string_lossy().into_owned(),
                    source: SettingSource::Environment,
                    hint: format!("{hint}; the setting is ignored"),
                }),
            }
        }
        self.file_value(setting).unwrap_or_else(|| Effective {
            value: default(self.env),
            source: SettingSource::Default,
        })
    }

    fn file_value<T: SettingKind>(&mut self, setting: &Setting) -> Option<Effective<T>> {
        let file = self.file.as_ref()?;
        let value = file.table.get(setting.key)?;
        let source = SettingSource::File(file.path.clone());
        match T::from_toml(value) {
            Ok(value) => Some(Effective { value, source }),
            Err(hint) => {
                self.problems.push(ConfigProblem {
                    setting: setting.key.into(),
                    value: as_written(value),
                    source,
                    hint: format!("{hint}; the setting is ignored"),
                });
                None
            }
        }
    }

    fn read_file(&mut self, path: PathBuf) -> Option<ConfigFile> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // If a parent is a file, there is no configuration file either.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return None;
            }
            Err(error) => {
                self.report_file(&path, &format!("cannot be read ({error})"));
                return None;
            }
        };
        match text.parse() {
            Ok(table) => Some(ConfigFile { path, table }),
            Err(error) => {
                let error: toml::de::Error = error;
                let line = error.span().map_or(1, |span| line_of(&text, span.start));
                self.report_file(&path, &format!("line {line}: {}", error.message()));
                None
            }
        }
    }

    fn report_file(&mut self, path: &Path, trouble: &str) {
        self.problems.push(ConfigProblem {
            setting: "settings".into(),
            value: String::new(),
            source: SettingSource::File(path.into()),
            hint: format!("{trouble}; correct or remove the file, which is ignored"),
        });
    }
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

/// The number of the line, from 1, that contains the byte at `offset`.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|&&byte| byte == b'\n').count() + 1
}

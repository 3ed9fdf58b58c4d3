//! Finds a setting's value: environment first, then the configuration file, then the default; keeps a list of
//! everything that could not be used.

use super::setting::Setting;
use super::value::{Effective, SettingKind, SettingSource};
use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Looks up an environment variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// A setting that could not be used as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The variable or key; the file itself is named by its path.
    pub setting: String,
    /// The value as given; empty where the trouble is with the file.
    pub value: String,
    /// Where it was given.
    pub source: SettingSource,
    /// What is wrong, the way out, and what is used instead.
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

/// The path of the configuration file: `$XDG_CONFIG_HOME/pcache/config.toml`. `None` where no home
/// directory is known.
pub fn config_file(env: &Environment<'_>) -> Option<PathBuf> {
    let base = base_directory(env, "XDG_CONFIG_HOME", ".config").or_else(dirs::config_dir)?;
    Some(base.join("pcache").join("config.toml"))
}

/// `$XDG_CACHE_HOME/pcache-nvcc`; empty where no home directory is known, which the store refuses.
pub(super) fn default_dir(env: &Environment<'_>) -> PathBuf {
    below_cache_home(env, "pcache-nvcc")
}

/// `$XDG_CACHE_HOME/pcache-nvcc-private`; empty where no home directory is known.
pub(super) fn default_private_dir(env: &Environment<'_>) -> PathBuf {
    below_cache_home(env, "pcache-nvcc-private")
}

fn below_cache_home(env: &Environment<'_>, name: &str) -> PathBuf {
    let base = base_directory(env, "XDG_CACHE_HOME", ".cache").or_else(dirs::cache_dir);
    base.map(|base| base.join(name)).unwrap_or_default()
}

/// `$variable`, or `$HOME/fallback`. The XDG specification has relative paths ignored.
fn base_directory(env: &Environment<'_>, variable: &str, fallback: &str) -> Option<PathBuf> {
    let absolute = |name: &str| env(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(fallback)))
}

/// The configuration file as far as it could be read.
struct ConfigFile {
    path: PathBuf,
    table: toml::Table,
}

/// Reads one setting after another and collects problems.
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

    /// Reports the keys of the file that are none of `settings`; `nearest` finds the setting that was meant.
    pub(super) fn report_unknown_keys(
        &mut self,
        settings: &[Setting],
        nearest: impl Fn(&str) -> Option<&'static Setting>,
    ) {
        let Some(file) = &self.file else { return };
        let known: Vec<_> = settings.iter().map(|setting| setting.key).collect();
        for (key, value) in &file.table {
            if !known.contains(&key.as_str()) {
                let meant = nearest(key).map(|row| format!("did you mean {}? ", row.key));
                let meant = meant.unwrap_or_default();
                self.problems.push(ConfigProblem {
                    setting: key.clone(),
                    value: as_written(value),
                    source: SettingSource::File(file.path.clone()),
                    hint: format!("no such setting; {meant}there are {}", known.join(", ")),
                });
            }
        }
    }

    pub(super) fn into_problems(self) -> Vec<ConfigProblem> {
        self.problems
    }

    /// The value of `setting`. An empty variable is an unset one.
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
        let given = file.table.get(setting.key)?;
        let source = SettingSource::File(file.path.clone());
        match T::from_toml(given) {
            Ok(value) => Some(Effective { value, source }),
            Err(hint) => {
                self.problems.push(ConfigProblem {
                    setting: setting.key.into(),
                    value: as_written(given),
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
            // A parent that is a file, too, means that there is no configuration.
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

/// `value` as a configuration file has it, near enough to be found there.
fn as_written(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("{text:?}"),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(value) => value.to_string(),
        other => format!("({})", other.type_str()),
    }
}

/// The line, from 1, that holds the byte at `offset`.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|&&byte| byte == b'\n').count() + 1
}

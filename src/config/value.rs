//! The types of settings' values: how they are read from text and TOML, how they are written, and where they came
//! from.

use super::base_dir::BaseDir;
use super::compression::{BadCompression, Compression};
use super::driver::DriverVersion;
use super::jobs::Jobs;
use super::policy::EvictionPolicy;
use super::size::ByteSize;
use crate::files::Trust;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// The default, since nothing was set.
    Default,
    /// The file of settings at this path.
    File(PathBuf),
    /// The environment variable of the setting.
    Environment,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment => f.write_str("environment"),
        }
    }
}

/// The value of a setting that is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: SettingSource,
}

/// A value in the form of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `true` or `false`.
    Boolean(bool),
    /// Digits.
    Integer(i64),
    /// Text in quotes.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
}

/// A type that a setting can have. Error texts say what is wrong with a value and what to write instead.
pub(super) trait SettingKind: Sized {
    /// The form of a value, for documentation.
    const KIND: &'static str;

    /// Whether its texts are paths, which may begin with `~/` in a file.
    const HOLDS_PATHS: bool = false;
    /// Whether a value keeps results apart, or from being believed: one that cannot be used must not be taken for none.
    const GUARDS: bool = false;

    /// Reads the value of an environment variable, which must not be empty.
    fn from_text(text: &OsStr) -> Result<Self, String>;

    /// Reads a value of the configuration file.
    fn from_toml(value: &toml::Value) -> Result<Self, String>;

    /// The value in the form in which it would be set; `None` if there is none.
    fn show(&self) -> Option<String>;

    /// The value in the form of the configuration file, which [`SettingKind::from_toml`] reads back.
    fn to_toml(&self) -> Result<Scalar, String> {
        let shown = self.show().ok_or("no value; unset it instead")?;
        Ok(Scalar::Text(shown))
    }
}

/// A text, or a list of texts with blanks between them. `None` for anything else.
pub(super) fn words(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Array(texts) => {
            let texts: Option<Vec<_>> = texts.iter().map(toml::Value::as_str).collect();
            texts.map(|texts| texts.join(" "))
        }
        _ => None,
    }
}

impl SettingKind for bool {
    const KIND: &'static str = "`1`, `on`, `true` or `yes`; `0`, `off`, `false` or `no`";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        match text.to_str().map(str::to_ascii_lowercase).as_deref() {
            Some("1" | "on" | "true" | "yes") => Ok(true),
            Some("0" | "off" | "false" | "no") => Ok(false),
            _ => Err("neither yes nor no; set 1 or 0".into()),
        }
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let hint = "neither true nor false; write one of them, without quotes";
        value.as_bool().ok_or_else(|| hint.into())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        Ok(Scalar::Boolean(*self))
    }
}

impl SettingKind for ByteSize {
    const KIND: &'static str =
        "bytes, or a number with a unit: `20G`, `1.5GiB` (powers of 1024), `20GB` (of 1000)";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let parsed = text.to_string_lossy().parse();
        parsed.map_err(|bad: super::BadSize| format!("{bad}; {SIZE_HINT}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => Self::from_text(OsStr::new(text)),
            toml::Value::Integer(bytes) => Self::from_text(OsStr::new(&bytes.to_string())),
            _ => Err(format!("not a size; {SIZE_HINT}")),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

const SIZE_HINT: &str = "write a number with K, M, G or T, such as 10G";

impl SettingKind for Duration {
    const KIND: &'static str = "whole seconds";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let digits = text.to_str().filter(|text| {
            // `parse` alone would accept a sign.
            text.bytes().all(|byte| byte.is_ascii_digit())
        });
        // At most 32 bits, so that adding them to the present time does not overflow.
        let seconds = digits.and_then(|digits| digits.parse::<u32>().ok());
        let duration = seconds.map(|seconds| Self::from_secs(seconds.into()));
        duration.ok_or_else(|| format!("not a number of seconds; {SECONDS_HINT}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Integer(seconds) => Self::from_text(OsStr::new(&seconds.to_string())),
            _ => Err(format!("not a number of seconds; {SECONDS_HINT}")),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.as_secs().to_string())
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        // At most 32 bits, as they are read.
        let seconds = i64::try_from(self.as_secs()).map_err(|_| "too many seconds")?;
        Ok(Scalar::Integer(seconds))
    }
}

const SECONDS_HINT: &str = "write digits, such as 60";

impl SettingKind for Compression {
    const KIND: &'static str = "`all`, `internal` or `none`; with `:1` to `:19`, a level";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let parsed = text.to_string_lossy().parse();
        parsed.map_err(|bad: BadCompression| format!("{bad}; {COMPRESSION_HINT}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => Self::from_text(OsStr::new(text)),
            _ => Err(format!("not a text; {COMPRESSION_HINT}")),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

const COMPRESSION_HINT: &str = "write all, internal or none, or a level too, such as all:12";

impl SettingKind for Jobs {
    const KIND: &'static str = "a number from 1, or `cores`";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let parsed = text.to_string_lossy().parse();
        parsed.map_err(|bad: super::BadJobs| format!("{bad}; {JOBS_HINT}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => Self::from_text(OsStr::new(text)),
            toml::Value::Integer(number) => Self::from_text(OsStr::new(&number.to_string())),
            _ => Err(format!("not a number of jobs; {JOBS_HINT}")),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        Ok(match self {
            Self::Cores => Scalar::Text(self.to_string()),
            Self::Number(number) => Scalar::Integer(number.get().into()),
        })
    }
}

const JOBS_HINT: &str = "write digits, such as 8, or cores";

impl SettingKind for DriverVersion {
    const KIND: &'static str = "`auto`, `none`, or a version such as `595.71.05`";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let parsed = text.to_string_lossy().parse();
        parsed.map_err(|bad: super::BadDriverVersion| format!("{bad}; {DRIVER_HINT}"))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        // A number would have lost its last zeros.
        let hint = "not a text; write it in quotes, such as \"595.71.05\"";
        Self::from_text(OsStr::new(value.as_str().ok_or(hint)?))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

const DRIVER_HINT: &str = "write auto, none, or digits and dots, such as 595.71.05";

impl SettingKind for EvictionPolicy {
    const KIND: &'static str = "`lru`, `fifo`, `lfu`, `random`, `ttl:7d`, `tlru` or `tlru:30d,90d`";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let parsed = text.to_string_lossy().parse();
        parsed.map_err(|bad: super::BadPolicy| bad.to_string())
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let hint = "not a policy; write it in quotes, such as \"lru\"";
        Self::from_text(OsStr::new(value.as_str().ok_or(hint)?))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingKind for BaseDir {
    const KIND: &'static str = "`auto`, `none` or an absolute path";
    const HOLDS_PATHS: bool = true;

    fn from_text(text: &OsStr) -> Result<Self, String> {
        match text.to_str() {
            Some("auto") => Ok(Self::Auto),
            Some("none") => Ok(Self::None),
            _ if Path::new(text).is_absolute() => Ok(Self::At(text.into())),
            _ => Err("neither auto, none nor an absolute path; write one of them".into()),
        }
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        Self::from_text(path_text(value)?)
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl SettingKind for Trust {
    const KIND: &'static str = "`mine`, `owner` or `everyone`";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let row = Self::ALL.iter().find(|(name, _)| text == *name);
        let hint = "not one of mine, owner and everyone; write one of them";
        row.map(|(_, trust)| *trust).ok_or_else(|| hint.into())
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let hint = "not a text; write \"mine\", \"owner\" or \"everyone\"";
        Self::from_text(OsStr::new(value.as_str().ok_or(hint)?))
    }

    fn show(&self) -> Option<String> {
        let row = Self::ALL.iter().find(|(_, trust)| trust == self);
        row.map(|(name, _)| (*name).to_owned())
    }
}

impl SettingKind for String {
    const KIND: &'static str = "a text without control characters";
    const GUARDS: bool = true;

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let text = text
            .to_str()
            .filter(|text| !text.contains(char::is_control));
        let hint = "not UTF-8, or with a control character; write a plain text";
        text.map(str::to_owned).ok_or_else(|| hint.into())
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let hint = "not a text; write it in quotes";
        Self::from_text(OsStr::new(value.as_str().ok_or(hint)?))
    }

    fn show(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.clone())
    }
}

/// A path that must have the same meaning for every compile, whatever its working directory.
impl SettingKind for PathBuf {
    const KIND: &'static str = "an absolute path";
    const HOLDS_PATHS: bool = true;

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let path = Self::from(text);
        if path.is_absolute() {
            Ok(path)
        } else {
            Err("not an absolute path; begin it with /".into())
        }
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        Self::from_text(path_text(value)?)
    }

    fn show(&self) -> Option<String> {
        (!self.as_os_str().is_empty()).then(|| self.display().to_string())
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        path_toml(self)
    }
}

impl SettingKind for Option<PathBuf> {
    const KIND: &'static str = "a path";
    const HOLDS_PATHS: bool = true;

    fn from_text(text: &OsStr) -> Result<Self, String> {
        Ok(Some(PathBuf::from(text)))
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let text = path_text(value)?;
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn show(&self) -> Option<String> {
        self.as_ref().map(|path| path.display().to_string())
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        path_toml(self.as_deref().unwrap_or(Path::new("")))
    }
}

fn path_toml(path: &Path) -> Result<Scalar, String> {
    match path.to_str() {
        Some("") => Err("no path; unset it instead".into()),
        Some(path) => Ok(Scalar::Text(path.into())),
        None => Err("not UTF-8, which the file must be; set the variable instead".into()),
    }
}

fn path_text(value: &toml::Value) -> Result<&OsStr, String> {
    let hint = "not a path; write it in quotes";
    value.as_str().map(OsStr::new).ok_or_else(|| hint.into())
}

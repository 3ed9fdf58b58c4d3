//! Settings: one table of names, types, defaults and help; values from `config.toml`, overridden by environment
//! variables. A bad value is reported and the default is used, since an error of the cache must never fail a build.

mod base_dir;
mod compression;
mod driver;
mod edit;
mod file_limit;
mod jobs;
mod lifetime;
mod load;
mod milliseconds;
mod nearest;
mod policy;
mod remotes;
mod setting;
mod share;
mod size;
mod table;
mod trusted_keys;
mod value;

pub use base_dir::BaseDir;
pub use compression::{BadCompression, Compression, CompressionLevel};
pub use driver::{BadDriverVersion, DriverVersion};
pub use edit::{EditError, set, unset};
pub use file_limit::FileLimit;
pub use jobs::{BadJobs, Jobs};
pub use lifetime::{BadLifetime, Lifetime};
pub use load::{ConfigProblem, Environment, config_file};
pub use milliseconds::Milliseconds;
pub use nearest::{nearest, setting};
pub use policy::{BadPolicy, EvictionPolicy};
pub use remotes::{RemoteServer, Remotes};
pub use setting::Setting;
pub use share::MillionthShare;
pub use size::{BadSize, ByteSize};
pub use table::{Config, ListedSetting, SETTINGS};
#[cfg(feature = "remote")]
pub(crate) use trusted_keys::is_key_name;
pub use trusted_keys::{TrustedKey, TrustedKeys};
pub use value::{Effective, Scalar, SettingSource};

use load::SettingsReader;

impl Config {
    /// Reads the settings from `env`, and from the configuration file whose path follows from `env`, if
    /// there is one. Every value that cannot be used is reported as a problem, and the next source applies:
    /// the file's value, then the default.
    pub fn load(env: &Environment<'_>) -> (Self, Vec<ConfigProblem>) {
        let mut reader = SettingsReader::new(env);
        reader.report_unknown_keys(SETTINGS, nearest);
        let config = Self::read(&mut reader);
        (config, reader.into_problems())
    }
}

#[cfg(test)]
mod tests;

//! Settings: one table of names, types, defaults and help; values from files of the system, the user and the checkout,
//! overridden by environment variables. A bad value is reported and the next source is used, since an error of the
//! cache must never fail a build.

mod base_dir;
mod compression;
mod driver;
mod edit;
mod extra_files;
mod file_limit;
mod jobs;
mod layers;
mod lifetime;
mod load;
mod milliseconds;
mod nearest;
mod place_paths;
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
pub use extra_files::ExtraFiles;
pub use file_limit::FileLimit;
pub use jobs::{BadJobs, Jobs};
pub use layers::CHECKOUT_FILE;
pub use lifetime::{BadLifetime, Lifetime};
pub use load::{ConfigProblem, Environment, config_file};
pub use milliseconds::Milliseconds;
pub use nearest::{UnknownVariable, nearest, setting, unknown_variables};
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

use layers::SettingsPlaces;
use load::SettingsReader;

impl Config {
    /// Reads the settings from `env`, from the files of the checkouts that the working directory lies in, from the
    /// user's file, whose path follows from `env`, and from that of the system. The nearest of them that has a good
    /// value applies. Every value that cannot be used is reported as a problem.
    pub fn load(env: &Environment<'_>) -> (Self, Vec<ConfigProblem>) {
        Self::load_at(&SettingsPlaces::of_process(), env)
    }

    /// As [`Config::load`], with files in these places.
    pub(crate) fn load_at(
        places: &SettingsPlaces<'_>,
        env: &Environment<'_>,
    ) -> (Self, Vec<ConfigProblem>) {
        let mut reader = SettingsReader::new(env);
        reader.read_trusted(places.system);
        if let Some(base_dir) = setting("base_dir") {
            reader.read_checkouts(places.directory, base_dir);
        }
        reader.report_keys(SETTINGS, nearest);
        Self::finish(reader)
    }

    /// Reads the settings from `env` alone, for a process to which another one hands those that it has read.
    pub fn from_variables(env: &Environment<'_>) -> (Self, Vec<ConfigProblem>) {
        Self::finish(SettingsReader::new(env))
    }

    fn finish(mut reader: SettingsReader<'_>) -> (Self, Vec<ConfigProblem>) {
        let mut config = Self::read(&mut reader);
        let (problems, lost_guard) = reader.into_problems();
        if let Some(source) = lost_guard {
            config.disable = Effective {
                value: true,
                source,
            };
        }
        (config, problems)
    }
}

#[cfg(test)]
mod layer_tests;
#[cfg(test)]
mod tests;

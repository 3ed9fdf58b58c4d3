//! All settings: one table of names, types, defaults and help, and the effective values.

use super::base_dir::BaseDir;
use super::compression::Compression;
use super::driver::DriverVersion;
use super::extra_files::ExtraFiles;
use super::file_limit::FileLimit;
use super::jobs::Jobs;
use super::load::{SettingsReader, default_dir, default_private_dir};
use super::milliseconds::Milliseconds;
use super::policy::EvictionPolicy;
use super::remotes::Remotes;
use super::setting::Setting;
use super::share::MillionthShare;
use super::size::ByteSize;
use super::trusted_keys::TrustedKeys;
use super::value::{Effective, SettingKind, SettingSource};
use crate::files::Trust;
use std::path::PathBuf;
use std::time::Duration;

/// One setting with its value, for listings.
#[derive(Clone, Debug)]
pub struct ListedSetting<'a> {
    /// The row of the table.
    pub setting: &'static Setting,
    /// The value in the form in which it would be set; `None` if there is none.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: &'a SettingSource,
}

/// Defines the table and the struct of effective values together, so that both have the same rows. A row with
/// `checkouts` at its end may stand in the file of a checkout.
macro_rules! settings {
    ($($field:ident: $type:ty = $default:expr, $variable:literal, $shown:literal, $help:literal $(, $checkouts:ident)?;)*) => {
        /// Every setting, in the order in which they are listed.
        pub const SETTINGS: &[Setting] = &[$(Setting {
            key: stringify!($field),
            variable: $variable,
            kind: <$type as SettingKind>::KIND,
            default: $shown,
            help: $help,
            in_checkouts: !stringify!($($checkouts)?).is_empty(),
            read: |text| SettingKind::to_toml(&<$type as SettingKind>::from_text(text)?),
        },)*];

        /// The effective values, each with its source.
        #[derive(Clone, Debug)]
        pub struct Config {
            $(#[doc = $help] pub $field: Effective<$type>,)*
        }

        impl Config {
            /// The effective value of every setting, in the order of [`SETTINGS`].
            pub fn list(&self) -> Vec<ListedSetting<'_>> {
                let values = [$((SettingKind::show(&self.$field.value), &self.$field.source),)*];
                let rows = SETTINGS.iter().zip(values);
                rows.map(|(setting, (value, source))| ListedSetting { setting, value, source }).collect()
            }

            pub(super) fn read(reader: &mut SettingsReader<'_>) -> Self {
                let mut rows = SETTINGS.iter();
                Self {
                    $($field: reader.effective::<$type>(
                        // The rows come from the same macro call as the fields.
                        rows.next().expect("one row for each field"),
                        $default,
                    ),)*
                }
            }
        }
    };
}

settings! {
    dir: PathBuf = default_dir, "PCACHE_DIR", "`$XDG_CACHE_HOME/pcache-nvcc`",
        "Directory of the cache; made when it is missing";
    max_size: ByteSize = |_| DEFAULT_MAX_SIZE, "PCACHE_MAX_SIZE", "`10G`",
        "Size limit; above it, entries are evicted by `policy`";
    max_files: FileLimit = |_| FileLimit(None), "PCACHE_MAX_FILES", "`none`",
        "Limit on the number of files, for file systems with few inodes; above it, entries are evicted by `policy`";
    policy: EvictionPolicy = |_| EvictionPolicy::Lru, "PCACHE_POLICY", "`lru`",
        "Which entries go first: least recently used, first written, least often used, any; with `ttl` and `tlru`, also all that are older than that";
    compress: Compression = |_| Compression::DEFAULT, "PCACHE_COMPRESS", "`internal`",
        "What is stored compressed, with zstd: what only pcache-nvcc reads (`internal`), results too (`all`), or nothing (`none`); with a level, such as `all:12`";
    nvcc: Option<PathBuf> = |_| None, "PCACHE_NVCC", "the first found on `PATH`, in `CUDA_HOME`, in `/usr/local/cuda`",
        "The real nvcc, or a directory that holds it as `nvcc` or `bin/nvcc`";
    driver: DriverVersion = |_| DriverVersion::Auto, "PCACHE_DRIVER", "`auto`",
        "The driver version that keys hold; machines with other drivers, or with none, share results if it is set to one value on all of them";
    disable: bool = |_| false, "PCACHE_DISABLE", "`false`",
        "Run the real nvcc at once, without looking at the cache", checkouts;
    readonly: bool = |_| false, "PCACHE_READONLY", "`false`",
        "Use the cache, but store and remove nothing; counters still count";
    trust: Trust = |_| Trust::Mine, "PCACHE_TRUST", "`mine`",
        "Whose results are believed where others can write in the cache, besides what its key has signed: this user's, also those of the owner of a directory in which only the owner can write, or all";
    key: Option<PathBuf> = |_| None, "PCACHE_KEY", "`signing/key` in a cache that `pcache init --shared` has made",
        "File with the key by which results are signed, and without whose signature none is believed: its full path; mode 600 or 640; `pcache init --key` makes one";
    private_dir: PathBuf = default_private_dir, "PCACHE_PRIVATE_DIR", "`$XDG_CACHE_HOME/pcache-nvcc-private`",
        "Directory of this user's own files for caches in which others can write; no other user may write in it";
    direct: bool = |_| true, "PCACHE_DIRECT", "`true`",
        "Look results up by the digests of the files that the last compile read, without running the preprocessor", checkouts;
    stages: bool = |_| true, "PCACHE_STAGES", "`true`",
        "Run the stages of a compile side by side and cache each; if off, the real nvcc compiles in one step", checkouts;
    semantic: bool = |_| true, "PCACHE_SEMANTIC", "`true`",
        "Ignore edits that cannot change the output: comments, white space, moved lines", checkouts;
    nvrtc: bool = |_| true, "PCACHE_NVRTC", "`true`",
        "Cache the NVRTC compiles of programs that `pcache run` starts", checkouts;
    base_dir: BaseDir = |_| BaseDir::Auto, "PCACHE_BASE_DIR", "`auto`",
        "Directory below which paths do not matter, so that results serve other checkouts: `auto` is the top of the source's checkout (git, jj, hg, svn), or else of its project";
    namespace: String = |_| String::new(), "PCACHE_NAMESPACE", "none",
        "A text that is part of every key, so that results of one namespace never serve another", checkouts;
    extra_files: ExtraFiles = |_| ExtraFiles::default(), "PCACHE_EXTRA_FILES", "none",
        "Files whose contents are part of every key, such as the settings of a program in front of a compiler; without one of them the real nvcc compiles", checkouts;
    recache: bool = |_| false, "PCACHE_RECACHE", "`false`",
        "Compile even if the cache has a result, and store the new one";
    recheck: MillionthShare = |_| MillionthShare(0), "PCACHE_RECHECK", "`0%`",
        "Share of hits that are compiled again and compared, as a check on servers and machines; a difference is said and counted, and the new output stays";
    wait: Duration = |_| DEFAULT_WAIT, "PCACHE_WAIT", "`300`",
        "How long a compile waits for another process that is compiling the same thing; then it compiles too";
    remote: Remotes = |_| Remotes::default(), "PCACHE_REMOTE", "none",
        "Servers that share results between machines, in the order in which they are asked: URLs, each with `read-only` and `namespace=NAMES` behind it if wanted";
    remote_wait: Milliseconds = |_| DEFAULT_REMOTE_WAIT, "PCACHE_REMOTE_WAIT", "`1000`",
        "How long one compile waits for servers in all, in milliseconds; after that it goes on without them";
    sign_key: Option<PathBuf> = |_| None, "PCACHE_SIGN_KEY", "results are sent unsigned",
        "File with the key by which results are signed that are sent to servers; mode 600; `pcache remote keygen` makes one";
    trusted_keys: TrustedKeys = |_| TrustedKeys::default(), "PCACHE_TRUSTED_KEYS", "all results of servers are believed",
        "Public keys, as `pcache remote keygen` prints them; as soon as there is one, nothing of a server is believed that none of them has signed";
    jobs: Jobs = |_| Jobs::Cores, "PCACHE_JOBS", "`cores`",
        "Most stages that all of a user's compiles on this machine run at once with this cache; ignored under a GNU make jobserver";
    log: Option<PathBuf> = |_| None, "PCACHE_LOG", "no log",
        "File to which each compile appends what was decided, and why";
}

/// 10 GiB.
const DEFAULT_MAX_SIZE: ByteSize = ByteSize::new(10 << 30);

/// Enough for a server on another continent, and little beside a compile.
const DEFAULT_REMOTE_WAIT: Milliseconds = Milliseconds(1000);

/// Longer than all but the largest units take, since starting the same work late gains nothing; short
/// enough that waiting for a stopped process (Ctrl-Z) does not hurt much. Dead processes are not waited for.
const DEFAULT_WAIT: Duration = Duration::from_secs(300);

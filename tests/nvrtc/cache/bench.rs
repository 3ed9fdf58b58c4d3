//! A directory of sources, a cache, and the real NVRTC as the judge of what the cache serves.

use pcache_nvcc::config::Config;
use pcache_nvcc::nvrtc::program::{
    FileAccess, Header, Library, NvrtcRequest, Program, ProgramArtefact, ProgramOutput,
};
use pcache_nvcc::nvrtc::{Begin, Cache};
use pcache_nvcc::stats::{Counter, Snapshot, Stats};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How a compile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Hit,
    Miss,
    Bypass,
    /// NVRTC refused the program.
    Refused,
}

/// What is compiled, by whom.
#[derive(Clone)]
pub struct Case {
    pub library: Library,
    pub program: Program,
    pub expressions: Vec<Vec<u8>>,
    pub options: Vec<Vec<u8>>,
    /// MXCSR and the x87 control word of the thread that compiles, if they are not the usual ones.
    pub computing: Option<(u32, u16)>,
}

impl Case {
    pub fn new(source: &str, options: &[&str]) -> Self {
        Self {
            library: library(),
            program: Program {
                source: source.into(),
                name: Some(b"kernel.cu".to_vec()),
                headers: Vec::new(),
            },
            expressions: Vec::new(),
            options: options
                .iter()
                .map(|option| option.as_bytes().to_vec())
                .collect(),
            computing: None,
        }
    }

    pub fn named(mut self, name: &str) -> Self {
        self.program.name = Some(name.into());
        self
    }

    pub fn with_header(mut self, name: &str, source: &str) -> Self {
        self.program.headers.push(Header {
            name: name.into(),
            source: source.into(),
        });
        self
    }

    pub fn asking(mut self, expression: &str) -> Self {
        self.expressions.push(expression.into());
        self
    }

    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.into());
        self
    }

    pub fn computing(mut self, mxcsr: u32, x87: u16) -> Self {
        self.computing = Some((mxcsr, x87));
        self
    }

    fn request(&self) -> NvrtcRequest<'_> {
        NvrtcRequest {
            library: &self.library,
            program: &self.program,
            expressions: &self.expressions,
            options: &self.options,
        }
    }
}

/// A place to work in, with a cache of its own. Changes the working directory of this process.
pub struct Bench {
    root: TempDir,
    driver: PathBuf,
}

impl Bench {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("work")).unwrap();
        std::env::set_current_dir(root.path().join("work")).unwrap();
        let driver = driver();
        Self { root, driver }
    }

    /// The working directory.
    pub fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// Writes a file, and waits until its time is past.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        settle();
    }

    /// The cache as another process would open it.
    pub fn cache(&self) -> Cache {
        self.cache_with(&[])
    }

    /// The cache, opened with more settings.
    pub fn cache_with(&self, settings: &[(&str, &str)]) -> Cache {
        let root = self.root.path().join("cache");
        let environment = |name: &str| match name {
            "PCACHE_DIR" => Some(root.clone().into_os_string()),
            "HOME" => Some(self.root.path().into()),
            "PCACHE_LOG" => Some(self.root.path().join("log").into()),
            name => {
                let mut settings = settings.iter();
                let setting = settings.find(|(variable, _)| *variable == name);
                setting.map(|(_, value)| value.into())
            }
        };
        let (config, problems) = Config::load(&environment);
        assert_eq!(problems, []);
        Cache::with(config)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.root.path().join("log")).unwrap_or_default()
    }

    /// The cache's directory.
    pub fn store(&self) -> PathBuf {
        self.root.path().join("cache")
    }

    /// What `pcache explain` says of the last compile.
    pub fn explain(&self) -> String {
        let mut pcache = Command::new(env!("CARGO_BIN_EXE_pcache"));
        pcache.arg("explain").env("PCACHE_DIR", self.store());
        let said = pcache.env("HOME", self.root.path()).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    }

    pub fn counted(&self) -> Snapshot {
        Stats::open(&self.store()).snapshot()
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.counted().get(counter)
    }

    /// Compiles in a new process: through a cache that was just opened. What it serves is what NVRTC
    /// gives now.
    #[track_caller]
    pub fn run(&self, case: &Case) -> Ended {
        self.run_in(&self.cache(), case)
    }

    /// The same in a process that is running.
    #[track_caller]
    pub fn run_in(&self, cache: &Cache, case: &Case) -> Ended {
        let began = Instant::now();
        let begun = computing(case.computing, || cache.begin(&case.request()));
        match begun {
            Begin::Hit(output) => {
                let (judged, _) = self.compile(case).expect("a hit on what NVRTC refuses");
                assert_same(&output, &judged);
                Ended::Hit
            }
            Begin::Bypass => Ended::Bypass,
            Begin::Miss(miss) => match self.compile(case) {
                Some((output, seen)) => {
                    let took = began.elapsed();
                    computing(case.computing, || miss.commit(seen, &output, took));
                    Ended::Miss
                }
                None => Ended::Refused,
            },
        }
    }

    /// Compiles, lets `meanwhile` happen, and only then tells the cache.
    pub fn commit_after(&self, case: &Case, meanwhile: impl FnOnce()) {
        let cache = self.cache();
        let Begin::Miss(miss) = cache.begin(&case.request()) else {
            panic!("no miss");
        };
        let (output, seen) = self.compile(case).unwrap();
        meanwhile();
        miss.commit(seen, &output, Duration::ZERO);
    }

    /// Compiles without telling the cache what was read; what the log says of it.
    pub fn commit_unobserved(&self, case: &Case) -> String {
        let cache = self.cache();
        let Begin::Miss(miss) = cache.begin(&case.request()) else {
            panic!("no miss");
        };
        let (output, _) = self.compile(case).unwrap();
        miss.commit(Vec::new(), &output, Duration::ZERO);
        self.log()
    }

    /// What NVRTC gives, and what it was seen to read; none if it refuses.
    #[track_caller]
    pub fn compile(&self, case: &Case) -> Option<(ProgramOutput, Vec<FileAccess>)> {
        let out = tempfile::tempdir().unwrap();
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        fs::write(out.path().join("source"), &case.program.source).unwrap();
        let mut command = Command::new(&self.driver);
        let name = case.program.name.as_deref().unwrap_or_default();
        command
            .arg(&case.library.path)
            .arg(out.path())
            .arg(bytes(name));
        for (number, header) in case.program.headers.iter().enumerate() {
            let path = out.path().join(format!("header{number}"));
            fs::write(&path, &header.source).unwrap();
            command.arg("--header").arg(bytes(&header.name)).arg(path);
        }
        for expression in &case.expressions {
            command.arg("--expression").arg(bytes(expression));
        }
        if let Some((mxcsr, x87)) = case.computing {
            command.arg("--computing");
            command.args([format!("{mxcsr:x}"), format!("{x87:x}")]);
        }
        command.arg("--");
        command.args(case.options.iter().map(|option| bytes(option)));
        let ended = command.output().unwrap();
        if ended.status.code() == Some(3) {
            return None;
        }
        assert!(ended.status.success(), "{ended:?}");
        Some((output(out.path()), accesses(out.path())))
    }
}

/// Longer than a tick of any kernel: what is written before is older than what begins afterwards.
pub fn settle() {
    sleep(Duration::from_millis(40));
}

/// Does `work` in a mode of computing.
fn computing<T>(mode: Option<(u32, u16)>, work: impl FnOnce() -> T) -> T {
    let Some(mode) = mode else {
        return work();
    };
    let before = switch(mode);
    let result = work();
    switch(before);
    result
}

/// Puts the calling thread into a mode of computing; the one it was in.
#[cfg(target_arch = "x86_64")]
fn switch((mxcsr, x87): (u32, u16)) -> (u32, u16) {
    let mut before = (0u32, 0u16);
    // SAFETY: every test leaves the mode as it was, and no exception is unmasked.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut before.0);
        std::arch::asm!("fnstcw [{}]", in(reg) &raw mut before.1);
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr);
        std::arch::asm!("fldcw [{}]", in(reg) &raw const x87);
    }
    before
}

fn assert_same(served: &ProgramOutput, judged: &ProgramOutput) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&served.log), text(&judged.log));
    assert_eq!(served.lowered, judged.lowered);
    for (one, other) in served.artefacts.iter().zip(&judged.artefacts) {
        assert_eq!(one.0, other.0);
        assert!(one.1 == other.1, "{:?} differs", one.0);
    }
    assert_eq!(served.artefacts.len(), judged.artefacts.len());
}

fn output(directory: &Path) -> ProgramOutput {
    let read = |name: &str| fs::read(directory.join(name)).ok();
    let artefacts = [
        (ProgramArtefact::Ptx, "PTX"),
        (ProgramArtefact::Cubin, "CUBIN"),
        (ProgramArtefact::Ltoir, "LTOIR"),
        (ProgramArtefact::OptixIr, "OptiXIR"),
    ];
    let artefacts = artefacts
        .into_iter()
        .filter_map(|(kind, name)| Some((kind, read(name)?)));
    let lowered = fs::read_to_string(directory.join("lowered")).unwrap();
    let lowered: Vec<_> = lowered
        .lines()
        .map(|line| line.as_bytes().to_vec())
        .collect();
    let lowered = lowered.chunks_exact(2);
    ProgramOutput {
        log: read("ProgramLog").unwrap(),
        lowered: lowered
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect(),
        // Nothing but a NUL is no PTX.
        artefacts: artefacts.filter(|(_, bytes)| bytes.len() > 1).collect(),
    }
}

fn accesses(directory: &Path) -> Vec<FileAccess> {
    let text = fs::read_to_string(directory.join("seen")).unwrap();
    let access = |line: &str| {
        let (what, path) = line.split_at(1);
        match what {
            "O" => FileAccess::Opened(path.into()),
            "A" => FileAccess::Absent(path.into()),
            _ => FileAccess::Looked(path.into()),
        }
    };
    text.lines().map(access).collect()
}

/// The library of `PCACHE_TEST_NVRTC` (a root as `scripts/get-nvrtc` prints it), else of 13.2.
pub fn library() -> Library {
    static FOUND: OnceLock<Library> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let root = match std::env::var_os("PCACHE_TEST_NVRTC") {
                Some(root) => PathBuf::from(root),
                None => fetched(),
            };
            let listing = fs::read_dir(root.join("lib")).unwrap();
            let paths: Vec<_> = listing.map(|entry| entry.unwrap().path()).collect();
            let named = |start: &str| {
                let name = |path: &&PathBuf| {
                    path.file_name()
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .starts_with(start)
                };
                paths
                    .iter()
                    .find(name)
                    .unwrap_or_else(|| panic!("no {start} in {root:?}"))
                    .clone()
            };
            Library {
                path: named("libnvrtc.so."),
                builtins: Some(named("libnvrtc-builtins.so.")),
            }
        })
        .clone()
}

fn fetched() -> PathBuf {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let got = Command::new(top.join("scripts/get-nvrtc"))
        .arg("13.2")
        .output()
        .unwrap();
    assert!(got.status.success(), "scripts/get-nvrtc: {got:?}");
    String::from_utf8(got.stdout).unwrap().trim().into()
}

/// The driver, compiled once.
fn driver() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            let into = Path::new(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("nvrtc-driver-{}", std::process::id()));
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvrtc/cache/driver.c");
            let mut cc = Command::new("cc");
            let built = cc
                .args(["-O1", "-rdynamic", "-w", "-o"])
                .arg(&into)
                .arg(source)
                .arg("-ldl")
                .status();
            assert!(built.unwrap().success());
            into
        })
        .clone()
}

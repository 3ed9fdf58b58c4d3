//! A folder of its own for every test: sources, cache, temporary folder, home, environment, and
//! the two programs run in it side by side. Knows nothing of what the results should be.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::counters::Counters;
use super::outcome::Outcome;
use super::reference::{self, Question};
use super::toolkit::Toolkit;
use super::tree::Tree;
use super::warm;

/// The two programs under test: `PCACHE_TEST_BIN` names a folder with other builds of them.
pub fn program(name: &str) -> PathBuf {
    let built = match name {
        "pcache-nvcc" => env!("CARGO_BIN_EXE_pcache-nvcc"),
        "pcache" => env!("CARGO_BIN_EXE_pcache"),
        other => panic!("no program {other}"),
    };
    match env::var_os("PCACHE_TEST_BIN").filter(|dir| !dir.is_empty()) {
        Some(dir) => Path::new(&dir).join(name),
        None => PathBuf::from(built),
    }
}

/// One test's world.
pub struct Workspace {
    root: PathBuf,
    cwd: PathBuf,
    env: BTreeMap<OsString, OsString>,
    nvcc: PathBuf,
    _removed_at_the_end: TempDir,
}

impl Workspace {
    /// An empty workspace around the toolkit of this test run, which pcache-nvcc knows already.
    pub fn new() -> Self {
        let temp = TempDir::with_prefix("pcache-e2e-").expect("a temporary folder");
        let root = temp.path().canonicalize().expect("its real path");
        for dir in ["work", "tmp", "home"] {
            fs::create_dir(root.join(dir)).expect("a folder in the workspace");
        }
        let mut this = Self {
            cwd: root.join("work"),
            nvcc: Toolkit::get().nvcc(),
            env: BTreeMap::new(),
            root,
            _removed_at_the_end: temp,
        };
        this.set_path(&[&Toolkit::get().bin()]);
        this.set_env("HOME", this.root.join("home"));
        this.set_env("TMPDIR", this.root.join("tmp"));
        this.set_env("PCACHE_DIR", this.root.join("cache"));
        this.set_env("LC_ALL", "C");
        this.new_cache();
        this
    }

    /// Puts an empty cache in the place of the cache, in which the toolkit is known.
    pub fn new_cache(&self) {
        let path = &self.env[OsStr::new("PATH")];
        warm::plant(&self.fresh("cache"), path);
    }

    /// Makes `name` the machine of later runs: one with a cache and a home of its own. Its cache knows the toolkit.
    pub fn use_machine(&mut self, name: &str) {
        let place = self.root.join("machines").join(name);
        let (cache, home) = (place.join("cache"), place.join("home"));
        if !cache.exists() {
            fs::create_dir_all(&home).expect("a home");
            warm::plant(&cache, &self.env[OsStr::new("PATH")]);
        }
        self.set_env("PCACHE_DIR", cache);
        self.set_env("HOME", home);
    }

    /// A workspace whose work folder holds one source.
    pub fn with(name: &str, text: &str) -> Self {
        let this = Self::new();
        this.write(name, text);
        this
    }

    /// Sets a variable for both programs.
    pub fn set_env(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.env.insert(name.into(), value.as_ref().to_owned());
    }

    /// Removes a variable for both programs.
    pub fn unset_env(&mut self, name: &str) {
        self.env.remove(OsStr::new(name));
    }

    /// PATH: these folders, then the caller's own PATH without any folder that holds an nvcc.
    pub fn set_path(&mut self, first: &[&Path]) {
        let inherited = env::var_os("PATH").unwrap_or_default();
        let rest = env::split_paths(&inherited).filter(|dir| !dir.join("nvcc").exists());
        let dirs = first.iter().map(|dir| dir.to_path_buf()).chain(rest);
        self.set_env("PATH", env::join_paths(dirs).expect("a PATH"));
    }

    /// Uses another nvcc, also first in PATH.
    pub fn use_nvcc(&mut self, nvcc: PathBuf) {
        self.set_path(&[nvcc.parent().expect("nvcc lies in a folder")]);
        self.nvcc = nvcc;
    }

    /// The real nvcc that the reference runs use.
    pub fn real_nvcc(&self) -> &Path {
        &self.nvcc
    }

    /// Makes `dir`, relative to the work folder, the current folder of later runs.
    pub fn cd(&mut self, dir: &str) {
        self.cwd = self.path(dir);
        fs::create_dir_all(&self.cwd).expect("a current folder");
    }

    /// The folder that holds everything of this test.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The work folder.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// A path in the work folder.
    pub fn path(&self, rel: impl AsRef<Path>) -> PathBuf {
        self.root.join("work").join(rel)
    }

    /// Writes a file, and the folders above it.
    pub fn write(&self, rel: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(rel);
        fs::create_dir_all(path.parent().expect("a folder")).expect("make its folder");
        fs::write(&path, text).unwrap_or_else(|e| panic!("writing {}: {e}", path.display()));
        path
    }

    /// Writes an executable script.
    pub fn script(&self, rel: &str, text: &str) -> PathBuf {
        let path = self.write(rel, text);
        make_executable(&path);
        path
    }

    /// Replaces a text that occurs once in a file.
    #[track_caller]
    pub fn edit(&self, rel: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(rel)).expect("a text file");
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {rel}");
        self.write(rel, text.replace(from, to));
    }

    /// The content of a file in the work folder.
    #[track_caller]
    pub fn read(&self, rel: &str) -> Vec<u8> {
        fs::read(self.path(rel)).unwrap_or_else(|e| panic!("reading {rel}: {e}"))
    }

    /// Removes a file.
    #[track_caller]
    pub fn remove(&self, rel: &str) {
        fs::remove_file(self.path(rel)).unwrap_or_else(|e| panic!("removing {rel}: {e}"));
    }

    /// What is left in the temporary folder.
    pub fn temporaries(&self) -> Vec<String> {
        Tree::read(&self.root.join("tmp")).names()
    }

    /// A command with the workspace's environment and current folder.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(&self.env)
            .current_dir(&self.cwd)
            .stdin(Stdio::null());
        command
    }

    /// The command line `pcache-nvcc args…`.
    pub fn ours(&self, args: &[&str]) -> Command {
        let mut command = self.command(program("pcache-nvcc"));
        command.args(args);
        command
    }

    /// The command line `nvcc args…`.
    pub fn theirs(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.nvcc);
        command.args(args);
        command
    }

    /// Runs a command, leaves what it made, and says what it did.
    #[track_caller]
    pub fn run(&self, command: Command) -> Outcome {
        self.run_with_input(command, b"")
    }

    /// Like `run`, with bytes on standard input.
    #[track_caller]
    pub fn run_with_input(&self, command: Command, input: &[u8]) -> Outcome {
        let files = Tree::read(&self.work());
        let counters = self.counters();
        let output = feed(command, input);
        let counted = self.counters().since(&counters);
        Outcome::new(output, Tree::read(&self.work()).since(&files), counted)
    }

    /// Runs a command, says what it did, and puts the work folder back as it was.
    #[track_caller]
    pub fn try_run(&self, command: Command) -> Outcome {
        let files = Tree::read(&self.work());
        let outcome = self.run(command);
        files.restore(&self.work());
        outcome
    }

    /// Builds with pcache-nvcc, and puts the work folder back as it was.
    #[track_caller]
    pub fn build(&self, args: &[&str]) -> Outcome {
        self.try_run(self.ours(args))
    }

    /// Builds with nvcc, and puts the work folder back as it was.
    #[track_caller]
    pub fn plain(&self, args: &[&str]) -> Outcome {
        self.try_run(self.theirs(args))
    }

    /// Builds with `nvcc --keep`, whose objects are the same in every run. The kept files land
    /// outside the work folder.
    #[track_caller]
    pub fn kept(&self, args: &[&str]) -> Outcome {
        let build = || {
            let dir = self.fresh("kept");
            let mut command = self.theirs(args);
            command.arg("--keep").arg("--keep-dir").arg(dir);
            self.try_run(command)
        };
        match self.question(args) {
            Some(question) => reference::answer(question, &self.root, build),
            None => build(),
        }
    }

    /// What `nvcc args…` is asked here; `None` if this is not the toolkit of this test run.
    fn question(&self, args: &[&str]) -> Option<Question> {
        let places = ["HOME", "TMPDIR", "PCACHE_DIR"];
        // nvcc knows nothing of the servers that machines share.
        let is_place = |name: &OsStr, value: &OsStr| {
            let is_own = Path::new(value).starts_with(&self.root) && value != self.root.as_os_str();
            name == "PCACHE_REMOTE" || is_own && places.iter().any(|own| name == *own)
        };
        let env = self
            .env
            .iter()
            .filter(|(name, value)| !is_place(name, value));
        let question = || Question {
            args: args.iter().map(OsString::from).collect(),
            env: env
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            current: self
                .cwd
                .strip_prefix(&self.root)
                .unwrap_or(&self.cwd)
                .to_owned(),
            files: Tree::read(&self.work()),
        };
        (self.nvcc == Toolkit::get().nvcc()).then(question)
    }

    /// An empty folder beside the work folder.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let dir = self.root.join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).expect("a fresh folder");
        dir
    }

    /// The counters as `pcache stats --json` tells them; zeros where no cache can be read.
    pub fn counters(&self) -> Counters {
        let mut command = self.command(program("pcache"));
        let output = command
            .args(["stats", "--json"])
            .output()
            .expect("run pcache");
        if output.status.success() {
            Counters::parse(&output.stdout)
        } else {
            Counters::default()
        }
    }

    /// Exit status and JSON of a request to `pcache`.
    #[track_caller]
    pub fn pcache(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = self.command(program("pcache"));
        let output = command.args(arguments).arg("--json").output();
        let output = output.expect("pcache runs");
        let report = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code().expect("an exit status"), report)
    }

    /// A folder below the work folder's parent for links and scripts called `nvcc` or the like.
    pub fn side(&self, name: &str) -> PathBuf {
        let dir = self.root.join(name);
        fs::create_dir_all(&dir).expect("a side folder");
        dir
    }
}

/// Gives a file the mode of a program.
pub fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
}

fn feed(mut command: Command, input: &[u8]) -> Output {
    if input.is_empty() {
        return command
            .output()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that does not read its input closes the pipe; that is its right.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("its output")
}

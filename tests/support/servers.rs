//! Real servers for the tests of a remote cache, each on a free port of the loopback with a folder of its own. A server
//! is killed when it is dropped, also by a test that panics. Never absent: a test that needs one fails with the line
//! that says how to get it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::poll::until;

/// Makes the command that starts a server in a folder and at a port.
type Starter = dyn Fn(&Path, u16) -> Command + Send;

/// A running server, or one that was killed and can be started again with what it has on its disk.
pub struct Server {
    command: Box<Starter>,
    child: Option<Child>,
    port: u16,
    dir: TempDir,
}

impl Server {
    /// `redis-server`, with further arguments.
    pub fn redis(arguments: &[&str]) -> Self {
        Self::of_redis_kind(program("redis-server"), arguments)
    }

    /// `valkey-server`, with further arguments.
    pub fn valkey(arguments: &[&str]) -> Self {
        Self::of_redis_kind(program("valkey-server"), arguments)
    }

    fn of_redis_kind(program: PathBuf, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        Self::start(move |dir, port| {
            let mut command = Command::new(&program);
            command.current_dir(dir);
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
            command.args(["--save", ""]);
            command.args(&arguments);
            command
        })
    }

    /// `memcached` that takes values of up to 64 MiB, with further arguments.
    pub fn memcached(arguments: &[&str]) -> Self {
        let program = program("memcached");
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        Self::start(move |_, port| {
            let mut command = Command::new(&program);
            command.args(["-l", "127.0.0.1", "-p", &port.to_string()]);
            // As root it wants to be told as which user it runs.
            command.args(["-u", "root", "-I", "64m", "-m", "256"]);
            command.args(&arguments);
            command
        })
    }

    /// nginx with a WebDAV folder. `location` is put into its `location /`, `server` into its `server`.
    pub fn nginx(location: &str, server: &str) -> Self {
        let program = program("nginx");
        let (location, server) = (location.to_owned(), server.to_owned());
        Self::start(move |dir, port| {
            let place = dir.display();
            fs::create_dir_all(dir.join("data")).unwrap();
            let settings = format!(
                "daemon off; master_process off; pid {place}/pid; error_log {place}/log;
                 events {{}}
                 http {{
                     access_log off;
                     client_max_body_size 0;
                     client_body_temp_path {place}/bodies;
                     proxy_temp_path {place}/proxy;
                     fastcgi_temp_path {place}/fastcgi;
                     uwsgi_temp_path {place}/uwsgi;
                     scgi_temp_path {place}/scgi;
                     server {{
                         listen 127.0.0.1:{port} {server};
                         root {place}/data;
                         location / {{ dav_methods PUT DELETE MKCOL; {location} }}
                     }}
                 }}"
            );
            fs::write(dir.join("nginx.conf"), settings).unwrap();
            let mut command = Command::new(&program);
            command.arg("-p").arg(dir);
            command.arg("-c").arg(dir.join("nginx.conf"));
            command.arg("-e").arg(dir.join("log"));
            command
        })
    }

    /// Starts what `command` makes of a folder and a port.
    pub fn start(command: impl Fn(&Path, u16) -> Command + Send + 'static) -> Self {
        let mut server = Self {
            command: Box::new(command),
            child: None,
            port: free_port(),
            dir: TempDir::new().unwrap(),
        };
        // Another process may take the port meanwhile.
        for _ in 0..5 {
            if server.try_start() {
                return server;
            }
            server.port = free_port();
        }
        panic!("a server does not start: {}", server.output());
    }

    /// The port at which it listens, or listened before it was killed.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder. Values of nginx are in `data/` there.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its URL with a scheme and what follows the port.
    pub fn url(&self, scheme: &str, rest: &str) -> String {
        format!("{scheme}://127.0.0.1:{}{rest}", self.port)
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it at its old port after [`Server::kill`].
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_start(), "a server does not start again");
    }

    /// Starts the process and waits until it listens; `false` if it ends instead.
    fn try_start(&mut self) -> bool {
        let output = fs::File::create(self.dir().join("output")).unwrap();
        let mut command = (self.command)(self.dir(), self.port);
        command.stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let mut child = command.spawn().unwrap();
        let port = self.port;
        let is_up = until("a server listens", || match child.try_wait().unwrap() {
            Some(_) => Some(false),
            None => TcpStream::connect(("127.0.0.1", port)).ok().map(|_| true),
        });
        self.child = Some(child);
        is_up
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir().join("output")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port at which no process listens now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server's program: on PATH, in a folder for system programs, or in `target/servers`.
pub fn program(name: &str) -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into(), fetched]);
    let mut programs = places.map(|place| place.join(name));
    let found = programs.find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("no {name} for the tests: run scripts/get-servers once"))
}

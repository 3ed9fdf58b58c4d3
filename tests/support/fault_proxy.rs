//! A TCP proxy that breaks connections in every way that networks and servers do. Knows no protocol.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often waiting threads look whether the fault has changed.
const TICK: Duration = Duration::from_millis(5);

/// What the proxy does to its connections, those that are open included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Passes everything on.
    None,
    /// Accepts connections, and never answers.
    Silent,
    /// Passes bytes on after a while, in both directions.
    Delay(Duration),
    /// Closes a connection when this many bytes of answers have come through it.
    CutAfter(usize),
    /// Resets connections.
    Reset,
    /// Changes a byte in the second half of what comes at once from the server.
    WrongBytes,
    /// Passes answers on one byte at a time, with this time between them.
    Drip(Duration),
    /// Has no open port, and resets open connections.
    Refuse,
}

/// A proxy in front of a server on the loopback. Its connections end when it is dropped.
pub struct FaultProxy {
    port: u16,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

struct State {
    upstream: u16,
    fault: Mutex<Fault>,
    connections: AtomicUsize,
    is_listening: AtomicBool,
    stop: AtomicBool,
}

impl State {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for `time`, or until the fault is another one. Returns whether the time has passed.
    fn wait(&self, fault: Fault, time: Duration) -> bool {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.is_stopped() || self.fault() != fault {
                return false;
            }
            thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
        }
        true
    }
}

impl FaultProxy {
    /// Listens on a free port for connections to the port `upstream`.
    pub fn start(upstream: u16, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            upstream,
            fault: Mutex::new(fault),
            connections: AtomicUsize::new(0),
            is_listening: AtomicBool::new(fault != Fault::Refuse),
            stop: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        // Before the caller can connect.
        let listener = (fault != Fault::Refuse).then_some(listener);
        let acceptor = thread::spawn(move || accept(port, listener, &shared));
        Self {
            port,
            state,
            acceptor: Some(acceptor),
        }
    }

    /// The port for clients.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the fault, also for connections that are open.
    pub fn set(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = fault;
        // The port is closed and opened by the thread that accepts.
        let is_listening = || self.state.is_listening.load(Ordering::Relaxed);
        while is_listening() == (fault == Fault::Refuse) {
            thread::sleep(TICK);
        }
    }

    /// How many connections clients have opened.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(port: u16, mut listener: Option<TcpListener>, state: &Arc<State>) {
    while !state.is_stopped() {
        if state.fault() == Fault::Refuse {
            listener = None;
            state.is_listening.store(false, Ordering::Relaxed);
            thread::sleep(TICK);
            continue;
        }
        let open = listener
            .take()
            .or_else(|| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).ok());
        let Some(open) = open else {
            thread::sleep(TICK);
            continue;
        };
        open.set_nonblocking(true).unwrap();
        state.is_listening.store(true, Ordering::Relaxed);
        match open.accept() {
            Ok((client, _)) => {
                state.connections.fetch_add(1, Ordering::Relaxed);
                let state = Arc::clone(state);
                thread::spawn(move || serve(client, &state));
            }
            Err(_) => thread::sleep(TICK),
        }
        listener = Some(open);
    }
}

/// Passes one connection on.
fn serve(client: TcpStream, state: &Arc<State>) {
    if matches!(state.fault(), Fault::Reset | Fault::Refuse) {
        return reset(&client);
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", state.upstream)) else {
        return reset(&client);
    };
    for stream in [&client, &server] {
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TICK)).unwrap();
    }
    let requests = {
        let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let state = Arc::clone(state);
        thread::spawn(move || pass(&from, &to, &state, Direction::Requests))
    };
    pass(&server, &client, state, Direction::Answers);
    let _ = requests.join();
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Requests,
    Answers,
}

/// Passes bytes on in one direction until the connection ends.
fn pass(mut from: &TcpStream, to: &TcpStream, state: &State, direction: Direction) {
    let mut bytes = vec![0; 64 * 1024];
    let mut passed = 0;
    while !state.is_stopped() {
        let size = match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(size) => size,
            Err(error) if is_idle(&error) => match state.fault() {
                Fault::Reset | Fault::Refuse => return reset_both(from, to),
                _ => continue,
            },
            Err(_) => return reset_both(from, to),
        };
        let chunk = &mut bytes[..size];
        if !spoil(chunk, to, &mut passed, state, direction) {
            break;
        }
    }
    if matches!(state.fault(), Fault::Reset | Fault::Refuse | Fault::Silent) {
        return reset_both(from, to);
    }
    // Only this direction ends: a client may have sent all that it will, and wait.
    let _ = to.shutdown(Shutdown::Write);
    if direction == Direction::Answers {
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}

fn is_idle(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

/// Passes one chunk on as the fault wants it. Returns whether the connection goes on.
fn spoil(
    chunk: &mut [u8],
    mut to: &TcpStream,
    passed: &mut usize,
    state: &State,
    direction: Direction,
) -> bool {
    let is_answer = direction == Direction::Answers;
    let fault = state.fault();
    match fault {
        Fault::Reset | Fault::Refuse => return false,
        Fault::Silent => {
            // Bytes that were held back for long are of no use to either side.
            while state.wait(fault, Duration::from_secs(1)) {}
            reset(to);
            return false;
        }
        Fault::Delay(time) => {
            state.wait(fault, time);
        }
        Fault::Drip(time) if is_answer => {
            for at in 0..chunk.len() {
                if to.write_all(&chunk[at..=at]).is_err() || state.is_stopped() {
                    return false;
                }
                // Under another fault, the rest comes at once.
                state.wait(fault, time);
            }
            return true;
        }
        Fault::CutAfter(most) if is_answer && *passed + chunk.len() >= most => {
            let _ = to.write_all(&chunk[..most.saturating_sub(*passed)]);
            let _ = to.shutdown(Shutdown::Both);
            return false;
        }
        Fault::WrongBytes if is_answer => chunk[chunk.len() * 3 / 4] ^= 0x15,
        Fault::None | Fault::WrongBytes | Fault::Drip(_) | Fault::CutAfter(_) => {}
    }
    *passed += chunk.len();
    to.write_all(chunk).is_ok()
}

fn reset_both(from: &TcpStream, to: &TcpStream) {
    reset(from);
    reset(to);
}

/// Ends a connection with RST in place of FIN, once its last descriptor is closed.
fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Read);
}

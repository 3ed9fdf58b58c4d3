//! An HTTP server that gives the same answer to every request, to the letter: statuses, lengths that lie, redirects.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A running server. It closes each connection after its answer.
pub struct CannedHttp {
    port: u16,
    state: Arc<Script>,
    acceptor: Option<JoinHandle<()>>,
}

struct Script {
    answer: Mutex<Vec<u8>>,
    requests: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl CannedHttp {
    /// Answers with these bytes, which begin with a status line.
    pub fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Script {
            answer: Mutex::new(answer.into()),
            requests: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let acceptor = thread::spawn(move || {
            for client in listener.incoming() {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(client) = client {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || serve(&client, &shared));
                }
            }
        });
        Self {
            port,
            state,
            acceptor: Some(acceptor),
        }
    }

    /// An answer with a status, such as `503 Service Unavailable`, further header lines, and a body of the right length.
    pub fn status(status: &str, headers: &[&str], body: &str) -> Self {
        let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            text += &format!("{header}\r\n");
        }
        Self::start(format!("{text}\r\n{body}"))
    }

    /// The server's URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }
}

impl Drop for CannedHttp {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn serve(client: &TcpStream, state: &Script) {
    let _ = client.set_read_timeout(Some(Duration::from_secs(60)));
    let mut reader = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        match reader.read_line(&mut head) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok()).flatten()
    });
    let mut body = Vec::new();
    if reader
        .take(length.unwrap_or(0))
        .read_to_end(&mut body)
        .is_err()
    {
        return;
    }
    state.requests.lock().unwrap().push(head);
    let answer = state.answer.lock().unwrap().clone();
    let mut client = client;
    let _ = client.write_all(&answer);
}

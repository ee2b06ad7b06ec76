//! An upstream that misbehaves as it is told to, and a gateway in front of it.
#![allow(dead_code, reason = "each test file uses its share")]
#![allow(clippy::missing_panics_doc, reason = "a test may panic")]

pub mod client;
pub mod script;

use brightline::{Compiler, Guard};
use brightline_http::ops::Observer;
use brightline_http::ops::live::Live;
use brightline_http::{Config, Gateway, GuardLayer, ServeError, Upstream};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What the fake upstream does once it has read a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Writes bytes as they are, head included.
    Raw(Vec<u8>),
    Wait(Duration),
    /// Keeps the connection open and says nothing more.
    Stall,
    /// Closes the connection.
    Die,
}

/// A request as the upstream saw it.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

type Script = dyn Fn(&Asked) -> Vec<Act> + Send + Sync;

/// The upstream.
pub struct Fake {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Asked>>>,
    /// Connections that are open now.
    pub open: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub async fn start(script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", script).await
    }

    pub async fn listen(at: &str, script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, open) = (Arc::<Mutex<Vec<Asked>>>::default(), Arc::<AtomicUsize>::default());
        let script: Arc<Script> = Arc::new(script);
        let (log, count) = (seen.clone(), open.clone());
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let (script, log, count) = (script.clone(), log.clone(), count.clone());
                tokio::spawn(async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    connection(stream, &*script, &log).await;
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, seen, open, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Asked> {
        self.seen.lock().unwrap().clone()
    }
}

async fn connection(mut stream: TcpStream, script: &Script, log: &Mutex<Vec<Asked>>) {
    let mut buffer = Vec::new();
    while let Some(asked) = read_request(&mut stream, &mut buffer).await {
        let acts = script(&asked);
        {
            let mut log = log.lock().unwrap();
            if log.len() < 10_000 {
                log.push(asked);
            }
        }
        for act in acts {
            match act {
                Act::Raw(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                    let _ = stream.flush().await;
                    // One write, one packet: the cuts are part of the script.
                    tokio::task::yield_now().await;
                }
                Act::Wait(time) => tokio::time::sleep(time).await,
                Act::Stall => {
                    // Until the gateway gives up.
                    let _ = stream.read(&mut [0; 1]).await;
                    return;
                }
                Act::Die => return,
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Asked> {
    let head = loop {
        if let Some(at) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_string();
    buffer.drain(..head + 4);
    let mut lines = text.split("\r\n");
    let line = lines.next()?.to_string();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_string()))
        .collect();
    let asked = Asked { line, headers, body: Vec::new() };
    let len: usize = asked.header("content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    while buffer.len() < len {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer.drain(..len).collect();
    Some(Asked { body, ..asked })
}

/// The policy of these tests: rules only, nothing harmful.
pub fn guard() -> Guard {
    let text = include_str!("policy.md");
    let policy = Compiler::new().text("gateway-test.md", text).into_policy().unwrap();
    Guard::new(policy).unwrap()
}

/// A gateway in this process.
pub struct Running {
    pub address: SocketAddr,
    pub layer: GuardLayer,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Running {
    pub async fn start(upstream: &str, config: Config) -> Self {
        Self::with(upstream, config, Arc::new(Live::new(guard())), Arc::default()).await
    }

    pub async fn with(upstream: &str, config: Config, live: Arc<Live>, observer: Arc<Observer>) -> Self {
        let upstream = Upstream::new(upstream, &config).unwrap();
        let gateway = Gateway::new(live, observer, upstream, config);
        let layer = gateway.layer().clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(gateway.serve(listener, async {
            let _ = stopped.await;
        }));
        Self { address, layer, stop: Some(stop), task: Some(task) }
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(mut self) -> Result<(), ServeError> {
        drop(self.stop.take());
        self.task.take().unwrap().await.unwrap()
    }

    /// Waits until no exchange is in flight.
    pub async fn idle(&self) {
        for _ in 0..300 {
            if self.layer.in_flight() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} exchanges are still in flight", self.layer.in_flight());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Short deadlines, so that tests are quick.
pub fn quick() -> Config {
    let mut config = Config::default();
    config.deadlines.exchange = Duration::from_secs(5);
    config.deadlines.client = Duration::from_millis(500);
    config.deadlines.connect = Duration::from_millis(500);
    config.deadlines.first_byte = Duration::from_millis(500);
    config.deadlines.idle = Duration::from_millis(300);
    config.deadlines.drain = Duration::from_secs(2);
    config
}

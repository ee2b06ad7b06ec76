//! `brightline serve` as its operator meets it: signals, reloads, and an audit log that outlives a kill.
#![cfg(all(feature = "serve", unix))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const POLICY: &str = "\
+++
name = \"house\"
version = \"1\"
+++

## Keep the recipe secret {#recipe authority=developer}

The sauce is what we live on.

~~~rule
on     = [\"request\"]
when   = 'match(\"secret\")'
action = \"block\"
~~~

~~~patterns
secret = [\"secret sauce recipe\"]
~~~

~~~examples
hits:   request: tell me the secret sauce recipe
misses: request: which sauce goes with fish?
~~~
";

struct Gateway {
    process: Child,
    address: String,
}

impl Gateway {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_brightline"))
            .args(["serve", "-p", "policy.md", "--no-models", "--upstream", "http://127.0.0.1:9"])
            .args(["--listen", "127.0.0.1:0", "--audit", "audit.jsonl", "--shadow", "shadow.md"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, address)) = line.split_once(" at http://") {
                break address.to_string();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    fn check(&self, record: &str) -> String {
        let length = record.len();
        self.ask(&format!(
            "POST /v1/check HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{record}"
        ))
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It has ended where the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn verify(folder: &Path) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_brightline"))
        .args(["audit", "verify", "audit.jsonl"])
        .current_dir(folder)
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_gateway_reloads_ends_in_order_and_goes_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["policy.md", "shadow.md"] {
        fs::write(folder.join(name), POLICY).unwrap();
    }
    let mut gateway = Gateway::start(folder);
    assert!(gateway.get("/ready").starts_with("HTTP/1.1 200"));
    assert!(gateway.check(r#"{"request": "the secret sauce recipe"}"#).contains("\"block\""));

    fs::write(folder.join("policy.md"), POLICY.replace("developer", "emperor")).unwrap();
    fs::write(folder.join("shadow.md"), POLICY.replace("\"1\"", "\"2\"")).unwrap();
    gateway.signal("-HUP");
    eventually("both are read again", || {
        let ready = gateway.get("/ready");
        ready.contains("BL0203") && ready.contains("\"version\":\"2\"")
    });
    assert!(gateway.get("/ready").starts_with("HTTP/1.1 200"), "the old policy answers");
    assert!(gateway.check(r#"{"request": "the secret sauce recipe"}"#).contains("\"block\""));
    let (numbers, wanted) =
        (gateway.get("/metrics"), "brightline_reloads_total{role=\"live\",result=\"refused\"}");
    assert!(numbers.contains(wanted), "{numbers}");

    fs::write(folder.join("policy.md"), POLICY).unwrap();
    eventually("all is written", || {
        fs::read_to_string(folder.join("audit.jsonl")).unwrap().lines().count() == 3
    });
    gateway.signal("-KILL");
    gateway.process.wait().unwrap();
    let (code, text) = verify(folder);
    assert!(code == 0 && text.starts_with("OK 3 lines"), "{text}");

    // What a kill in the middle of a write leaves behind.
    let path = folder.join("audit.jsonl");
    let mut log = fs::File::options().append(true).open(&path).unwrap();
    log.write_all(b"{\"seq\":3,\"time\":\"2026").unwrap();
    drop(log);
    assert_eq!(verify(folder).0, 1);

    let mut gateway = Gateway::start(folder);
    assert!(gateway.check(r#"{"request": "which fish?"}"#).contains("\"allow\""));
    gateway.signal("-TERM");
    assert_eq!(gateway.process.wait().unwrap().code(), Some(0));
    let (code, text) = verify(folder);
    assert!(code == 0 && text.starts_with("OK 7 lines"), "{text}");
    let log = fs::read_to_string(&path).unwrap();
    assert!(
        log.contains("\"event\":\"recovered\"") && log.lines().last().unwrap().contains("\"stop\""),
        "{log}"
    );
}

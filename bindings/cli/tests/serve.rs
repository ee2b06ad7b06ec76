//! `brightline serve` as a process: how it starts, and how it ends.
#![cfg(all(feature = "serve", unix))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../http/tests/gateway/support/policy.md");

fn serve(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brightline"));
    command.args(["serve", "--no-models", "--listen", "127.0.0.1:0"]).args(args);
    command.env_remove("BRIGHTLINE_MODELS").stderr(Stdio::piped()).stdout(Stdio::null());
    command
}

/// Starts one and reads where it listens.
fn started(args: &[&str]) -> (Child, String) {
    let mut child = serve(args).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next().unwrap().unwrap();
        if let Some((_, address)) = line.split_once(" at http://") {
            break address.to_string();
        }
    };
    // The rest is read on, so that the process never waits for it.
    std::thread::spawn(move || lines.for_each(drop));
    (child, address)
}

fn ask(address: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_refuses_what_the_policy_blocks_and_ends_when_told_to() {
    let (mut child, address) = started(&["-p", POLICY, "--upstream", "http://127.0.0.1:9"]);
    assert!(ask(&address, "GET /ready", "").starts_with("HTTP/1.1 200"));
    let body = r#"{"model": "m", "messages": [{"role": "user", "content": "the azure lantern"}]}"#;
    let answer = ask(&address, "POST /v1/chat/completions", body);
    assert!(answer.contains("x-brightline-clauses: unsaid"), "{answer}");
    assert!(answer.contains("That stays unsaid."), "{answer}");
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_start_that_fails_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.md");
    std::fs::write(&broken, "## A {#a authority=emperor}\n\nText.\n").unwrap();
    let broken = broken.to_str().unwrap();
    let upstream = ["--upstream", "http://127.0.0.1:9"];
    for (args, code, says) in [
        (&["-p", broken][..], 1, "emperor"),
        (&["-p", "nowhere"], 2, "cannot find the policy `nowhere`"),
        (&["-p", POLICY, "--listen", "256.0.0.1:1"], 2, "cannot listen at `256.0.0.1:1`"),
        (&["-p", POLICY, "--idle-timeout", "0"], 2, "above 0"),
        (&["-p", POLICY, "--on-error", "shrug"], 2, "shrug"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_brightline"));
        let output = command.args(["serve", "--no-models"]).args(args).args(upstream).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    let output = serve(&["-p", POLICY, "--upstream", "api.openai.com"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("`api.openai.com` is no address of an upstream")
    );
}

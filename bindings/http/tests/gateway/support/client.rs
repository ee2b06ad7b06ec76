//! A client that shows every byte it gets.

use super::Running;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A response, chunks joined.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    /// Everything as it came, head and chunk sizes included.
    pub raw: Vec<u8>,
    /// Whether it came to its end.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.split("\r\n").find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// The data of its events.
    pub fn events(&self) -> Vec<Value> {
        let lines = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// All strings at a place of its events, joined.
    pub fn joined(&self, pointer: &str) -> String {
        self.events()
            .iter()
            .filter_map(|event| event.pointer(pointer)?.as_str().map(str::to_string))
            .collect()
    }
}

pub async fn post(gateway: &Running, path: &str, body: &Value) -> Answer {
    request(
        gateway.address,
        "POST",
        path,
        &[("content-type", "application/json")],
        body.to_string().as_bytes(),
    )
    .await
}

pub async fn get(gateway: &Running, path: &str) -> Answer {
    request(gateway.address, "GET", path, &[], b"").await
}

pub async fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let _ = stream.write_all(head.as_bytes()).await;
    // A gateway that refuses early closes before it has read everything.
    let _ = stream.write_all(body).await;
    let mut raw = Vec::new();
    let _ = stream.read_to_end(&mut raw).await;
    parse(raw)
}

pub fn parse(raw: Vec<u8>) -> Answer {
    let text = String::from_utf8_lossy(&raw).to_string();
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut answer = Answer { status, head: head.to_string(), body: rest.to_string(), raw, whole: true };
    if answer.header("transfer-encoding").is_some() {
        let start = head.len() + 4;
        let (body, whole) = unchunk(&answer.raw[start.min(answer.raw.len())..]);
        answer.body = String::from_utf8_lossy(&body).to_string();
        answer.whole = whole;
    }
    answer
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|it| it == b"\r\n") else { return (out, false) };
        let Ok(len) = usize::from_str_radix(&String::from_utf8_lossy(&rest[..end]), 16) else {
            return (out, false);
        };
        if len == 0 {
            return (out, true);
        }
        let from = end + 2;
        if rest.len() < from + len + 2 {
            out.extend_from_slice(&rest[from..rest.len().min(from + len)]);
            return (out, false);
        }
        out.extend_from_slice(&rest[from..from + len]);
        rest = &rest[from + len + 2..];
    }
}

//! The audit log: what is written holds together, and what is changed is found.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use brightline_http::ops::audit::{
    Audit, AuditOptions, Chain, OpenError, SyncPolicy, Unrecorded, VerifyError, verify,
};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{CANARY, decide, eventually, live};

fn open(path: &Path) -> Audit {
    Audit::open(AuditOptions { sync: SyncPolicy::Never, ..AuditOptions::new(path) }).unwrap()
}

fn record(audit: &Audit, from: usize, count: usize) {
    let live = live("house", &[("recipe", "sauce", "block")]);
    let loaded = live.guard();
    for at in from..from + count {
        let receipt =
            decide(&loaded, &format!("x{at}"), "what is in the sauce?", |decision| audit.record(decision));
        assert!(receipt.is_settled());
    }
}

/// A log of some decisions.
fn log(folder: &Path, count: usize) -> PathBuf {
    let path = folder.join("audit.jsonl");
    let audit = open(&path);
    record(&audit, 0, count);
    audit.close();
    path
}

fn check(bytes: &[u8]) -> Result<Chain, VerifyError> {
    let mut chain = Chain::default();
    verify(bytes, &mut chain)?;
    Ok(chain)
}

fn broken(bytes: &[u8]) -> bool {
    matches!(check(bytes), Err(VerifyError::Broken(_)))
}

#[test]
fn decisions_of_many_threads_make_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let audit = open(&path);
    let live = live("house", &[("recipe", "sauce", "block"), ("person", "Ann", "redact")]);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (audit, loaded) = (&audit, live.guard());
            scope.spawn(move || {
                for at in 0..250 {
                    let text = format!("the sauce of Ann {CANARY}, please");
                    decide(&loaded, &format!("{thread}-{at}"), &text, |decision| audit.record(decision));
                    if at % 50 == 0 {
                        eventually("there is room", || audit.status().queued < 1_000);
                    }
                }
            });
        }
    });
    audit.close();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(CANARY), "no text of a message");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: HashSet<&str> = lines.iter().filter_map(|line| line["exchange"].as_str()).collect();
    assert_eq!(ids.len(), 2_000);
    assert_eq!(lines.len(), 2_002, "with a line for the start and one for the end");
    assert_eq!((&lines[0]["event"], &lines[2_001]["event"]), (&"start".into(), &"stop".into()));
    assert_eq!(lines[1]["verdict"]["findings"][0]["clause"], "recipe");
    assert_eq!(check(text.as_bytes()).unwrap().next, Some(2_002));
    assert_eq!((audit.status().written, audit.status().lost), (2_000, 0));
}

#[test]
fn text_is_written_where_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let live = live("house", &[("person", "Ann", "redact")]);
    for text in [false, true] {
        let path = folder.path().join(format!("{text}.jsonl"));
        let audit = Audit::open(AuditOptions { text, ..AuditOptions::new(&path) }).unwrap();
        decide(&live.guard(), "x", &format!("Ann likes {CANARY}"), |decision| audit.record(decision));
        audit.close();
        assert_eq!(fs::read_to_string(&path).unwrap().contains(CANARY), text);
    }
}

#[test]
fn every_changed_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(log(folder.path(), 4)).unwrap();
    check(&whole).unwrap();
    let mut changed = whole.clone();
    for at in 0..whole.len() {
        for flip in [1, 0x20, 0x80, whole[at] ^ b'\n', whole[at] ^ b'}'] {
            changed[at] = whole[at] ^ flip;
            assert!(flip == 0 || broken(&changed), "byte {at} xor {flip}");
        }
        changed[at] = whole[at];
        let mut without = whole.clone();
        without.remove(at);
        assert!(broken(&without), "without byte {at}");
        without.insert(at, b' ');
        assert!(whole[at] == b' ' || broken(&without), "byte {at} is a space");
    }
}

#[test]
fn lines_that_are_missing_moved_or_doubled_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(log(folder.path(), 8)).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let last = lines.len() - 1;
    for one in 0..lines.len() {
        for other in one..lines.len() {
            let mut cut = lines.clone();
            cut.drain(one..=other);
            // An end that is cut off is the one thing that needs an anchor.
            assert_eq!(broken(&cut.concat()), other != last, "without {one} to {other}");
            if one != other {
                let mut swapped = lines.clone();
                swapped.swap(one, other);
                assert!(broken(&swapped.concat()), "{one} and {other} swapped");
            }
            let mut doubled = lines.clone();
            doubled.insert(other, lines[one]);
            assert!(broken(&doubled.concat()), "{one} again before {other}");
        }
    }
}

#[test]
fn a_cut_is_found_anywhere_but_at_the_end_of_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(log(folder.path(), 3)).unwrap();
    let head = check(&whole).unwrap().head;
    for end in 0..whole.len() {
        let at_line_end = end == 0 || whole[end - 1] == b'\n';
        assert_eq!(broken(&whole[..end]), !at_line_end, "cut at {end}");
        if at_line_end {
            assert_ne!(check(&whole[..end]).unwrap().head, head, "the head tells");
        }
    }
}

#[test]
fn a_break_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read_to_string(log(folder.path(), 3)).unwrap();
    let told = |text: &str| check(text.as_bytes()).unwrap_err().to_string();
    assert!(told(&whole.replacen("\"block\"", "\"allow\"", 1)).starts_with("line 2: the content"));
    let without: String =
        whole.lines().enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| format!("{line}\n")).collect();
    assert_eq!(
        told(&without),
        "line 3: the line has number 3, and 2 comes next: lines were removed, added or moved"
    );
    assert!(told(whole.trim_end()).starts_with("line 5: the line is cut off"));
    assert_eq!(told("{}\n"), "line 1: not a line of an audit log");
}

#[test]
fn a_restart_goes_on_and_sets_a_torn_line_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = log(folder.path(), 3);
    let torn = &fs::read(&path).unwrap()[..40];
    fs::write(&path, [fs::read(&path).unwrap().as_slice(), torn].concat()).unwrap();
    assert!(broken(&fs::read(&path).unwrap()));

    let audit = open(&path);
    assert!(matches!(Audit::open(AuditOptions::new(&path)), Err(OpenError::InUse(_))), "one writer");
    record(&audit, 3, 2);
    audit.close();

    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(check(text.as_bytes()).unwrap().next, Some(10));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let decision = "decision";
    assert_eq!(
        events,
        ["start", decision, decision, decision, "stop", "recovered", "start", decision, decision, "stop"]
    );
    assert_eq!(lines[5]["bytes"], 40);
    assert_eq!(fs::read(lines[5]["kept"].as_str().unwrap()).unwrap(), torn);
}

#[test]
fn a_log_whose_last_line_was_changed_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = log(folder.path(), 1);
    let changed = fs::read_to_string(&path).unwrap().replace("\"stop\"", "\"stap\"");
    fs::write(&path, &changed).unwrap();
    let error = Audit::open(AuditOptions::new(&path)).unwrap_err();
    assert!(error.to_string().contains("does not verify: the content of the line"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), changed, "nothing was touched");
}

#[cfg(unix)]
#[test]
fn a_chain_goes_on_through_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    let audit = open(&path);
    record(&audit, 0, 3);
    eventually("all is written", || audit.status().queued == 0);
    fs::rename(&path, &old).unwrap();
    eventually("the new file has a line, without traffic", || {
        fs::metadata(&path).is_ok_and(|it| it.len() > 0)
    });
    record(&audit, 3, 2);
    audit.close();

    let (first, second) = (fs::read(&old).unwrap(), fs::read(&path).unwrap());
    let chain = check(&first).unwrap();
    let mut both = chain;
    verify(second.as_slice(), &mut both).unwrap();
    assert_eq!(both.next, Some(8));
    assert!(broken(&second), "the second file begins no chain");
    verify(second.as_slice(), &mut Chain::after(chain.head)).unwrap();
    assert!(verify(first.as_slice(), &mut Chain::after(chain.head)).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_seen_at_the_start() {
    let error = Audit::open(AuditOptions::new("/dev/full")).unwrap_err();
    assert!(error.to_string().starts_with("cannot open the audit log `/dev/full`"), "{error}");
}

/// A pipe that nobody reads stands for a disk that takes nothing more.
#[cfg(unix)]
#[test]
fn a_log_that_cannot_be_written_is_refused_or_counted() {
    let folder = tempfile::tempdir().unwrap();
    let live = live("house", &[("recipe", "sauce", "block")]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for required in [false, true] {
        let path = folder.path().join(format!("{required}"));
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let reader = fs::File::options().read(true).write(true).open(&path).unwrap();
        let wait = Duration::from_millis(20);
        let options = AuditOptions { required, queue: 4, wait, ..AuditOptions::new(&path) };
        let audit = Audit::open(options).unwrap();
        let metrics = std::sync::Arc::new(brightline_http::ops::metrics::Metrics::new());
        let observer = brightline_http::ops::Observer::new(metrics.clone()).with_audit(audit.clone());
        let mut refused = 0;
        for at in 0..400 {
            let receipt =
                decide(&live.guard(), &format!("x{at}"), "the sauce", |decision| observer.decided(decision));
            match runtime.block_on(receipt.settled()) {
                Ok(()) => {}
                Err(Unrecorded) => refused += 1,
            }
            if audit.status().lost == 3 {
                break;
            }
        }
        let status = audit.status();
        assert_eq!(refused > 0, required, "only a required log refuses");
        assert_eq!(status.queued, 4, "{status:?}");
        let told = format!("brightline_degraded_checks_total{{reason=\"not_recorded\"}} {}", status.lost);
        assert!(metrics.encode().contains(&told), "{}", metrics.encode());

        // Once somebody reads, everything that was queued arrives, and the rest is told.
        let drain = std::thread::spawn(move || read_log(reader));
        eventually("the queue is empty", || audit.status().queued == 0);
        let receipt = decide(&live.guard(), "last", "tea", |decision| audit.record(decision));
        runtime.block_on(receipt.settled()).unwrap();
        audit.close();
        let text = drain.join().unwrap();
        check(text.as_bytes()).unwrap();
        let lost: u64 = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["decisions"].as_u64())
            .sum();
        assert_eq!(lost, status.lost, "{text}");
    }
}

/// Reads lines up to the one that ends a log.
#[cfg(unix)]
fn read_log(reader: fs::File) -> String {
    use std::io::BufRead;
    let mut text = String::new();
    for line in std::io::BufReader::new(reader).lines() {
        text.push_str(&line.unwrap());
        text.push('\n');
        if text.ends_with("\"}\n") && text.lines().last().unwrap().contains("\"event\":\"stop\"") {
            break;
        }
    }
    text
}

//! Streams: what they promise, over the shared corpus and over random texts, policies and cuts.

use brightline::message::Part;
use brightline::wire::{self, Case};
use brightline::{Channel, Guard, GuardOptions, Input, Policy, Role};
use brightline_tests::root;
use brightline_tests::streams::{comparable, run};
use std::collections::HashMap;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// Cuts pieces of random length, up to `most` bytes.
fn chunks<'t>(parts: &[(Channel, &'t str)], most: usize, random: &mut Random) -> Vec<(Channel, &'t [u8])> {
    let mut out = Vec::new();
    for (channel, text) in parts {
        let mut rest = text.as_bytes();
        out.push((*channel, &rest[..0]));
        while !rest.is_empty() {
            let (piece, left) = rest.split_at((1 + random.below(most)).min(rest.len()));
            out.push((*channel, piece));
            rest = left;
        }
    }
    out
}

#[test]
fn every_answer_of_the_corpus_streams_to_its_verdict() {
    let mut guards: HashMap<String, Guard> = HashMap::new();
    let mut files: Vec<_> =
        std::fs::read_dir(root().join("tests/cases")).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let (mut streamed, mut same) = (0, 0);
    for path in files {
        for line in std::fs::read_to_string(&path).unwrap().lines().filter(|line| !line.is_empty()) {
            let case = Case::parse(line.as_bytes()).unwrap();
            let Ok(input) = wire::parse(line.as_bytes()) else { continue };
            let name = case.policy.clone().unwrap_or_else(|| "default".to_string());
            let guard = match &case.deployment {
                Some(settings) => {
                    let options = GuardOptions { settings: settings.clone(), ..GuardOptions::default() };
                    let Ok(guard) = Guard::with(Policy::load(&name).unwrap(), options) else { continue };
                    guard
                }
                None => guards
                    .entry(name)
                    .or_insert_with_key(|name| Guard::new(Policy::load(name).unwrap()).unwrap())
                    .clone(),
            };
            let Some((at, message)) = input.judged().filter(|(_, message)| message.role == Role::Assistant)
            else {
                continue;
            };
            let mut parts: Vec<(Channel, &str)> = Vec::new();
            let mut calls = Vec::new();
            for part in &message.parts {
                match part {
                    Part::Text { text, at: None } => parts.push((Channel::Text, text)),
                    Part::Reasoning { text, at: None } => parts.push((Channel::Reasoning, text)),
                    Part::ToolCall { name, arguments, at } => {
                        calls.push((*at, name));
                        parts.push((Channel::ToolCall(*at), arguments));
                    }
                    _ => parts.clear(),
                }
            }
            if parts.len() != message.parts.len() {
                continue;
            }
            let verdict = guard.check(&input).unwrap();
            let context = Input { messages: input.messages[..at].to_vec(), target: None, ..input.clone() };
            streamed += 1;
            let mut random = Random(streamed);
            for most in [1, 12, usize::MAX / 2] {
                let mut stream = guard.stream(&context).unwrap();
                calls.iter().for_each(|(at, name)| stream.tool_call(*at, "id", name));
                let outcome = run(stream, chunks(&parts, most, &mut random));
                let id = case.id.as_deref().unwrap_or_default();
                let found = &outcome.end.verdict;
                assert_eq!(found.action, verdict.action, "{id}: {}", serde_json::to_string(found).unwrap());
                assert_eq!(outcome.end.stopped, verdict.action >= brightline::Action::Escalate, "{id}");
                if verdict.action <= brightline::Action::Redact {
                    assert_eq!(comparable(found), comparable(&verdict), "{id}");
                    for (nth, (channel, text)) in parts.iter().enumerate() {
                        let redacted = verdict.redactions.iter().find(|it| match channel {
                            Channel::Text => it.field == brightline::verdict::Field::Content,
                            Channel::Reasoning => it.field == brightline::verdict::Field::Reasoning,
                            Channel::ToolCall(index) => it.part == Some(*index),
                        });
                        let wanted = redacted.map_or(*text, |it| it.text.as_str());
                        assert_eq!(outcome.of(*channel), wanted, "{id}, part {nth}");
                    }
                }
                same += usize::from(comparable(found) == comparable(&verdict));
            }
        }
    }
    println!("{streamed} answers, {same} of {} verdicts the same to the last field", 3 * streamed);
    assert!(streamed > 100, "{streamed}");
}

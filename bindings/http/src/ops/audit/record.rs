//! Decision → **members of a line**.

use crate::ops::Decision;
use brightline::Verdict;
use brightline::policy::SettingReason;
use serde::Serialize;
use std::borrow::Cow;

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Record<'a> {
    /// A verdict.
    Decision {
        exchange: &'a str,
        endpoint: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        choice: Option<u32>,
        verdict: &'a Verdict,
    },
    /// A process begins to write.
    Start { version: &'static str },
    /// The rest of a line that a killed process left was set aside.
    Recovered { bytes: u64, blake3: &'a str, kept: &'a str },
    /// The file was renamed, and this is the next one.
    Rotated,
    /// This many decisions since the last line are not in the log.
    Lost { decisions: u64 },
    /// The process ends in order.
    Stop,
}

impl Record<'_> {
    /// The members of the JSON object, without its braces.
    pub(super) fn members(&self) -> Vec<u8> {
        // Writing to memory does not fail, and no type of a record refuses to be written.
        let mut json = serde_json::to_vec(self).unwrap_or_default();
        json.pop();
        if !json.is_empty() {
            json.remove(0);
        }
        json
    }
}

/// The members of a decision's line.
pub(super) fn decision(decision: &Decision<'_>, text: bool) -> Vec<u8> {
    let Decision { exchange, endpoint, choice, verdict, .. } = *decision;
    let verdict = if text { Cow::Borrowed(verdict) } else { without_text(verdict) };
    Record::Decision { exchange, endpoint, choice, verdict: &verdict }.members()
}

/// The longest id of a caller that is written, in bytes.
const MAX_ID_BYTES: usize = 128;

/// Types of content blocks that are written by name; a caller may write anything there.
const KINDS: [&str; 12] = [
    "audio",
    "document",
    "file",
    "image",
    "image_url",
    "input_audio",
    "input_file",
    "input_image",
    "redacted_thinking",
    "search_result",
    "video",
    "video_url",
];

/// The verdict without anything that callers wrote.
fn without_text(verdict: &Verdict) -> Cow<'_, Verdict> {
    let unknown = |reason| matches!(reason, SettingReason::UnknownClause);
    let known = |kind: &String| KINDS.contains(&kind.as_str());
    if verdict.redactions.is_empty()
        && verdict.id.as_ref().is_none_or(|id| id.len() <= MAX_ID_BYTES)
        && !verdict.ignored.iter().any(|problem| unknown(problem.reason))
        && verdict.not_judged.iter().all(known)
    {
        return Cow::Borrowed(verdict);
    }
    let mut verdict = verdict.clone();
    verdict.redactions.clear();
    verdict.id = verdict.id.map(|id| {
        let end = (0..=MAX_ID_BYTES).rev().find(|at| id.is_char_boundary(*at)).unwrap_or(0);
        id.get(..end).unwrap_or(&id).to_string()
    });
    for problem in verdict.ignored.iter_mut().filter(|problem| unknown(problem.reason)) {
        problem.clause.clear();
    }
    for kind in verdict.not_judged.iter_mut().filter(|kind| !known(kind)) {
        *kind = "other".to_string();
    }
    Cow::Owned(verdict)
}

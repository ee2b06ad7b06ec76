//! A message through a stream, in pieces, and as a whole.

use brightline::message::Part;
use brightline::{Action, Channel, End, Guard, Input, Message, Role, Stream, Verdict};

/// What came out of a stream.
pub struct Outcome {
    /// What was released, by channel, in the order of the channels' first release.
    pub released: Vec<(Channel, String)>,
    /// The end.
    pub end: End,
    /// The most bytes that the stream held after a chunk.
    pub held: usize,
}

impl Outcome {
    /// What was released of the answer.
    pub fn text(&self) -> &str {
        self.of(Channel::Text)
    }

    /// What was released of a channel.
    pub fn of(&self, channel: Channel) -> &str {
        self.released.iter().find(|(known, _)| *known == channel).map_or("", |(_, text)| text)
    }
}

/// Pushes chunks, and finishes.
pub fn run<'c>(mut stream: Stream, chunks: impl IntoIterator<Item = (Channel, &'c [u8])>) -> Outcome {
    let mut released: Vec<(Channel, String)> = Vec::new();
    let mut note = |pieces: Vec<(Channel, String)>| {
        for (channel, text) in pieces {
            match released.iter_mut().find(|(known, _)| *known == channel) {
                Some((_, before)) => before.push_str(&text),
                None => released.push((channel, text)),
            }
        }
    };
    let mut held = 0;
    for (channel, chunk) in chunks {
        note(stream.push(channel, chunk).released);
        held = held.max(stream.held());
    }
    let mut end = stream.finish();
    note(std::mem::take(&mut end.released));
    Outcome { released, end, held }
}

/// Streams an answer cut at the given places.
pub fn answer(guard: &Guard, context: &Input<'_>, text: &[u8], cuts: &[usize]) -> Outcome {
    run(guard.stream(context).unwrap(), pieces(text, cuts).map(|piece| (Channel::Text, piece)))
}

/// A text in pieces.
pub fn pieces<'t>(text: &'t [u8], cuts: &[usize]) -> impl Iterator<Item = &'t [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| (*cut).min(text.len())).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    (0..cuts.len() - 1).map(move |nth| &text[cuts[nth]..cuts[nth + 1]])
}

/// The same answer judged as a whole, and the text that may be shown of it.
pub fn batch(guard: &Guard, context: &Input<'_>, text: &str) -> (Verdict, Option<String>) {
    let mut input = context.clone();
    let part = Part::Text { text: text.to_string().into(), at: None };
    input.messages.push(Message { role: Role::Assistant, parts: vec![part] });
    let verdict = guard.check(&input).unwrap();
    let shown = match verdict.action {
        Action::Allow | Action::Flag => Some(text.to_string()),
        Action::Redact => Some(verdict.redacted().unwrap_or(text).to_string()),
        _ => None,
    };
    (verdict, shown)
}

/// A verdict as JSON, without what differs from run to run and what a stream has released instead.
pub fn comparable(verdict: &Verdict) -> serde_json::Value {
    let mut value = serde_json::to_value(verdict).unwrap();
    for key in ["elapsed_us", "redacted", "redactions"] {
        value.as_object_mut().unwrap().remove(key);
    }
    value
}

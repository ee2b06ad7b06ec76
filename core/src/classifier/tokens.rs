//! Text → windows of token ids, the same for both tiers.
//!
//! ```text
//! [CLS] prefix text [SEP]            one window, or several that overlap
//! [CLS] prefix text [SEP] context [SEP]   answers and tool calls, with the request they answer
//! ```
//! The prefix tells the model what it reads. `models/recipe/common.py` encodes in the same way, and a test on the shipped
//! models holds the two to one another.

use super::ascii;
use super::manifest::{Manifest, Window};
use crate::message::Surface;
use tokenizers::Tokenizer;
use unicode_normalization::UnicodeNormalization;

/// Text goes to the tokenizer in pieces of about this many bytes: it keeps several times the size of what it reads.
const PIECE: usize = 4096;

/// The tokenizer, and how a text is laid out for the models.
#[derive(Debug)]
pub(super) struct Encoder {
    tokenizer: Tokenizer,
    cls: u32,
    sep: u32,
    pub(super) pad: u32,
    unknown: Option<u32>,
    /// Whether ASCII text may go round the library.
    ascii: bool,
    /// By token, whether it goes on with a word: those written with `##`.
    continuing: Vec<bool>,
    prefixes: [Vec<u32>; 5],
    window: Window,
}

/// A text to be scored, and what it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage<'a> {
    pub surface: Surface,
    pub text: &'a str,
    /// The request that it answers.
    pub context: Option<&'a str>,
}

/// The tokens of a passage and where its windows begin.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub body: Vec<u32>,
    pub context: Vec<u32>,
    pub starts: Vec<usize>,
    room: usize,
    surface: Surface,
    normalized: String,
}

impl Encoder {
    pub(super) fn new(bytes: &[u8], manifest: &Manifest) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None).with_truncation(None).map_err(|error| error.to_string())?;
        // A text that spells `[SEP]` out must not end its window.
        tokenizer.set_encode_special_tokens(true);
        let id =
            |token: &str| tokenizer.token_to_id(token).ok_or_else(|| format!("it has no token `{token}`"));
        let (cls, sep, pad) = (id("[CLS]")?, id("[SEP]")?, id("[PAD]")?);
        let unknown = tokenizer.token_to_id("[UNK]");
        let mut continuing = vec![false; tokenizer.get_vocab_size(true)];
        for (token, id) in tokenizer.get_vocab(true) {
            if let Some(slot) = continuing.get_mut(id as usize) {
                *slot = token.starts_with("##");
            }
        }
        let (ascii, window) = (ascii::fits(&tokenizer), manifest.window);
        let prefixes = Default::default();
        let mut encoder = Self { tokenizer, cls, sep, pad, unknown, ascii, continuing, prefixes, window };
        for (&surface, prefix) in &manifest.prefixes {
            let mut encoded = Encoded::default();
            encoder.tokens(prefix, usize::MAX, &mut encoded.normalized, &mut encoded.body)?;
            if let Some(slot) = encoder.prefixes.get_mut(surface as usize) {
                *slot = encoded.body;
            }
        }
        // What has no prefix of its own is read as what it is closest to.
        let [request, response, reasoning, tool_call, tool_result] = &mut encoder.prefixes;
        for (own, other) in [(tool_call, &*request), (tool_result, &*request), (&mut *response, &*request)] {
            if own.is_empty() {
                own.clone_from(other);
            }
        }
        if reasoning.is_empty() {
            reasoning.clone_from(response);
        }
        if Surface::ALL
            .iter()
            .any(|&surface| encoder.room(surface, manifest.window.context) <= manifest.window.overlap)
        {
            return Err("its prefixes leave no room for text in a window".to_string());
        }
        Ok(encoder)
    }

    /// One more than the largest token id.
    pub(super) fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// How many of these tokens stand for something unknown, and how many go on with a word.
    pub(super) fn strange(&self, body: &[u32]) -> (u32, u32) {
        let count = |test: &dyn Fn(u32) -> bool| {
            u32::try_from(body.iter().filter(|&&id| test(id)).count()).unwrap_or(u32::MAX)
        };
        let goes_on = |id: u32| self.continuing.get(id as usize).copied().unwrap_or(false);
        (count(&|id| Some(id) == self.unknown), count(&goes_on))
    }

    /// The tokens of a passage, whole, and the starts of its windows.
    pub(super) fn encode(&self, passage: &Passage<'_>, out: &mut Encoded) -> Result<(), String> {
        let Encoded { body, context, starts, normalized, .. } = out;
        body.clear();
        context.clear();
        starts.clear();
        self.tokens(passage.text, usize::MAX, normalized, body)?;
        if let Some(request) = passage.context.filter(|_| takes_context(passage.surface)) {
            self.tokens(request, self.window.context, normalized, context)?;
        }
        let room = self.room(passage.surface, context.len());
        starts.push(0);
        if body.len() > room {
            let step = room.saturating_sub(self.window.overlap).max(1);
            let last = body.len() - room;
            starts.extend((1..).map(|number| number * step).take_while(|&start| start < last));
            // The last window ends where the text ends.
            starts.push(last);
        }
        out.room = room;
        out.surface = passage.surface;
        Ok(())
    }

    /// The ids of one window.
    pub(super) fn window<'a>(&'a self, encoded: &'a Encoded, start: usize) -> impl Iterator<Item = u32> + 'a {
        let prefix = self.prefixes.get(encoded.surface as usize);
        let body = encoded.body.iter().skip(start).take(encoded.room);
        let tail = (!encoded.context.is_empty()).then_some(self.sep);
        std::iter::once(self.cls)
            .chain(prefix.into_iter().flatten().copied())
            .chain(body.copied())
            .chain(std::iter::once(self.sep))
            .chain(encoded.context.iter().copied())
            .chain(tail)
    }

    /// The bytes of the text that a window covers. It is tokenized once more, word by word, which only a finding asks for.
    pub(super) fn place(
        &self,
        text: &str,
        encoded_len: usize,
        start: usize,
        room: usize,
    ) -> std::ops::Range<usize> {
        if encoded_len <= room {
            return 0..text.len();
        }
        let (mut tokens, mut at) = (0usize, 0usize);
        let mut place = text.len()..text.len();
        let (mut buffer, mut normalized) = (Vec::new(), String::new());
        for word in text.split_inclusive(|ch: char| ch.is_ascii_whitespace()) {
            buffer.clear();
            if self.tokens(word, usize::MAX, &mut normalized, &mut buffer).is_err() {
                return 0..text.len();
            }
            let end = tokens + buffer.len();
            if end > start && place.start == text.len() {
                place.start = at;
            }
            at += word.len();
            tokens = end;
            if end >= start + room {
                place.end = at;
                break;
            }
        }
        place
    }

    /// How many tokens of the text fit into a window.
    fn room(&self, surface: Surface, context: usize) -> usize {
        let prefix = self.prefixes.get(surface as usize).map_or(0, Vec::len);
        let tail = if context > 0 { context + 1 } else { 0 };
        self.window.tokens.saturating_sub(2 + prefix + tail)
    }

    /// Adds the tokens of a text, at most `max` of them.
    fn tokens(
        &self,
        text: &str,
        max: usize,
        normalized: &mut String,
        out: &mut Vec<u32>,
    ) -> Result<(), String> {
        let word_pieces = ascii::model(&self.tokenizer).filter(|_| self.ascii);
        for piece in pieces(text) {
            match word_pieces {
                Some(model) if piece.is_ascii() => ascii::tokens(model, piece, normalized, out)?,
                _ => {
                    let piece = normalize(piece, normalized);
                    let encoding =
                        self.tokenizer.encode_fast(piece, false).map_err(|error| error.to_string())?;
                    out.extend(encoding.get_ids());
                }
            }
            if out.len() >= max {
                out.truncate(max);
                break;
            }
        }
        Ok(())
    }
}

impl Default for Encoded {
    fn default() -> Self {
        let (body, context, starts) = (Vec::new(), Vec::new(), Vec::new());
        Self { body, context, starts, room: 0, surface: Surface::Request, normalized: String::new() }
    }
}

impl Encoded {
    pub(crate) fn room(&self) -> usize {
        self.room
    }
}

/// Whether a text is judged together with the request it answers, or the task it serves.
pub(crate) fn takes_context(surface: Surface) -> bool {
    matches!(surface, Surface::Response | Surface::Reasoning | Surface::ToolCall)
}

/// What the models see of a text: NFKC without invisible characters. The tokenizer does the rest.
fn normalize<'a>(text: &'a str, buffer: &'a mut String) -> &'a str {
    if text.is_ascii() {
        return text;
    }
    buffer.clear();
    buffer.extend(text.chars().filter(|&ch| !is_invisible(ch)).nfkc());
    buffer
}

fn is_invisible(ch: char) -> bool {
    matches!(ch, '\u{AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}' | '\u{202A}'..='\u{202E}' | '\u{E0000}'..='\u{E007F}')
}

/// Pieces that end after white space, where no token and no composed character reaches across.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let after = bytes.iter().skip(PIECE).position(u8::is_ascii_whitespace).map(|at| PIECE + at + 1);
        let end = match after {
            Some(end) if end <= 4 * PIECE => end,
            _ if rest.len() <= 4 * PIECE => rest.len(),
            // A word of kilobytes is no word of any language: it is cut anywhere.
            _ => rest.floor_char_boundary(4 * PIECE),
        };
        let (piece, left) = rest.split_at_checked(end)?;
        rest = left;
        Some(piece)
    })
}

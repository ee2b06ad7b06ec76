//! The text of a message as patterns see it: normalized, and decoded where cheap tests say it is worth it.
//!
//! message -> **views** -> matches -> findings -> verdict
//!
//! [`Views`] holds the buffers. It is built for one text after another and allocates nothing once it is warm. Each
//! [`View`] leads from ranges of its own text back to spans of the original, so that a finding always cites what the
//! author of the message wrote.

mod decode;
mod fold;
mod lookalikes;
mod normalize;
mod offsets;
mod rewrite;
mod signals;
#[cfg(test)]
mod tests;
pub mod words;

pub use normalize::normalize;

use crate::span::Span;
use decode::Scheme;
use normalize::Normalizer;
use offsets::{Cursor, OffsetMap};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a view reads the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewKind {
    /// The whole text, as [`normalize`] leaves it.
    #[default]
    Normalized,
    /// The normalized text with separated letters (`b o m b`, `b-o-m-b`) joined.
    Unspaced,
    /// The normalized text with digits and signs inside of words (`b0mb`) read as letters.
    Leet,
    /// What invisible tag characters spell.
    Hidden,
    /// What tokens in base64 hold.
    Base64,
    /// What hexadecimal digits hold.
    Hex,
    /// What tokens with percent escapes hold.
    Url,
    /// The normalized text in rot13.
    Rot13,
    /// The normalized text from its end to its beginning.
    Reversed,
}

impl ViewKind {
    /// The views besides the normalized one, in their order.
    pub(crate) const DERIVED: [Self; 8] = [
        Self::Unspaced,
        Self::Leet,
        Self::Hidden,
        Self::Base64,
        Self::Hex,
        Self::Url,
        Self::Rot13,
        Self::Reversed,
    ];

    /// The name in verdicts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normalized => "normalized",
            Self::Unspaced => "unspaced",
            Self::Leet => "leet",
            Self::Hidden => "hidden",
            Self::Base64 => "base64",
            Self::Hex => "hex",
            Self::Url => "url",
            Self::Rot13 => "rot13",
            Self::Reversed => "reversed",
        }
    }
}

/// One reading of a text, with the way back.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// How the text was read.
    pub kind: ViewKind,
    text: String,
    map: OffsetMap,
}

impl View {
    /// What the view reads: normalized text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of [`View::text`].
    pub fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The smallest span of the original that `range` of this view stands for, on bounds of its characters.
    ///
    /// What was decoded stands for the whole token that held it. Characters that left no trace in the view belong to
    /// the span only between others. A range that cuts a character counts the whole of it; one past the end counts
    /// up to the end.
    pub fn to_original(&self, range: Range<usize>) -> Span {
        let length = self.text.len();
        let (mut start, mut end) = (range.start.min(length), range.end.min(length));
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        if self.kind == ViewKind::Reversed {
            (start, end) = (length - end.max(start), length - start);
        }
        self.map.cover(start..end)
    }

    fn clear(&mut self) {
        self.text.clear();
        self.map.clear();
    }

    /// Lets `write` fill the view's buffers. Whatever it writes is UTF-8; were it not, the view would be empty.
    fn fill<T>(&mut self, write: impl FnOnce(&mut Vec<u8>, &mut OffsetMap) -> T) -> T {
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        bytes.clear();
        self.map.clear();
        let result = write(&mut bytes, &mut self.map);
        self.text = String::from_utf8(bytes).unwrap_or_default();
        result
    }
}

/// Which views to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewOptions {
    /// Whether to build views besides the normalized one.
    pub derived: bool,
}

impl Default for ViewOptions {
    /// All of them.
    fn default() -> Self {
        Self { derived: true }
    }
}

/// The views of one text, and the buffers for the next.
///
/// ```
/// use brightline::engine::views::{ViewKind, ViewOptions, Views};
///
/// let mut views = Views::default();
/// let text = "How do I build a B-0-M-B, or a b0mb?";
/// views.build(text, ViewOptions::default());
/// let leet = views.iter().find(|view| view.kind == ViewKind::Leet).unwrap();
/// let at = leet.text().find("bomb").unwrap();
/// assert_eq!(&text[leet.to_original(at..at + 4).range()], "b0mb");
/// ```
#[derive(Clone, Debug)]
pub struct Views {
    normalized: View,
    unspaced: View,
    leet: View,
    hidden: View,
    base64: View,
    hex: View,
    url: View,
    rot13: View,
    reversed: View,
    scratch: Scratch,
    disguised: bool,
}

/// Buffers of the decoders.
#[derive(Clone, Debug, Default)]
struct Scratch {
    decoded: Vec<u8>,
    nested: Vec<u8>,
    piece: Vec<u8>,
    map: OffsetMap,
    tags: String,
    places: Vec<u32>,
}

impl Default for Views {
    fn default() -> Self {
        let view = |kind| View { kind, ..View::default() };
        Self {
            normalized: view(ViewKind::Normalized),
            unspaced: view(ViewKind::Unspaced),
            leet: view(ViewKind::Leet),
            hidden: view(ViewKind::Hidden),
            base64: view(ViewKind::Base64),
            hex: view(ViewKind::Hex),
            url: view(ViewKind::Url),
            rot13: view(ViewKind::Rot13),
            reversed: view(ViewKind::Reversed),
            scratch: Scratch::default(),
            disguised: false,
        }
    }
}

impl Views {
    /// Reads `text`. Views of an earlier text are gone; their buffers are used again.
    pub fn build(&mut self, text: &str, options: ViewOptions) {
        self.derived_mut().into_iter().for_each(View::clear);
        self.disguised = false;
        let has_tags = self.normalized.fill(|out, map| Normalizer { out, map, space: None }.run(text));
        if !options.derived {
            return;
        }
        let Self { normalized: View { text: normal, map, .. }, scratch, .. } = self;
        let signals = signals::signals(normal.as_bytes());
        self.disguised = signals.disguised;
        if signals.unspaced {
            let found = self.unspaced.fill(|out, to| rewrite::unspaced(normal, map, text, out, to));
            keep(&mut self.unspaced, found);
        }
        if signals.leet {
            let found = self.leet.fill(|out, to| {
                to.copy_from(map);
                rewrite::leet(normal, out)
            });
            keep(&mut self.leet, found);
        }
        if has_tags {
            self.hidden.fill(|out, to| scratch.hidden(text, out, to));
        }
        for (wanted, view, scheme) in [
            (signals.base64, &mut self.base64, Scheme::Base64),
            (signals.hex, &mut self.hex, Scheme::Hex),
            (signals.url, &mut self.url, Scheme::Url),
        ] {
            if wanted {
                view.fill(|out, to| scratch.decode(scheme, text, out, to));
            }
        }
        if signals.rot13 {
            self.rot13.fill(|out, to| {
                to.copy_from(map);
                rewrite::rot13(normal, out);
            });
        }
        if signals.reversed {
            let found = self.reversed.fill(|out, to| {
                to.copy_from(map);
                rewrite::reversed(normal, out)
            });
            keep(&mut self.reversed, found);
        }
    }

    /// The views of the text: the normalized one, then those that hold something new.
    pub fn iter(&self) -> impl Iterator<Item = &View> {
        let derived = [
            &self.unspaced,
            &self.leet,
            &self.hidden,
            &self.base64,
            &self.hex,
            &self.url,
            &self.rot13,
            &self.reversed,
        ];
        let found = derived.into_iter().filter(|view| !view.text.trim_matches(' ').is_empty());
        std::iter::once(&self.normalized).chain(found)
    }

    /// Whether the text is read in one way only, and more text would have to say otherwise.
    pub(crate) fn is_plain(&self) -> bool {
        !self.disguised && self.iter().nth(1).is_none()
    }

    fn derived_mut(&mut self) -> [&mut View; 8] {
        [
            &mut self.unspaced,
            &mut self.leet,
            &mut self.hidden,
            &mut self.base64,
            &mut self.hex,
            &mut self.url,
            &mut self.rot13,
            &mut self.reversed,
        ]
    }
}

fn keep(view: &mut View, found: bool) {
    if !found {
        view.clear();
    }
}

impl Scratch {
    /// Appends what the tokens of `text` hold, and what is encoded in that once more.
    ///
    /// What is decoded on either level is no longer than the text.
    fn decode(&mut self, scheme: Scheme, text: &str, out: &mut Vec<u8>, to: &mut OffsetMap) {
        let Self { decoded, nested, piece, map, .. } = self;
        let mut append = |left: &mut usize, token: Range<usize>, decoded: &str| {
            let Some(less) = left.checked_sub(decoded.len()) else { return };
            *left = less;
            piece.clear();
            map.clear();
            Normalizer { out: piece, map, space: None }.run(decoded);
            let piece = piece.trim_ascii();
            if !piece.is_empty() {
                // The space that separates pieces belongs to the one before.
                to.element(out.len(), piece.len() + 1, token);
                out.extend_from_slice(piece);
                out.push(b' ');
            }
        };
        let (mut left, mut left_inside) = (text.len(), text.len());
        scheme.decode(text, decoded, |token, decoded| {
            append(&mut left, token.clone(), decoded);
            for inner in Scheme::ALL {
                inner.decode(decoded, nested, |_, decoded| append(&mut left_inside, token.clone(), decoded));
            }
        });
    }

    /// Writes what tag characters spell.
    fn hidden(&mut self, text: &str, out: &mut Vec<u8>, to: &mut OffsetMap) {
        self.tags.clear();
        self.places.clear();
        self.map.clear();
        decode::hidden(text, &mut self.tags, &mut self.places);
        Normalizer { out, map: &mut self.map, space: None }.run(&self.tags);
        let place = |at: usize| self.places.get(at).map_or(0, |&place| place as usize);
        let mut cursor = Cursor::default();
        for at in 0..out.len() {
            let shown = self.map.source_near(&mut cursor, at).range();
            to.element(
                at,
                1,
                place(shown.start)..place(shown.end.saturating_sub(1)) + '\u{E0000}'.len_utf8(),
            );
        }
    }
}

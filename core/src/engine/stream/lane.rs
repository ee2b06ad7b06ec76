//! One channel of text: what of it is in memory, what was found in it, and what of it was released.
//!
//! ```text
//! released ........|held back ......................................|
//!       gone ..|look-back|window: looked at again at every point ....|
//!                        ^from                                point^ ^end
//! ```
//! What begins before `from` is settled and kept as facts. The window is scanned from `start`, a quiet place some way
//! before `from`, so that what begins from there on is found as in the whole text.

use super::Shared;
use super::facts::Facts;
use super::points::{MOST_BETWEEN, next_point};
use super::readings::Readings;
use super::release::Released;
use super::utf8::Decoder;
use super::window::Look;
use crate::engine::guard::Streamed;
use crate::engine::matcher::Sweep;
use crate::engine::redact::Redactable;
use crate::engine::scan::{Sweeps, TextScan};
use crate::message::Surface;
use crate::verdict::Field;
use std::time::Instant;

/// So much text between two places at which facts are settled.
pub(super) const CHECK: usize = 256;
/// The shortest way over several words.
const SHORTEST: usize = 16;

pub(super) struct Lane {
    pub(super) surface: Surface,
    pub(super) field: Field,
    pub(super) decoder: Decoder,
    /// The text from `base` on.
    pub(super) text: String,
    pub(super) base: usize,
    /// Where the window begins, how much normalized text and how many characters lie before it.
    pub(super) start: usize,
    pub(super) normal_start: usize,
    pub(super) chars_start: usize,
    /// What begins before is settled.
    pub(super) from: usize,
    /// The last place that was judged, and the last at which facts were settled.
    pub(super) point: usize,
    pub(super) check: usize,
    pub(super) released: Released,
    /// What findings ask to replace, as far as it was not released.
    pub(super) places: Vec<Redactable>,
    /// Normalized offsets at which held patterns may be under way, and up to where starts were looked at.
    pub(super) live: Vec<usize>,
    pub(super) examined: usize,
    pub(super) facts: Facts,
    pub(super) scan: TextScan,
    /// What the search for patterns knows of the window.
    pub(super) sweeps: Sweeps,
    /// What it knew, and `live`, before a look that may turn out to reach too far.
    spare: (Sweep, Vec<usize>),
    /// What the models say, where rules of the surface ask them.
    pub(super) readings: Option<Readings>,
    /// Clauses that were followed although more text could still speak against it.
    pub(super) early: Vec<usize>,
    /// Whether a rule waits that asks for the length of the text.
    pub(super) length: bool,
    /// How many finds of the window were weighed.
    pub(super) weighed: usize,
    /// Whether something waits, so that every place has to be judged in its turn.
    pub(super) restless: bool,
    /// How much text to go over at once, where nothing is expected to follow from it.
    leap: usize,
    /// Whether the text was read in one way only when it was looked at last.
    pub(super) plain: bool,
    /// Nothing more is released: the rest is only judged.
    pub(super) frozen: bool,
    /// The facts from which the last outlook followed, and up to how much normalized text it does.
    pub(super) outlook: Option<(u64, Option<u32>)>,
    /// The text a decision waits for, and since when.
    pub(super) waiting: Option<(usize, Instant)>,
}

impl Lane {
    pub(super) fn new(surface: Surface, field: Field, reads: bool) -> Self {
        Self {
            surface,
            field,
            decoder: Decoder::default(),
            text: String::new(),
            base: 0,
            start: 0,
            normal_start: 0,
            chars_start: 0,
            from: 0,
            point: 0,
            check: 0,
            released: Released::default(),
            places: Vec::new(),
            live: Vec::new(),
            examined: 0,
            facts: Facts::default(),
            scan: TextScan::default(),
            sweeps: Sweeps::default(),
            spare: Default::default(),
            readings: reads.then(Readings::default),
            early: Vec::new(),
            length: true,
            weighed: 0,
            restless: true,
            leap: CHECK,
            plain: true,
            frozen: false,
            outlook: None,
            waiting: None,
        }
    }

    /// Bytes of text in memory.
    pub(super) fn held(&self) -> usize {
        self.text.len() + self.decoder.held()
    }

    /// How long the text is by now.
    pub(super) fn len(&self) -> usize {
        self.base + self.text.len()
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes, &mut self.text);
    }

    /// No more text comes.
    pub(super) fn close(&mut self) {
        self.decoder.finish(&mut self.text);
    }

    /// Goes on to the next place at which something may follow, and scans up to there. `None` where the text that has
    /// arrived is judged.
    pub(super) fn advance(&mut self, shared: &mut Shared) -> Option<Look> {
        let first = next_point(&self.text, self.point - self.base)? + self.base;
        let quiet = self.plain && !self.length && (!self.restless || self.outlook.is_some());
        if (quiet || self.frozen) && self.readings.is_none() {
            let mut last = first;
            while last - self.check < CHECK
                && last - first < self.leap
                && let Some(next) = next_point(&self.text, last - self.base)
                // Inside of a long word something may be found that its end undoes.
                && (!self.restless || next + self.base - last < MOST_BETWEEN)
            {
                last = next + self.base;
            }
            let (examined, point) = (self.examined, self.point);
            if last > first {
                let [sweep, ..] = &self.sweeps;
                self.spare.0.copy_from(sweep);
                self.spare.1.clone_from(&self.live);
            }
            let look = self.look(shared, last, false);
            self.point = last;
            if last == first || self.is_calm(shared, &look) || self.goes_on_waiting(shared, &look, examined) {
                self.plain = look.plain;
                self.leap = (2 * self.leap).clamp(SHORTEST, CHECK);
                return Some(look);
            }
            // The place at which something follows is approached by halves.
            self.leap = (last - first) / 2;
            let [sweep, ..] = &mut self.sweeps;
            std::mem::swap(sweep, &mut self.spare.0);
            std::mem::swap(&mut self.live, &mut self.spare.1);
            (self.examined, self.point) = (examined, point);
        }
        let look = self.look(shared, first, false);
        self.plain = look.plain;
        self.point = first;
        Some(look)
    }

    /// Whether at this place, and at each since so much normalized text was `examined`, the text waits for what it waited for,
    /// and no place before lets go of more.
    fn goes_on_waiting(&self, shared: &Shared, look: &Look, examined: usize) -> bool {
        let waiting = self.waiting.map_or(self.point, |(start, _)| start);
        let [sweep, ..] = &self.sweeps;
        let may_have_ended = sweep.may_have_ended(examined.saturating_sub(self.normal_start));
        let stands = self.restless && look.plain && self.stands(shared, look.normal_open);
        stands && look.open >= waiting && !may_have_ended
    }

    /// Whether nothing can follow from what was found at this place.
    pub(super) fn is_calm(&self, shared: &Shared, look: &Look) -> bool {
        let quiet = !self.restless && !self.length && self.readings.is_none();
        self.frozen || quiet && look.plain && self.fresh(shared) == self.weighed
    }

    pub(super) fn fresh(&self, shared: &Shared) -> usize {
        self.facts.relevant(shared.judged(), shared.program(), shared.holding(self.surface), self.from)
    }

    /// Releases the text up to `limit`, or to the place before it that is replaced and not over by then.
    pub(super) fn release(&mut self, limit: usize) -> String {
        let text = self.text.get(self.released.end - self.base..).unwrap_or("");
        self.released.advance(text, limit, &mut self.places)
    }

    /// A decision waits for text that begins at a place, or none does.
    pub(super) fn wait_for(&mut self, start: Option<usize>) {
        self.restless = start.is_some();
        self.waiting = start.map(|start| match self.waiting {
            Some((known, since)) if known == start => (start, since),
            _ => (start, Instant::now()),
        });
    }

    /// Whether what followed from the facts at an earlier place still does, after so much normalized text.
    pub(super) fn stands(&self, shared: &Shared, normal: usize) -> bool {
        let hold_chars = shared.guard().policy.data().streaming.hold_chars as usize;
        self.outlook.is_some_and(|(facts, until)| {
            facts == self.facts.version() && until.is_none_or(|until| normal <= until as usize)
        }) && self.waiting.is_none_or(|(start, _)| !self.has_waited(start, hold_chars))
    }

    /// Scans everything that is left.
    pub(super) fn look_at_all(&mut self, shared: &mut Shared, last: bool) -> Look {
        let end = if last { self.len() } else { self.point };
        self.look(shared, end, last)
    }

    /// Whether more than so many characters have come from a place on, up to the place that is judged.
    pub(super) fn has_waited(&self, start: usize, chars: usize) -> bool {
        let bytes = self.point.saturating_sub(start);
        // A character takes one byte to four.
        bytes > chars && (bytes > 4 * chars || self.chars_since(start) > chars)
    }

    fn chars_since(&self, start: usize) -> usize {
        let from = start.max(self.base);
        let text = self.text.get(from - self.base..self.point.max(from) - self.base).unwrap_or("");
        text.chars().count() + (from - start)
    }

    /// Where the lane stands.
    pub(super) fn point(&self) -> usize {
        self.point
    }

    pub(super) fn streamed<'a>(&self, input: &'a crate::message::Input<'a>) -> Streamed<'a> {
        Streamed { input, surface: self.surface, field: self.field, text: "" }
    }

    /// The same with the text up to `end`, where all of it is there.
    pub(super) fn streamed_whole<'a>(
        &'a self,
        input: &'a crate::message::Input<'a>,
        end: usize,
    ) -> Streamed<'a> {
        let text = if self.start == 0 { self.text.get(..end).unwrap_or("") } else { "" };
        Streamed { text, ..self.streamed(input) }
    }

    /// Notes what an outlook leaves open.
    pub(super) fn note(&mut self, early: Vec<usize>, length: bool) {
        self.length = length;
        for clause in early {
            if !self.early.contains(&clause) {
                self.early.push(clause);
            }
        }
    }

    /// The clauses that were followed before all was said.
    pub(super) fn early(&self) -> &[usize] {
        &self.early
    }

    pub(super) fn readings(&self) -> Option<&Readings> {
        self.readings.as_ref()
    }
}

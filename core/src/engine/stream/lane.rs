//! One channel of text: what of it is in memory, what was found in it, and what of it was released.
//!
//! ```text
//! released ........|held back ......................................|
//!       gone ..|look-back|window: scanned again at every point ......|
//!                        ^from                                point^ ^end
//! ```
//! What begins before `from` is settled and kept as facts. The window is scanned from `start`, a quiet place some way
//! before `from`, so that what begins from there on is found as in the whole text.

use super::alive::AliveScratch;
use super::facts::{Facts, Fresh, Till};
use super::points::{next_point, quiet_before};
use super::readings::Readings;
use super::release::Released;
use super::utf8::Decoder;
use super::{Shared, values};
use crate::engine::guard::Streamed;
use crate::engine::redact::Redactable;
use crate::engine::scan::TextScan;
use crate::engine::views::ViewKind;
use crate::message::Surface;
use crate::verdict::Field;
use std::time::Instant;

/// So much text between two places at which facts are settled.
const CHECK: usize = 256;
/// How far detectors look back from what they find.
const LOOK_BACK: usize = 128;
/// How far back a quiet place is looked for.
const QUIET: usize = 1024;
/// What detectors need to see behind a match.
const SLACK: usize = 16;

pub(super) struct Lane {
    pub surface: Surface,
    pub field: Field,
    decoder: Decoder,
    /// The text from `base` on.
    text: String,
    base: usize,
    /// Where the window begins, how much normalized text and how many characters lie before it.
    start: usize,
    normal_start: usize,
    chars_start: usize,
    /// What begins before is settled.
    from: usize,
    /// The last place that was judged, and the last at which facts were settled.
    point: usize,
    check: usize,
    pub released: Released,
    /// What findings ask to replace, as far as it was not released.
    pub places: Vec<Redactable>,
    /// Normalized offsets at which held patterns may be under way, and up to where starts were looked at.
    live: Vec<usize>,
    examined: usize,
    facts: Facts,
    scan: TextScan,
    scratch: AliveScratch,
    /// What the models say, where rules of the surface ask them.
    readings: Option<Readings>,
    /// Clauses that were followed although more text could still speak against it.
    early: Vec<usize>,
    /// Whether a rule waits that asks for the length of the text.
    length: bool,
    /// How many finds of the window were weighed.
    weighed: usize,
    /// Whether something waits, so that every place has to be judged in its turn.
    restless: bool,
    /// Nothing more is released: the rest is only judged.
    pub frozen: bool,
    /// The text a decision waits for, and since when.
    pub waiting: Option<(usize, Instant)>,
}

/// What a look at the window led to.
pub(super) struct Look {
    /// The first byte in which something may be under way.
    open: usize,
    /// The same for matches in the normalized text, in its offsets.
    normal_open: usize,
    /// Whether there is one reading of the text.
    plain: bool,
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
            scratch: AliveScratch::default(),
            readings: reads.then(Readings::default),
            early: Vec::new(),
            length: true,
            weighed: 0,
            restless: true,
            frozen: false,
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
        if !self.restless && self.readings.is_none() {
            let mut last = first;
            while last - self.check < CHECK
                && let Some(next) = next_point(&self.text, last - self.base)
            {
                last = next + self.base;
            }
            let (live, examined) = (self.live.clone(), self.examined);
            let look = self.look(shared, last, false);
            let calm =
                look.plain && self.fresh(shared) == self.weighed && !shared.holding(self.surface).length;
            if calm || self.frozen {
                self.point = last;
                return Some(look);
            }
            (self.live, self.examined) = (live, examined);
        }
        let look = self.look(shared, first, false);
        self.point = first;
        Some(look)
    }

    /// Whether nothing can follow from what was found at this place.
    pub(super) fn is_calm(&self, shared: &Shared, look: &Look) -> bool {
        let quiet = !self.restless && !self.length && self.readings.is_none();
        self.frozen || quiet && look.plain && self.fresh(shared) == self.weighed
    }

    fn fresh(&self, shared: &Shared) -> usize {
        self.facts.relevant(shared.judged(), shared.program(), shared.holding(self.surface), self.from)
    }

    /// Scans the window up to `end`, and leaves everything that is known of the text with `shared`.
    fn look(&mut self, shared: &mut Shared, end: usize, last: bool) -> Look {
        let guard = shared.guard();
        let (program, data) = (&guard.program, guard.policy.data());
        let holding = program.holding(data, self.surface);
        let plan = program.plan(self.surface);
        let window = self.text.get(self.start - self.base..end - self.base).unwrap_or("");
        self.scan.scan(program, window, plan.judged, data.sets.len());
        let mut look = Look { open: end, normal_open: usize::MAX, plain: self.scan.views.is_plain() };
        let mut derived: Vec<(u16, u32)> = Vec::new();
        let mut values = end;
        let chars = if plan.judged.length { self.chars_start + window.chars().count() } else { 0 };
        if !last {
            values = self.start + values::open_from(window, plan.judged.personal, plan.judged.secrets);
            look.open = values;
            if plan.judged.patterns {
                self.examine(holding, &mut look);
                if !look.plain {
                    self.derived(holding, &mut derived, &mut look);
                }
            }
        }
        let fresh = Fresh {
            scan: &self.scan,
            start: self.start,
            normal_start: self.normal_start,
            from: self.from,
            values,
            live: if last { &[] } else { &self.live },
            derived: &derived,
        };
        look.open = look.open.min(self.facts.merge(&fresh, program, data.sets.len(), shared.judged_mut()));
        shared.judged_mut().chars = chars;
        look
    }

    /// Finds the starts in the normalized text at which held patterns may be under way.
    fn examine(&mut self, holding: &super::Holding, look: &mut Look) {
        let Some(view) = self.scan.views.iter().next() else { return };
        let bytes = view.bytes();
        let normal_start = self.normal_start;
        let (alive, scratch) = (&holding.alive, &mut self.scratch);
        self.live.retain(|&at| at >= normal_start && alive.begins(bytes, at - normal_start, scratch));
        for at in self.examined.max(normal_start)..normal_start + bytes.len() {
            if alive.begins(bytes, at - normal_start, scratch) {
                self.live.push(at);
            }
        }
        self.examined = normal_start + bytes.len();
        look.normal_open = self.examined;
        if let Some(&first) = self.live.first() {
            let at = first - normal_start;
            look.normal_open = first;
            look.open = look.open.min(self.start + view.to_original(at..at + 1).start as usize);
        }
    }

    /// The same in the other readings of the text.
    fn derived(&mut self, holding: &super::Holding, live: &mut Vec<(u16, u32)>, look: &mut Look) {
        for view in self.scan.views.iter().skip(1) {
            let Some(kind) = ViewKind::DERIVED.iter().position(|kind| *kind == view.kind) else { continue };
            let index = kind as u16 + 1;
            let bytes = view.bytes();
            let reach = holding.longest + SLACK;
            let starts = match view.kind {
                // It grows at its beginning.
                ViewKind::Reversed => 0..bytes.len().min(reach),
                _ => bytes.len().saturating_sub(reach)..bytes.len(),
            };
            for at in starts {
                if view.kind == ViewKind::Reversed || holding.alive.begins(bytes, at, &mut self.scratch) {
                    live.push((index, u32::try_from(at).unwrap_or(u32::MAX)));
                    look.open = look.open.min(self.start + view.to_original(at..at + 1).start as usize);
                }
            }
        }
    }

    /// Settles what was found some way back, and forgets the text that no decision needs any more.
    pub(super) fn settle(&mut self, shared: &Shared, look: &Look) {
        if !look.plain && !self.frozen {
            self.facts.pin(shared.judged());
        }
        self.weighed = self.fresh(shared);
        if self.point - self.check < CHECK {
            return;
        }
        self.check = self.point;
        let holding = shared.holding(self.surface);
        let Some(view) = self.scan.views.iter().next() else { return };
        let normal = if view.bytes().is_empty() { self.point - self.start } else { view.bytes().len() };
        let Some(back) = normal.checked_sub(holding.longest.max(128) + SLACK) else { return };
        let settled =
            if view.bytes().is_empty() { back } else { view.to_original(back..back + 1).start as usize };
        let mut from = (self.start + settled).min(look.open);
        if self.point - from > 2 * values::LONGEST {
            from = self.base + self.text.floor_char_boundary(self.point - values::LONGEST - self.base);
        }
        if from <= self.from {
            return;
        }
        let released = if self.frozen { self.point } else { self.released.end };
        let till = Till { from, released, normal: self.normal_start + normal };
        self.facts.settle(shared.judged(), shared.program(), shared.atoms(), holding, till);
        self.from = from;
        let high = from.saturating_sub(LOOK_BACK);
        if high > self.start {
            let low = self.start.max(high.saturating_sub(QUIET));
            let quiet = quiet_before(&self.text, low - self.base, high - self.base).map(|at| at + self.base);
            let start = quiet.unwrap_or_else(|| self.base + self.text.floor_char_boundary(high - self.base));
            if quiet.is_some() || high - self.start > QUIET {
                let gone = self.text.get(self.start - self.base..start - self.base).unwrap_or("");
                self.normal_start += crate::engine::views::normalize(gone).len();
                self.chars_start += gone.chars().count();
                self.start = start;
            }
        }
        self.weighed = self.fresh(shared);
        let unread = self.readings.as_ref().map_or(usize::MAX, |readings| readings.from);
        let needed = if self.frozen { self.start } else { self.start.min(self.released.end) }.min(unread);
        if needed > self.base {
            self.text.drain(..needed - self.base);
            self.base = needed;
        }
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

    /// Lets the models read what is due, and tells the judge what they say.
    pub(super) fn read(&mut self, shared: &mut Shared) {
        let Some(readings) = &mut self.readings else { return };
        let text = self.text.get(readings.from - self.base..self.point - self.base).unwrap_or("");
        if readings.is_due(text, self.point) {
            readings.read(shared, self.surface, text, self.point);
        }
        let (known, settled) = (readings.known(true), readings.known(false));
        let guard = shared.guard();
        shared.scratch.scans.scores.know(Some(known), Some(settled), guard.classifier.as_ref());
    }

    /// Prepares for the verdict: at the end the models read the text as a whole, where all of it is still there.
    pub(super) fn read_all(&mut self, shared: &mut Shared, last: bool) {
        let guard = shared.guard();
        let whole = last && self.start == 0;
        let end = if last { self.len() } else { self.point };
        let known = match &mut self.readings {
            Some(_) if whole => {
                std::mem::swap(&mut shared.scratch.scans.judged.views, &mut self.scan.views);
                None
            }
            Some(readings) => {
                let text = self.text.get(readings.from - self.base..end - self.base).unwrap_or("");
                if last && end > readings.till && !text.trim().is_empty() {
                    readings.read(shared, self.surface, text, end);
                }
                Some(readings.known(true))
            }
            None => None,
        };
        shared.scratch.scans.scores.know(known, None, guard.classifier.as_ref());
    }

    /// Scans everything that is left.
    pub(super) fn look_at_all(&mut self, shared: &mut Shared, last: bool) -> Look {
        let end = if last { self.len() } else { self.point };
        self.look(shared, end, last)
    }

    /// Counts the characters from a place on, up to the place that is judged.
    pub(super) fn chars_since(&self, start: usize) -> usize {
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

impl Look {
    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn normal_open(&self) -> usize {
        self.normal_open
    }
}

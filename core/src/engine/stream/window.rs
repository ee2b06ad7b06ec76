//! The window of a channel: what is found in it, what may be under way at its end, and how it moves on.

use super::facts::{Fresh, Till};
use super::lane::{CHECK, Lane};
use super::points::quiet_before;
use super::{Holding, Shared, values};
use crate::engine::program::Program;
use crate::engine::views::{ViewKind, normalize};

/// How far detectors look back from what they find.
const LOOK_BACK: usize = 128;
/// How far back a quiet place is looked for.
const QUIET: usize = 1024;
/// What detectors need to see behind a match.
const SLACK: usize = 16;

/// What a look at the window led to.
pub(super) struct Look {
    /// The first byte in which something may be under way.
    pub(super) open: usize,
    /// The same for matches in the normalized text, in its offsets.
    pub(super) normal_open: usize,
    /// Whether there is one reading of the text.
    pub(super) plain: bool,
    /// What begins before it is complete, be it held back or not.
    pub(super) complete: usize,
}

impl Lane {
    /// Scans the window up to `end`, and leaves everything that is known of the text with `shared`.
    pub(super) fn look(&mut self, shared: &mut Shared, end: usize, last: bool) -> Look {
        let guard = shared.guard();
        let (program, data) = (&guard.program, guard.policy.data());
        let holding = program.holding(data, self.surface);
        let plan = program.plan(self.surface);
        let window = self.text.get(self.start - self.base..end - self.base).unwrap_or("");
        self.scan.rescan(program, window, plan.judged, &holding.needed, &mut self.sweeps);
        let mut look =
            Look { open: end, normal_open: usize::MAX, plain: self.scan.views.is_plain(), complete: end };
        let mut derived: Vec<(u16, u32)> = Vec::new();
        let mut values = end;
        let chars = if plan.judged.length { self.chars_start + window.chars().count() } else { 0 };
        if !last {
            values = self.start + values::open_from(window, plan.judged.personal, plan.judged.secrets);
            look.open = values;
            if plan.judged.patterns {
                self.examine(program, holding, &mut look);
                if !look.plain {
                    self.derived(program, holding, &mut derived, &mut look);
                }
            }
        }
        let fresh = Fresh {
            scan: &self.scan,
            start: self.start,
            normal_start: self.normal_start,
            from: self.from,
            values,
            last,
            live: if last { &[] } else { &self.live },
            derived: &derived,
        };
        let again = shared.is_in_turn(self.surface);
        let open = self.facts.merge(&fresh, program, data.sets.len(), shared.judged_mut(), again);
        look.open = look.open.min(open);
        look.complete = look.open;
        if holding.rules.is_empty() {
            look.open = end;
        }
        shared.judged_mut().chars = chars;
        look
    }

    /// Finds the starts in the normalized text at which held patterns may be under way.
    fn examine(&mut self, program: &Program, holding: &Holding, look: &mut Look) {
        let Some(view) = self.scan.views.iter().next() else { return };
        let bytes = view.bytes();
        let normal_start = self.normal_start;
        let [sweep, ..] = &self.sweeps;
        let goes_on = |at: &usize| {
            let at = at - normal_start;
            holding.alive.begins(bytes, at) || sweep.is_under_way(&program.matcher, &holding.held, at)
        };
        self.live.retain(|at| *at >= normal_start && goes_on(at));
        let new = self.examined.max(normal_start)..normal_start + bytes.len();
        self.live.extend(new.filter(goes_on));
        self.examined = normal_start + bytes.len();
        look.normal_open = self.examined;
        if let Some(&first) = self.live.first() {
            let at = first - normal_start;
            look.normal_open = first;
            look.open = look.open.min(self.start + view.to_original(at..at + 1).start as usize);
        }
    }

    /// The same in the other readings of the text.
    fn derived(&mut self, program: &Program, holding: &Holding, live: &mut Vec<(u16, u32)>, look: &mut Look) {
        for view in self.scan.views.iter().skip(1) {
            let Some(sweep) = self.sweeps.get(view.kind as usize) else { continue };
            let bytes = view.bytes();
            let reach = holding.longest + SLACK;
            let is_reversed = view.kind == ViewKind::Reversed;
            // It grows at its beginning.
            let starts = if is_reversed {
                0..bytes.len().min(reach)
            } else {
                bytes.len().saturating_sub(reach)..bytes.len()
            };
            for at in starts {
                if is_reversed
                    || holding.alive.begins(bytes, at)
                    || sweep.is_under_way(&program.matcher, &holding.held, at)
                {
                    live.push((view.kind as u16, u32::try_from(at).unwrap_or(u32::MAX)));
                    look.open = look.open.min(self.start + view.to_original(at..at + 1).start as usize);
                }
            }
        }
    }

    /// The window begins later, by so many bytes of normalized text.
    fn forget(&mut self, normal: usize) {
        for (sweep, kind) in self.sweeps.iter_mut().zip(0..) {
            // In these a byte stands for a byte.
            if [ViewKind::Normalized, ViewKind::Leet, ViewKind::Rot13].iter().any(|it| *it as usize == kind) {
                sweep.forget(normal);
            } else {
                sweep.clear();
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
        let mut from = (self.start + settled).min(look.complete);
        if self.point - from > 2 * values::LONGEST {
            from = self.base + self.text.floor_char_boundary(self.point - values::LONGEST - self.base);
        }
        if from <= self.from {
            return;
        }
        let released = if self.frozen { self.point } else { self.released.end };
        let till = Till { from, released, normal: self.normal_start + normal };
        self.from = from;
        self.weighed = self.fresh(shared);
        self.facts.settle(shared.judged(), shared.program(), shared.atoms(), holding, till);
        let high = from.saturating_sub(LOOK_BACK);
        if high > self.start {
            let low = self.start.max(high.saturating_sub(QUIET));
            let quiet = quiet_before(&self.text, low - self.base, high - self.base).map(|at| at + self.base);
            let start = quiet.unwrap_or_else(|| self.base + self.text.floor_char_boundary(high - self.base));
            if quiet.is_some() || high - self.start > QUIET {
                let gone = self.text.get(self.start - self.base..start - self.base).unwrap_or("");
                let normal = normalize(gone).len();
                self.chars_start += gone.chars().count();
                self.normal_start += normal;
                self.forget(normal);
                self.start = start;
            }
        }
        let unread = self.readings.as_ref().map_or(usize::MAX, |readings| readings.from);
        let needed = if self.frozen { self.start } else { self.start.min(self.released.end) }.min(unread);
        if needed > self.base {
            self.text.drain(..needed - self.base);
            self.base = needed;
        }
    }
}

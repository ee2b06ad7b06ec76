//! Atoms that look at text: which text they mean, and what was found there.

use super::super::matcher::Hit;
use super::super::program::Program;
use super::super::provenance;
use super::super::scan::TextScan;
use super::super::scores::Slot;
use super::{Judge, Parts, Reading};
use crate::message::Surface;
use crate::policy::{Atom, Place, Truth};
use crate::span::Span;

impl<'a> Judge<'a> {
    /// The value of an atom that looks at text.
    pub(super) fn look(&mut self, index: u32, atom: &Atom, reading: Reading) -> Truth {
        let Some(place) = atom.place() else { return Truth::Unknown };
        if atom.needs_model() {
            return self.score_value(index, atom, reading);
        }
        let (scan, parts) = self.text(place, reading);
        match atom {
            Atom::Match { .. } | Atom::Count { .. } | Atom::Near { .. } if parts == Parts::None => {
                atom.holds_of_nothing().into()
            }
            Atom::Match { set, .. } => {
                let found = scan.touched(*set) && self.hits(scan, parts, *set).next().is_some();
                self.unless_failed(scan, &[*set], found.into())
            }
            Atom::Count { set, compare, .. } => {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
                let count = if scan.touched(*set) { self.count(scan, parts, *set) as f64 } else { 0.0 };
                self.unless_failed(scan, &[*set], compare.holds(count).into())
            }
            Atom::Near { first, second, gap, .. } => {
                let found = scan.touched(*first)
                    && scan.touched(*second)
                    && self.near(scan, parts, *first, *second, *gap, &mut |_| false);
                self.unless_failed(scan, &[*first, *second], found.into())
            }
            Atom::Personal { kinds, .. } => scan
                .personal
                .iter()
                .any(|found| kinds.contains(found.kind) && self.counts(scan, parts, found.span))
                .into(),
            Atom::Secret { kinds, .. } => scan
                .secrets
                .iter()
                .any(|found| kinds.contains(found.kind) && self.counts(scan, parts, found.span))
                .into(),
            Atom::Length { compare, .. } => {
                #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
                let chars = scan.chars as f64;
                (scan.present && parts != Parts::None && compare.holds(chars)).into()
            }
            _ => Truth::Unknown,
        }
    }

    /// The scan a place means here, and which parts of it count.
    pub(super) fn text(&self, place: Place, reading: Reading) -> (&TextScan, Parts) {
        let (slot, parts) = self.slot(place, reading);
        (self.scans.text(slot), parts)
    }

    /// The text a place means here, and which parts of it count.
    pub(in super::super) fn slot(&self, place: Place, reading: Reading) -> (Slot, Parts) {
        let request = self.surface == Surface::Request;
        // Of the judged text, of what a principal says, of what the model or a tool says.
        let own = if request { Parts::Own } else { Parts::None };
        let (judged, said, foreign) = match reading {
            Reading::Whole => (Parts::All, Parts::All, Parts::All),
            Reading::Unquoted if request => (Parts::Own, Parts::Own, Parts::All),
            Reading::Unquoted => (Parts::All, Parts::Own, Parts::All),
            Reading::Authority => (own, Parts::Own, Parts::None),
        };
        match (place, self.surface) {
            (Place::Judged, _)
            | (Place::Request, Surface::Request)
            | (Place::Response, Surface::Response) => (Slot::Judged, judged),
            (Place::Request, _) => (Slot::Request, said),
            (Place::Response, _) => (Slot::Response, foreign),
            (Place::Untrusted, _) if reading == Reading::Authority => (Slot::Judged, Parts::None),
            (Place::Untrusted, _) => (Slot::Judged, Parts::Foreign),
            (Place::Trusted, _) => (Slot::Judged, own),
        }
    }

    pub(crate) fn counts(&self, scan: &TextScan, parts: Parts, span: Span) -> bool {
        match parts {
            Parts::All => true,
            Parts::Foreign => provenance::of(&scan.regions, span).is_some(),
            Parts::Own => provenance::of(&scan.regions, span).is_none(),
            Parts::None => false,
        }
    }

    pub(crate) fn hits<'s>(
        &'s self,
        scan: &'s TextScan,
        parts: Parts,
        set: u32,
    ) -> impl Iterator<Item = Hit> + 's {
        scan.hits_of(self.program, set)
            .filter(move |hit| parts == Parts::All || self.counts(scan, parts, scan.place(*hit).0))
    }

    /// How many places the set matches in the view that has most, overlapping matches counted once.
    fn count(&self, scan: &TextScan, parts: Parts, set: u32) -> usize {
        let (mut best, mut here, mut view, mut end) = (0, 0, 0, 0);
        for hit in self.hits(scan, parts, set) {
            if hit.view != view {
                (view, here, end) = (hit.view, 0, 0);
            }
            if hit.start >= end {
                here += 1;
                end = hit.end;
            }
            best = best.max(here);
        }
        best
    }

    /// Calls `found` with pairs at most `gap` bytes apart in one view until it is content; whether there was any.
    pub(crate) fn near(
        &self,
        scan: &TextScan,
        parts: Parts,
        first: u32,
        second: u32,
        gap: u32,
        found: &mut dyn FnMut((Hit, Hit)) -> bool,
    ) -> bool {
        let counts = |hit: Hit| parts == Parts::All || self.counts(scan, parts, scan.place(hit).0);
        near_pairs(self.program, scan, &counts, (first, second, gap), found)
    }

    /// A result that rests on a pattern whose automaton could not be built is unknown, unless it was found anyway.
    fn unless_failed(&self, scan: &TextScan, sets: &[u32], value: Truth) -> Truth {
        let failed = scan.matching.failed.iter().any(|&pattern| {
            self.program
                .members
                .get(pattern as usize)
                .is_some_and(|of| of.iter().any(|set| sets.contains(set)))
        });
        if failed && value == Truth::False { Truth::Unknown } else { value }
    }
}

/// Calls `found` with pairs of a hit of each set, at most `gap` bytes apart in one view, until it is content; whether there
/// was any.
pub(crate) fn near_pairs(
    program: &Program,
    scan: &TextScan,
    counts: &dyn Fn(Hit) -> bool,
    (first, second, gap): (u32, u32, u32),
    found: &mut dyn FnMut((Hit, Hit)) -> bool,
) -> bool {
    let mut any = false;
    // The last hit of each set seen so far that reaches furthest: any partner to the left is at most as close.
    let mut last: [Option<Hit>; 2] = [None, None];
    for hit in scan.hits.iter().copied() {
        let Some(sets) = program.members.get(hit.pattern as usize) else { continue };
        let in_set = [first, second].map(|set| sets.contains(&set));
        if !(in_set.contains(&true) && counts(hit)) {
            continue;
        }
        // A hit of both sets is no partner of its own, and takes no partner's place before it has met it.
        for (own, _) in in_set.iter().enumerate().filter(|(_, is_in)| **is_in) {
            let other = last.get(1 - own).copied().flatten();
            let close = |other: &Hit| other.view == hit.view && hit.start.saturating_sub(other.end) <= gap;
            if let Some(other) = other.filter(close) {
                any = true;
                if !found((other, hit)) {
                    return true;
                }
            }
        }
        for (slot, _) in last.iter_mut().zip(in_set).filter(|(_, is_in)| *is_in) {
            let further = slot.is_none_or(|known| known.view != hit.view || hit.end >= known.end);
            if further {
                *slot = Some(hit);
            }
        }
    }
    any
}

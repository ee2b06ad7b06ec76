//! One text through its views, the matcher and the scanners for personal data and secrets.

use super::found::Found;
use super::matcher::{Hit, MatchScratch, Sweep};
use super::personal::{self, PersonalKind};
use super::program::{Program, Wanted};
use super::provenance::{self, Provenance};
use super::secrets::{self, SecretKind};
use super::views::{View, ViewKind, ViewOptions, Views};
use crate::message::Surface;
use crate::span::Span;

/// The shortest match that counts in a view that turns every word into another, in bytes.
const MIN_ACCIDENT: u32 = 5;

/// By [`ViewKind`], what is known of the views of a text that grows.
pub(crate) type Sweeps = [Sweep; 1 + ViewKind::DERIVED.len()];

/// What was found in one text. Reused: a warm scan allocates nothing.
#[derive(Default)]
pub(crate) struct TextScan {
    pub views: Views,
    pub hits: Vec<Hit>,
    pub personal: Vec<Found<PersonalKind>>,
    pub secrets: Vec<Found<SecretKind>>,
    pub regions: Vec<(Span, Provenance)>,
    pub chars: usize,
    /// Whether each set matched at all, a bit for each.
    pub touched: Vec<u64>,
    pub matching: MatchScratch,
    pub present: bool,
    /// Places of hits in views that are gone; of a scan that was put together from others. So many of them in the order of
    /// the hits, then the others in their order.
    pub placed: Vec<(Hit, Span)>,
    pub settled: usize,
}

impl TextScan {
    /// Forgets the last text.
    pub(crate) fn clear(&mut self, program: &Program) {
        for hit in self.hits.drain(..) {
            for &set in program.members.get(hit.pattern as usize).into_iter().flatten() {
                if let Some(touched) = self.touched.get_mut(set as usize / 64) {
                    *touched = 0;
                }
            }
        }
        self.personal.clear();
        self.secrets.clear();
        self.regions.clear();
        self.matching.failed.clear();
        self.chars = 0;
        self.present = false;
        self.placed.clear();
        self.settled = 0;
    }

    /// Notes which sets the hits belong to.
    pub(crate) fn touch(&mut self, program: &Program, sets: usize) {
        self.touched.resize(sets.div_ceil(64), 0);
        self.touch_from(program, 0);
    }

    /// The same for the hits from one on.
    pub(crate) fn touch_from(&mut self, program: &Program, first: usize) {
        for hit in self.hits.get(first..).unwrap_or_default() {
            for &set in program.members.get(hit.pattern as usize).into_iter().flatten() {
                if let Some(touched) = self.touched.get_mut(set as usize / 64) {
                    *touched |= 1 << (set % 64);
                }
            }
        }
    }

    /// Scans a text for what is wanted.
    pub(crate) fn scan(&mut self, program: &Program, text: &str, wanted: Wanted, sets: usize) {
        self.clear(program);
        self.present = true;
        self.detect(text, wanted, |view, index, matching, hits| {
            program.matcher.search(view.bytes(), index, matching, hits);
        });
        self.touch(program, sets);
    }

    /// The same for a text that grows, and for patterns that are `needed`. Sets are not noted.
    pub(crate) fn rescan(
        &mut self,
        program: &Program,
        text: &str,
        wanted: Wanted,
        needed: &[bool],
        sweeps: &mut Sweeps,
    ) {
        self.clear(program);
        self.detect(text, wanted, |view, index, matching, hits| {
            if let Some(sweep) = sweeps.get_mut(view.kind as usize) {
                program.matcher.sweep(view.bytes(), index, needed, sweep, matching, hits);
            }
        });
    }

    fn detect(
        &mut self,
        text: &str,
        wanted: Wanted,
        mut search: impl FnMut(&View, u16, &mut MatchScratch, &mut Vec<Hit>),
    ) {
        if wanted.length {
            self.chars = text.chars().count();
        }
        if wanted.patterns || wanted.views {
            self.views.build(text, ViewOptions { derived: true });
        }
        if wanted.patterns {
            for (index, view) in (0u16..).zip(self.views.iter()) {
                let before = self.hits.len();
                search(view, index, &mut self.matching, &mut self.hits);
                // Read in rot13 or backwards, ordinary words turn into other short words by accident.
                if matches!(view.kind, ViewKind::Rot13 | ViewKind::Reversed) {
                    let mut at = 0;
                    self.hits.retain(|hit| {
                        at += 1;
                        at <= before || hit.end - hit.start >= MIN_ACCIDENT
                    });
                }
            }
        }
        if !wanted.personal.is_empty() {
            personal::scan(text, wanted.personal, &mut self.personal);
        }
        if !wanted.secrets.is_empty() {
            secrets::scan(text, wanted.secrets, &mut self.secrets);
        }
    }

    /// Finds the parts without authority.
    pub(crate) fn find_regions(&mut self, text: &str, surface: Surface) {
        provenance::regions(text, surface, &mut self.regions);
    }

    /// Whether the set matched anywhere.
    pub(crate) fn touched(&self, set: u32) -> bool {
        self.touched.get(set as usize / 64).is_some_and(|touched| touched >> (set % 64) & 1 == 1)
    }

    /// The sets that matched anywhere.
    pub(crate) fn touched_sets(&self) -> impl Iterator<Item = usize> + '_ {
        self.touched.iter().enumerate().filter(|(_, word)| **word != 0).flat_map(|(at, &word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit)
        })
    }

    /// The hits of a set, by view and place.
    pub(crate) fn hits_of<'a>(&'a self, program: &'a Program, set: u32) -> impl Iterator<Item = Hit> + 'a {
        self.hits.iter().copied().filter(move |hit| {
            program.members.get(hit.pattern as usize).is_some_and(|sets| sets.contains(&set))
        })
    }

    /// The place of a hit in the text, and the view's name where it is a derived one.
    pub(crate) fn place(&self, hit: Hit) -> (Span, Option<&'static str>) {
        let (settled, others) = self.placed.split_at_checked(self.settled).unwrap_or_default();
        for placed in [settled, others] {
            let found = placed.binary_search_by_key(&hit, |placed| placed.0).ok();
            if let Some((_, span)) = found.and_then(|at| placed.get(at)) {
                let kind = ViewKind::DERIVED.get(usize::from(hit.view).wrapping_sub(1));
                return (*span, kind.map(|kind| kind.as_str()));
            }
        }
        match self.views.iter().nth(usize::from(hit.view)) {
            Some(view) => {
                let span = view.to_original(hit.start as usize..hit.end as usize);
                (span, (hit.view > 0).then(|| view.kind.as_str()))
            }
            None => (Span::default(), None),
        }
    }
}

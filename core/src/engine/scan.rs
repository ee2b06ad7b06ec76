//! One text through its views, the matcher and the scanners for personal data and secrets.

use super::found::Found;
use super::matcher::{Hit, MatchScratch};
use super::personal::{self, PersonalKind};
use super::program::{Program, Wanted};
use super::provenance::{self, Provenance};
use super::secrets::{self, SecretKind};
use super::views::{ViewKind, ViewOptions, Views};
use crate::message::Surface;
use crate::span::Span;

/// The shortest match that counts in a view that turns every word into another, in bytes.
const MIN_ACCIDENT: u32 = 5;

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
    touched: Vec<u64>,
    pub matching: MatchScratch,
    pub present: bool,
    /// Places of hits in views that are gone, in the order of the hits; of a scan that was put together from others.
    pub placed: Vec<(Hit, Span)>,
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
    }

    /// Notes which sets the hits belong to.
    pub(crate) fn touch(&mut self, program: &Program, sets: usize) {
        self.touched.resize(sets.div_ceil(64), 0);
        for hit in &self.hits {
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
        if wanted.length {
            self.chars = text.chars().count();
        }
        if wanted.patterns || wanted.views {
            self.views.build(text, ViewOptions { derived: true });
        }
        if wanted.patterns {
            for (index, view) in (0u16..).zip(self.views.iter()) {
                let before = self.hits.len();
                program.matcher.search(view.bytes(), index, &mut self.matching, &mut self.hits);
                // Read in rot13 or backwards, ordinary words turn into other short words by accident.
                if matches!(view.kind, ViewKind::Rot13 | ViewKind::Reversed) {
                    let mut at = 0;
                    self.hits.retain(|hit| {
                        at += 1;
                        at <= before || hit.end - hit.start >= MIN_ACCIDENT
                    });
                }
            }
            self.touch(program, sets);
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
        if let Ok(at) = self.placed.binary_search_by_key(&hit, |placed| placed.0) {
            let span = self.placed.get(at).map_or(Span::default(), |placed| placed.1);
            return (
                span,
                ViewKind::DERIVED.get(usize::from(hit.view).wrapping_sub(1)).map(|kind| kind.as_str()),
            );
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

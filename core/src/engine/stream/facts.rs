//! What was found in a text, in memory that does not grow with it.

use super::Holding;
use crate::engine::found::{Found, Kind};
use crate::engine::judge::near_pairs;
use crate::engine::matcher::Hit;
use crate::engine::personal::PersonalKind;
use crate::engine::program::Program;
use crate::engine::scan::TextScan;
use crate::engine::secrets::SecretKind;
use crate::engine::views::ViewKind;
use crate::policy::Atom;
use crate::span::Span;
use crate::verdict::MAX_SPANS;
use std::collections::{BTreeSet, HashMap};

/// What is settled of a text. Of what occurs often, the first places are kept: as many as a verdict shows and as some
/// condition counts to.
#[derive(Default)]
pub(super) struct Facts {
    hits: Vec<(Hit, Span)>,
    /// What was found in other readings of the window and stands, whatever more text makes of them.
    pinned: Vec<(Hit, Span)>,
    personal: Vec<Found<PersonalKind>>,
    secrets: Vec<Found<SecretKind>>,
    /// Patterns that could not be built.
    failed: Vec<u32>,
    laid: Laid,
    last: Last,
    version: u64,
}

/// What was fresh at the last merge.
#[derive(Default)]
struct Last {
    hits: Vec<(Hit, Span)>,
    personal: Vec<Found<PersonalKind>>,
    secrets: Vec<Found<SecretKind>>,
}

/// How the settled hits begin a scan of the whole text, so that each look adds what is fresh and no more.
#[derive(Default)]
struct Laid {
    /// Whether they do.
    out: bool,
    /// How many of the pinned ones are there.
    pinned: usize,
    /// How many hits are there of the first view, and those of the others in their order.
    plain: usize,
    derived: Vec<Hit>,
    touched: Vec<u64>,
}

/// What a scan of the window found, and what of it is settled.
pub(super) struct Fresh<'a> {
    pub scan: &'a TextScan,
    /// Where the window begins, and how much normalized text lies before it.
    pub start: usize,
    pub normal_start: usize,
    /// What begins before is known already.
    pub from: usize,
    /// From here on a value may be under way.
    pub values: usize,
    /// No text follows.
    pub last: bool,
    /// Where held patterns may be under way: in the normalized text, and in derived views, sorted.
    pub live: &'a [usize],
    pub derived: &'a [(u16, u32)],
}

impl Fresh<'_> {
    /// Whether a match ends where a reading ends that goes on with the text.
    fn may_go_on(&self, hit: &Hit) -> bool {
        let view = self.scan.views.iter().nth(usize::from(hit.view)).filter(|_| !self.last);
        view.is_some_and(|view| {
            matches!(view.kind, ViewKind::Unspaced | ViewKind::Leet | ViewKind::Rot13)
                && hit.end as usize == view.bytes().len()
        })
    }
}

/// Few facts need no care.
const FEW: usize = 512;
/// How many places of a set in one view are kept.
const KEPT: usize = 2 * MAX_SPANS;

impl Facts {
    /// Puts what is settled of the whole text together, as one scan of it would give it. Returns where the first find begins
    /// that is not settled. `again` says that `out` is as the last merge left it.
    pub(super) fn merge(
        &mut self,
        fresh: &Fresh<'_>,
        program: &Program,
        sets: usize,
        out: &mut TextScan,
        again: bool,
    ) -> usize {
        let again = again && self.laid.out;
        if again {
            out.placed.truncate(out.settled);
            out.hits.truncate(self.laid.plain);
            out.touched.clone_from(&self.laid.touched);
            out.personal.truncate(self.personal.len());
            out.secrets.truncate(self.secrets.len());
        } else {
            self.lay(program, sets, out);
        }
        for &pattern in &fresh.scan.matching.failed {
            if !self.failed.contains(&pattern) {
                self.failed.push(pattern);
            }
        }
        let known = out.matching.failed.len();
        out.matching.failed.clone_from(&self.failed);
        let mut open = self.add_hits(fresh, out);
        let first = out.settled;
        if let Some(fresh) = out.placed.get_mut(first..) {
            fresh.sort_unstable();
        }
        self.order(program, out);
        add(&fresh.scan.personal, fresh, &mut out.personal, &mut open);
        add(&fresh.scan.secrets, fresh, &mut out.secrets, &mut open);
        let same = renew(&mut self.last.hits, out.placed.get(out.settled..))
            & renew(&mut self.last.personal, out.personal.get(self.personal.len()..))
            & renew(&mut self.last.secrets, out.secrets.get(self.secrets.len()..));
        self.version += u64::from(!(again && same && known == self.failed.len()));
        open
    }

    /// Another number for other facts.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Lets `out` begin with what is settled.
    fn lay(&mut self, program: &Program, sets: usize, out: &mut TextScan) {
        out.clear(program);
        out.touched.fill(0);
        out.present = true;
        out.placed.extend(self.hits.iter().chain(&self.pinned));
        out.placed.sort_unstable();
        out.placed.dedup_by_key(|placed| placed.0);
        out.settled = out.placed.len();
        out.hits.extend(out.placed.iter().map(|placed| placed.0));
        out.hits.sort_unstable_by_key(|hit| (hit.view, *hit));
        out.touch(program, sets);
        out.personal.extend(&self.personal);
        out.secrets.extend(&self.secrets);
        let Laid { out: is_laid, pinned, plain, derived, touched } = &mut self.laid;
        (*is_laid, *pinned) = (true, self.pinned.len());
        *plain = out.hits.partition_point(|hit| hit.view == 0);
        derived.clear();
        derived.extend(out.hits.drain(*plain..));
        touched.clone_from(&out.touched);
    }

    /// Adds the fresh hits that are settled to the places.
    fn add_hits(&self, fresh: &Fresh<'_>, out: &mut TextScan) -> usize {
        let mut open = usize::MAX;
        let mut kinds = [0; 1 + ViewKind::DERIVED.len()];
        kinds.iter_mut().zip(fresh.scan.views.iter()).for_each(|(kind, view)| *kind = view.kind as u16);
        let normal_start = u32::try_from(fresh.normal_start).unwrap_or(u32::MAX);
        for hit in &fresh.scan.hits {
            let view = kinds.get(usize::from(hit.view)).copied().unwrap_or(0);
            let (place, _) = fresh.scan.place(*hit);
            let span = place.shifted(fresh.start);
            if (span.start as usize) < fresh.from {
                continue;
            }
            let normal = |at: u32| at.saturating_add(normal_start);
            let new = Hit { start: normal(hit.start), end: normal(hit.end), pattern: hit.pattern, view };
            let settled = match view {
                0 => fresh.live.binary_search(&(new.start as usize)).is_err(),
                _ => {
                    span.end as usize <= fresh.values
                        && !fresh.derived.contains(&(view, hit.start))
                        && !fresh.may_go_on(hit)
                }
            };
            let again =
                |(old, place): &(Hit, Span)| (old.view, old.pattern, *place) == (view, hit.pattern, span);
            let before = out.placed.get(..out.settled).unwrap_or_default();
            if view > 0 && self.pinned.iter().any(again) {
                continue;
            }
            let known = || before.binary_search_by_key(&new, |placed| placed.0).is_ok();
            if !settled {
                open = open.min(span.start as usize);
            } else if out.placed.last().is_none_or(|last| last.0 != new) && !(view > 0 && known()) {
                out.placed.push((new, span));
            }
        }
        open
    }

    /// Puts the fresh hits in their order among the settled ones.
    fn order(&mut self, program: &Program, out: &mut TextScan) {
        let fresh = out.placed.get(out.settled..).unwrap_or_default();
        let plain = self.laid.plain;
        out.hits.extend(fresh.iter().map(|placed| placed.0).filter(|hit| hit.view == 0));
        if out.hits.get(plain.saturating_sub(1)..).is_some_and(|hits| !hits.is_sorted()) {
            out.hits.sort_unstable();
            self.laid.out = false;
        }
        let derived = out.hits.len();
        out.hits.extend(fresh.iter().map(|placed| placed.0).filter(|hit| hit.view > 0));
        let of_fresh = derived < out.hits.len();
        out.touch_from(program, plain);
        out.hits.extend(&self.laid.derived);
        if of_fresh && let Some(hits) = out.hits.get_mut(derived..) {
            hits.sort_unstable_by_key(|hit| (hit.view, *hit));
        }
    }

    /// Keeps what was found in other readings of the text: more text may speak against the reading, but what followed from
    /// it stands.
    pub(super) fn pin(&mut self, all: &TextScan) {
        let known = self.pinned.len();
        let fresh = all.placed.get(all.settled..).unwrap_or_default();
        self.pinned.extend(fresh.iter().filter(|(hit, _)| hit.view > 0));
        self.laid.out &= self.pinned.len() == known;
    }

    /// How many findings from a place on may make text wait.
    pub(super) fn relevant(
        &self,
        all: &TextScan,
        program: &Program,
        holding: &Holding,
        from: usize,
    ) -> usize {
        let held = |hit: &Hit| {
            let sets = program.members.get(hit.pattern as usize);
            sets.is_some_and(|sets| sets.iter().any(|&set| holding.sets.get(set as usize) == Some(&true)))
        };
        let here = |span: Span| span.start as usize >= from;
        let fresh = all.placed.get(all.settled..).unwrap_or_default();
        let pinned = self.pinned.get(..self.laid.pinned).unwrap_or_default();
        fresh.iter().chain(pinned).filter(|(hit, span)| here(*span) && held(hit)).count()
            + all.personal.iter().filter(|it| here(it.span) && holding.personal.contains(it.kind)).count()
            + all.secrets.iter().filter(|it| here(it.span) && holding.secrets.contains(it.kind)).count()
    }

    /// Keeps what begins before `from`, as far as some verdict may still need it.
    pub(super) fn settle(
        &mut self,
        all: &TextScan,
        program: &Program,
        data: &[Atom],
        holding: &Holding,
        till: Till,
    ) {
        self.laid.out = false;
        self.pinned.clear();
        self.hits.clear();
        self.hits.extend(all.placed.iter().filter(|(_, span)| (span.start as usize) < till.from));
        self.personal.clear();
        self.personal.extend(all.personal.iter().filter(|it| (it.span.start as usize) < till.from));
        self.secrets.clear();
        self.secrets.extend(all.secrets.iter().filter(|it| (it.span.start as usize) < till.from));
        thin(&mut self.personal, till.released);
        thin(&mut self.secrets, till.released);
        if self.hits.len() <= FEW {
            return;
        }
        let mut pairs = BTreeSet::new();
        for atom in data {
            let Atom::Near { first, second, gap, .. } = atom else { continue };
            if !(all.touched(*first) && all.touched(*second)) {
                continue;
            }
            let mut left = KEPT;
            near_pairs(program, all, &|_| true, (*first, *second, *gap), &mut |(one, other)| {
                pairs.extend([one, other]);
                left -= 1;
                left > 0
            });
        }
        let mut seen: HashMap<(u32, u16), (usize, u32)> = HashMap::new();
        let recent = |hit: &Hit| {
            till.normal.saturating_sub(hit.end as usize) <= holding.reach as usize + holding.longest
        };
        self.hits.retain(|(hit, span)| {
            let mut kept = span.end as usize > till.released || recent(hit) || pairs.contains(hit);
            for &set in program.members.get(hit.pattern as usize).into_iter().flatten() {
                let most = KEPT.max(holding.counted.get(set as usize).copied().unwrap_or(0) + 1);
                let (count, end) = seen.entry((set, hit.view)).or_default();
                kept |= *count < most;
                if hit.start >= *end {
                    (*count, *end) = (*count + 1, hit.end);
                }
            }
            kept
        });
    }
}

/// Replaces what was known; whether it is the same.
fn renew<T: Copy + PartialEq>(known: &mut Vec<T>, now: Option<&[T]>) -> bool {
    let now = now.unwrap_or_default();
    let same = known == now;
    if !same {
        known.clear();
        known.extend_from_slice(now);
    }
    same
}

/// How far facts are settled.
#[derive(Clone, Copy)]
pub(super) struct Till {
    pub from: usize,
    /// What was released.
    pub released: usize,
    /// How much normalized text there is.
    pub normal: usize,
}

/// Adds the finds that are settled.
fn add<K: Kind>(found: &[Found<K>], fresh: &Fresh<'_>, out: &mut Vec<Found<K>>, open: &mut usize) {
    let shifted = found.iter().map(|found| Found { kind: found.kind, span: found.span.shifted(fresh.start) });
    for found in shifted.filter(|found| found.span.start as usize >= fresh.from) {
        if found.span.end as usize <= fresh.values {
            out.push(found);
        } else {
            *open = (*open).min(found.span.start as usize);
        }
    }
}

/// Keeps the first places of each kind.
fn thin<K: Kind>(found: &mut Vec<Found<K>>, released: usize) {
    if found.len() <= KEPT {
        return;
    }
    let mut counts = [0usize; 32];
    found.retain(|found| {
        let Some(count) = counts.get_mut(found.kind.index() as usize) else { return true };
        *count += 1;
        *count <= KEPT || found.span.end as usize > released
    });
}

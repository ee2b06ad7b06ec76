//! Where each byte of a view comes from: runs of equal steps, so that plain text costs one entry.

use crate::span::Span;
use std::ops::Range;

/// Maps byte offsets of a view to byte ranges of the original.
///
/// The view is cut into *elements*, each with the range of the original it stands for: mostly single characters,
/// sometimes a run of white space or a whole encoded token. Neighboring elements of the same widths that stand for
/// neighboring ranges share one [`Run`]. An element never reaches over an end of the text it belongs to, and what
/// was removed between two elements belongs to neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OffsetMap {
    runs: Vec<Run>,
    /// One past the last byte of the original that the last element stands for.
    src_end: u32,
    /// Ends of the wide elements, as (index of the run, one past its last byte of the original).
    wide: Vec<(u32, u32)>,
}

/// Elements that each take `out_step` bytes of the view and stand for `src_step` bytes of the original.
///
/// Steps that do not fit are marked by `out_step == 0`: the run is a single wide element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    out: u32,
    src: u32,
    src_step: u16,
    out_step: u8,
}

/// Where the last byte was looked up, for passes that go through a map in order.
#[derive(Default)]
pub(super) struct Cursor {
    run: usize,
}

/// Offsets are limited to 4 GiB, as in [`Span`].
fn offset(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl OffsetMap {
    /// Becomes equal to `other` and keeps its buffers, which a derived `clone_from` would not.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.runs.clone_from(&other.runs);
        self.wide.clone_from(&other.wide);
        self.src_end = other.src_end;
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.wide.clear();
        self.src_end = 0;
    }

    /// Bytes from `out` on that equal `len` bytes of the original from `src` on.
    #[inline]
    pub(super) fn copied(&mut self, out: usize, src: usize, len: usize) {
        self.steps(offset(out), offset(src), 1, 1, offset(src + len));
    }

    /// One element of `out_len` bytes at `out` that stands for `src`.
    #[inline]
    pub(super) fn element(&mut self, out: usize, out_len: usize, src: Range<usize>) {
        let (start, end) = (offset(src.start), offset(src.end));
        match (u8::try_from(out_len), u16::try_from(end.saturating_sub(start))) {
            (Ok(out_step @ 1..), Ok(src_step)) => self.steps(offset(out), start, out_step, src_step, end),
            _ => {
                self.wide.push((offset(self.runs.len()), end));
                self.runs.push(Run { out: offset(out), src: start, src_step: 0, out_step: 0 });
                self.src_end = end;
            }
        }
    }

    #[inline]
    fn steps(&mut self, out: u32, src: u32, out_step: u8, src_step: u16, src_end: u32) {
        let goes_on = self.runs.last().is_some_and(|last| {
            last.out_step == out_step && last.src_step == src_step && self.src_end == src
        });
        if !goes_on {
            self.runs.push(Run { out, src, src_step, out_step });
        }
        self.src_end = src_end;
    }

    /// Repeats, at `out`, the elements that cover `range` in `other`. The range lies on bounds of elements.
    pub(super) fn append(&mut self, out: usize, other: &Self, cursor: &mut Cursor, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            other.seek(cursor, at);
            let Some(run) = other.runs.get(cursor.run) else { return };
            let next = other.runs.get(cursor.run + 1);
            let end = next.map_or(range.end, |next| (next.out as usize).min(range.end));
            let src = other.source_in(cursor.run, at);
            let to = out + (at - range.start);
            if run.out_step == 0 {
                self.element(to, end - at, src.range());
            } else {
                let last = other.source_in(cursor.run, end.saturating_sub(1));
                self.steps(offset(to), src.start, run.out_step, run.src_step, last.end);
            }
            at = end;
        }
    }

    fn run_of(&self, at: usize) -> Option<usize> {
        self.runs.partition_point(|run| run.out as usize <= at).checked_sub(1)
    }

    /// Moves the cursor to the run of byte `at`: as many steps as there are runs between.
    fn seek(&self, cursor: &mut Cursor, at: usize) {
        let begins_after = |run: usize| self.runs.get(run).is_none_or(|run| run.out as usize > at);
        while cursor.run > 0 && begins_after(cursor.run) {
            cursor.run -= 1;
        }
        while !begins_after(cursor.run + 1) {
            cursor.run += 1;
        }
    }

    /// The same as [`OffsetMap::source`], at the cost of the distance from the last call.
    pub(super) fn source_near(&self, cursor: &mut Cursor, at: usize) -> Span {
        self.seek(cursor, at);
        self.source_in(cursor.run, at)
    }

    /// The range of the original that the element at byte `at` of the view stands for.
    pub(super) fn source(&self, at: usize) -> Span {
        self.run_of(at).map_or(Span::default(), |index| self.source_in(index, at))
    }

    fn source_in(&self, index: usize, at: usize) -> Span {
        let Some(run) = self.runs.get(index) else { return Span::default() };
        if run.out_step == 0 {
            let found = self.wide.binary_search_by_key(&offset(index), |&(run, _)| run);
            let end = found.ok().and_then(|found| self.wide.get(found)).map_or(run.src, |&(_, end)| end);
            return Span { start: run.src, end };
        }
        let nth = offset(at).saturating_sub(run.out) / u32::from(run.out_step);
        let start = run.src.saturating_add(nth.saturating_mul(u32::from(run.src_step)));
        Span { start, end: start.saturating_add(u32::from(run.src_step)) }
    }

    /// The smallest range of the original that covers the elements of a range of the view.
    pub(super) fn cover(&self, range: Range<usize>) -> Span {
        let first = self.source(range.start);
        if range.end <= range.start {
            return Span { start: first.start, end: first.start };
        }
        let last = self.source(range.end - 1);
        Span { start: first.start.min(last.start), end: first.end.max(last.end) }
    }

    /// How many entries the map holds.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.runs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> OffsetMap {
        let mut map = OffsetMap::default();
        map.copied(0, 0, 3); // "abc"
        map.element(3, 1, 3..5); // a letter of two bytes
        map.element(4, 1, 5..7);
        map.element(5, 2, 9..12); // a ligature, two removed bytes before it
        map.element(7, 1, 12..70_012); // much white space
        map.copied(8, 70_012, 2);
        map
    }

    #[test]
    fn ranges_map_to_the_smallest_cover() {
        let map = sample();
        assert_eq!(map.cover(1..3), Span::new(1, 3));
        assert_eq!(map.cover(2..5), Span::new(2, 7));
        assert_eq!(map.cover(4..5), Span::new(5, 7));
        assert_eq!(map.cover(6..7), Span::new(9, 12));
        assert_eq!(map.cover(7..8), Span::new(12, 70_012));
        assert_eq!(map.cover(5..9), Span::new(9, 70_013));
        assert_eq!(map.cover(9..9), Span::new(70_013, 70_013));
        assert_eq!(map.entries(), 5);
    }

    #[test]
    fn appending_repeats_elements() {
        let map = sample();
        let mut copy = OffsetMap::default();
        let mut cursor = Cursor::default();
        copy.append(0, &map, &mut cursor, 1..3);
        copy.append(2, &map, &mut cursor, 4..10);
        let expected: Vec<_> = [1, 2, 4, 5, 6, 7, 8, 9].iter().map(|&at| map.source(at)).collect();
        let got: Vec<_> = (0..8).map(|at| copy.source(at)).collect();
        assert_eq!(got, expected);
        for at in [9, 0, 7, 4, 5, 9] {
            assert_eq!(map.source_near(&mut cursor, at), map.source(at));
        }
    }
}

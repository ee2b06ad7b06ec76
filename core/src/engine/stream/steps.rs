//! What follows from each place of a text, and from its end.

use super::calls::Call;
use super::lane::Lane;
use super::outlook::{Outlook, Reach};
use super::window::Look;
use super::{Channel, End, Shared, Stream, lane};
use crate::engine::guard::Outcome;
use crate::message::Surface;
use crate::policy::{Action, Then};
use std::time::Duration;

/// A finding that ends the stream, with the clauses whose decision was cut short.
struct Stop(Vec<usize>);

type Released = Vec<(Channel, String)>;

impl Stream {
    pub(super) fn push_text(&mut self, channel: Channel, bytes: &[u8], released: &mut Released) {
        let slot = if channel == Channel::Reasoning { &mut self.reasoning } else { &mut self.text };
        let mut lane = slot.take().unwrap_or_else(|| lane(channel, &self.shared));
        lane.take(bytes);
        let stop = self.read(channel, &mut lane, released);
        let slot = if channel == Channel::Reasoning { &mut self.reasoning } else { &mut self.text };
        *slot = Some(lane);
        if let Some(stop) = stop {
            self.stop(channel, &stop);
        }
    }

    /// Judges the text that has arrived, place by place.
    fn read(&mut self, channel: Channel, lane: &mut Lane, released: &mut Released) -> Option<Stop> {
        lane.frozen |= self.frozen;
        let before = lane.point();
        while let Some(look) = lane.advance(&mut self.shared) {
            if let Some(stop) = self.judge(channel, lane, &look, released) {
                return Some(stop);
            }
            lane.settle(&self.shared, &look);
        }
        let timed = self.shared.guard().policy.data().streaming.hold_ms.is_some();
        if timed && lane.waiting.is_some() && lane.point() == before {
            let look = lane.look_at_all(&mut self.shared, false);
            return self.judge(channel, lane, &look, released);
        }
        None
    }

    fn judge(
        &mut self,
        channel: Channel,
        lane: &mut Lane,
        look: &Look,
        released: &mut Released,
    ) -> Option<Stop> {
        if lane.frozen {
            return None;
        }
        let mut limit = look.open;
        let streaming = self.shared.guard().policy.data().streaming;
        let calm = lane.is_calm(&self.shared, look);
        if !calm && lane.stands(&self.shared, look.normal_open) {
            limit = limit.min(lane.waiting.map_or(limit, |(start, _)| start));
        } else if !calm {
            lane.read(&mut self.shared);
            let mut outlook = self.outlook(lane, look);
            // What models say, how long the text is and what time it is may change without another fact.
            let other = lane.readings.is_some() || self.shared.holding(lane.surface).length;
            let lasting = outlook.stands() && !other && streaming.hold_ms.is_none();
            lane.outlook = lasting.then(|| (lane.facts.version(), outlook.near));
            lane.note(std::mem::take(&mut outlook.early), outlook.length);
            if let Some(clauses) = outlook.stop {
                return Some(Stop(clauses));
            }
            lane.places = outlook.places;
            if !lane.places.is_empty() {
                self.action = self.action.max(Action::Redact);
            }
            let hold = outlook.hold.map(|hold| hold as usize).filter(|hold| *hold < limit);
            lane.wait_for(outlook.hold.map(|hold| hold as usize));
            limit = limit.min(hold.unwrap_or(limit));
            if let Some(freeze) = outlook.freeze {
                limit = limit.min(freeze as usize);
                self.action = self.action.max(Action::Revise);
                self.frozen = true;
            }
        }
        let text = lane.release(limit);
        if !text.is_empty() {
            match released.last_mut() {
                Some((known, before)) if *known == channel => before.push_str(&text),
                _ => released.push((channel, text)),
            }
        }
        lane.frozen |= self.frozen;
        None
    }

    fn outlook(&mut self, lane: &Lane, look: &Look) -> Outlook {
        let guard = self.shared.guard();
        let data = guard.policy.data();
        let streaming = data.streaming;
        let limit = streaming.hold_ms.map(|ms| Duration::from_millis(ms.into()));
        let late = |start: usize| {
            let waited = lane.waiting.filter(|(known, _)| *known == start).map(|(_, since)| since.elapsed());
            limit.is_some_and(|limit| waited.is_some_and(|waited| waited >= limit))
        };
        let expired = |start: u32| {
            let start = start as usize;
            lane.has_waited(start, streaming.hold_chars as usize) || late(start)
        };
        let small = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let reach = Reach {
            holding: guard.program.holding(data, lane.surface),
            normal_end: small(look.normal_open),
            released: small(lane.released.end),
            expired: &expired,
            stops: streaming.then == Then::Stop,
            readings: lane.readings(),
            point: small(lane.point()),
        };
        let of = lane.streamed(&self.shared.input);
        guard.streamed(of, &mut self.shared.scratch, |judge, plan, force, exempted| {
            reach.look(&guard, judge, plan, force, exempted)
        })
    }

    pub(super) fn call(&mut self, index: u32) -> &mut Call {
        let at = self.calls.iter().position(|call| call.index == index).unwrap_or(self.calls.len());
        if at == self.calls.len() {
            self.calls.push(Call::new(index));
        }
        #[expect(clippy::indexing_slicing, reason = "found or just pushed")]
        &mut self.calls[at]
    }

    pub(super) fn push_call(&mut self, index: u32, bytes: &[u8], released: &mut Released) {
        if !self.call(index).take(bytes) {
            return;
        }
        let Some(at) = self.calls.iter().position(|call| call.index == index) else { return };
        let Self { calls, shared, .. } = self;
        let Some(call) = calls.get_mut(at) else { return };
        call.judge(shared, false);
        let action = call.action();
        if action >= Action::Redact {
            self.action = self.action.max(action);
        }
        if action >= Action::Escalate {
            return self.stop(Channel::ToolCall(index), &Stop(Vec::new()));
        }
        self.frozen |= action == Action::Revise;
        if !self.frozen
            && let Some(arguments) = self.calls.get_mut(at).and_then(Call::release)
        {
            released.push((Channel::ToolCall(index), arguments));
        }
    }

    /// A finding ends the stream: the verdict is that on what was judged so far.
    fn stop(&mut self, channel: Channel, stop: &Stop) {
        let mut outcome = Outcome::default();
        let mut bytes = 0;
        for (of, lane) in [(Channel::Text, &mut self.text), (Channel::Reasoning, &mut self.reasoning)] {
            let Some(lane) = lane else { continue };
            let own = lane.outcome(&mut self.shared, false);
            bytes += lane.point() as u64;
            outcome.append(own);
            if of == channel {
                self.shared.guard().cut_short(&stop.0, lane.surface, &mut outcome);
            }
        }
        for (own, judged) in self.calls.iter().filter_map(Call::outcome) {
            outcome.append(own);
            bytes += judged;
        }
        self.end_with(outcome, bytes, true);
    }

    fn end_with(&mut self, outcome: Outcome, bytes: u64, stopped: bool) {
        let filled = |lane: &Option<Lane>| lane.as_ref().is_some_and(|lane| lane.len() > 0);
        let surface = match () {
            () if filled(&self.text) => Surface::Response,
            () if !self.calls.is_empty() => Surface::ToolCall,
            () if filled(&self.reasoning) => Surface::Reasoning,
            () => Surface::Response,
        };
        let verdict = self.shared.verdict(outcome, surface, bytes);
        let stopped = stopped || verdict.action >= Action::Escalate;
        self.end = Some(End { released: Vec::new(), verdict, stopped });
        // What was held back is not needed any more.
        (self.text, self.reasoning) = (None, None);
        self.calls.clear();
    }

    /// Judges the message as a whole, and releases what is left of it unless something speaks against it.
    pub(super) fn close(&mut self, released: &mut Released) {
        for channel in [Channel::Reasoning, Channel::Text] {
            let slot = if channel == Channel::Reasoning { &mut self.reasoning } else { &mut self.text };
            let Some(mut lane) = slot.take() else { continue };
            lane.close();
            let stop = self.read(channel, &mut lane, released);
            let slot = if channel == Channel::Reasoning { &mut self.reasoning } else { &mut self.text };
            *slot = Some(lane);
            if let Some(stop) = stop {
                return self.stop(channel, &stop);
            }
        }
        let mut outcome = Outcome::default();
        let mut bytes = 0;
        for lane in [&mut self.text, &mut self.reasoning].into_iter().flatten() {
            let mut own = lane.outcome(&mut self.shared, true);
            lane.places = std::mem::take(&mut own.redact);
            outcome.append(own);
            bytes += lane.len() as u64;
        }
        self.calls.sort_by_key(|call| call.index);
        for call in &mut self.calls {
            call.judge(&mut self.shared, true);
            if let Some((own, judged)) = call.outcome() {
                outcome.append(own);
                bytes += judged;
            }
        }
        let action = outcome.findings.iter().map(|finding| finding.action).max().unwrap_or_default();
        if action <= Action::Redact && !self.frozen {
            for (channel, lane) in
                [(Channel::Reasoning, &mut self.reasoning), (Channel::Text, &mut self.text)]
            {
                let Some(lane) = lane else { continue };
                let text = lane.release(lane.len());
                if !text.is_empty() {
                    released.push((channel, text));
                }
            }
            for call in &mut self.calls {
                if let Some(arguments) = call.release() {
                    released.push((Channel::ToolCall(call.index), arguments));
                }
            }
        }
        self.end_with(outcome, bytes, false);
    }
}

impl Lane {
    /// What the rules make of the text, with `last` of all of it, else of what was judged. Findings that cover what was
    /// shown say so.
    fn outcome(&mut self, shared: &mut Shared, last: bool) -> Outcome {
        self.look_at_all(shared, last);
        self.read_all(shared, last);
        let end = if last { self.len() } else { self.point() };
        let guard = shared.guard();
        let mut outcome = guard.outcome(self.streamed_whole(&shared.input, end), &mut shared.scratch);
        let message = shared.input.messages.len();
        let leaked: Vec<usize> = outcome
            .findings
            .iter()
            .filter(|finding| finding.action >= Action::Redact)
            .filter(|finding| {
                let spans = finding.evidence.iter().flat_map(|evidence| &evidence.spans);
                let mut own = spans
                    .filter(|span| span.message as usize == message && span.field == self.field)
                    .peekable();
                match own.peek() {
                    None => self.released.end > 0,
                    Some(_) => own.any(|span| self.released.shows(span.start as usize, span.end as usize)),
                }
            })
            .map(|finding| finding.clause)
            .collect();
        leaked.into_iter().for_each(|clause| outcome.fail("stream", "released_before", clause));
        for &clause in self.early() {
            if !outcome.findings.iter().any(|finding| finding.clause == clause) {
                outcome.fail("stream", "hold_exceeded", clause);
            }
        }
        outcome
    }
}

//! What the channels of a stream share: the guard, the conversation, the buffers.

use super::Holding;
use crate::engine::guard::{Guard, Inner, Outcome, Scratch, Seen};
use crate::engine::program::Program;
use crate::engine::scan::TextScan;
use crate::message::{Input, Message, Part, Role, Surface};
use crate::policy::{Atom, SettingProblem};
use crate::verdict::Verdict;
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Shared {
    guard: Guard,
    /// The conversation before the message.
    pub input: Input<'static>,
    pub scratch: Box<Scratch>,
    /// The surface whose text was looked at last.
    turn: Option<Surface>,
    ignored: Vec<SettingProblem>,
    started: Instant,
}

impl Shared {
    pub(super) fn new(guard: &Guard, context: &Input<'_>) -> Self {
        let started = Instant::now();
        let input = Input { target: None, ..context.to_static() };
        let mut scratch = Box::<Scratch>::default();
        let ignored = guard.0.start(&input, &mut scratch);
        Self { guard: guard.clone(), input, scratch, turn: None, ignored, started }
    }

    pub(super) fn guard(&self) -> Arc<Inner> {
        Arc::clone(&self.guard.0)
    }

    pub(super) fn program(&self) -> &Program {
        &self.guard.0.program
    }

    pub(super) fn atoms(&self) -> &[Atom] {
        &self.guard.0.policy.data().atoms
    }

    pub(super) fn holding(&self, surface: Surface) -> &Holding {
        self.program().holding(self.guard.0.policy.data(), surface)
    }

    /// Whether models read texts of this surface.
    pub(super) fn reads(&self, surface: Surface) -> bool {
        self.guard.0.classifier.is_some() && self.program().plan(surface).judged.views
    }

    /// What is known of the text that is judged.
    pub(super) fn judged(&self) -> &TextScan {
        &self.scratch.scans.judged
    }

    pub(super) fn judged_mut(&mut self) -> &mut TextScan {
        &mut self.scratch.scans.judged
    }

    /// Whether the text that is looked at is the one that was looked at last.
    pub(super) fn is_in_turn(&mut self, surface: Surface) -> bool {
        self.turn.replace(surface) == Some(surface)
    }

    /// The request that the message answers, for models.
    pub(super) fn request_text(&self) -> Option<String> {
        let texts = |message: &Message<'_>| -> Option<String> {
            let parts = message.parts.iter().filter_map(|part| match part {
                Part::Text { text, .. } => Some(text.as_ref()),
                _ => None,
            });
            Some(parts.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty())
        };
        self.input.messages.iter().rev().filter(|message| message.role == Role::User).find_map(texts)
    }

    /// Judges a message as if it ended the conversation.
    pub(super) fn judge_alone(&mut self, message: Message<'static>) -> (Outcome, u64, Message<'static>) {
        self.input.messages.push(message);
        let mut scratch = Box::<Scratch>::default();
        let (outcome, bytes) = self.guard.0.call_outcome(&self.input, &mut scratch);
        self.scratch.scans.scores.absorb(&scratch.scans.scores);
        let message = self.input.messages.pop();
        let nothing = || Message { role: Role::Assistant, parts: Vec::new() };
        (outcome, bytes, message.unwrap_or_else(nothing))
    }

    pub(super) fn verdict(&self, outcome: Outcome, surface: Surface, bytes: u64) -> Verdict {
        let seen = Seen {
            surface,
            bytes,
            ignored: self.ignored.clone(),
            redactions: Vec::new(),
            not_judged: Vec::new(),
        };
        let mut verdict = self.guard.0.concluded(&self.input, outcome, seen, &self.scratch);
        verdict.elapsed_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        verdict
    }
}

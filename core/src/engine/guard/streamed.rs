//! The fields of a streamed message: the conversation around it is scanned once, the text itself by the stream.

use super::super::judge::{Judge, Origin, Reading, Scoring};
use super::super::program::Plan;
use super::super::text::Judged;
use super::fields::ContextTexts;
use super::{Inner, Outcome, Scratch};
use crate::message::{Input, Role, Surface};
use crate::policy::{ForceScratch, SettingProblem};
use crate::verdict::Field;

/// A field of a message that follows a conversation.
#[derive(Clone, Copy)]
pub(crate) struct Streamed<'a> {
    pub input: &'a Input<'a>,
    pub surface: Surface,
    pub field: Field,
    /// What models read of it.
    pub text: &'a str,
}

impl Inner {
    /// Looks at the conversation before a message of the assistant; settings that asked for too much.
    pub(crate) fn start(&self, input: &Input<'_>, scratch: &mut Scratch) -> Vec<SettingProblem> {
        let plans =
            || [Surface::Response, Surface::Reasoning].map(|surface| self.program.plan(surface)).into_iter();
        let at = input.messages.len();
        let Scratch { scans, request, response, force, .. } = scratch;
        scans.scores.start(self.classifier.as_ref());
        let context = ContextTexts {
            request: self.context(input, at, Role::User, plans().any(|plan| plan.request), request),
            response: self.context(input, at, Role::Assistant, plans().any(|plan| plan.response), response),
        };
        self.scan_context(&context, plans().any(|plan| !plan.exceptions.is_empty()), scans);
        self.force.apply_request(input.settings.as_deref(), force)
    }

    /// Judges a field whose scan is in place.
    pub(crate) fn streamed<T>(
        &self,
        of: Streamed<'_>,
        scratch: &mut Scratch,
        work: impl FnOnce(&mut Judge<'_>, &Plan, &ForceScratch, &[Option<usize>]) -> T,
    ) -> T {
        let Streamed { input, surface, field, text } = of;
        let at = input.messages.len();
        let plan = self.program.plan(surface);
        let Scratch { scans, request, response, force, exempted, .. } = scratch;
        let context = ContextTexts {
            request: self.context(input, at, Role::User, plan.request, request),
            response: self.context(input, at, Role::Assistant, plan.response, response),
        };
        let judged = Judged::Plain(text, None);
        let origin = |(message, text)| Origin { message, field: Field::Content, call: None, text };
        let mut judge = Judge {
            program: &self.program,
            data: self.policy.data(),
            input,
            deployment_tags: &self.tags,
            surface,
            message: at,
            judged: Some(Origin { message: at, field, call: None, text: &judged }),
            request: context.request.as_ref().map(|(at, text)| origin((*at, text))),
            response: context.response.as_ref().map(|(at, text)| origin((*at, text))),
            call: None,
            scans,
            reading: Reading::Whole,
            classifier: self.classifier.as_ref(),
            scoring: Scoring::Nothing,
        };
        judge.reset();
        self.exceptions(&mut judge, plan, force, exempted);
        work(&mut judge, plan, force, exempted)
    }

    /// What the rules make of a field whose scan is in place.
    pub(crate) fn outcome(&self, of: Streamed<'_>, scratch: &mut Scratch) -> Outcome {
        let mut outcome = Outcome::default();
        let all = self.classifier.as_ref().is_some_and(|classifier| classifier.all);
        self.streamed(of, scratch, |judge, plan, force, exempted| {
            if all {
                judge.report_all();
            }
            self.rules(judge, plan, force, exempted, &mut outcome);
        });
        outcome
    }

    /// What the rules make of a tool call: `input` ends with a message that makes it.
    pub(crate) fn call_outcome(&self, input: &Input<'_>, scratch: &mut Scratch) -> (Outcome, u64) {
        let Some((at, message)) = input.judged() else { return (Outcome::default(), 0) };
        self.force.apply_request(input.settings.as_deref(), &mut scratch.force);
        self.judged(input, at, message, scratch)
    }
}

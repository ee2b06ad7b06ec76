//! The fields of a message, one after the other, each scanned and ready to be judged.

use super::super::judge::{Judge, Origin, Reading, Scans, Scoring};
use super::super::program::Plan;
use super::super::text::{FieldText, Judged};
use super::super::tools::{Call, TRACE_BUDGET};
use super::{Inner, Scratch};
use crate::message::{Input, Message, Part, Role, Surface};
use crate::verdict::Field;

impl Inner {
    /// Calls `each` with every field of the message, scanned, and the plan of its surface.
    pub(super) fn fields(
        &self,
        input: &Input<'_>,
        at: usize,
        message: &Message<'_>,
        scratch: &mut Scratch,
        each: &mut dyn FnMut(&mut Judge<'_>, usize, &Plan),
    ) {
        let Scratch { scans, field, request, response, .. } = scratch;
        scans.trace_budget = TRACE_BUDGET;
        scans.scores.start(self.classifier.as_ref());
        let own = own_surface(message.role);
        let surfaces = [
            Some((own, Field::Content)),
            (own != Surface::ToolResult).then_some((Surface::ToolResult, Field::Content)),
            Some((Surface::Reasoning, Field::Reasoning)),
        ];
        let calls = message.parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
        let present = |surface, kind| {
            message.parts.iter().any(|part| text_of(part, message.role, surface, kind).is_some())
        };
        let plans =
            surfaces.iter().flatten().filter(|(surface, kind)| present(*surface, *kind)).map(|it| it.0);
        let plans = || {
            plans.clone().chain(calls.then_some(Surface::ToolCall)).map(|surface| self.program.plan(surface))
        };
        let context = ContextTexts {
            request: self.context(input, at, Role::User, plans().any(|plan| plan.request), request),
            response: self.context(input, at, Role::Assistant, plans().any(|plan| plan.response), response),
        };
        self.scan_context(&context, plans().any(|plan| !plan.exceptions.is_empty()), scans);
        let field_of = FieldOf { input, at, context: &context };
        for (surface, kind) in surfaces.into_iter().flatten() {
            let mut texts =
                message.parts.iter().filter_map(|part| text_of(part, message.role, surface, kind));
            let Some((first, part)) = texts.next() else { continue };
            let judged = match texts.next() {
                None => Judged::Plain(first, part),
                Some((second, second_part)) => {
                    field.clear();
                    field.push(first, part);
                    field.push(second, second_part);
                    texts.for_each(|(text, part)| field.push(text, part));
                    Judged::Joined(field)
                }
            };
            self.field(field_of, surface, kind, &judged, None, scans, each);
        }
        for part in &message.parts {
            let Part::ToolCall { name, arguments, at: index } = part else { continue };
            field.clear();
            field.push(name, None);
            field.push_json(arguments, Some(*index));
            let call = Some((Call::new(name, arguments), *index));
            self.field(
                field_of,
                Surface::ToolCall,
                Field::ToolCalls,
                &Judged::Joined(field),
                call,
                scans,
                each,
            );
        }
    }

    /// The last message of a role before the judged one, if some rule looks at it.
    pub(super) fn context<'m>(
        &self,
        input: &'m Input<'_>,
        at: usize,
        role: Role,
        wanted: bool,
        buffer: &'m mut FieldText,
    ) -> Option<(usize, Judged<'m>)> {
        let at = wanted.then(|| last_of(input, at, role)).flatten()?;
        Some((at, context_text(input, at, buffer)?))
    }

    pub(super) fn scan_context(&self, context: &ContextTexts<'_>, regions: bool, scans: &mut Scans) {
        let sets = self.policy.data().sets.len();
        scans.request.clear(&self.program);
        scans.response.clear(&self.program);
        if let Some((_, judged)) = &context.request {
            scans.request.scan(&self.program, judged.text(), self.program.request, sets);
            if regions {
                scans.request.find_regions(judged.text(), Surface::Request);
            }
        }
        if let Some((_, judged)) = &context.response {
            scans.response.scan(&self.program, judged.text(), self.program.response, sets);
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the state of one check, taken apart so that parts can be borrowed"
    )]
    fn field(
        &self,
        of: FieldOf<'_>,
        surface: Surface,
        kind: Field,
        judged: &Judged<'_>,
        call: Option<(Call<'_>, u32)>,
        scans: &mut Scans,
        each: &mut dyn FnMut(&mut Judge<'_>, usize, &Plan),
    ) {
        let plan = self.program.plan(surface);
        let text = judged.text();
        scans.judged.scan(&self.program, text, plan.judged, self.policy.data().sets.len());
        if plan.regions && matches!(surface, Surface::Request | Surface::ToolResult) {
            scans.judged.find_regions(text, surface);
        }
        let origin = |(message, text)| Origin { message, field: Field::Content, call: None, text };
        let (call, index) = call.unzip();
        let mut judge = Judge {
            program: &self.program,
            data: self.policy.data(),
            input: of.input,
            deployment_tags: &self.tags,
            surface,
            message: of.at,
            judged: Some(Origin { message: of.at, field: kind, call: index, text: judged }),
            request: of.context.request.as_ref().map(|(at, text)| origin((*at, text))),
            response: of.context.response.as_ref().map(|(at, text)| origin((*at, text))),
            call,
            scans,
            reading: Reading::Whole,
            classifier: self.classifier.as_ref(),
            scoring: Scoring::Nothing,
        };
        judge.reset();
        if let Some(classifier) = judge.classifier {
            judge.scans.scores.next_field();
            if classifier.all {
                judge.report_all();
            }
        }
        each(&mut judge, text.len(), plan);
    }
}

/// The messages around the judged one that rules may look at, each with its index.
pub(super) struct ContextTexts<'a> {
    pub request: Option<(usize, Judged<'a>)>,
    pub response: Option<(usize, Judged<'a>)>,
}

/// Where a field stands.
#[derive(Clone, Copy)]
struct FieldOf<'a> {
    input: &'a Input<'a>,
    at: usize,
    context: &'a ContextTexts<'a>,
}

/// The surface of a message's own text.
fn own_surface(role: Role) -> Surface {
    match role {
        Role::System | Role::Developer | Role::User => Surface::Request,
        Role::Assistant => Surface::Response,
        Role::Tool => Surface::ToolResult,
    }
}

/// What a message mainly is: its text, else whatever else it holds.
pub(super) fn surface_of(message: &Message<'_>) -> Surface {
    let own = own_surface(message.role);
    let of = |part: &Part<'_>| match part {
        Part::Text { text, .. } if !text.is_empty() => Some(own),
        Part::ToolCall { .. } => Some(Surface::ToolCall),
        Part::ToolResult { .. } => Some(Surface::ToolResult),
        Part::Reasoning { .. } => Some(Surface::Reasoning),
        _ => None,
    };
    let mut all = message.parts.iter().filter_map(of);
    let first = all.next();
    // Reasoning comes before the answer it leads to; the answer is what the message is.
    if first == Some(Surface::Reasoning) { all.next().or(first) } else { first }.unwrap_or(own)
}

/// The text of a part, if it belongs to this field of this surface.
fn text_of<'m>(
    part: &'m Part<'_>,
    role: Role,
    surface: Surface,
    field: Field,
) -> Option<(&'m str, Option<u32>)> {
    match (part, field) {
        (Part::Text { text, at }, Field::Content) if own_surface(role) == surface => Some((text, *at)),
        (Part::ToolResult { text, at }, Field::Content) if surface == Surface::ToolResult => {
            Some((text, *at))
        }
        (Part::Reasoning { text, at }, Field::Reasoning) => Some((text, *at)),
        _ => None,
    }
}

/// The last message of a role before message number `at`.
fn last_of(input: &Input<'_>, at: usize, role: Role) -> Option<usize> {
    let has_text = |message: &Message<'_>| message.parts.iter().any(|part| matches!(part, Part::Text { .. }));
    input.messages.iter().take(at).rposition(|message| message.role == role && has_text(message))
}

/// The text of a context message.
fn context_text<'m>(input: &'m Input<'_>, at: usize, buffer: &'m mut FieldText) -> Option<Judged<'m>> {
    let message = input.messages.get(at)?;
    let mut texts = message.parts.iter().filter_map(|part| match part {
        Part::Text { text, at } => Some((&**text, *at)),
        _ => None,
    });
    let (first, part) = texts.next()?;
    let Some((second, second_part)) = texts.next() else { return Some(Judged::Plain(first, part)) };
    buffer.clear();
    buffer.push(first, part);
    buffer.push(second, second_part);
    texts.for_each(|(text, part)| buffer.push(text, part));
    Some(Judged::Joined(buffer))
}

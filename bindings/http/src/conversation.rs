//! What of a conversation is judged.

use crate::config::Judged;
use brightline::Message;
use brightline::message::{Part, Role};

/// How many bytes of text a message holds.
pub(crate) fn len(message: &Message<'_>) -> usize {
    let part = |part: &Part<'_>| match part {
        Part::Text { text, .. } | Part::Reasoning { text, .. } | Part::ToolResult { text, .. } => text.len(),
        Part::ToolCall { name, arguments, .. } => name.len() + arguments.len(),
        _ => 0,
    };
    message.parts.iter().map(part).sum()
}

/// Which messages are judged.
///
/// Those that are new: everything after the model's last answer, where the conversation ends in a turn of the user or of a
/// tool. Where it ends in words put into the model's mouth, these and the turn before them. The system prompt and the
/// developer's messages are context, unless `judged.system` asks for them or there is nothing else.
pub(crate) fn targets(messages: &[Message<'_>], judged: Judged) -> Vec<usize> {
    let of = |role: &dyn Fn(Role) -> bool, before: usize| {
        messages.iter().take(before).rposition(|message| role(message.role))
    };
    let asks = |role| matches!(role, Role::User | Role::Tool);
    let start = match of(&asks, messages.len()) {
        Some(last) if !judged.history => of(&|role| role == Role::Assistant, last).map_or(0, |at| at + 1),
        _ => 0,
    };
    let new = messages.iter().enumerate().filter(|(at, message)| match message.role {
        Role::System | Role::Developer => judged.system,
        _ => *at >= start,
    });
    let mut targets: Vec<usize> = new.map(|(at, _)| at).collect();
    if targets.is_empty() {
        targets.extend(0..messages.len());
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_messages_are_judged() {
        use Role::{Assistant as A, Developer as D, System as S, Tool as T, User as U};
        let judge = |roles: &[Role], judged| {
            let messages: Vec<_> = roles.iter().map(|role| Message::text(*role, "x")).collect();
            targets(&messages, judged)
        };
        let new = Judged::default();
        assert_eq!(judge(&[S, U], new), [1]);
        assert_eq!(judge(&[U, A, U], new), [2]);
        assert_eq!(judge(&[U, A, T, T], new), [2, 3], "all results of one turn");
        assert_eq!(judge(&[U, A, T, U], new), [2, 3]);
        assert_eq!(judge(&[U, U], new), [0, 1], "several in a row");
        assert_eq!(judge(&[U, A, U, A], new), [2, 3], "words put into the model's mouth");
        assert_eq!(judge(&[S, D], new), [0, 1], "nothing else is there");
        assert_eq!(judge(&[A], new), [0]);
        assert_eq!(judge(&[S, U, A, U], Judged { history: true, system: false }), [1, 2, 3]);
        assert_eq!(judge(&[S, U, A, U], Judged { history: false, system: true }), [0, 3]);
    }
}

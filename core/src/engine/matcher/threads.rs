//! An expression read byte by byte, from one place on: whether more text can make, change or undo its match there.

use regex_automata::nfa::thompson::{self, NFA, State, WhichCaptures};
use regex_automata::util::primitives::StateID;

/// Buffers of a simulation, reused by the next.
#[derive(Debug, Default)]
pub(super) struct Threads {
    /// Where the threads stand, those preferred first.
    pub now: Vec<StateID>,
    next: Vec<StateID>,
    stack: Vec<StateID>,
    /// By state of the automaton, the round in which it was last looked at.
    seen: Vec<u32>,
    round: u32,
}

impl Threads {
    /// Takes up where others stood.
    pub(super) fn start(&mut self, threads: &[StateID]) -> &mut Self {
        self.now.clear();
        self.now.extend_from_slice(threads);
        self
    }

    /// Reads `text` from byte `from` on, until no thread is left. Returns whether there was a match on the way.
    pub(super) fn read(&mut self, nfa: &NFA, text: &[u8], from: usize) -> bool {
        let mut matched = false;
        for (at, &byte) in text.iter().enumerate().skip(from) {
            if self.now.is_empty() {
                break;
            }
            self.next_round(nfa.states().len());
            self.next.clear();
            let now = std::mem::take(&mut self.now);
            // In order of preference: what comes after a match in this order cannot win any more.
            'threads: for &thread in &now {
                self.stack.push(thread);
                while let Some(id) = self.stack.pop() {
                    if !self.is_new(id) {
                        continue;
                    }
                    match nfa.state(id) {
                        State::ByteRange { trans } => {
                            self.next.extend(trans.matches_byte(byte).then_some(trans.next))
                        }
                        State::Sparse(all) => self.next.extend(all.matches_byte(byte)),
                        State::Dense(all) => self.next.extend(all.matches_byte(byte)),
                        State::Look { look, next: then } => {
                            self.stack.extend(nfa.look_matcher().matches(*look, text, at).then_some(*then));
                        }
                        State::Match { .. } => {
                            matched = true;
                            break 'threads;
                        }
                        state => branches(state, &mut self.stack),
                    }
                }
            }
            self.now = std::mem::replace(&mut self.next, now);
        }
        matched
    }

    /// Whether a thread may match where it stands, whatever follows there.
    pub(super) fn may_match(&mut self, nfa: &NFA) -> bool {
        self.next_round(nfa.states().len());
        self.stack.extend(&self.now);
        while let Some(id) = self.stack.pop() {
            if !self.is_new(id) {
                continue;
            }
            match nfa.state(id) {
                State::Match { .. } => return true,
                State::Look { next, .. } => self.stack.push(*next),
                state => branches(state, &mut self.stack),
            }
        }
        false
    }

    /// Starts a round over an automaton of so many states.
    fn next_round(&mut self, states: usize) {
        self.stack.clear();
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            self.seen.clear();
            self.round = 1;
        }
        if self.seen.len() < states {
            self.seen.resize(states, 0);
        }
    }

    /// Whether the state was not looked at in this round yet.
    fn is_new(&mut self, state: StateID) -> bool {
        let Some(seen) = self.seen.get_mut(state.as_usize()) else { return false };
        std::mem::replace(seen, self.round) != self.round
    }
}

/// Puts the states that follow without a byte on the stack, those preferred last.
fn branches(state: &State, stack: &mut Vec<StateID>) {
    match state {
        State::Union { alternates } => stack.extend(alternates.iter().rev()),
        State::BinaryUnion { alt1, alt2 } => stack.extend([*alt2, *alt1]),
        State::Capture { next, .. } => stack.push(*next),
        _ => {}
    }
}

/// The expression with ASCII classes over bytes, as the matcher reads it.
pub(super) fn compile(source: &str) -> Option<NFA> {
    thompson::NFA::compiler()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(1 << 20)),
        )
        .syntax(regex_automata::util::syntax::Config::new().unicode(false).utf8(false).nest_limit(50))
        .build(source)
        .ok()
}

//! The texts of one answer in the order in which they are told: [`Voice`].

use super::FORM;
use crate::failure::Failure;
use crate::flow::{Chain, Flow, Run, Shown};
use brightline::Channel;

/// Texts that are told one after the other. Those of one channel that follow one another are judged together; each tool call
/// is judged by itself.
pub(super) struct Voice {
    pub(super) flow: Flow,
    open: Open,
}

/// What is being told, with the number of the block that takes more of it.
#[derive(Default)]
enum Open {
    #[default]
    Nothing,
    Texts(Chain, Channel, usize),
    Call(Run, usize),
}

impl Voice {
    pub(super) fn new(flow: Flow) -> Self {
        Self { flow, open: Open::Nothing }
    }

    /// Begins a block of text or of reasoning.
    pub(super) fn text(&mut self, channel: Channel, number: usize) -> Result<Vec<Shown>, Failure> {
        if let Open::Texts(chain, same, last) = &mut self.open
            && *same == channel
        {
            *last = number;
            return Ok(chain.next(&mut self.flow, number));
        }
        let shown = self.close();
        self.open = Open::Texts(Chain::new(self.flow.open(channel)?, number), channel, number);
        Ok(shown)
    }

    /// Begins the arguments of a tool call.
    pub(super) fn call(&mut self, id: &str, name: &str, number: usize) -> Result<Vec<Shown>, Failure> {
        let shown = self.close();
        self.open = Open::Call(self.flow.open_call(id, name)?, number);
        Ok(shown)
    }

    /// Takes more of a block, which must be the one that was begun last.
    pub(super) fn push(&mut self, number: usize, text: &str) -> Result<Vec<Shown>, Failure> {
        match &mut self.open {
            Open::Texts(chain, _, last) if *last == number => Ok(chain.push(&mut self.flow, text)),
            Open::Call(run, at) if *at == number => {
                Ok(vec![Shown { block: number, text: self.flow.push(run, text), last: false }])
            }
            _ if text.is_empty() => Ok(Vec::new()),
            _ => Err(FORM),
        }
    }

    /// Ends a tool call, if it is being told.
    pub(super) fn end_call(&mut self, number: usize) -> Vec<Shown> {
        if matches!(self.open, Open::Call(_, at) if at == number) { self.close() } else { Vec::new() }
    }

    /// Ends what is being told.
    pub(super) fn close(&mut self) -> Vec<Shown> {
        match std::mem::take(&mut self.open) {
            Open::Nothing => Vec::new(),
            Open::Texts(chain, ..) => chain.close(&mut self.flow),
            Open::Call(mut run, block) => {
                vec![Shown { block, text: self.flow.close(&mut run), last: true }]
            }
        }
    }
}

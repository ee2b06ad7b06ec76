//! Where an expression stands in the document.

use super::{Lowering, MAX_CONDITION_DEPTH};
use crate::span::Span;
use cel::common::ast::{Expr, IdedExpr};

impl Lowering<'_, '_> {
    /// Offsets in the condition's text as a span of the document; the whole value where escapes moved them.
    pub(super) fn span_at(&self, start: usize, end: usize) -> Span {
        let Some(offset) = self.site.offset else { return self.site.span };
        let len = self.text.len();
        let (mut start, mut end) = (start.min(len), end.min(len));
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Span::new(start, end).shifted(offset)
    }

    pub(super) fn span_of(&self, expr: &IdedExpr) -> Span {
        match self.extent(expr, 0) {
            Some((start, end)) => self.span_at(start, end),
            None => self.site.span,
        }
    }

    /// From the first byte of an expression to one past its last. The parser marks an operator or a bracket only.
    fn extent(&self, expr: &IdedExpr, depth: u16) -> Option<(usize, usize)> {
        let (start, last) = self.info.offset_for(expr.id)?;
        let (mut start, mut end) = (start as usize, last as usize + 1);
        let children: Vec<&IdedExpr> = match &expr.expr {
            Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
            Expr::Select(select) => vec![&select.operand],
            _ => Vec::new(),
        };
        for child in children.into_iter().filter(|_| depth < MAX_CONDITION_DEPTH) {
            if let Some((from, to)) = self.extent(child, depth + 1) {
                (start, end) = (start.min(from), end.max(to));
            }
        }
        match &expr.expr {
            Expr::Call(call) if call.func_name.starts_with(|ch: char| ch.is_ascii_alphabetic()) => {
                if call.target.is_none()
                    && self.text.get(..start).is_some_and(|text| text.ends_with(&call.func_name))
                {
                    start -= call.func_name.len();
                }
                let closing = self.text.get(end..).unwrap_or("");
                end += closing
                    .find(')')
                    .filter(|at| closing.get(..*at).is_some_and(|gap| gap.trim().is_empty()))
                    .map_or(0, |at| at + 1);
            }
            Expr::Select(select) => {
                let rest = self.text.get(end..).unwrap_or("");
                if rest.starts_with(&select.field) {
                    end += select.field.len();
                }
            }
            _ => {}
        }
        Some((start, end))
    }
}

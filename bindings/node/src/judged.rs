//! A verdict on its way to JavaScript: the wire form, and its places in UTF-16 units.

use crate::error::Failure;
use brightline::verdict::{EvidenceSpan, Field};
use brightline::{Guard, Input, Verdict, wire};
use napi::Either;
use napi_derive::napi;

/// A verdict with places in it.
#[napi(object, object_from_js = false)]
pub struct Placed {
    /// The verdict as JSON.
    pub wire: String,
    /// Start and end of every span, in the order in which they stand in `wire`.
    pub units: Vec<u32>,
}

/// The wire form, and the places where there are any: most verdicts have none.
pub(crate) type Judged = Either<String, Placed>;

/// Judges a record in the form that `score` reads.
pub(crate) fn judge(guard: &Guard, record: &str) -> Result<Judged, Failure> {
    judge_with(guard, record, judged)
}

/// Judges a record, and makes something of verdict and input.
pub(crate) fn judge_with<T>(
    guard: &Guard,
    record: &str,
    make: impl FnOnce(&Verdict, &Input<'_>) -> T,
) -> Result<T, Failure> {
    let input = wire::parse(record.as_bytes())?;
    let verdict = guard.check(&input)?;
    Ok(make(&verdict, &input))
}

/// The verdict on an input.
pub(crate) fn judged(verdict: &Verdict, input: &Input<'_>) -> Judged {
    // A verdict always has a JSON form: its keys are strings.
    let wire = serde_json::to_string(verdict).unwrap_or_default();
    let mut units = Vec::new();
    places(verdict, input, &mut units);
    if units.is_empty() { Either::A(wire) } else { Either::B(Placed { wire, units }) }
}

/// Start and end of every span of the verdict, in UTF-16 units. Places outside of the input keep their byte offsets.
pub(crate) fn places(verdict: &Verdict, input: &Input<'_>, units: &mut Vec<u32>) {
    let mut ruler = Ruler { input, text: None, byte: 0, unit: 0 };
    let evidence = verdict.findings.iter().flat_map(|finding| &finding.evidence);
    for span in evidence.flat_map(|evidence| &evidence.spans) {
        units.extend([ruler.unit_of(span, span.start), ruler.unit_of(span, span.end)]);
    }
}

/// Counts UTF-16 units up to a byte, and goes on from there for the next place in the same text.
struct Ruler<'a> {
    input: &'a Input<'a>,
    text: Option<(u32, Field, Option<u32>)>,
    byte: u32,
    unit: u32,
}

impl Ruler<'_> {
    fn unit_of(&mut self, span: &EvidenceSpan, byte: u32) -> u32 {
        let text = Some((span.message, span.field, span.part));
        if self.text != text || byte < self.byte {
            (self.text, self.byte, self.unit) = (text, 0, 0);
        }
        let between = EvidenceSpan { start: self.byte, end: byte, ..span.clone() };
        let Some(between) = self.input.slice(&between) else { return byte };
        let units = if between.is_ascii() { between.len() } else { between.encode_utf16().count() };
        self.unit += u32::try_from(units).unwrap_or(u32::MAX);
        self.byte = byte;
        self.unit
    }
}

//! W3C trace context: which trace an exchange belongs to.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries a trace from one service to the next.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The place of an exchange in a trace; empty where the client sent none and nothing is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace(Option<Context>);

/// The ids of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: [u8; 16],
    /// The span in it.
    pub span: [u8; 8],
    /// Flags; the lowest bit says that the trace is recorded.
    pub flags: u8,
}

impl Trace {
    /// The place of a span.
    pub(crate) fn of(context: Context) -> Self {
        Self(Some(context))
    }

    /// What the client says; empty where it says nothing, or nothing that the standard allows.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self(parse(value.as_bytes())),
            _ => Self(None),
        }
    }

    /// Puts the trace into the headers of a request to the upstream. `tracestate` goes along as it came.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Some(Context { trace, span, flags }) = self.0 else { return };
        let value = format!("00-{}-{}-{flags:02x}", hex(&trace), hex(&span));
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(TRACEPARENT, value);
        }
    }

    /// The ids.
    pub fn context(&self) -> Option<Context> {
        self.0
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn id(&self) -> Option<String> {
        self.0.map(|context| hex(&context.trace))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `version-trace-span-flags` in lower-case digits. A later version may say more behind another dash.
fn parse(value: &[u8]) -> Option<Context> {
    let text = std::str::from_utf8(value).ok()?;
    let mut fields = text.split('-');
    let [version] = bytes(fields.next()?)?;
    let trace = bytes(fields.next()?)?;
    let span = bytes(fields.next()?)?;
    let [flags] = bytes(fields.next()?)?;
    let more = fields.next().is_some();
    let valid = version != 0xff && !(version == 0 && more) && trace != [0; 16] && span != [0; 8];
    valid.then_some(Context { trace, span, flags })
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    if digits.len() != 2 * N || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut out = [0; N];
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(value: &str) -> Trace {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        Trace::from_headers(&headers)
    }

    #[test]
    fn a_trace_goes_through_unchanged() {
        let trace = read(GOOD);
        assert_eq!(trace.id().as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        let mut headers = HeaderMap::new();
        trace.write(&mut headers);
        assert_eq!(headers[TRACEPARENT], GOOD);
        let later = read("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes-later");
        assert_eq!(later, trace);
    }

    #[test]
    fn what_the_standard_forbids_begins_no_trace() {
        for bad in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
        ] {
            assert_eq!(read(bad), Trace::default(), "{bad}");
        }
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        }
        assert_eq!(Trace::from_headers(&twice), Trace::default());
    }
}

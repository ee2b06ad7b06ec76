//! Server-sent events, read from bytes cut anywhere and written again.

use crate::failure::Failure;

/// One event as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its type, where one was given.
    pub(crate) name: Option<String>,
    /// Its data, lines joined by line feeds.
    pub(crate) data: String,
}

/// What the reader found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Event(Event),
    /// A comment, which some servers send to keep a connection open. Its text is dropped.
    Comment,
}

/// Reads events. An event counts once its blank line is there; half an event is never given out.
#[derive(Debug)]
pub(crate) struct Reader {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    after_return: bool,
    started: bool,
    limit: usize,
}

impl Reader {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            event: Event::default(),
            has_data: false,
            after_return: false,
            started: false,
            limit,
        }
    }

    /// Reads on; calls `each` with what is complete.
    pub(crate) fn read(&mut self, bytes: &[u8], each: &mut impl FnMut(Found)) -> Result<(), Failure> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.after_return {
                self.after_return = false;
                if let Some((b'\n', after)) = rest.split_first() {
                    rest = after;
                    continue;
                }
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + self.event.data.len() + part.len() > self.limit {
                return Err(Failure::Unreadable("an event is too large"));
            }
            self.line.extend_from_slice(part);
            rest = after;
            if let Some((ended_by, after)) = rest.split_first() {
                self.after_return = *ended_by == b'\r';
                rest = after;
                self.end_line(each)?;
            }
        }
        Ok(())
    }

    /// Whether the bytes ended between two events.
    pub(crate) fn is_between(&self) -> bool {
        self.line.is_empty() && !self.has_data && self.event.name.is_none()
    }

    fn end_line(&mut self, each: &mut impl FnMut(Found)) -> Result<(), Failure> {
        let line = std::mem::take(&mut self.line);
        let mut text = str::from_utf8(&line).map_err(|_| Failure::Unreadable("an event is not UTF-8"))?;
        if !std::mem::replace(&mut self.started, true) {
            text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        }
        if text.is_empty() {
            let event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                each(Found::Event(event));
            }
        } else if text.starts_with(':') {
            each(Found::Comment);
        } else {
            let (field, value) = text.split_once(':').unwrap_or((text, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => {
                    if std::mem::replace(&mut self.has_data, true) {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                }
                "event" => self.event.name = Some(value.to_string()),
                // `id` and `retry` serve reconnecting, which these APIs do not have.
                _ => {}
            }
        }
        // The buffer goes on being used.
        self.line = line;
        self.line.clear();
        Ok(())
    }
}

/// Writes an event whose data has no line feeds, as JSON has none.
pub(crate) fn write(out: &mut Vec<u8>, name: Option<&str>, data: &str) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data.as_bytes());
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], cut: usize) -> (Vec<Found>, bool) {
        let mut reader = Reader::new(1 << 10);
        let mut found = Vec::new();
        for piece in bytes.chunks(cut) {
            reader.read(piece, &mut |it| found.push(it)).unwrap();
        }
        (found, reader.is_between())
    }

    #[test]
    fn every_cut_gives_the_same_events() {
        let text =
            "\u{FEFF}event: a\r\ndata: {\"x\":\r\ndata: \"é\"}\r\n\r\n: ping\n\ndata:1\r\rid: 7\ndata\n\n";
        let (whole, between) = all(text.as_bytes(), usize::MAX);
        assert!(between);
        let event = |name: Option<&str>, data: &str| {
            Found::Event(Event { name: name.map(str::to_string), data: data.to_string() })
        };
        let expected =
            [event(Some("a"), "{\"x\":\n\"é\"}"), Found::Comment, event(None, "1"), event(None, "")];
        assert_eq!(whole, expected);
        for cut in 1..20 {
            assert_eq!(all(text.as_bytes(), cut), (whole.clone(), true), "cut every {cut} bytes");
        }
    }

    #[test]
    fn half_an_event_is_kept_back() {
        assert_eq!(all(b"data: half\n", 3), (vec![], false));
        assert_eq!(all(b"data: ha", 3), (vec![], false));
    }

    #[test]
    fn what_is_no_text_or_too_large_is_refused() {
        let mut reader = Reader::new(16);
        assert!(reader.read(b"data: \xff\n", &mut |_| ()).is_err());
        assert!(Reader::new(16).read(&[b'a'; 17], &mut |_| ()).is_err());
    }
}

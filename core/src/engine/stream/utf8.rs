//! Bytes → text, cut anywhere.

/// Decodes as [`String::from_utf8_lossy`] does, whatever pieces the bytes come in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a character whose end has not come yet.
    open: [u8; 4],
    len: usize,
}

impl Decoder {
    /// Appends the text of `bytes`; the beginning of a character waits for the rest of it.
    pub(super) fn push(&mut self, mut bytes: &[u8], out: &mut String) {
        while self.len > 0 {
            let Some((&byte, rest)) = bytes.split_first() else { return };
            let Some(slot) = self.open.get_mut(self.len) else { return };
            *slot = byte;
            let tried = self.open.get(..=self.len).unwrap_or_default();
            match std::str::from_utf8(tried) {
                Ok(text) => {
                    out.push_str(text);
                    (self.len, bytes) = (0, rest);
                }
                Err(error) if error.error_len().is_none() => (self.len, bytes) = (self.len + 1, rest),
                Err(_) => {
                    // The byte does not go on with the character: it is looked at again by itself.
                    out.push(char::REPLACEMENT_CHARACTER);
                    self.len = 0;
                }
            }
        }
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            out.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let open = chunks.peek().is_none()
                && std::str::from_utf8(invalid).err().is_some_and(|error| error.error_len().is_none());
            if open {
                self.open.iter_mut().zip(invalid).for_each(|(to, &from)| *to = from);
                self.len = invalid.len();
            } else if !invalid.is_empty() {
                out.push(char::REPLACEMENT_CHARACTER);
            }
        }
    }

    /// What is left of a character that never ended.
    pub(super) fn finish(&mut self, out: &mut String) {
        if self.len > 0 {
            out.push(char::REPLACEMENT_CHARACTER);
            self.len = 0;
        }
    }

    /// How many bytes wait.
    pub(super) fn held(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_decodes_like_the_whole() {
        let texts: [&[u8]; 6] = [
            "naïve 😀 日本".as_bytes(),
            b"\xF0\x9F\x98",
            b"a\xE2\x82b\xFFc\xC3",
            b"\xED\xA0\x80\xF4\x90\x80\x80",
            b"\xC0\xAF\xE0\x80\x80 \xF0\x9F\xF0\x9F\x98\x80",
            b"",
        ];
        for bytes in texts {
            let whole = String::from_utf8_lossy(bytes);
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let (mut decoder, mut out) = (Decoder::default(), String::new());
                    for piece in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                        decoder.push(piece, &mut out);
                    }
                    decoder.finish(&mut out);
                    assert_eq!(out, whole, "{bytes:?} at {first} and {second}");
                }
            }
        }
    }
}

//! Undoing the upstream's content encoding, piece by piece.

use crate::failure::Failure;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};
use std::io::Write;

/// Undoes one content encoding.
pub(crate) enum Decoder {
    /// Nothing to undo.
    Identity,
    /// `gzip`.
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// `deflate`, which is zlib.
    Deflate(Box<ZlibDecoder<Vec<u8>>>),
}

/// How many encoded bytes are decoded before the limit is looked at. Deflate makes at most a thousand of one.
const PIECE: usize = 1 << 10;

const BROKEN: Failure = Failure::Unreadable("broken compression");

impl Decoder {
    /// The decoder for a response.
    ///
    /// # Errors
    /// If the encoding is unknown: what cannot be decoded cannot be judged.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Failure> {
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        let encoding = match (encodings.next(), encodings.next()) {
            (None, _) => return Ok(Self::Identity),
            (Some(one), None) => one.to_str().map(str::trim).unwrap_or("?"),
            _ => "?",
        };
        match encoding.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            "deflate" => Ok(Self::Deflate(Box::new(ZlibDecoder::new(Vec::new())))),
            _ => Err(Failure::Unreadable("unknown content encoding")),
        }
    }

    /// Decodes a piece onto `out`, which may grow to `limit` bytes.
    pub(crate) fn decode(&mut self, bytes: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Failure> {
        for piece in bytes.chunks(PIECE) {
            match self {
                Self::Identity => out.extend_from_slice(piece),
                Self::Gzip(decoder) => {
                    decoder.write_all(piece).and_then(|()| decoder.flush()).map_err(|_| BROKEN)?;
                    out.append(decoder.get_mut());
                }
                Self::Deflate(decoder) => {
                    decoder.write_all(piece).and_then(|()| decoder.flush()).map_err(|_| BROKEN)?;
                    out.append(decoder.get_mut());
                }
            }
            if out.len() > limit {
                return Err(Failure::ResponseTooLarge(limit));
            }
        }
        Ok(())
    }

    /// Checks that the encoded bytes came to their end, checksum included.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        match self {
            Self::Identity => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish().map_err(|_| BROKEN),
            Self::Deflate(decoder) => decoder.try_finish().map_err(|_| BROKEN),
        }
    }
}

//! What a stream does while a decision waits for text that has not come yet.

use crate::authority::words;
use serde::{Deserialize, Serialize};

/// How long a stream holds text back for a decision that more text may change, and what it does then. Text in which a
/// pattern, a value or an encoded token may still be under way is held back regardless: that wait ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streaming {
    /// At most so many characters, counted from the first that the decision rests on.
    pub hold_chars: u32,
    /// At most so many milliseconds; without it, time does not count, and the same text gives the same releases.
    pub hold_ms: Option<u32>,
    /// What happens where the limit is reached first.
    pub then: Then,
}

/// The largest `hold_chars`: what waits is kept in memory.
pub const MAX_HOLD_CHARS: u32 = 16_384;
/// The largest `hold_ms`, one minute.
pub const MAX_HOLD_MS: u32 = 60_000;

impl Default for Streaming {
    fn default() -> Self {
        Self { hold_chars: 256, hold_ms: None, then: Then::Release }
    }
}

/// What happens to text whose decision has waited long enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// What was seen so far decides: a rule that holds of it is followed, else the text is released.
    #[default]
    Release,
    /// The stream ends.
    Stop,
}

words!(Then { Release = "release", Stop = "stop" });

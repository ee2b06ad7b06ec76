//! What a detector of typed values reports, and the sets of kinds it is asked for.

use crate::span::Span;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// A closed list of kinds of value, at most 32 of them.
pub trait Kind: Copy + Eq + 'static {
    /// Every kind, in declaration order.
    const EVERY: &'static [Self];

    /// The position in [`Kind::EVERY`].
    fn index(self) -> u32;

    /// How much the form alone proves. Of two overlapping finds the more certain stays.
    fn certainty(self) -> Certainty;
}

/// How much the form of a value proves that it is one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Certainty {
    /// Likely because of the words around it.
    Context,
    /// The form is specific, but nothing in it can be recomputed.
    Form,
    /// A check digit, a checksum or a registered prefix confirms it.
    Checked,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kinds<K> {
    mask: u32,
    kind: PhantomData<K>,
}

impl<K: Kind> Kinds<K> {
    /// The empty set.
    pub const NONE: Self = Self { mask: 0, kind: PhantomData };

    /// The set of every kind.
    pub fn all() -> Self {
        K::EVERY.iter().copied().collect()
    }

    /// The set with `kind` in it.
    #[must_use]
    pub fn with(self, kind: K) -> Self {
        Self { mask: self.mask | 1 << kind.index(), ..self }
    }

    /// What is in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { mask: self.mask | other.mask, ..self }
    }

    /// Whether `kind` is in the set.
    pub fn contains(self, kind: K) -> bool {
        self.mask & 1 << kind.index() != 0
    }

    /// Whether every kind of `other` is in the set.
    pub fn contains_all(self, other: Self) -> bool {
        other.mask & !self.mask == 0
    }

    /// Whether nothing is in the set.
    pub fn is_empty(self) -> bool {
        self.mask == 0
    }

    /// The kinds in the set, in declaration order.
    pub fn iter(self) -> impl Iterator<Item = K> {
        K::EVERY.iter().copied().filter(move |&kind| self.contains(kind))
    }
}

/// The kinds' words joined by `,`; `any` for the full set.
impl<K: Kind + fmt::Display> fmt::Display for Kinds<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::all() {
            return f.write_str("any");
        }
        for (at, kind) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            kind.fmt(f)?;
        }
        Ok(())
    }
}

/// Written as a bit mask; bits of unknown kinds are refused when it is read.
impl<K> Serialize for Kinds<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.mask.serialize(serializer)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Kinds<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mask = u32::deserialize(deserializer)?;
        let known = Self::all();
        if mask & !known.mask != 0 {
            return Err(serde::de::Error::custom("a set of kinds names one that does not exist"));
        }
        Ok(Self { mask, ..known })
    }
}

impl<K: Kind> Default for Kinds<K> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<K: Kind> FromIterator<K> for Kinds<K> {
    fn from_iter<I: IntoIterator<Item = K>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}

/// A value that was found in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Found<K> {
    /// What it is.
    pub kind: K,
    /// Its bytes in the text that was scanned.
    pub span: Span,
}

/// The finds of one scan, kept in order of start and free of overlaps.
pub(crate) struct Finds<'f, K> {
    found: &'f mut Vec<Found<K>>,
    /// Finds below this index belong to the caller.
    base: usize,
    wanted: Kinds<K>,
}

impl<'f, K: Kind> Finds<'f, K> {
    pub(crate) fn new(found: &'f mut Vec<Found<K>>, wanted: Kinds<K>) -> Self {
        let base = found.len();
        Self { found, base, wanted }
    }

    pub(crate) fn wants(&self, kind: K) -> bool {
        self.wanted.contains(kind)
    }

    /// Adds a find unless one that it overlaps outranks it; those it outranks give way.
    pub(crate) fn push(&mut self, kind: K, start: usize, end: usize) {
        if !self.wants(kind) {
            return;
        }
        let new = Found { kind, span: Span::new(start, end) };
        let own = self.found.get(self.base..).unwrap_or_default();
        let before = own.iter().rev().take_while(|old| old.span.end > new.span.start).count();
        let after = own.iter().rev().take_while(|old| old.span.start >= new.span.end).count();
        let (low, high) = (self.found.len() - before, self.found.len() - after);
        let overlapped = self.found.get(low..high).unwrap_or_default();
        if overlapped.iter().any(|old| rank(old) >= rank(&new)) {
            return;
        }
        self.found.splice(low..high, std::iter::once(new));
    }
}

fn rank<K: Kind>(found: &Found<K>) -> (Certainty, usize) {
    (found.kind.certainty(), found.span.len())
}

/// Gives an enumeration its words, the certainty of each kind and the text that stands for a redacted value.
macro_rules! kinds {
    ($name:ty { $($variant:ident = $word:literal: $certainty:ident),+ $(,)? }) => {
        $crate::authority::words!($name { $($variant = $word),+ });

        impl $name {
            /// What stands in the place of a redacted value: the word in brackets.
            pub fn placeholder(self) -> &'static str {
                match self { $(<$name>::$variant => concat!("[", $word, "]"),)+ }
            }
        }

        impl $crate::engine::found::Kind for $name {
            const EVERY: &'static [Self] = Self::ALL;

            fn index(self) -> u32 {
                self as u32
            }

            fn certainty(self) -> $crate::engine::found::Certainty {
                match self { $(<$name>::$variant => $crate::engine::found::Certainty::$certainty,)+ }
            }
        }
    };
}
pub(crate) use kinds;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::personal::PersonalKind;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: Kinds<_> = [PersonalKind::Email, PersonalKind::Iban].into_iter().collect();
        assert!(set.contains(PersonalKind::Iban) && !set.contains(PersonalKind::Phone));
        assert_eq!(set.iter().collect::<Vec<_>>(), [PersonalKind::Email, PersonalKind::Iban]);
        assert_eq!(Kinds::<PersonalKind>::all().iter().count(), PersonalKind::ALL.len());
        assert!(Kinds::<PersonalKind>::default().is_empty());
    }

    #[test]
    fn the_more_certain_then_the_longer_stays() {
        let spans = |pushes: &[(PersonalKind, usize, usize)]| {
            let mut found = Vec::new();
            let mut finds = Finds::new(&mut found, Kinds::all());
            for &(kind, start, end) in pushes {
                finds.push(kind, start, end);
            }
            found.iter().map(|f| (f.kind, f.span.start, f.span.end)).collect::<Vec<_>>()
        };
        use PersonalKind::{CreditCard, Email, Phone};
        assert_eq!(spans(&[(Phone, 0, 20), (CreditCard, 2, 18)]), [(CreditCard, 2, 18)]);
        assert_eq!(spans(&[(CreditCard, 2, 18), (Phone, 0, 20)]), [(CreditCard, 2, 18)]);
        assert_eq!(spans(&[(Phone, 0, 8), (Phone, 0, 12)]), [(Phone, 0, 12)]);
        assert_eq!(spans(&[(Email, 10, 20), (Phone, 0, 8)]), [(Phone, 0, 8), (Email, 10, 20)]);
        assert_eq!(spans(&[(Phone, 0, 5), (Phone, 6, 9), (CreditCard, 4, 20)]), [(CreditCard, 4, 20)]);
    }
}

//! Personal data: values that name, reach or identify one person.
//!
//! The text is searched for the few bytes that such values must contain (digits, `@`, `:`, `-`, `<`); a matcher looks at
//! the surroundings of each and never at more than a bounded number of bytes, so that any text is scanned in linear time.
//! What carries a check digit is recomputed. What carries none needs either a form that is hard to meet by accident or
//! words around it that say what it is.

mod birth;
mod digits;
mod email;
mod finance;
mod national;
mod network;
mod phone;
mod street;
mod travel;

#[cfg(test)]
mod tests;

pub(crate) use birth::MONTHS;
pub(crate) use street::{GERMAN as STREETS, adjective_before};

use crate::engine::anchor::{byte_at, nearest, next_anchor};
use crate::engine::found::{Finds, Found, Kinds, kinds};
use serde::{Deserialize, Serialize};

/// What a piece of personal data is. The documentation of each kind says what is reported and what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersonalKind {
    /// A mailbox at a dotted domain. Not the user part of a URL, not `git@`, not a package version.
    Email,
    /// A telephone number: international with `+` or `00`, in a national grouping, or after a word such as "phone".
    Phone,
    /// A payment card: issuer prefix, length, Luhn.
    CreditCard,
    /// An IBAN: country, its length, modulus 97.
    Iban,
    /// A United States social security number in the grouping 3-2-4, or nine digits after "SSN".
    UsSsn,
    /// A public IPv4 or IPv6 address of one host. Not a version, not an address for private use or documentation.
    IpAddress,
    /// A hardware address of six bytes, written with `:` or `-`.
    MacAddress,
    /// A Bitcoin or Litecoin address: Base58Check or Bech32.
    CryptoWallet,
    /// The machine-readable lines of a passport, visa or identity card, their check digits agreeing.
    PassportMrz,
    /// A British NHS number, modulus 11: grouped 3 3 4, or after "NHS".
    UkNhs,
    /// A French social security number with its key of modulus 97.
    FrInsee,
    /// A German tax identification number: digit statistics and ISO/IEC 7064.
    DeTaxId,
    /// A Spanish DNI or NIE with its letter.
    EsDni,
    /// A Brazilian CPF: its own punctuation, or after "CPF"; both check digits.
    BrCpf,
    /// An Indian Aadhaar number, Verhoeff: grouped 4 4 4, or after "Aadhaar".
    InAadhaar,
    /// A house number with a capitalized street name (English, French, German).
    StreetAddress,
    /// A full date shortly after "born", "date of birth" or the like.
    DateOfBirth,
}

kinds!(PersonalKind {
    Email = "email": Form,
    Phone = "phone": Context,
    CreditCard = "credit_card": Checked,
    Iban = "iban": Checked,
    UsSsn = "us_ssn": Form,
    IpAddress = "ip_address": Form,
    MacAddress = "mac_address": Form,
    CryptoWallet = "crypto_wallet": Checked,
    PassportMrz = "passport_mrz": Checked,
    UkNhs = "uk_nhs": Checked,
    FrInsee = "fr_insee": Checked,
    DeTaxId = "de_tax_id": Checked,
    EsDni = "es_dni": Checked,
    BrCpf = "br_cpf": Checked,
    InAadhaar = "in_aadhaar": Checked,
    StreetAddress = "street_address": Context,
    DateOfBirth = "date_of_birth": Context,
});

/// A set of kinds of personal data.
pub type PersonalKinds = Kinds<PersonalKind>;

/// Appends to `found` every value of a wanted kind, in order of start and without overlaps. Of two that overlap, the one
/// with a check digit stays, then the longer one.
///
/// Only ASCII digits and letters are read; scan a normalized view of the text as well to see through full-width digits and
/// the like.
pub fn scan(text: &str, wanted: PersonalKinds, found: &mut Vec<Found<PersonalKind>>) {
    if wanted.is_empty() {
        return;
    }
    let bytes = text.as_bytes();
    let mut finds = Finds::new(found, wanted);
    let mut lines = travel::Lines::default();
    let mut at = 0;
    while let Some(anchor) = next_anchor(bytes, at, distance) {
        at = match byte_at(bytes, anchor) {
            b'@' => email::at_sign(bytes, anchor, &mut finds),
            b'<' => lines.filler(bytes, anchor, &mut finds),
            b':' | b'-' => network::separator(bytes, anchor, &mut finds),
            _ => digits::run(bytes, anchor, &mut finds),
        };
    }
}

/// 0 for the bytes that every value contains.
fn distance(byte: u8) -> u8 {
    let to_digit = byte.wrapping_sub(b'0').saturating_sub(9);
    to_digit.min(nearest(byte, *b"@:-<"))
}

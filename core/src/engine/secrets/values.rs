//! Telling a secret value from a placeholder, a word, or an expression that fetches the secret from elsewhere.

/// Parts of values that stand in for a secret or describe it, in lower case.
const PLACEHOLDERS: [&str; 48] = [
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "pwd",
    "secret",
    "changeme",
    "change_me",
    "change-me",
    "changeit",
    "example",
    "your",
    "xxx",
    "***",
    "...",
    "placeholder",
    "redacted",
    "dummy",
    "sample",
    "todo",
    "fixme",
    "insert",
    "replace",
    "environ",
    "getenv",
    "env.",
    "null",
    "none",
    "undefined",
    "foobar",
    "hidden",
    "masked",
    "removed",
    "optional",
    "required",
    "string",
    "goes-here",
    "goes_here",
    "here",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "user_",
    "_key",
    "mypass",
    "true",
    "false",
];

/// Whether the value stands in for a secret: `<password>`, `${TOKEN}`, `xxxxxx`, `changeme`.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    let template = match value {
        [b'<' | b'{' | b'[' | b'(' | b'%' | b'*', ..] => true,
        [b'$', b'{' | b'(' | b'<', ..] => true,
        [b'$', name @ ..] => name.iter().all(|&byte| byte.is_ascii_alphabetic() || byte == b'_'),
        _ => false,
    };
    let repeated = value.iter().all(|byte| Some(byte) == value.first());
    template || repeated || matches!(value, b"pass" | b"pw") || holds_any(value, &PLACEHOLDERS)
}

/// Whether one of the lower-case `words` occurs anywhere in the value, in any case.
fn holds_any(value: &[u8], words: &[&str]) -> bool {
    let firsts =
        words.iter().filter_map(|word| word.bytes().next()).fold(0u128, |set, byte| set | 1 << (byte & 127));
    value.iter().enumerate().filter(|(_, byte)| firsts >> (byte.to_ascii_lowercase() & 127) & 1 == 1).any(
        |(at, _)| {
            let rest = value.get(at..).unwrap_or_default();
            words.iter().any(|word| {
                rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
            })
        },
    )
}

/// Whether the text looks drawn at random: letters and digits, no long stretches of the same, enough different characters.
pub(super) fn random(value: &[u8]) -> bool {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    digits > 0 && letters > 0 && entropy(value) >= 2.8
}

/// Whether a person may have chosen the text as a password: anything but a plain word or a phrase of prose.
pub(super) fn chosen(value: &[u8]) -> bool {
    let is_symbol = |byte: &u8| b"!@#$%^&*+=?~|".contains(byte);
    let digit = value.iter().any(u8::is_ascii_digit);
    let letter = value.iter().any(u8::is_ascii_alphabetic);
    let symbol = value.iter().any(is_symbol);
    // At the end of a word `!` and `?` are punctuation.
    let inside = value.split_last().is_some_and(|(_, inner)| inner.iter().any(is_symbol));
    let mixed_case =
        value.iter().skip(1).any(u8::is_ascii_uppercase) && value.iter().any(u8::is_ascii_lowercase);
    digit && (letter || symbol || value.len() <= 12)
        || letter && inside
        || mixed_case && value.len() >= 16 && entropy(value) >= 3.7
}

/// Whether the text is code that yields the value: `settings.db.password2`, `getPassword1(..)`, `os.environ[..]`.
pub(super) fn is_expression(value: &[u8]) -> bool {
    let call = value.iter().any(|byte| matches!(byte, b'(' | b'[' | b'{'));
    let path = value.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
        && value.windows(2).any(|pair| matches!(pair, [b'.', next] if next.is_ascii_alphabetic()))
        && value.first().is_some_and(u8::is_ascii_alphabetic);
    let joined = value.contains(&b'_')
        && value.iter().all(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let arrow = value.windows(2).any(|pair| matches!(pair, b"->" | b"::" | b"=>"));
    call || path || joined || arrow
}

/// Bits of information per character, from the counts of the characters.
fn entropy(value: &[u8]) -> f32 {
    let mut counts = [0u16; 128];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(byte & 127)) {
            *count += 1;
        }
    }
    let total = value.len() as f32;
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| f32::from(count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

//! Tokens of ASCII text without the library's way through normalized strings, which costs several times what the tokens
//! do. Only for the tokenizer that BERT uses; a test holds it to the library.

use tokenizers::models::ModelWrapper;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{Model, Tokenizer};

/// The longest word that is looked up whole before it is cut into pieces, in bytes. Longer ones are rarely in a vocabulary.
const WHOLE: usize = 32;

/// Whether ASCII text may take the short way to this tokenizer's tokens.
pub(super) fn fits(tokenizer: &Tokenizer) -> bool {
    let bert = matches!(
        tokenizer.get_normalizer(),
        Some(NormalizerWrapper::BertNormalizer(it)) if it.clean_text && it.lowercase
    );
    let words = matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)));
    let plain = tokenizer.get_added_tokens_decoder().values().all(|token| token.special);
    bert && words && plain && model(tokenizer).is_some_and(|model| model.max_input_chars_per_word >= WHOLE)
}

/// The vocabulary and how it cuts words.
pub(super) fn model(tokenizer: &Tokenizer) -> Option<&WordPiece> {
    match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) => Some(model),
        _ => None,
    }
}

/// Adds the tokens of an ASCII text: words in lower case, and each punctuation mark by itself.
///
/// # Errors
/// What the library says where a word has no token and the vocabulary none for unknown words.
pub(super) fn tokens(
    model: &WordPiece,
    text: &str,
    word: &mut String,
    out: &mut Vec<u32>,
) -> Result<(), String> {
    word.clear();
    for byte in text.bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => finish(model, word, out)?,
            _ if byte.is_ascii_control() => {}
            _ if byte.is_ascii_punctuation() => {
                finish(model, word, out)?;
                word.push(char::from(byte));
                finish(model, word, out)?;
            }
            _ => word.push(char::from(byte.to_ascii_lowercase())),
        }
    }
    finish(model, word, out)
}

fn finish(model: &WordPiece, word: &mut String, out: &mut Vec<u32>) -> Result<(), String> {
    if word.is_empty() {
        return Ok(());
    }
    match Some(&*word).filter(|word| word.len() <= WHOLE).and_then(|word| model.token_to_id(word)) {
        Some(id) => out.push(id),
        None => {
            let tokens = model.tokenize(word).map_err(|error| error.to_string())?;
            out.extend(tokens.iter().map(|token| token.id));
        }
    }
    word.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;
    use std::sync::LazyLock;

    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tokenizer.json");
        let mut tokenizer = Tokenizer::from_file(file).unwrap();
        tokenizer.set_encode_special_tokens(true);
        tokenizer
    });

    fn agree(text: &str) {
        let tokenizer = &*TOKENIZER;
        assert!(fits(tokenizer));
        let mut ids = Vec::new();
        tokens(model(tokenizer).unwrap(), text, &mut String::new(), &mut ids).unwrap();
        assert_eq!(ids, tokenizer.encode_fast(text, false).unwrap().get_ids(), "{text:?}");
    }

    #[test]
    fn every_pair_of_ascii_characters_gives_the_tokens_of_the_library() {
        for first in 0..128u8 {
            for second in 0..128u8 {
                agree(&String::from_utf8(vec![b'A', first, second, b'z']).unwrap());
            }
        }
    }

    #[test]
    fn long_words_and_spelled_out_special_tokens_give_the_tokens_of_the_library() {
        for word in ["[SEP]", "[CLS] [UNK]", "##ing", "don't", "pneumonoultramicroscopic", "a\u{1}b"] {
            agree(word);
        }
        for len in [WHOLE - 1, WHOLE, WHOLE + 1, 99, 100, 101, 5000] {
            agree("ab".repeat(len).split_at(len).0);
        }
    }

    proptest! {
        #[test]
        fn any_ascii_text_gives_the_tokens_of_the_library(text in "([ -~]{0,40}|[a-zA-Z]{1,9}[ ,.'-]?){0,12}") {
            let ascii: String = text.chars().filter(char::is_ascii).collect();
            agree(&ascii);
        }
    }
}

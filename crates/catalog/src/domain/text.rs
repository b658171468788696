//! Text as shoppers write and seek it: what a name may hold, its plain form, and its words.
//! Leaves finding words to the reads.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use kernel::Fault;

/// How much of a word counts, in characters, in products and searches alike.
const WORD_CHARS_MAX: usize = 32;

/// What lies above every text that begins with a word: the last character there is.
const ABOVE: char = '\u{10FFFF}';

/// Letters that people also write, and seek, without what is on or in them.
const PLAIN: [(&str, &str); 29] = [
    ("a", "àáâãäåāăąǎ"),
    ("ae", "æ"),
    ("c", "çćĉċč"),
    ("d", "ďđð"),
    ("e", "èéêëēĕėęě"),
    ("g", "ĝğġģ"),
    ("h", "ĥħ"),
    ("i", "ìíîïĩīĭįı"),
    ("ij", "ĳ"),
    ("j", "ĵ"),
    ("k", "ķ"),
    ("l", "ĺļľŀł"),
    ("n", "ñńņňŉŋ"),
    ("o", "òóôõöøōŏőơ"),
    ("oe", "œ"),
    ("r", "ŕŗř"),
    ("s", "śŝşšșſ"),
    ("ss", "ß"),
    ("t", "ţťŧț"),
    ("th", "þ"),
    ("u", "ùúûüũūŭůűųư"),
    ("w", "ŵ"),
    ("y", "ýÿŷ"),
    ("z", "źżž"),
    ("e", "ẹẻẽếềểễệ"),
    ("a", "ạảấầẩẫậắằẳẵặ"),
    ("o", "ọỏốồổỗộớờởỡợ"),
    ("u", "ụủứừửữự"),
    ("i", "ỉị"),
];

/// `text` without white space around it, if it has so many characters and none of control.
pub(crate) fn checked(pointer: &str, text: &str, chars: RangeInclusive<usize>) -> Result<String, Fault> {
    let text = text.trim();
    let count = text.chars().count();
    if !chars.contains(&count) {
        let (least, most) = (chars.start(), chars.end());
        return Err(Fault::invalid_field(pointer, format!("it has {count} characters; {least} to {most} are right")));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::invalid_field(pointer, "it holds a line break or another character of control; leave those out"));
    }
    Ok(text.to_owned())
}

/// `text` in lower case, without diacritics: what is sorted and compared.
pub(crate) fn folded(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars().flat_map(char::to_lowercase) {
        match PLAIN.iter().find(|(_, letters)| !letter.is_ascii() && letters.contains(letter)) {
            Some((without, _)) => plain.push_str(without),
            // Marks that stand behind the letter they are on.
            None if ('\u{300}'..='\u{36f}').contains(&letter) => {}
            None => plain.push(letter),
        }
    }
    plain
}

/// The words of `text` in their plain form. An apostrophe does not part words: `Ben's` is found by `bens` and by `ben`.
pub(crate) fn words(text: &str) -> BTreeSet<String> {
    let plain: String = folded(text).chars().filter(|letter| !matches!(letter, '\'' | '’')).collect();
    let words = plain.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.chars().take(WORD_CHARS_MAX).collect()).collect()
}

/// The range of texts that begin with `word`: from it, and below the second.
pub(crate) fn beginning_with(word: &str) -> (String, String) {
    (word.to_owned(), format!("{word}{ABOVE}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(words(text).into_iter().collect::<Vec<_>>(), expected, "{text}");
    }

    #[test]
    fn words_are_plain_and_stand_once() {
        check("Whole Milk, 1 gal", &["1", "gal", "milk", "whole"]);
        check("Crème brûlée – CREME", &["brulee", "creme"]);
        check("Cre\u{300}me", &["creme"]);
        check("Ben's & Jerry’s", &["bens", "jerrys"]);
        check("Straße Œuf smørrebrød İzmir", &["izmir", "oeuf", "smorrebrod", "strasse"]);
        check("dairy-eggs", &["dairy", "eggs"]);
        check("Phở bò", &["bo", "pho"]);
        check("牛乳 молоко", &["молоко", "牛乳"]);
        check(" – !", &[]);
        check(&"x".repeat(40), &[&"x".repeat(32)]);
    }

    #[test]
    fn texts_have_bounds() {
        assert_eq!(checked("/name", "  Milk ", 1..=4).unwrap(), "Milk");
        for wrong in ["", "   ", "Cream", "a\nb", "a\0"] {
            assert_eq!(checked("/name", wrong, 1..=4).unwrap_err().fields[0].field, "/name", "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_word_is_found_by_each_of_its_beginnings(text in "\\PC{0,40}") {
            for word in words(&text) {
                for (end, letter) in word.char_indices() {
                    let (from, below) = beginning_with(&word[..end + letter.len_utf8()]);
                    prop_assert!(from <= word && word < below);
                }
            }
        }

        #[test]
        fn plain_words_stay_as_they_are(text in "[a-z0-9]{1,32}") {
            prop_assert_eq!(words(&text).into_iter().next(), Some(text));
        }
    }
}

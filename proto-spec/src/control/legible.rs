//! Names as people are shown them. They come from other members, and must neither steer a terminal nor pass for another name.

use std::fmt::Write as _;

/// A name as shown: one line, unambiguous, harmless. What cannot be shown, or cannot be told from something else, appears as
/// `\n`, `\x1b`, `\u{202e}`; a backslash doubles.
///
/// ```
/// use fsdfs_proto::control::legible;
///
/// assert_eq!(legible("Gr\u{fc}\u{df}e".as_bytes()), "Gr\u{fc}\u{df}e");
/// assert_eq!(legible("a\u{202e}gpj.exe".as_bytes()), "a\\u{202e}gpj.exe");
/// ```
pub fn legible(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            // A mark at the very beginning would be drawn over what stands before the name.
            let is_loose = shown.is_empty() && is_mark(character);
            push_legible(&mut shown, character, is_loose || is_deceptive(character));
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Adds a character, escaped if it has to be.
pub fn push_legible(shown: &mut String, character: char, is_escaped: bool) {
    match character {
        '\\' => shown.push_str("\\\\"),
        '\n' => shown.push_str("\\n"),
        '\t' => shown.push_str("\\t"),
        '\r' => shown.push_str("\\r"),
        character if !is_escaped => shown.push(character),
        character if character.is_ascii() => {
            let _ = write!(shown, "\\x{:02x}", u32::from(character));
        }
        character => {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        }
    }
}

/// Control characters, and what reorders the text around it: what a terminal must not be given even in a file's content.
pub fn is_steering(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The same, and what in a name cannot be seen or looks like a space: with it two names would look alike. These are the characters
/// of Unicode that are ignored where they cannot be drawn (`Default_Ignorable_Code_Point`), those of format (Cf), all spaces but
/// the plain one, what is drawn as nothing, and what is no character.
pub fn is_deceptive(character: char) -> bool {
    is_steering(character)
        || matches!(character,
            // Spaces.
            '\u{00a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
            // Fillers, joiners and what is drawn as nothing.
            | '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
            | '\u{3164}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{fffc}' | '\u{1d159}'
            // Variation selectors and tags.
            | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}'
            // Other characters of format.
            | '\u{0600}'..='\u{0605}' | '\u{06dd}' | '\u{070f}' | '\u{0890}' | '\u{0891}' | '\u{08e2}' | '\u{110bd}'
            | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Private ones, which each font draws as it likes, and such as are none.
            | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' | '\u{fdd0}'..='\u{fdef}')
        || u32::from(character) & 0xfffe == 0xfffe
}

/// Marks that are drawn over the character before them: the blocks that hold nothing else.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{0300}'..='\u{036f}' | '\u{0483}'..='\u{0489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Whether two names can be taken for each other: they differ in nothing but what cannot be seen, spaces, and the case of letters.
pub fn look_alike(one: &str, other: &str) -> bool {
    let seen = |name: &str| -> String {
        let visible = name.chars().filter(|character| !character.is_whitespace() && !is_deceptive(*character));
        visible.flat_map(char::to_lowercase).collect()
    };
    one == other || seen(one) == seen(other)
}

/// JSON with every deceptive character as an escape, which leaves all values as they are. (Outside of its texts JSON is ASCII.)
pub fn legible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if is_deceptive(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(bytes: &[u8], shown: &str) {
        assert_eq!(legible(bytes), shown);
    }

    #[test]
    fn what_can_be_seen_stays_and_the_rest_is_spelled_out() {
        check(b"holiday.jpg", "holiday.jpg");
        check(
            "Gr\u{fc}\u{df}e \u{1f600} \u{65e5}\u{672c} e\u{301}".as_bytes(),
            "Gr\u{fc}\u{df}e \u{1f600} \u{65e5}\u{672c} e\u{301}",
        );
        check(b"a\nb\tc\rd", "a\\nb\\tc\\rd");
        check(b"\x1b]0;pwned\x07", "\\x1b]0;pwned\\x07");
        check("a\u{202e}gpj.exe".as_bytes(), "a\\u{202e}gpj.exe");
        check("a\u{9b}31m".as_bytes(), "a\\u{9b}31m");
        check(b"caf\xe9", "caf\\xe9");
        check(b"back\\slash", "back\\\\slash");
        check("\u{0338}x".as_bytes(), "\\u{338}x");
    }

    #[test]
    fn names_that_would_look_alike_do_not() {
        let looks_like_anna = [
            "anna\u{3164}",
            "anna\u{a0}",
            "anna\u{fe0f}",
            "anna\u{200b}",
            "anna\u{2066}",
            "anna\u{e0061}",
            "anna\u{e0100}",
            "an\u{ad}na",
            "anna\u{2800}",
            "anna\u{3000}",
            "anna\u{115f}",
            "anna\u{34f}",
            "anna\u{ffa0}",
            "anna\u{2003}",
            "\u{202a}anna",
            "\u{202e}anna",
            "\u{2069}anna",
            "anna\u{10fffe}",
        ];
        for name in looks_like_anna {
            let shown = legible(name.as_bytes());
            assert!(shown.is_ascii() && shown.contains("\\u{"), "{shown}");
        }
    }

    #[test]
    fn what_looks_alike_is_known_to() {
        assert!(look_alike("anna", "Anna\u{200b} ") && look_alike("\u{e4}", "\u{c4}\u{fe0f}"));
        assert!(!look_alike("anna", "hanna") && !look_alike("anna", "\u{e4}nna"));
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{e0061}\u{7f}\u{85}\u{a0}c \u{1f600} \u{fc}\"\\\n" });
        let shown = legible_json(&value.to_string());
        assert!(!shown.chars().any(is_deceptive), "{shown}");
        assert!(shown.contains("\u{1f600} \u{fc}"), "what can be seen stays: {shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("still JSON"), value);
    }

    proptest! {
        #[test]
        fn nothing_deceptive_survives(bytes: Vec<u8>, text: String) {
            prop_assert!(!legible(&bytes).chars().any(is_deceptive));
            prop_assert!(!legible(text.as_bytes()).chars().any(is_deceptive));
            let json = serde_json::to_string(&text).expect("text");
            prop_assert_eq!(serde_json::from_str::<String>(&legible_json(&json)).expect("still JSON"), text);
        }

        #[test]
        fn different_names_look_different(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(a == b, legible(&a) == legible(&b));
        }
    }
}

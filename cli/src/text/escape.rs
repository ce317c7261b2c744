//! Names and contents come from other people's machines; on a terminal they must not move the cursor, recolour, retitle
//! or reorder what stands around them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// A name as shown: one line, unambiguous, harmless. What cannot be shown appears as `\n`, `\x1b`, `\u{202e}`; a
/// backslash doubles.
pub fn name(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            push_escaped(&mut shown, char);
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// A sentence that may quote foreign text, such as an error from another program.
pub fn line(text: &str) -> Cow<'_, str> {
    if text.chars().any(|char| char != '\n' && is_harmful(char)) {
        Cow::Owned(text.chars().map(|char| if is_harmful(char) && char != '\n' { '\u{fffd}' } else { char }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn push_escaped(shown: &mut String, char: char) {
    match char {
        '\\' => shown.push_str("\\\\"),
        '\n' => shown.push_str("\\n"),
        '\t' => shown.push_str("\\t"),
        '\r' => shown.push_str("\\r"),
        char if !is_harmful(char) => shown.push(char),
        char if char.is_ascii() => {
            let _ = write!(shown, "\\x{:02x}", u32::from(char));
        }
        char => {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(char));
        }
    }
}

/// Control characters, and the format characters that reorder text or cannot be seen (so that two names look alike).
fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes file contents to a terminal: lines and tabs pass, everything that could steer the terminal is escaped.
pub struct TerminalWriter<W> {
    to: W,
    /// The start of a character whose rest has not come yet, at most three bytes.
    cut: Vec<u8>,
}

impl<W: Write> TerminalWriter<W> {
    /// Escapes what is written and hands it to `to`.
    pub fn new(to: W) -> Self {
        Self { to, cut: Vec::new() }
    }

    fn put(&mut self, bytes: &[u8], last: bool) -> io::Result<()> {
        let mut shown = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for char in chunk.valid().chars() {
                if matches!(char, '\n' | '\t') { shown.push(char) } else { push_shown(&mut shown, char) }
            }
            let invalid = chunk.invalid();
            // An incomplete character at the very end may be completed by the next write.
            if !last && chunks.peek().is_none() && is_cut_character(invalid) {
                self.cut = invalid.to_vec();
            } else {
                for byte in invalid {
                    let _ = write!(shown, "\\x{byte:02x}");
                }
            }
        }
        self.to.write_all(shown.as_bytes())
    }

    /// Writes what an unfinished character left behind.
    pub fn finish(mut self) -> io::Result<()> {
        let cut = std::mem::take(&mut self.cut);
        self.put(&cut, true)?;
        self.to.flush()
    }
}

/// In contents a backslash is just a backslash.
fn push_shown(shown: &mut String, char: char) {
    if char == '\\' { shown.push(char) } else { push_escaped(shown, char) }
}

fn is_cut_character(bytes: &[u8]) -> bool {
    let wanted = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => return false,
    };
    bytes.len() < wanted
}

impl<W: Write> Write for TerminalWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut whole = std::mem::take(&mut self.cut);
        if whole.is_empty() {
            self.put(bytes, false)?;
        } else {
            whole.extend_from_slice(bytes);
            self.put(&whole, false)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(bytes: &[u8], shown: &str) {
        assert_eq!(name(bytes), shown);
    }

    #[test]
    fn names() {
        check(b"holiday.jpg", "holiday.jpg");
        check("Gr\u{fc}\u{df}e \u{1f600}".as_bytes(), "Gr\u{fc}\u{df}e \u{1f600}");
        check(b"a\nb\tc\rd", "a\\nb\\tc\\rd");
        check(b"\x1b]0;pwned\x07", "\\x1b]0;pwned\\x07");
        check("a\u{202e}gpj.exe".as_bytes(), "a\\u{202e}gpj.exe");
        check("a\u{9b}31m".as_bytes(), "a\\u{9b}31m");
        check(b"caf\xe9", "caf\\xe9");
        check(b"back\\slash", "back\\\\slash");
        check("zero\u{200b}width".as_bytes(), "zero\\u{200b}width");
    }

    #[test]
    fn a_character_cut_by_two_writes_is_shown_whole() {
        let mut out = Vec::new();
        let mut writer = TerminalWriter::new(&mut out);
        writer.write_all(b"gr\xc3").expect("memory");
        writer.write_all(b"\xbc\xc3").expect("memory");
        writer.finish().expect("memory");
        assert_eq!(out, "gr\u{fc}\\xc3".as_bytes());
    }

    proptest! {
        #[test]
        fn nothing_harmful_survives(bytes: Vec<u8>) {
            prop_assert!(!name(&bytes).chars().any(is_harmful));
            let mut out = Vec::new();
            let mut writer = TerminalWriter::new(&mut out);
            for piece in bytes.chunks(3) {
                writer.write_all(piece).expect("memory");
            }
            writer.finish().expect("memory");
            let text = String::from_utf8(out).expect("escaped text is UTF-8");
            prop_assert!(!text.chars().any(|char| is_harmful(char) && char != '\n' && char != '\t'));
        }

        #[test]
        fn different_names_look_different(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(a == b, name(&a) == name(&b));
        }
    }
}

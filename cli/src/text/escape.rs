//! Names and contents come from other people's machines; on a terminal they must not move the cursor, recolour, retitle
//! or reorder what stands around them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use fsdfs_proto::control::{is_deceptive, is_steering, legible, push_legible, typed_name};

/// A name as shown: one line, unambiguous, harmless. What cannot be shown appears as `\n`, `\x1b`, `\u{202e}`; a
/// backslash doubles.
pub fn name(bytes: &[u8]) -> String {
    legible(bytes)
}

/// The name of a member, as it can be typed again: one that looks like an id stands behind `name:`.
pub fn member(chosen: &str) -> String {
    legible(typed_name(chosen).as_bytes())
}

/// A sentence that may quote foreign text, such as an error from another program.
pub fn line(text: &str) -> Cow<'_, str> {
    if text.chars().any(|char| char != '\n' && is_deceptive(char)) {
        let shown = |char| if is_deceptive(char) && char != '\n' { '\u{fffd}' } else { char };
        Cow::Owned(text.chars().map(shown).collect())
    } else {
        Cow::Borrowed(text)
    }
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
    if char == '\\' { shown.push(char) } else { push_legible(shown, char, is_steering(char)) }
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

    #[test]
    fn a_member_that_calls_itself_like_an_id_is_told_from_one() {
        assert_eq!(member("anna"), "anna");
        assert_eq!(member("deadbeef"), "name:deadbeef");
        assert_eq!(member("name:x"), "name:name:x");
        assert_eq!(member("anna\u{3164}"), "anna\\u{3164}");
    }

    #[test]
    fn a_sentence_passes_for_no_other() {
        assert_eq!(line("two\nlines \u{fc}"), "two\nlines \u{fc}");
        assert_eq!(line("a\u{a0}b\u{202e}\x1b"), "a\u{fffd}b\u{fffd}\u{fffd}");
    }

    #[test]
    fn contents_keep_what_does_not_steer_a_terminal() {
        let mut out = Vec::new();
        let mut writer = TerminalWriter::new(&mut out);
        writer.write_all("\u{65e5}\u{3000}\u{672c} 5\u{a0}km \u{2764}\u{fe0f}\u{202e}\x1b".as_bytes()).expect("memory");
        writer.finish().expect("memory");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "\u{65e5}\u{3000}\u{672c} 5\u{a0}km \u{2764}\u{fe0f}\\u{202e}\\x1b");
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
            let mut out = Vec::new();
            let mut writer = TerminalWriter::new(&mut out);
            for piece in bytes.chunks(3) {
                writer.write_all(piece).expect("memory");
            }
            writer.finish().expect("memory");
            let text = String::from_utf8(out).expect("escaped text is UTF-8");
            prop_assert!(!text.chars().any(|char| is_steering(char) && char != '\n' && char != '\t'));
        }
    }
}

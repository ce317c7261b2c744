//! The program as its user calls it, so that every hint can be copied to the prompt.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What stands before the verb in every hint.
#[derive(Clone, Debug)]
pub struct ProgramName {
    words: Vec<String>,
}

impl ProgramName {
    /// `argv0` as typed, and `--home` if it was typed. (A home from the environment is still there next time.)
    pub fn new(argv0: &OsStr, typed_home: Option<&Path>) -> Self {
        let mut words = vec![quote(if argv0.is_empty() { OsStr::new("fsdfs") } else { argv0 })];
        if let Some(home) = typed_home {
            words.extend(["--home".to_owned(), quote(home.as_os_str())]);
        }
        Self { words }
    }

    /// The program alone.
    pub fn name(&self) -> &str {
        &self.words[0]
    }

    /// A whole command. `rest` must be quoted already.
    pub fn command(&self, rest: &str) -> String {
        format!("{} {rest}", self.words.join(" "))
    }

    /// A whole command of these words, quoted as needed.
    pub fn command_of<S: Into<OsString>>(&self, words: impl IntoIterator<Item = S>) -> String {
        let words: Vec<String> = words.into_iter().map(|word| quote(&word.into())).collect();
        self.command(&words.join(" "))
    }

    /// A text of the node, which does not know how its user calls the program and says 'fsdfs VERB' in quotes.
    pub fn in_hint(&self, text: &str) -> String {
        self.in_hint_about(text, None)
    }

    /// The same, where the node says PATH for what was asked about.
    pub fn in_hint_about(&self, text: &str, path: Option<&OsStr>) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("'fsdfs ") {
            let Some((words, later)) = after.split_once('\'') else { break };
            let words = words.split(' ').map(|word| match path {
                Some(path) if word == "PATH" => quote(path),
                _ => word.to_owned(),
            });
            let words = words.collect::<Vec<_>>().join(" ");
            // A home that the text names stands for the one that was typed.
            let is_whole = words.starts_with("--home ");
            let command = if is_whole { format!("{} {words}", self.name()) } else { self.command(&words) };
            shown += before;
            shown += &enclosed(&command);
            rest = later;
        }
        shown + rest
    }

    /// For unit tests.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        Self::new(OsStr::new("fsdfs"), None)
    }
}

/// A command inside a sentence, between signs that do not occur in it.
fn enclosed(command: &str) -> String {
    let signs = [('\'', '\''), ('`', '`'), ('"', '"'), ('\u{201c}', '\u{201d}')];
    let fits = |(open, close): &(char, char)| !command.contains([*open, *close]);
    let (open, close) = signs.into_iter().find(fits).unwrap_or(('\u{ab}', '\u{bb}'));
    format!("{open}{command}{close}")
}

/// A word as a POSIX shell reads it back; bytes that cannot be shown need `$'...'`, as bash, zsh and ksh have it.
pub fn quote(word: &OsStr) -> String {
    let bytes = word.as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if crate::text::escape::name(bytes).replace("\\\\", "\\") == text => {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
        _ => {
            let escaped =
                |byte: &u8| if is_plain(byte) { char::from(*byte).to_string() } else { format!("\\x{byte:02x}") };
            format!("$'{}'", bytes.iter().map(escaped).collect::<String>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_needed() {
        for (word, quoted) in [
            (&b"/a/b-c.d"[..], "/a/b-c.d"),
            (b"", "''"),
            (b"two words", "'two words'"),
            (b"it's", "'it'\\''s'"),
            (b"back\\slash", "'back\\slash'"),
            (b"line\nbreak", "$'line\\x0abreak'"),
            (b"caf\xe9", "$'caf\\xe9'"),
        ] {
            assert_eq!(quote(OsStr::from_bytes(word)), quoted);
        }
    }

    #[test]
    fn hints_repeat_a_typed_home() {
        let program = ProgramName::new(OsStr::new("target/release/fsdfs"), Some(Path::new("/tmp/a b")));
        assert_eq!(program.command("up"), "target/release/fsdfs --home '/tmp/a b' up");
        assert_eq!(program.command_of(["put", "x y", "/"]), "target/release/fsdfs --home '/tmp/a b' put 'x y' /");
    }

    #[test]
    fn a_command_in_a_text_of_the_node_can_be_copied() {
        let text = "see 'fsdfs df', or 'fsdfs --home DIR join TICKET'; don't 'fsdfs rm -r PATH'";
        let program = |home: &str| ProgramName::new(OsStr::new("fsdfs"), Some(Path::new(home)));
        let plain = ProgramName::for_tests();
        assert_eq!(plain.in_hint(text), text);
        assert_eq!(
            program("/a").in_hint_about(text, Some(OsStr::new("/x"))),
            "see 'fsdfs --home /a df', or 'fsdfs --home DIR join TICKET'; don't 'fsdfs --home /a rm -r /x'"
        );
        assert_eq!(program("/a b").in_hint("see 'fsdfs df'."), "see `fsdfs --home '/a b' df`.");
        assert_eq!(program("/a`b c").in_hint("'fsdfs df'"), "\"fsdfs --home '/a`b c' df\"");
        assert_eq!(plain.in_hint_about("'fsdfs stat PATH'", Some(OsStr::new("/a b"))), "`fsdfs stat '/a b'`");
        assert_eq!(plain.in_hint("it's 'fsdfs without an end"), "it's 'fsdfs without an end");
    }
}

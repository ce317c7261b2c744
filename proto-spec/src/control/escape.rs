//! Paths in requests: bytes as text. A name need not be UTF-8, JSON and query strings are.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes as text: UTF-8 as it is, `%XX` for `%` itself, control characters and bytes that are not UTF-8.
///
/// A `%` that two hexadecimal digits do not follow stands for itself.
///
/// ```
/// use fsdfs_proto::control::EscapedText;
///
/// let name: EscapedText = "100%25 caf%E9".parse().expect("any text is read");
/// assert_eq!(name.0, b"100% caf\xe9");
/// assert_eq!(name.to_string(), "100%25 caf%E9");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EscapedText(pub Vec<u8>);

impl fmt::Display for EscapedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '%' => f.write_str("%25")?,
                    control if control.is_control() => {
                        control.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
                    }
                    other => f.write_char(other)?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
        }
        Ok(())
    }
}

impl FromStr for EscapedText {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(percent_decode_str(text).collect()))
    }
}

impl From<&[u8]> for EscapedText {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<&str> for EscapedText {
    /// The text as it is, without reading escapes.
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl Serialize for EscapedText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EscapedText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Ok(Self(percent_decode_str(&text).collect()))
    }
}

/// Content of a small file, in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmallContent(pub Bytes);

impl Serialize for SmallContent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for SmallContent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let bytes = STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}

/// A query string of these parameters, every byte that is not a letter or digit escaped.
pub fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let pairs: Vec<String> = parameters
        .into_iter()
        .map(|(name, value)| format!("{name}={}", percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    pairs.join("&")
}

/// The parameters of a query string. `+` is a space, as in every query string; a plus sign is `%2B`.
///
/// Values are bytes: the usual form decoders replace what is not UTF-8, which would make two names one.
pub fn parameters(query: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    pairs(query).map(|(name, value)| (String::from_utf8_lossy(&name).into_owned(), value))
}

/// The same, whatever bytes the names have.
pub fn pairs(query: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let bytes = |text: &str| percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
        (bytes(name), bytes(value))
    })
}

/// A name or link target as text, and in base64 if it is not UTF-8.
pub fn text_and_bytes(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            (text, Some(STANDARD.encode(bytes)))
        }
    }
}

/// The bytes behind text and base64 of an answer.
pub fn raw_bytes(text: &str, bytes: Option<&str>) -> Vec<u8> {
    bytes.and_then(|encoded| STANDARD.decode(encoded).ok()).unwrap_or_else(|| text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_survive_text_and_query() {
        let names: [&[u8]; 6] = [b"", b"/a b/c+d&e=f%41", "/ä/雪".as_bytes(), b"/\xff\x00\x0a\"", b"100%", b"%25%"];
        for name in names {
            let text = EscapedText::from(name).to_string();
            assert_eq!(text.parse(), Ok(EscapedText::from(name)), "{text}");
            let json = serde_json::to_string(&EscapedText::from(name)).expect("text");
            assert_eq!(serde_json::from_str::<EscapedText>(&json).expect("text"), EscapedText::from(name));
            let query = query([("path", name), ("max", b"3")]);
            let back: Vec<_> = parameters(&query).collect();
            assert_eq!(back, [("path".into(), name.to_vec()), ("max".into(), b"3".to_vec())]);
        }
        assert_eq!(EscapedText::from("/ä 1%").to_string(), "/ä 1%25");
    }

    #[test]
    fn any_content_survives_json() {
        let all: Vec<u8> = (0..=255).collect();
        for content in [&b""[..], b"a", b"ab", &all] {
            let content = SmallContent(Bytes::copy_from_slice(content));
            let json = serde_json::to_string(&content).expect("text");
            assert_eq!(serde_json::from_str::<SmallContent>(&json).expect("base64"), content);
            assert_eq!(serde_json::from_slice::<SmallContent>(json.as_bytes()).expect("base64"), content);
        }
        assert!(serde_json::from_str::<SmallContent>("\"a\"").is_err());
    }
}

//! Strings that people copy: `PREFIX base64url(value || checksum)` (spec 01-identity §9).

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::codec::{self, CanonicalCodec, FormatError};
use crate::ids::Digest;
use crate::label;

/// Bytes of what is pasted at most; the longest ticket has about 26,000 characters, and white space may be among them.
const TEXT_BYTES_MAX: usize = 32 * 1024;
const CHECKSUM_BYTES: usize = 4;

/// Lenient about the last character's unused bits only in order to tell a cut string from a mistyped one.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringKind {
    /// An invitation.
    Ticket,
    /// A key to a volume.
    Capability,
}

/// A pasted string that cannot be used. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Something else was pasted.
    #[error("this is not a {0}: a {0} begins with '{prefix}'", prefix = .0.prefix())]
    Other(StringKind),
    /// The other kind of string was pasted.
    #[error("this is a {found}, not a {expected}")]
    WrongKind {
        /// What was asked for.
        expected: StringKind,
        /// What was pasted.
        found: StringKind,
    },
    /// Made by another version of fsdfs.
    #[error("this {kind} is of version {version}, this program reads version 1; both sides need the same fsdfs")]
    OtherVersion {
        /// Of what.
        kind: StringKind,
        /// Its version.
        version: u32,
    },
    /// The end is missing.
    #[error("the {0} is incomplete: its end is missing; copy all of it")]
    Cut(StringKind),
    /// Some character is wrong.
    #[error("the {0} is damaged: some of its characters are wrong or extra; copy it again instead of typing it")]
    Mistyped(StringKind),
    /// Far longer than any.
    #[error("this is too long for a {0}; copy only the {0} itself")]
    TooLong(StringKind),
    /// Whole and well copied, but made wrong by its issuer.
    #[error("the {kind} was made wrong: {error}; ask for a new one")]
    Invalid {
        /// Of what.
        kind: StringKind,
        /// What is wrong.
        error: FormatError,
    },
    /// Whole and well copied, but its certificates lead nowhere.
    #[error("the ticket was made wrong ({0:?}); ask for a new one")]
    Chain(super::GateRefusal),
}

impl StringKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Ticket => label::TICKET,
            Self::Capability => label::CAPABILITY,
        }
    }

    /// The prefix without version.
    fn family(self) -> &'static str {
        self.prefix().strip_suffix("1:").expect("prefixes end in their version")
    }
}

impl std::fmt::Display for StringKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ticket => "ticket",
            Self::Capability => "capability",
        })
    }
}

/// The string of a value. It holds secrets, so it wipes itself.
pub(super) fn write<T: CanonicalCodec>(kind: StringKind, value: &T) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(codec::encode(value));
    let checksum = checksum(kind, &bytes);
    bytes.extend_from_slice(&checksum);
    let body = Zeroizing::new(BASE64.encode(&*bytes));
    Zeroizing::new([kind.prefix(), &body].concat())
}

/// Reads what somebody pasted; white space anywhere in it is what mail programs and terminals add.
pub(super) fn read<T: CanonicalCodec>(kind: StringKind, pasted: &str) -> Result<T, TextError> {
    if pasted.len() > TEXT_BYTES_MAX {
        return Err(TextError::TooLong(kind));
    }
    let text: Zeroizing<String> = Zeroizing::new(pasted.chars().filter(|c| !c.is_whitespace()).collect());
    let bytes = open(kind, body(kind, &text)?)?;
    let value = &bytes[..bytes.len() - CHECKSUM_BYTES];
    codec::decode(value).map_err(|error| TextError::Invalid { kind, error })
}

/// What stands behind the prefix.
fn body(kind: StringKind, text: &str) -> Result<&str, TextError> {
    if let Some(body) = text.strip_prefix(kind.prefix()) {
        return Ok(body);
    }
    if let Some(version) = version(text, kind) {
        return Err(TextError::OtherVersion { kind, version });
    }
    let other = [StringKind::Ticket, StringKind::Capability].into_iter().find(|other| text.starts_with(other.family()));
    match other {
        Some(found) if found != kind => Err(TextError::WrongKind { expected: kind, found }),
        _ if !text.is_empty() && kind.prefix().starts_with(text) => Err(TextError::Cut(kind)),
        _ => Err(TextError::Other(kind)),
    }
}

fn version(text: &str, kind: StringKind) -> Option<u32> {
    let (version, _) = text.strip_prefix(kind.family())?.split_once(':')?;
    version.parse().ok()
}

/// The bytes behind base64, value and checksum, with the checksum compared.
fn open(kind: StringKind, body: &str) -> Result<Zeroizing<Vec<u8>>, TextError> {
    let typed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !body.chars().all(typed) {
        return Err(TextError::Mistyped(kind));
    }
    let bytes = Zeroizing::new(BASE64.decode(body).map_err(|_| TextError::Cut(kind))?);
    let (value, sum) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM_BYTES));
    let same = Zeroizing::new(BASE64.encode(&*bytes));
    if sum == checksum(kind, value) {
        return if *same == body { Ok(bytes) } else { Err(TextError::Mistyped(kind)) };
    }
    // The checksum says that something is wrong; the value's own lengths say whether something is missing.
    match codec::scan(&bytes) {
        Ok(rest) if rest.len() < CHECKSUM_BYTES => Err(TextError::Cut(kind)),
        Err(FormatError::EndsEarly) => Err(TextError::Cut(kind)),
        _ => Err(TextError::Mistyped(kind)),
    }
}

fn checksum(kind: StringKind, value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let bytes = Zeroizing::new([kind.prefix().as_bytes(), value].concat());
    let Digest(hash) = Digest::of(label::digest::CHECKSUM, &bytes);
    [hash[0], hash[1], hash[2], hash[3]]
}

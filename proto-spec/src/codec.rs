//! One encoding per value (spec 04-wire, "Encoding").
//!
//! MessagePack with structs as arrays, byte strings as `bin`, enums as `[tag u8, value]`, no maps, floats or ext types.
//! A decoder refuses what it would have written differently, so equal values have equal bytes, hashes and signatures.

use rmp::Marker;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Nesting of arrays at most. Nothing in the formats needs ten.
pub const DEPTH_MAX: usize = 16;

/// Bytes that no honest implementation of this version writes. Nothing was changed; whoever sent or stored them is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Not MessagePack of the expected shape.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Shorter than it says.
    #[error("malformed: ends early")]
    EndsEarly,
    /// Bytes follow the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// The same value has another, shorter or differently ordered, encoding.
    #[error("not the canonical encoding")]
    NotCanonical,
    /// A length, count or number is outside its bounds.
    #[error("{what} is outside its bounds")]
    OutOfBounds {
        /// Which field.
        what: &'static str,
    },
    /// Written by a newer version of fsdfs.
    #[error("{what} has version {version}, which this program does not know; update fsdfs")]
    TooNew {
        /// Which structure.
        what: &'static str,
        /// Its version.
        version: u32,
    },
    /// A signature does not fit, or its key is weak.
    #[error("the signature of {what} is not valid")]
    BadSignature {
        /// Which structure.
        what: &'static str,
    },
    /// Wrong key, or the bytes were changed.
    #[error("{what} does not open with this key")]
    DoesNotOpen {
        /// Which structure.
        what: &'static str,
    },
    /// A name that a directory never holds.
    #[error("a name is 1 to 255 bytes without '/' and NUL, and not '.' or '..'")]
    BadName,
}

/// A value with exactly one encoding.
pub trait CanonicalCodec: Serialize + DeserializeOwned {
    /// The bounds and orders that the type alone does not express.
    fn check(&self) -> Result<(), FormatError> {
        Ok(())
    }
}

/// The one encoding of `value`.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_onto(&mut bytes, value);
    bytes
}

/// Adds the one encoding of `value` to what is there already, so that whoever puts something in front need not copy it.
pub fn encode_onto<T: Serialize>(bytes: &mut Vec<u8>, value: &T) {
    rmp_serde::encode::write(bytes, value).expect("writing plain data to memory does not fail");
}

/// Reads a value; anything [`encode`] would not have written is refused.
///
/// ```
/// use fsdfs_proto::codec::{decode, encode};
/// use fsdfs_proto::message::Message;
///
/// let mut bytes = encode(&Message::Ping(7));
/// assert_eq!(decode(&bytes), Ok(Message::Ping(7)));
/// bytes.push(0);
/// assert!(decode::<Message>(&bytes).is_err(), "one value has one encoding");
/// ```
pub fn decode<T: CanonicalCodec>(bytes: &[u8]) -> Result<T, FormatError> {
    let value: T = parse(bytes)?;
    value.check()?;
    if writes(&value, bytes) { Ok(value) } else { Err(FormatError::NotCanonical) }
}

/// Whether [`encode`] would write exactly these bytes. Compares while encoding: a second copy of everything that is read
/// would be made only to be dropped.
fn writes<T: Serialize>(value: &T, bytes: &[u8]) -> bool {
    let mut left = UnwrittenBytes(bytes);
    value.serialize(&mut rmp_serde::Serializer::new(&mut left)).is_ok() && left.0.is_empty()
}

/// What of the expected bytes was not written yet; a writer that fails at the first other byte.
struct UnwrittenBytes<'a>(&'a [u8]);

impl std::io::Write for UnwrittenBytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FormatError> {
    let rest = scan(bytes)?;
    if !rest.is_empty() {
        return Err(FormatError::Trailing(rest.len()));
    }
    let mut from = rmp_serde::Deserializer::from_read_ref(bytes);
    from.set_max_depth(DEPTH_MAX * 4);
    serde::Deserialize::deserialize(&mut from).map_err(|error| FormatError::Malformed(error.to_string()))
}

/// Walks over one value and returns what follows. Done before decoding, so that no announced length reserves memory
/// that the input does not fill: an array of n items needs at least n more bytes.
pub(crate) fn scan(bytes: &[u8]) -> Result<&[u8], FormatError> {
    let malformed = |why: &str| FormatError::Malformed(why.into());
    let mut input = bytes;
    // Items still expected on each open level; the first level is the value itself.
    let mut open = [1; DEPTH_MAX + 1];
    let mut level = 0;
    loop {
        if open[level] == 0 {
            if level == 0 {
                return Ok(input);
            }
            level -= 1;
            continue;
        }
        open[level] -= 1;
        let marker = rmp::decode::read_marker(&mut input).map_err(|_| FormatError::EndsEarly)?;
        let skip = match marker {
            Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => 0,
            Marker::U8 | Marker::I8 => 1,
            Marker::U16 | Marker::I16 => 2,
            Marker::U32 | Marker::I32 => 4,
            Marker::U64 | Marker::I64 => 8,
            Marker::FixStr(len) => usize::from(len),
            Marker::Str8 | Marker::Bin8 => be(&mut input, 1)?,
            Marker::Str16 | Marker::Bin16 => be(&mut input, 2)?,
            Marker::Str32 | Marker::Bin32 => be(&mut input, 4)?,
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                let items = match marker {
                    Marker::FixArray(items) => usize::from(items),
                    Marker::Array16 => be(&mut input, 2)?,
                    _ => be(&mut input, 4)?,
                };
                if items > input.len() {
                    return Err(FormatError::EndsEarly);
                }
                level += 1;
                *open.get_mut(level).ok_or_else(|| malformed("nested too deep"))? = items;
                0
            }
            _ => return Err(malformed("a map, float or ext type")),
        };
        input = input.get(skip..).ok_or(FormatError::EndsEarly)?;
    }
}

fn be(input: &mut &[u8], len: usize) -> Result<usize, FormatError> {
    let (head, rest) = input.split_at_checked(len).ok_or(FormatError::EndsEarly)?;
    *input = rest;
    Ok(head.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

/// `Err` unless `fine`.
pub fn bound(fine: bool, what: &'static str) -> Result<(), FormatError> {
    if fine { Ok(()) } else { Err(FormatError::OutOfBounds { what }) }
}

/// `Err` unless the items are strictly ascending by their key: a set or map has one order and no duplicates.
pub fn ascending<T, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> Result<(), FormatError> {
    if items.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])) { Ok(()) } else { Err(FormatError::NotCanonical) }
}

/// An enum whose variants hold one value each, encoded as `[tag, value]`.
#[macro_export]
macro_rules! tagged_enum {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$vdoc:meta])* $tag:literal => $variant:ident($inner:ty),)+ }) => {
        $(#[$doc])*
        $vis enum $name { $($(#[$vdoc])* $variant($inner),)+ }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                match self { $(Self::$variant(value) => ($tag as u8, value).serialize(to),)+ }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                struct TaggedVisitor;
                impl<'de> serde::de::Visitor<'de> for TaggedVisitor {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("[tag, value]")
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<$name, A::Error> {
                        use serde::de::Error as _;
                        let short = || A::Error::custom("a tagged value has two items");
                        let value = match seq.next_element::<u8>()?.ok_or_else(short)? {
                            $($tag => $name::$variant(seq.next_element::<$inner>()?.ok_or_else(short)?),)+
                            other => return Err(A::Error::custom(format_args!("unknown tag {other}"))),
                        };
                        Ok(value)
                    }
                }
                from.deserialize_tuple(2, TaggedVisitor)
            }
        }
    };
}

/// An enum without data, encoded as one u8.
#[macro_export]
macro_rules! u8_enum {
    ($(#[$doc:meta])* $vis:vis enum $name:ident { $($(#[$vdoc:meta])* $tag:literal => $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        $vis enum $name { $($(#[$vdoc])* $variant = $tag,)+ }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_u8(match self { $(Self::$variant => $tag,)+ })
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                match u8::deserialize(from)? {
                    $($tag => Ok(Self::$variant),)+
                    other => Err(serde::de::Error::custom(format_args!("unknown value {other}"))),
                }
            }
        }
    };
}

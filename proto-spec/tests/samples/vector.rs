//! Strings with what they say, and what every vector has to show.

use fsdfs_proto::codec::{self, CanonicalCodec};
use proptest::prop_assert_eq;
use proptest::test_runner::TestCaseError;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct StringVector {
    pub name: String,
    pub text: String,
    pub value: serde_json::Value,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct RefusedText {
    pub name: String,
    pub kind: String,
    pub text: String,
    pub error: String,
}

/// Decoding then encoding gives the same bytes, whatever the type.
pub fn same<T: CanonicalCodec>(payload: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = codec::decode::<T>(payload) {
        prop_assert_eq!(codec::encode(&value), payload);
    }
    Ok(())
}

//! Gate frames: the only bytes that a stranger gets a node to read.

use fsdfs_proto::codec::decode;
use fsdfs_proto::gate::{GateDirection, GateFrame, GateHello, GateVerdict, NONCE_BYTES, frame_len};
use fsdfs_proto::ids::{Key, NodeId};

use crate::sealed::{encrypt, expand};

const SECRET: Key = Key([7; 32]);
const SENDER: NodeId = NodeId([1; 32]);
const RECEIVER: NodeId = NodeId([2; 32]);

/// A frame as a stranger sends it, and the same bytes as the padded text and as the value of one that opens.
pub fn gate(data: &[u8]) {
    if let Some((head, frame)) = data.split_first_chunk::<2>() {
        let _ = frame_len(*head);
        open::<GateHello>(frame);
        open::<GateVerdict>(frame);
    }
    open::<GateHello>(&seal::<GateHello>(data));
    open::<GateVerdict>(&seal::<GateVerdict>(data));
    let _ = decode::<GateHello>(data);
    let _ = decode::<GateVerdict>(data);
}

fn open<T: GateFrame>(frame: &[u8]) {
    let _ = GateDirection { secret: &SECRET, sender: SENDER, receiver: RECEIVER }.open::<T>(frame);
}

/// What stands behind the length, by somebody who knows the secret and pads as he likes.
fn seal<T: GateFrame>(text: &[u8]) -> Vec<u8> {
    let key = expand(&SECRET.0, &[T::LABEL.as_bytes(), &[0], &SENDER.0, &RECEIVER.0].concat());
    let nonce = [0; NONCE_BYTES];
    [&nonce[..], &encrypt(&key, nonce, T::LABEL.as_bytes(), text)].concat()
}

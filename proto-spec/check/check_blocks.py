#!/usr/bin/env python3
"""Chapter 02-block, a second time: written from the chapter alone.

check_blocks.py VECTORS_DIR    derives the keys, takes apart, opens and seals again every block in VECTORS_DIR/block.json and
volume.json, and refuses the headers that block.json says are to be refused; exit code 1 if anything differs
"""

import hashlib
import hmac
import json
import pathlib
import sys

import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PAYLOAD_MAX, OVERHEAD_MAX, LINKS_MAX = 1 << 20, 128 << 10, 1536
DATA, MANIFEST, DIRECTORY, COMMIT = 1, 2, 3, 4
TREE, PARENT, STRIPE, LEAF = 0, 1, 2, 3
CLASSES = {DATA: (), MANIFEST: (TREE, LEAF, STRIPE), DIRECTORY: (TREE, LEAF), COMMIT: (TREE, PARENT)}


class Refused(Exception):
    pass


def need(fine, why):
    if not fine:
        raise Refused(why)


# --- 04-wire, section 1: MessagePack, one encoding per value ---------------------------------------------------------


def encode(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, bytes):
        return sized(len(value), (0xC4, 0xC5, 0xC6)) + value
    if isinstance(value, str):
        raw = value.encode()
        return (bytes([0xA0 | len(raw)]) if len(raw) < 32 else sized(len(raw), (0xD9, 0xDA, 0xDB))) + raw
    head = bytes([0x90 | len(value)]) if len(value) < 16 else sized(len(value), (None, 0xDC, 0xDD))
    return head + b"".join(map(encode, value))


def number(value):
    if value < 0:
        for low, tag, size in ((-32, None, 1), (-(1 << 7), 0xD0, 1), (-(1 << 15), 0xD1, 2), (-(1 << 31), 0xD2, 4)):
            if value >= low:
                return (b"" if tag is None else bytes([tag])) + value.to_bytes(size, "big", signed=True)
        return b"\xd3" + value.to_bytes(8, "big", signed=True)
    if value < 128:
        return bytes([value])
    for tag, size in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
        if value < 1 << 8 * size:
            return bytes([tag]) + value.to_bytes(size, "big")
    raise Refused("a number beyond 64 bits")


def sized(length, tags):
    for tag, size in zip(tags, (1, 2, 4)):
        if tag is not None and length < 1 << 8 * size:
            return bytes([tag]) + length.to_bytes(size, "big")
    raise Refused("too long")


def decode(raw):
    value, rest = item(raw, 0)
    need(not rest, "bytes after the value")
    need(encode(value) == raw, "not the canonical encoding")
    return value


def item(raw, depth):
    need(raw and depth <= 16, "ends early or nested too deep")
    tag, rest = raw[0], raw[1:]
    if tag < 0x80:
        return tag, rest
    if tag >= 0xE0:
        return tag - 256, rest
    if 0x90 <= tag < 0xA0:
        return items(tag & 15, rest, depth)
    if 0xA0 <= tag < 0xC0:
        return text(*cut(rest, tag & 31))
    if tag == 0xC0:
        return None, rest
    if tag in (0xC4, 0xC5, 0xC6):
        return cut(*counted(rest, 1 << tag - 0xC4))
    if tag in (0xCC, 0xCD, 0xCE, 0xCF):
        raw, rest = cut(rest, 1 << tag - 0xCC)
        return int.from_bytes(raw, "big"), rest
    if tag in (0xD0, 0xD1, 0xD2, 0xD3):
        raw, rest = cut(rest, 1 << tag - 0xD0)
        return int.from_bytes(raw, "big", signed=True), rest
    if tag in (0xD9, 0xDA, 0xDB):
        return text(*cut(*counted(rest, 1 << tag - 0xD9)))
    if tag in (0xDC, 0xDD):
        rest, length = counted(rest, 2 << tag - 0xDC)
        return items(length, rest, depth)
    raise Refused("a map, float, boolean or ext type")


def cut(raw, length):
    need(len(raw) >= length, "ends early")
    return raw[:length], raw[length:]


def counted(raw, size):
    head, rest = cut(raw, size)
    return rest, int.from_bytes(head, "big")


def items(length, raw, depth):
    need(length <= len(raw), "an array longer than the input")
    values = []
    for _ in range(length):
        value, raw = item(raw, depth + 1)
        values.append(value)
    return values, raw


def text(raw, rest):
    return raw.decode(), rest


# --- sections 1 and 4: keys and sealing ------------------------------------------------------------------------------


def hkdf(key, info):
    """HKDF-SHA256 with an empty salt, 32 bytes."""
    return hmac.digest(hmac.digest(bytes(32), key, "sha256"), info + b"\x01", "sha256")


def derive(keys, key, label):
    info = b"fsdfs/2/" + label.encode() + b"\0" + bytes.fromhex(keys["volume"]) + keys["epoch"].to_bytes(4, "big")
    return hkdf(key, info)


def check_keys(keys):
    secret = bytes.fromhex(keys["write_secret"])
    read = derive(keys, secret, "vol-read")
    sign = Ed25519PrivateKey.from_private_bytes(derive(keys, secret, "vol-write-sign"))
    made = {
        "read": read,
        "read_check": derive(keys, read, "vol-read-check"),
        "seal": derive(keys, secret, "vol-seal"),
        "commit_salt": derive(keys, secret, "vol-commit-salt"),
        "commit_open": derive(keys, read, "vol-commit-open"),
        "write_pk": sign.public_key().public_bytes_raw(),
    }
    for name, value in made.items():
        need(value.hex() == keys[name], f"key {name}")
    return made


def keyed(key, aad, payload):
    return blake3.blake3(len(aad).to_bytes(8, "big") + aad + payload, key=key).digest()


def aad_of(header):
    raw = encode(header)
    return len(raw).to_bytes(4, "big") + raw


def sealed(keys, header, payload):
    """The key and the block of a header and a payload."""
    if header[1] == COMMIT and header[5] is not None:
        extra = header[5]
        salt = keyed(keys["commit_salt"], aad_of(header[:5] + [extra[:5] + [bytes(32)]]), payload)
        header = header[:5] + [extra[:5] + [salt]]
        key = hkdf(keys["commit_open"], b"fsdfs/2/commit-key\0" + salt)
    else:
        key = keyed(keys["seal"], aad_of(header), payload)
    aad = aad_of(header)
    return key, aad + AESGCM(key).encrypt(bytes(12), payload, aad)


# --- sections 2, 3 and 5: structure and links ------------------------------------------------------------------------


def split(block):
    need(len(block) >= 4, "ends early")
    length = int.from_bytes(block[:4], "big")
    need(4 + length + 16 <= OVERHEAD_MAX and len(block) >= 4 + length + 16, "the length of the header")
    need(len(block) - 4 - length - 16 <= PAYLOAD_MAX, "the length of the payload")
    return block[: 4 + length], block[4 + length :]


def check_header(raw):
    header = decode(raw)
    need(isinstance(header, list) and len(header) == 6, "six fields")
    version, kind, volume, epoch, links, extra = header
    need(version == 1, "version")
    need(kind in CLASSES, "kind")
    need(isinstance(volume, bytes) and len(volume) == 32, "volume")
    need(isinstance(epoch, int) and 1 <= epoch < 1 << 32, "epoch")
    need(isinstance(links, list) and len(links) <= LINKS_MAX, "links")
    need(all(isinstance(link, list) and len(link) == 3 and len(link[0]) == 32 for link in links), "links")
    need(len({link[0] for link in links}) == len(links), "a link twice")
    for _, cls, (tag, claim) in links:
        need(cls in CLASSES[kind], "class")
        need((tag == 2) == (cls == STRIPE) and tag in (1, 2), "redundancy")
        need(claim >= 1 if tag == 1 else is_complete(*claim), "redundancy")
    need((extra is not None) == (kind == COMMIT), "extra")
    return header


def is_complete(stripe, index, k, m):
    return len(stripe) == 32 and k >= 1 and m >= 1 and k + m <= 32 and index < k + m


def plain(value):
    """As the vectors show it: bytes in hexadecimal, text behind "text "."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return "text " + value
    return [plain(item) for item in value] if isinstance(value, list) else value


def check_block(keys, vector, must_refuse_header):
    block = bytes.fromhex(vector["block"])
    need(hashlib.sha256(b"fsdfs/2/block\0" + block).hexdigest() == vector["id"], "id")
    if vector["error"] and must_refuse_header:
        try:
            check_header(split(block)[0][4:])
        except Refused:
            return
        raise Refused("is to be refused")
    aad, text = split(block)
    payload, key = bytes.fromhex(vector["payload"]), bytes.fromhex(vector["key"])
    need(AESGCM(key).decrypt(bytes(12), text, aad) == payload, "does not open to the payload")
    if vector["error"]:
        return  # against 05-volume, which is not checked here
    header = check_header(aad[4:])
    need(sealed(keys, header, payload) == (key, block), "seals to other bytes")
    need(plain(header) == vector["header"], "header")
    need(header[1] == DATA or plain(decode(payload)) == vector["value"], "value")


def check_audit(audit, block, block_id):
    message = b"fsdfs/2/audit\0" + bytes.fromhex(audit["challenger"] + audit["prover"] + block_id + block)
    need(blake3.blake3(message, key=bytes.fromhex(audit["nonce"])).hexdigest() == audit["proof"], "audit")


def check_receipt(receipt, block_id):
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(receipt["member_seed"]))
    message = b"fsdfs/2/receipt\0" + bytes.fromhex(receipt["pool"] + block_id)
    need(key.public_key().public_bytes_raw().hex() == receipt["member"], "the member of a receipt")
    need(key.sign(message).hex() == receipt["signature"], "receipt")


def check(path):
    file = json.loads(path.read_text())
    keys = check_keys(file["keys"])
    wrong = 0
    for vector in file["blocks"]:
        try:
            check_block(keys, vector, path.name == "block.json")
        except Refused as why:
            wrong += 1
            print(f"{path.name}: {vector['name']}: {why}")
    for audit in file.get("audits", []):
        check_audit(audit, file["blocks"][0]["block"], file["blocks"][0]["id"])
    for receipt in file.get("receipts", []):
        check_receipt(receipt, file["blocks"][0]["id"])
    print(f"02-block: {len(file['blocks']) - wrong} of {len(file['blocks'])} blocks in {path.name} agree")
    return not wrong


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    results = [check(folder / name) for name in ("block.json", "volume.json")]
    sys.exit(0 if all(results) else 1)

#!/usr/bin/env python3
"""Keys and prints of pairs (04-wire, "Repair and grants"), a second time: written from the chapter alone.

check_pairs.py VECTORS_DIR [--write]    makes the prints of VECTORS_DIR/pair.json again; exit code 1 if anything differs.
--write publishes them
"""

import hashlib
import json
import pathlib
import sys

from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

P = 2**255 - 19


def node_of(seed):
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def u_of(node):
    """The Montgomery u-coordinate of an Edwards point: (1 + y) / (1 - y)."""
    y = int.from_bytes(node, "little") % 2**255
    return ((1 + y) * pow(1 - y, -1, P) % P).to_bytes(32, "little")


def pair_key(pool, seed, other):
    # X25519 clamps the scalar as Ed25519 does.
    scalar = X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])
    shared = scalar.exchange(X25519PublicKey.from_public_bytes(u_of(other)))
    smaller, larger = sorted([node_of(seed), other])
    return blake3(b"fsdfs/2/pair\0" + pool + smaller + larger, key=shared).digest()


def print_of(key, block, redundancy):
    if redundancy["kind"] == "replicas":
        said = bytes([1, redundancy["copies"]])
    else:
        said = bytes([2]) + bytes.fromhex(redundancy["stripe"]) + bytes([redundancy[part] for part in "ikm"])
    return blake3(block + said, key=key).digest()[:16]


def vectors():
    made = []
    for one, other, pool in [(1, 2, 7), (2, 1, 7), (1, 3, 7), (1, 2, 8)]:
        seeds, pool = [bytes([number]) * 32 for number in (one, other)], bytes([pool]) * 32
        nodes = [node_of(seed) for seed in seeds]
        keys = {pair_key(pool, seed, node) for seed, node in zip(seeds, reversed(nodes))}
        assert len(keys) == 1, "both sides compute the same"
        key = keys.pop()
        redundancies = [
            {"kind": "replicas", "copies": 3},
            {"kind": "replicas", "copies": 2},
            {"kind": "stripe", "stripe": "c3" * 32, "i": 1, "k": 4, "m": 2},
        ]
        prints = [
            {"id": block.hex(), "redundancy": redundancy, "print": print_of(key, block, redundancy).hex()}
            for block in (bytes(32), b"\xb1" * 32)
            for redundancy in redundancies
        ]
        total = sum(int(each["print"], 16) for each in prints) % 2**128
        made.append({
            "pool": pool.hex(), "seed": seeds[0].hex(), "other": nodes[1].hex(),
            "prints": prints, "count": len(prints), "sum": f"{total:032x}",
        })
    return made


if __name__ == "__main__":
    published = pathlib.Path(sys.argv[1]) / "pair.json"
    if "--write" in sys.argv:
        published.write_text(json.dumps(vectors(), indent=2) + "\n")
    if json.loads(published.read_text()) != vectors():
        sys.exit("pair.json: published otherwise")
    print(f"pair.json: {len(vectors())} pairs are as published")

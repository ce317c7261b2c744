#!/usr/bin/env python3
"""Writers, version vectors and marks (05-volume, sections 2 and 6), a second time: written from the chapter alone.

check_writers.py VECTORS_DIR    makes the writers, unions and covers of VECTORS_DIR/writers.json again, checks every mark of its
heads, and refuses the heads that it says are to be refused; exit code 1 if anything differs
"""

import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from check_blocks import Refused, check_header, decode, need, split

WRITERS_MAX, OF_NODE_MAX, NODE_PART = 1024, 4, 10


def writer_of(node, incarnation):
    return hashlib.sha256(b"fsdfs/2/writer\0" + node).digest()[:NODE_PART] + incarnation.to_bytes(6, "big")


# --- section 2: what a version vector covers --------------------------------------------------------------------------


def of_node(seen, writer):
    return sorted(other for other in seen if other[:NODE_PART] == writer[:NODE_PART])


def covers(seen, writer, seq):
    if writer in seen:
        return seen[writer] >= seq
    own = of_node(seen, writer)
    return len(own) == OF_NODE_MAX and writer < own[0]


def union(one, other):
    every = {writer: max(one.get(writer, 0), other.get(writer, 0)) for writer in one.keys() | other.keys()}
    return {writer: seq for writer, seq in every.items() if writer in of_node(every, writer)[-OF_NODE_MAX:]}


def check_seen(pairs):
    need(len(pairs) <= WRITERS_MAX and all(seq >= 1 for _, seq in pairs), "the bounds of a version vector")
    need(all(a[0] < b[0] for a, b in zip(pairs, pairs[1:])), "the order of a version vector")
    seen = dict(map(tuple, pairs))
    need(all(len(of_node(seen, writer)) <= OF_NODE_MAX for writer in seen), "the writers of one node")
    return seen


# --- section 6: marks -------------------------------------------------------------------------------------------------


def verified(key, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Refused("a signature") from None


def check_marks(volume, commit, author, marks):
    """The commit is whole; of its header only what marks are about is looked at."""
    _, writer, seq, pairs, _, _ = check_header(split(commit)[0][4:])[5]
    seen = check_seen(pairs)
    need(writer is None or writer[:NODE_PART] == writer_of(author, 0)[:NODE_PART], "the writer of a head")
    need(writer is None or seen.get(writer) == seq, "the operation of a commit")
    left, before = list(pairs), None
    for node, signatures in marks:
        own, left = left[: len(signatures)], left[len(signatures) :]
        part = writer_of(node, 0)[:NODE_PART]
        need(own and len(own) == len(signatures) and part != before, "how many marks")
        for (marked, number), signature in zip(own, signatures):
            need(marked[:NODE_PART] == part, "whose mark it is")
            verified(node, signature, b"fsdfs/2/mark\0" + volume + marked + number.to_bytes(8, "big"))
        before = part
    need(not left, "a mark too few")


def check_head(file, vector):
    payload, pool = bytes.fromhex(vector["payload"]), bytes.fromhex(file["pool"])
    verified(bytes.fromhex(file["write_key"]), bytes.fromhex(vector["signature"]), b"fsdfs/2/head\0" + pool + payload)
    version, volume, _, commit, author, proof, marks = decode(payload)
    need(version == 1, "version")
    message = b"fsdfs/2/author\0" + volume + hashlib.sha256(b"fsdfs/2/block\0" + commit).digest()
    verified(author, proof, message)
    check_marks(volume, commit, author, marks)


def seen_in(pairs):
    return {bytes.fromhex(writer): seq for writer, seq in pairs}


def main(path):
    file, wrong = json.loads(path.read_text()), []
    for case in file["writers"]:
        if writer_of(bytes.fromhex(case["node"]), case["incarnation"]).hex() != case["writer"]:
            wrong.append(case["writer"])
    for case in file["version_vectors"]:
        one, other = seen_in(case["one"]), seen_in(case["other"])
        if union(one, other) != seen_in(case["union"]) or union(other, one) != seen_in(case["union"]):
            wrong.append(case["union"])
        if all(covers(one, *dot) for dot in other.items()) != case["covers"]:
            wrong.append(case["one"])
    for vector in file["heads"] + file["refused"]:
        try:
            check_head(file, vector)
            fine = True
        except Refused:
            fine = False
        if fine != (vector in file["heads"]):
            wrong.append(vector["name"])
    for what in wrong:
        print(f"{path.name}: {what}")
    heads, refused = len(file["heads"]), len(file["refused"])
    print(f"05-volume: {len(file['version_vectors'])} version vectors, {heads} heads with their marks, {refused} refused")
    return not wrong


if __name__ == "__main__":
    sys.exit(0 if main(pathlib.Path(sys.argv[1]) / "writers.json") else 1)

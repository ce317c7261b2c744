#!/usr/bin/env python3
"""What places say of nodes (05-volume, section 4) and what a head's author signs (section 6), a second time.

check_trees.py VECTORS_DIR    opens the heads in VECTORS_DIR/merge-blocks.json and every folder below them that is at hand,
holds each node to what its place says, and refuses a node of which anything else is said; exit code 1 if anything differs
"""

import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from check_blocks import Refused, check_header, decode, derive, hkdf, need, split
from check_writers import check_marks

WRITERS_MAX = 32


def block_id(block):
    return hashlib.sha256(b"fsdfs/2/block\0" + block).digest()


def opened(block, key):
    """Links and payload of a block."""
    aad, text = split(block)
    return check_header(aad[4:])[4], decode(AESGCM(key).decrypt(bytes(12), text, aad))


# --- section 2: within ------------------------------------------------------------------------------------------------


def union(spans):
    """Of [writer, least, greatest], or None for more writers than are named."""
    found = {}
    for part in spans:
        if part is None:
            return None
        for writer, least, greatest in part:
            old = found.get(writer, (least, greatest))
            found[writer] = (min(old[0], least), max(old[1], greatest))
    if len(found) > WRITERS_MAX:
        return None
    return [[writer, *found[writer]] for writer in sorted(found)]


def dot(of):
    return [[of[0], of[1], of[1]]]


def below(entry):
    """The dots of an entry and of all below it."""
    _, versions, folder = entry
    parts = [dot(version[5]) for version in versions]
    if folder:
        parts += [dot(birth) for birth in folder[0]] + [dot(version[5]) for version in folder[2]] + [folder[4]]
    return union(parts)


# --- section 4: what a place says of a node ---------------------------------------------------------------------------


def check_node(node, place):
    """`place` = [names come after, last name, level, count, within]; None = not said."""
    after, last, level, count, within = place
    _, own_level, entries, children = node
    need(level in (None, own_level), "level")
    items = children if own_level else entries
    names = [item[0] for item in items]
    need(after is None or names[0] > after, "a name before the range")
    need(last in (None, names[-1]), "the last name")
    need(count in (None, sum(child[2] for child in children) if own_level else len(entries)), "count")
    need(within == union(child[3] for child in children) if own_level else within == union(map(below, entries)), "within")


class Trees:
    def __init__(self, blocks):
        self.blocks, self.nodes, self.refused = blocks, 0, 0

    def folder(self, folder, links):
        """Everything below a folder that is at hand."""
        if folder[3] is not None:
            index, key = folder[3]
            self.node(links[index][0], key, [None, None, None, None, folder[4]])

    def node(self, at, key, place):
        if at not in self.blocks:
            return
        links, node = opened(self.blocks[at], key)
        check_node(node, place)
        self.nodes += 1
        self.lies(node, place)
        _, level, entries, children = node
        before = place[0]
        for last, (index, child_key), count, within in children:
            self.node(links[index][0], child_key, [before, last, level - 1, count, within])
            before = last
        for entry in entries:
            if entry[2]:
                self.folder(entry[2], links)

    def lies(self, node, place):
        """Whatever else is said of it is refused."""
        first = (node[3] if node[1] else node[2])[0][0]
        for number, lie in ((0, first), (1, b"\xff" * 255), (2, 59), (3, 1 << 40), (4, [[b"nobody at all...", 1, 1]])):
            said = place[:number] + [lie] + place[number + 1 :]
            try:
                check_node(node, said)
            except Refused:
                self.refused += 1
            else:
                raise Refused(f"a lie about field {number} is believed")


def check_head(keys, pool, head, sign):
    payload = bytes.fromhex(head["payload"])
    version, volume, _, commit, author, proof, marks = decode(payload)
    need(version == 1 and volume.hex() == keys["volume"], "version or volume")
    try:
        sign.verify(bytes.fromhex(head["signature"]), b"fsdfs/2/head\0" + pool + payload)
        message = b"fsdfs/2/author\0" + volume + block_id(commit)
        Ed25519PublicKey.from_public_bytes(author).verify(proof, message)
    except InvalidSignature:
        raise Refused("a signature of a head") from None
    check_marks(volume, commit, author, marks)
    return commit


def check(path):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    file = json.loads(path.read_text())
    secret, pool = bytes.fromhex(file["write_secret"]), bytes.fromhex(file["pool"])
    sign = Ed25519PrivateKey.from_private_bytes(derive(file, secret, "vol-write-sign")).public_key()
    commits = derive(file, derive(file, secret, "vol-read"), "vol-commit-open")
    blocks = [bytes.fromhex(block) for block in file["blocks"] + file["merged_blocks"]]
    trees = Trees({block_id(block): block for block in blocks})
    try:
        for head in file["heads"] + [file["merged_head"]]:
            commit = check_head(file, pool, head, sign)
            salt = check_header(split(commit)[0][4:])[5][5]
            links, payload = opened(commit, hkdf(commits, b"fsdfs/2/commit-key\0" + salt))
            trees.folder(payload[0], links)
    except Refused as why:
        print(f"{path.name}: {why}")
        return False
    print(f"05-volume: {trees.nodes} nodes are what their places say, {trees.refused} lies about them are refused")
    return trees.nodes > 0


if __name__ == "__main__":
    sys.exit(0 if check(pathlib.Path(sys.argv[1]) / "merge-blocks.json") else 1)

#!/usr/bin/env python3
"""Section 7 of chapter 01-identity on root keys, a second time: written from the chapter alone.

check_roots.py VECTORS_DIR    of every set of facts in VECTORS_DIR/identity-pool.json: checks the signatures, finds the root key
that counts, whether it was copied, and which statements of root keys are valid; makes the root keys of identity.json from their
spare key; exit code 1 if anything differs
"""

import hashlib
import hmac
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from check_blocks import decode, item, need

# By kind: the label, and where the payload names its signer; a head's key stands beside it.
LABELS = {
    1: ("cert", 2), 2: ("admission", 3), 3: ("card", 1), 4: ("heartbeat", 1), 5: ("gone", 4), 6: ("admins", 3),
    7: ("rules", 3), 8: ("revoke", 1), 9: ("remove", 1), 10: ("features", 1), 11: ("vol-epoch", 3), 12: ("head", None),
    13: ("vouch", 1), 16: ("founding", 1), 17: ("succession", 2),
}  # fmt: skip
FOUNDING, SUCCESSION = 16, 17
# Everybody has one of these, and root keys have none.
NOT_STATED = (3, 4, 12)


def fields(payload):
    """A statement: an array of at most 15 values, of which some may be booleans."""
    need(payload[0] & 0xF0 == 0x90, "not a statement")
    values, rest = [], payload[1:]
    for _ in range(payload[0] & 15):
        if rest[0] in (0xC2, 0xC3):
            value, rest = rest[0] == 0xC3, rest[1:]
        else:
            value, rest = item(rest, 1)
        values.append(value)
    need(not rest, "bytes after the statement")
    return values


class Fact:
    def __init__(self, pool, raw):
        self.kind, payload, signature, key = decode(raw)
        label, at = LABELS[self.kind]
        self.value = fields(payload)
        need(self.value[0] == 1, "a later version")
        self.signer = key if at is None else self.value[at]
        said = b"fsdfs/2/" + label.encode() + b"\0" + pool + payload
        try:
            Ed25519PublicKey.from_public_bytes(self.signer).verify(signature, said)
        except InvalidSignature:
            need(False, f"the signature of {label}")
        self.id = hashlib.sha256(said).digest()


class Roots:
    """The root keys of a pool, by the facts."""

    def __init__(self, pool, facts):
        foundings = [fact for fact in facts if fact.kind == FOUNDING and fact.signer == pool]
        founding = min(foundings, key=lambda fact: fact.id, default=None)
        self.keys = [pool] + (founding.value[2] if founding else [])
        named = [fact for fact in facts if fact.kind == SUCCESSION and self.number(fact.signer) == fact.value[1]]
        last = max((fact.value[1] for fact in named), default=0)
        of_last = {fact.id: fact for fact in named if fact.value[1] == last}
        self.current = max(last, 1 if founding else 0)
        self.copied = len(of_last) > 1
        self.keep = set(of_last[min(of_last)].value[3]) if of_last else set()

    def number(self, key):
        return self.keys.index(key) if key in self.keys else None

    def holds(self, fact):
        number = self.number(fact.signer)
        if fact.kind in (FOUNDING, SUCCESSION, *NOT_STATED) or number is None or number > self.current:
            return False
        return number == self.current or fact.id in self.keep


def root_key(spare, number):
    extracted = hmac.new(bytes(32), spare, hashlib.sha256).digest()
    return hmac.new(extracted, b"fsdfs/2/root-key\0" + bytes([number]) + b"\1", hashlib.sha256).digest()


def check_state(pool, state):
    facts = [Fact(pool, bytes.fromhex(raw)) for raw in state["facts"]]
    roots = Roots(pool, facts)
    need(roots.current == state["root"]["number"], "the number of the root key")
    need(roots.keys[roots.current].hex() == state["root"]["key"], "the root key")
    need(roots.copied == state["root"]["copied"], "whether it was copied")
    held = sorted({fact.id.hex() for fact in facts if roots.holds(fact)})
    need(held == state["root"]["signed"], "what root keys signed that is valid")


def main(folder):
    pools = json.loads((folder / "identity-pool.json").read_text())
    failed = 0
    for state in pools["states"]:
        try:
            check_state(bytes.fromhex(pools["pool"]), state)
        except Exception as error:
            print(f"{state['name']}: {error!r}")
            failed += 1
    keys = json.loads((folder / "identity.json").read_text())["root_keys"]
    for case in keys:
        seed = root_key(bytes.fromhex(case["spare"]), case["number"])
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        if (seed.hex(), public.hex()) != (case["seed"], case["key"]):
            print(f"root key {case['number']}")
            failed += 1
    succeeded = sum(state["root"]["number"] > 1 for state in pools["states"])
    need(succeeded >= 3 and keys, "cases")
    print(f"root keys: {len(pools['states'])} sets of facts, {succeeded} with a later root key, {len(keys)} keys; {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(0 if main(pathlib.Path(sys.argv[1])) else 1)

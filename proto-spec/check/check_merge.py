#!/usr/bin/env python3
"""Merges of two states, by the reference of chapter 05-volume (merge_model.py).

check_merge.py VECTORS_DIR            merges every pair in VECTORS_DIR/merge.json again; exit code 1 if one differs
check_merge.py VECTORS_DIR --write    makes the file (the same file every time) from random histories of three writers

state = [seen, dir];  seen = [[writer, seq]...];  dir = [births, names];  births = [[dot, since]...];  dot = [writer, seq]
names = [[name, versions, dir or null]...];  versions = [[dot, content]...];  content is a number
"""

import json
import pathlib
import random
import sys

import merge_model as model

HISTORIES = 4000
CASES = 400


def seen_out(seen):
    return [list(pair) for pair in sorted(dict(seen).items())]


def dir_out(d):
    births = sorted([list(dot), seen_out(since)] for dot, since in d["b"] if dot != ("root", 0))
    names = []
    for name, node in sorted(d["c"].items()):
        versions = sorted([list(dot), content] for dot, content in node["v"])
        sub = dir_out(node["d"]) if node["d"] else None
        # An operation of the model may leave a folder behind that neither a birth nor content keeps alive.
        sub = None if sub == [[], []] else sub
        if versions or sub:
            names.append([name, versions, sub])
    return [births, names]


def dir_in(d, is_root=False):
    births = frozenset((tuple(dot), frozenset(map(tuple, since))) for dot, since in d[0])
    names = {}
    for name, versions, sub in d[1]:
        versions = frozenset((tuple(dot), content) for dot, content in versions)
        names[name] = {"v": versions, "d": dir_in(sub) if sub else None}
    return {"b": model.ROOT if is_root else births, "c": names}


def out(state):
    return [seen_out(state[0]), dir_out(state[1])]


def back(state):
    return dict(map(tuple, state[0])), dir_in(state[1], True)


def history(seed):
    """The pairs that are merged in a random history, as model.run makes it."""
    r, count = random.Random(seed), [0]
    nodes = {writer: ({}, {"b": model.ROOT, "c": {}}) for writer in "ABC"}
    for _ in range(40):
        if r.random() < 0.75:
            writer = r.choice("ABC")
            nodes[writer], _ = model.op(nodes[writer], writer, r, count, True)
            continue
        a, b = r.sample("ABC", 2)
        if model.dom(nodes[b][0], nodes[a][0]):
            continue
        if model.dom(nodes[a][0], nodes[b][0]):
            nodes[a] = nodes[b]
            continue
        merged = model.merge(nodes[a], nodes[b])
        yield nodes[a], nodes[b], merged
        nodes[a] = merged


def stamps(d):
    return sum(bool(since) for _, since in d["b"]) + sum(stamps(x["d"]) for x in d["c"].values() if x["d"])


def cases():
    """Among many random merges, those with the most stamps of moved folders, and as many others."""
    found = [case for seed in range(HISTORIES) for case in history(seed)]
    found.sort(key=lambda case: -stamps(case[0][1]) - stamps(case[1][1]))
    rest = found[CASES // 2 :]
    return found[: CASES // 2] + rest[:: len(rest) // (CASES // 2)][: CASES // 2]


def write(path):
    lines = [json.dumps([out(a), out(b), out(m)], separators=(",", ":")) for a, b, m in cases()]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def check(path):
    merges = json.loads(path.read_text())
    wrong = [i for i, (a, b, m) in enumerate(merges) if out(model.merge(back(a), back(b))) != m]
    print(f"05-volume: {len(merges) - len(wrong)} of {len(merges)} merges agree")
    return not wrong


if __name__ == "__main__":
    file = pathlib.Path(sys.argv[1]) / "merge.json"
    if sys.argv[2:] == ["--write"]:
        write(file)
    sys.exit(0 if check(file) else 1)

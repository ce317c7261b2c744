#!/usr/bin/env python3
"""The vectors of chapter 03-placement, by the second implementation of it (placement_model.py).

check_placement.py VECTORS_DIR            recomputes every value in VECTORS_DIR/placement*.json; exit code 1 if one differs
check_placement.py VECTORS_DIR --write    makes the files (the same files every time)
"""

import hashlib
import json
import pathlib
import sys

from placement_model import (
    ONE,
    TABLE,
    U64,
    by_site,
    capacity,
    draw,
    exponential,
    fill,
    live,
    mix,
    mixed,
    order,
    place,
    race,
    seed,
    site_targets,
    sitefill,
)


def cut_servers(count, sites=700):
    servers, identity = [], hashlib.sha256(bytes(32)).digest()
    for i in range(count):
        weight = 1 + int.from_bytes(identity[16:18], "big")
        servers.append((identity, f"h{i % sites}", [(identity[:16], weight)]))
        identity = hashlib.sha256(identity).digest()
    return servers


def index_of(servers, holders):
    where = {server[0]: (i, {disk: j for j, (disk, _) in enumerate(server[2])}) for i, server in enumerate(servers)}
    return [[where[h.id][0], where[h.id][1][h.best[2]]] for h in holders]


def answer(vectors):
    """Fills in every answer, from the questions that stand in `vectors`."""
    vectors["mix"] = [[x, hexa(mix(int(x, 16)))] for x, *_ in vectors["mix"]]
    vectors["e"] = [[u, exponential(int(u, 16))] for u, *_ in vectors["e"]]
    vectors["seeds"] = [[tag, raw, hexa(seed(tag, bytes.fromhex(raw)))] for tag, raw, *_ in vectors["seeds"]]
    vectors["table"] = [[k, TABLE[k]] for k, *_ in vectors["table"]]
    vectors["table_sum"] = sum(TABLE)
    vectors["draws"] = [[*abs_, hexa(draw(*(int(x, 16) for x in abs_)))] for *abs_, in (d[:3] for d in vectors["draws"])]
    answer_arithmetic(vectors)
    for case in vectors["maps"]:
        servers = servers_of(case)
        for rule in case["copies"]:
            answer_rule(rule, servers)
            first = bytes.fromhex(rule["places"][0][0])
            rule["order"] = index_of(servers, order(servers, first, rule["n"]))
    cut = vectors["cut"]
    servers = cut_servers(cut["count"])
    cut["places"] = [
        [block, [server for server, _ in index_of(servers, place(servers, bytes.fromhex(block), cut["n"]))]]
        for block, *_ in cut["places"]
    ]
    return vectors


def answer_2(vectors):
    """As `answer`, for the second file."""
    for case in vectors["sitefills"]:
        case["t"] = sitefill(case["sites"], case["n"])
    answer_arithmetic(vectors)
    for case in vectors["maps"]:
        servers = servers_of(case)
        for rule in case["copies"]:
            answer_rule(rule, servers)
            blocks = [bytes.fromhex(block) for block, *_ in rule["places"][:2]]
            rule["orders"] = [index_of(servers, order(servers, block, rule["n"])) for block in blocks]
    for case in vectors["cuts"]:
        servers = cut_servers(case["count"], case["sites"])
        for rule in case["copies"]:
            answer_rule(rule, servers)
            del rule["capacity"]["stranded"]
            del rule["targets"]
            asked = index_of(servers, order(servers, bytes.fromhex(rule["places"][0][0]), rule["n"]))
            rule["order"] = [server for server, _ in asked]
    return vectors


def answer_arithmetic(vectors):
    for case in vectors["fills"]:
        case["t"] = fill(case["w"], case["lo"], case["hi"], case["n"])
    for case in vectors["races"]:
        case["winners"] = race([int(e, 16) for e in case["e"]], case["p"], case["n"])


def answer_rule(rule, servers):
    sites = by_site(live(servers))
    rule["targets"] = site_targets(sites, rule["n"])[1] if sites else []
    rule["capacity"] = capacity(servers, rule["n"])
    rule["places"] = [
        [block, index_of(servers, place(servers, bytes.fromhex(block), rule["n"]))] for block, *_ in rule["places"]
    ]


def servers_of(case):
    return [
        (bytes.fromhex(i), site, [(bytes.fromhex(disk), weight) for disk, weight in disks], *map(bytes.fromhex, branch))
        for i, site, disks, *branch in case["servers"]
    ]


def disk_id(owner, nonce):
    """Chapter 01-identity, section 1."""
    return hashlib.sha256(b"fsdfs/2/disk" + bytes(1) + owner + nonce).digest()[:16]


def answer_3(vectors):
    """Branches, and ids of disks."""
    vectors["disk_ids"] = [
        [owner, nonce, disk_id(bytes.fromhex(owner), bytes.fromhex(nonce)).hex()]
        for owner, nonce, *_ in vectors["disk_ids"]
    ]
    vectors["seeds"] = [
        [branch, site, hexa(seed("fsdfs/place/branch/1", bytes.fromhex(branch))),
         hexa(seed("fsdfs/place/site/1", bytes.fromhex(branch) + site.encode()))]
        for branch, site, *_ in vectors["seeds"]
    ]
    for case in vectors["splits"]:
        case["shares"] = mixed(case["t"], sum(case["t"]) % ONE)
    for case in vectors["maps"]:
        servers = servers_of(case)
        for rule in case["copies"]:
            answer_rule(rule, servers)
    return vectors


def hexa(number):
    return f"{number:x}"


class Dice:
    """Reproducible in any version of Python."""

    def __init__(self, name):
        self.state = hashlib.sha256(name.encode()).digest()

    def bytes(self, count):
        self.state = hashlib.sha256(self.state).digest()
        return self.state[:count]

    def below(self, bound):
        return int.from_bytes(self.bytes(16), "big") % bound

    def pick(self, choices):
        return choices[self.below(len(choices))]

    def weight(self):
        shape = self.below(10)
        if shape == 0:
            return 0
        if shape == 1:
            return self.pick([1, 2, (1 << 32) - 1])
        return 1 + self.below(1 << self.pick([4, 8, 11, 13, 14, 20, 32]) - 1)


def random_map(dice):
    count = dice.pick([0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 10, 12, 16, 20])
    houses = 1 + dice.below(max(1, count + count // 2))
    servers = []
    for _ in range(count):
        house = dice.below(houses)
        site = dice.pick(["home", "Grüße", "a", "ab", "b"]) if house == 0 else f"house {house}"
        disks = [[dice.bytes(16).hex(), dice.weight()] for _ in range(dice.pick([1, 1, 1, 2, 2, 3, 4, 0]))]
        servers.append([dice.bytes(32).hex(), site, disks])
    copies = sorted({dice.pick([1, 2, 3, 3, 4, 5, 6, 9, 14, 32]), 3})
    return {
        "servers": servers,
        "copies": [{"n": n, "places": [[dice.bytes(32).hex()] for _ in range(8)]} for n in copies],
    }


def random_fill(dice):
    count = 1 + dice.below(8)
    most = [ONE * (1 + dice.below(3)) for _ in range(count)]
    least = [dice.pick([0, 0, ONE]) for _ in range(count)]
    low = -(-sum(least) // ONE)
    n = low + dice.below(sum(most) // ONE - low + 2)
    return {"w": [1 + dice.weight() for _ in range(count)], "lo": least, "hi": most, "n": max(1, n)}


def random_race(dice):
    count = 2 + dice.below(7)
    weights = [1 + dice.weight() for _ in range(count)]
    p = fill(weights, [0] * count, [ONE] * count, 1 + dice.below(count - 1))
    keep = [t for t in p if 0 < t < ONE]
    e = [hexa(exponential(int.from_bytes(dice.bytes(8), "big")) << dice.pick([0, 0, 10, 16])) for _ in keep]
    return {"e": e, "p": keep, "n": round(sum(keep) / ONE)}


def questions():
    dice = Dice("fsdfs placement vectors 1")
    numbers = [0, 1, 2, 3, 1 << 62, (1 << 62) + 1, (1 << 63) - 1, 1 << 63, 0xDEADBEEF, 0x123456789ABCDEF0, U64]
    numbers += [int.from_bytes(dice.bytes(8), "big") >> shift for shift in range(0, 64, 3)]
    counted = bytes(range(32))
    return {
        "chapter": "03-placement",
        "mix": [[hexa(x)] for x in numbers],
        "e": [[hexa(x)] for x in numbers],
        "seeds": [["fsdfs/place/disk/1", counted[:16].hex()], ["fsdfs/place/site/1", counted[:16].hex()]]
        + [["fsdfs/place/disk/1", dice.bytes(16).hex()] for _ in range(4)]
        + [["fsdfs/place/site/1", site.encode().hex()] for site in ["home", "Grüße", "x" * 64]],
        "table": [[k] for k in [0, 1, 2, *range(64, 2047, 61), 2047, 2048]],
        "draws": [[hexa(int.from_bytes(dice.bytes(8), "big")) for _ in range(3)] for _ in range(12)],
        "fills": [random_fill(dice) for _ in range(40)],
        "races": [case for case in (random_race(dice) for _ in range(60)) if case["p"]],
        "maps": [random_map(dice) for _ in range(90)],
        "cut": {"count": 1100, "n": 3, "places": [[dice.bytes(32).hex()] for _ in range(20)]},
    }


def extreme_map(dice):
    """Many disks, few sites, weights at both ends."""
    count, houses = dice.pick([1, 2, 3, 5, 9, 17, 24, 33, 40]), dice.pick([1, 2, 3, 5, 8, 40])
    weights = [dice.pick([0, 1, 2, 3, (1 << 31) + 1, (1 << 32) - 2, (1 << 32) - 1]), dice.weight(), dice.weight()]
    servers = []
    for _ in range(count):
        disks = [[dice.bytes(16).hex(), dice.pick(weights)] for _ in range(dice.pick([1, 1, 2, 3, 8, 16]))]
        servers.append([dice.bytes(32).hex(), f"house {dice.below(houses)}", disks])
    copies = sorted({dice.pick([1, 2, 4]), dice.pick([3, 5, 8, 13]), dice.pick([14, 20, 31, 32])})
    return {
        "servers": servers,
        "copies": [{"n": n, "places": [[dice.bytes(32).hex()] for _ in range(4)]} for n in copies],
    }


def random_sitefill(dice):
    sites = [[1 + dice.weight() for _ in range(1 + dice.below(6))] for _ in range(1 + dice.below(6))]
    return {"sites": sites, "n": len(sites) + dice.below(8)}


def cut_case(dice, sites):
    copies = [1, 3, 14, 32]
    return {
        "count": 1100,
        "sites": sites,
        "copies": [{"n": n, "places": [[dice.bytes(32).hex()] for _ in range(4)]} for n in copies],
    }


def questions_2():
    dice = Dice("fsdfs placement vectors 2")
    return {
        "chapter": "03-placement",
        "sitefills": [random_sitefill(dice) for _ in range(60)],
        "fills": [random_fill(dice) for _ in range(60)],
        "races": [case for case in (random_race(dice) for _ in range(120)) if case["p"]],
        "maps": [extreme_map(dice) for _ in range(84)],
        "cuts": [cut_case(dice, sites) for sites in [1100, 40, 5, 1]],
    }


def branched_map(dice):
    """Servers of which some share a branch: few or many sites, equal or very unequal weights."""
    count = dice.pick([2, 3, 4, 4, 5, 6, 7, 8, 10, 12, 16, 20])
    houses, branches = dice.pick([2, 4, count, count]), [dice.bytes(32).hex() for _ in range(dice.pick([1, 1, 2, 3]))]
    equal, inside = dice.below(3) == 0, dice.pick([2, 5, 8, 9])
    servers = []
    for _ in range(count):
        disks = [[dice.bytes(16).hex(), 1000 if equal else dice.weight()] for _ in range(dice.pick([1, 1, 2]))]
        branch = [dice.pick(branches)] if dice.below(10) < inside else []
        servers.append([dice.bytes(32).hex(), f"house {dice.below(houses)}", disks, *branch])
    copies = sorted({dice.pick([1, 2, 4, 5, 9, 14]), 3})
    return {
        "servers": servers,
        "copies": [{"n": n, "places": [[dice.bytes(32).hex()] for _ in range(8)]} for n in copies],
    }


def random_split(dice):
    count = 2 + dice.below(7)
    return {"t": [dice.pick([0, 1, ONE, ONE - 1, dice.below(ONE), dice.below(ONE)]) for _ in range(count)]}


def questions_3():
    dice = Dice("fsdfs placement vectors 3")
    return {
        "chapter": "03-placement",
        "disk_ids": [[dice.bytes(32).hex(), dice.bytes(16).hex()] for _ in range(8)],
        "seeds": [[dice.bytes(32).hex(), site] for site in ["home", "Grüße", "x" * 64]],
        "splits": [random_split(dice) for _ in range(60)],
        "maps": [branched_map(dice) for _ in range(120)],
    }


def text_of(vectors):
    """One case a line, so that a difference can be read."""
    lines = []
    for key, value in vectors.items():
        if isinstance(value, list):
            inner = ",\n".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in value)
            lines.append(f'"{key}": [\n{inner}\n]')
        else:
            lines.append(f'"{key}": {json.dumps(value, ensure_ascii=False, separators=(",", ":"))}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


FILES = {
    "placement.json": (questions, answer),
    "placement-2.json": (questions_2, answer_2),
    "placement-3.json": (questions_3, answer_3),
}


def check(path, answer_):
    """How many placements agree; nothing if a value differs."""
    published = json.loads(path.read_text(encoding="utf-8"))
    computed = answer_(json.loads(path.read_text(encoding="utf-8")))
    wrong = [key for key in published if published[key] != computed.get(key)]
    cuts = published["cuts"] if "cuts" in published else []
    rules = [rule for case in published["maps"] + cuts for rule in case["copies"]] + [published.get("cut", {"places": []})]
    count = sum(len(rule["places"]) for rule in rules)
    differs = f"{path.name} differs in {', '.join(wrong)}"
    print(f"03-placement: {differs}" if wrong else f"03-placement: {count} placements of {path.name}")
    return 0 if wrong else count


def main(arguments):
    counts = []
    for name, (ask, answer_) in FILES.items():
        path = pathlib.Path(arguments[0]) / name
        if arguments[1:] == ["--write"]:
            path.write_text(text_of(answer_(ask())), encoding="utf-8")
        counts.append(check(path, answer_))
    return 0 if min(counts) >= 1000 else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))

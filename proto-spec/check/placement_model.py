"""Chapter 03-placement, a second time: written from the chapter alone, with Python's unbounded integers and exact fractions."""

import hashlib
from fractions import Fraction

U64 = (1 << 64) - 1
ONE = 1 << 28
CANDIDATES_MAX = 1024


# --- section 2: arithmetic -------------------------------------------------------------------------------------------


def seed(tag, raw):
    return int.from_bytes(hashlib.sha256(tag.encode() + raw).digest()[:8], "big")


def mix(z):
    z ^= z >> 30
    z = z * 0xBF58476D1CE4E5B9 & U64
    z ^= z >> 27
    z = z * 0x94D049BB133111EB & U64
    return z ^ z >> 31


def draw(a, b, seed_):
    return mix(mix(a ^ seed_) ^ b)


def table_entry(k):
    if k == 2048:
        return 1 << 40
    x, r = (2048 + k) << 52, 0
    for _ in range(40):
        s = x * x
        r *= 2
        if s >= 1 << 127:
            r, x = r + 1, s >> 64
        else:
            x = s >> 63
    return r


TABLE = [table_entry(k) for k in range(2049)]


def exponential(u):
    u |= 1
    z = 64 - u.bit_length()
    m = u << z
    i, f = m >> 52 & 0x7FF, m >> 20 & 0xFFFFFFFF
    e = ((z + 1) << 40) - (TABLE[i] + ((TABLE[i + 1] - TABLE[i]) * f >> 32))
    assert 1 <= e <= 1 << 46
    return e


def level(target, budget):
    """target(c) for the largest c below 2^60 whose sum stays within the budget."""
    low, high = 0, 1 << 60
    assert sum(target(low)) <= budget
    while high - low > 1:
        middle = (low + high) // 2
        if sum(target(middle)) <= budget:
            low = middle
        else:
            high = middle
    return target(low)


def fill(w, lo, hi, n):
    if sum(hi) <= n * ONE:
        return list(hi)
    return level(lambda c: [min(max(c * wi >> 32, li), hi_) for wi, li, hi_ in zip(w, lo, hi)], n * ONE)


def sitefill(sites, n):
    """sites: for each site the weights of its servers."""
    if sum(map(len, sites)) <= n:
        return [len(site) * ONE for site in sites]
    return level(lambda c: [max(ONE, sum(min(c * w >> 32, ONE) for w in site)) for site in sites], n * ONE)


def race(e, p, n):
    e, alive, won = dict(enumerate(e)), list(range(len(p))), []
    total = sum(p)
    for target in range(n, 0, -1):
        g = {}
        for i in alive:
            if total <= target * p[i]:
                g[i] = 1 << 62
            else:
                g[i] = p[i] * (total - p[i]) // (total - target * p[i])
            assert 0 < g[i] <= 1 << 62 and 0 <= e[i] < 1 << 63
        best = min(alive, key=lambda i: Fraction(e[i], g[i]))  # min keeps the first of equals
        for i in alive:
            if i != best:
                e[i] -= g[i] * e[best] // g[best]
                assert e[i] >= 0
        alive.remove(best)
        total -= p[best]
        won.append(best)
    return won


# --- sections 1, 3, 4, 5: placement ----------------------------------------------------------------------------------
# A server is (id, site, [(disk id, weight), ...]) or has its branch as a fourth; ids are bytes, the site is text.


class Live:
    def __init__(self, server):
        self.id, self.site, disks = server[:3]
        self.branch = server[3] if len(server) > 3 else b""
        self.disks = sorted((disk, weight) for disk, weight in disks if weight > 0)
        self.weight = sum(weight for _, weight in self.disks)

    def arrive(self, a, b):
        """The best disk: (arrival, server id, disk id), e, weight."""
        arrivals = []
        for disk, weight in self.disks:
            e = exponential(draw(a, b, seed("fsdfs/place/disk/1", disk)))
            arrivals.append(((Fraction(e, weight), self.id, disk), e, weight))
        self.best, self.e, self.best_weight = min(arrivals)
        return self


def live(servers):
    return [server for server in map(Live, servers) if server.disks]


def candidates(servers, block):
    def distance(server):
        return int.from_bytes(hashlib.sha256(server.id).digest(), "big") ^ int.from_bytes(block, "big")

    return sorted(servers, key=distance)[:CANDIDATES_MAX] if len(servers) > CANDIDATES_MAX else servers


def by_site(servers):
    sites = {}
    for server in sorted(servers, key=lambda server: server.id):
        sites.setdefault((server.branch, server.site.encode()), []).append(server)
    return [sites[site] for site in sorted(sites)]


def branches_of(sites):
    """For each branch of several sites, their places."""
    branches = {}
    for s, site in enumerate(sites):
        if site[0].branch:
            branches.setdefault(site[0].branch, []).append(s)
    return [places for places in branches.values() if len(places) > 1]


def bounded(sites, weights, target, t):
    """Step 2: no branch has more than one replica less than all."""
    for branch in branches_of(sites):
        if target >= 2 and len(branch) < len(sites) and sum(t[s] for s in branch) > (target - 1) * ONE:
            outside = [s for s in range(len(sites)) if s not in branch]
            for places, n in ((branch, target - 1), (outside, 1)):
                shares_ = fill([weights[s] for s in places], [0] * len(places), [ONE] * len(places), n)
                for s, share in zip(places, shares_):
                    t[s] = share
            break
    return t


def site_targets(sites, copies):
    target = min(copies, sum(map(len, sites)))
    if len(sites) >= target:
        weights = [sum(server.weight for server in site) for site in sites]
        t = fill(weights, [0] * len(sites), [ONE] * len(sites), target)
        return target, bounded(sites, weights, target, t)
    return target, sitefill([[server.weight for server in site] for site in sites], target)


def mixed(t, f):
    """The shares of a branch's sites with its base, and with one replica more."""
    if f == 0:
        return [t]
    most = [min((ONE - x) * ONE // (ONE - f), x * ONE // f, ONE) for x in t]
    d = fill(t, [0] * len(t), most, 1)
    low = [x - -(-f * y // ONE) for x, y in zip(t, d)]
    return [low, [x + (ONE - f) * y // ONE for x, y in zip(t, d)]]


def in_site(site, q):
    if q <= 1:
        return [min(site, key=lambda server: server.best)] * q
    t = fill([server.weight for server in site], [0] * len(site), [ONE] * len(site), q)
    chosen = [server for server, share in zip(site, t) if share == ONE]
    racing = [(server, share) for server, share in zip(site, t) if 0 < share < ONE]
    e = [server.e * server.weight // server.best_weight for server, _ in racing]
    winners = race(e, [share for _, share in racing], q - len(chosen))
    return chosen + [racing[i][0] for i in winners]


def place(servers, block, copies):
    """The holders, live servers with their best disk, in order."""
    a, b = int.from_bytes(block[:8], "big"), int.from_bytes(block[8:16], "big")
    sites = by_site(server.arrive(a, b) for server in candidates(live(servers), block))
    if not sites:
        return []
    target, targets = site_targets(sites, copies)
    branches = branches_of(sites) if len(sites) >= target else []
    grouped = {s for branch in branches for s in branch}
    groups = [[s] for s in range(len(sites)) if s not in grouped] + branches
    sums = [sum(targets[s] for s in group) for group in groups]
    counts = [t // ONE for t in sums]
    want = target - sum(counts)
    racing = [g for g, t in enumerate(sums) if t % ONE > 0]

    def unit_time(servers_):
        first = min(servers_, key=lambda server: server.best)
        return first.e * sum(server.weight for server in servers_) // first.best_weight

    e = []
    for g in racing:
        first = sites[groups[g][0]][0]
        if counts[g] == 0:
            e.append(unit_time([server for s in groups[g] for server in sites[s]]))
        elif len(groups[g]) > 1:
            e.append(exponential(draw(a, b, seed("fsdfs/place/branch/1", first.branch))))
        else:
            e.append(exponential(draw(a, b, seed("fsdfs/place/site/1", first.branch + first.site.encode()))))
    bases = list(counts)
    for winner in race(e, [sums[g] % ONE for g in racing], want) if want > 0 else []:
        counts[racing[winner]] += 1
    q = [0] * len(sites)
    for group, base, count, t in zip(groups, bases, counts, sums):
        if len(group) == 1:
            q[group[0]] = count
        elif base == 0:
            if count:
                q[min(group, key=lambda s: min(server.best for server in sites[s]))] = 1
        else:
            p = mixed([targets[s] for s in group], t % ONE)[count - base]
            whole = [s for s, share in zip(group, p) if share == ONE]
            rest = [(s, share) for s, share in zip(group, p) if 0 < share < ONE]
            winners = race([unit_time(sites[s]) for s, _ in rest], [share for _, share in rest], count - len(whole))
            for s in whole + [rest[i][0] for i in winners]:
                q[s] = 1
    holders = [server for site, count in zip(sites, q) for server in in_site(site, count)]
    assert len(holders) == len({server.id for server in holders}) == target
    assert len({(server.branch, server.site) for server in holders}) == min(target, len(sites))
    for branch in {server.branch for site in sites for server in site if server.branch}:
        inside = sum(server.branch == branch for server in holders)
        outside = any(server.branch != branch for site in sites for server in site)
        assert inside < target or target == 1 or not outside
    return sorted(holders, key=lambda server: server.best)


def order(servers, block, copies):
    a, b = int.from_bytes(block[:8], "big"), int.from_bytes(block[8:16], "big")
    holders = place(servers, block, copies)
    everyone = [server.arrive(a, b) for server in live(servers)]
    near = {server.id for server in candidates(everyone, block)}
    taken = {server.id for server in holders}
    rest = sorted(everyone, key=lambda server: (server.id not in near, server.best))
    return holders + [server for server in rest if server.id not in taken]


# --- section 6: capacity ---------------------------------------------------------------------------------------------


def shares(site, q):
    weights = [server.weight for server in site]
    if q == 0:
        return [0] * len(site)
    if q == 1:
        return [(w << 56) // sum(weights) for w in weights]
    return [t << 28 for t in fill(weights, [0] * len(site), [ONE] * len(site), q)]


def capacity(servers, copies):
    sites = by_site(live(servers))
    target, targets = site_targets(sites, copies) if sites else (0, [])
    expected = []
    for site, t in zip(sites, targets):
        base, frac = divmod(t, ONE)
        upper = shares(site, base + 1) if frac else [0] * len(site)
        for server, low, high in zip(site, shares(site, base), upper):
            expected.append((server, (ONE - frac) * low + frac * high))
    usable = min(((server.weight << 84) // p for server, p in expected if p), default=0)
    used = [(server, p, -(-usable * p >> 84)) for server, p in expected]
    return {
        "usable": usable,
        "copies_short": copies - target,
        "sites_short": max(0, target - len(sites)),
        "stranded": sorted([server.id.hex(), server.weight - u] for server, _, u in used if server.weight > u),
        "too_large": sorted(server.id.hex() for server, p, _ in used if p == 1 << 84 and server.weight > usable),
    }

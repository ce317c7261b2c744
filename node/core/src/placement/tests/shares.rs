//! Everybody gets an exact share: counts against expectations, and the capacity report against a pool filled block by block.

use super::*;

/// Chi-square of the replicas that `blocks` blocks leave on each server, and its degrees of freedom, at most; exact shares make
/// them about equal.
fn chi_square(view: &View, copies: u8, blocks: u64) -> (f64, f64) {
    let mut counts: BTreeMap<NodeId, u64> = BTreeMap::new();
    for number in 0..blocks {
        for holder in view.holders(block(number), copies) {
            *counts.entry(holder.node).or_default() += 1;
        }
    }
    let (mut sum, mut free) = (0.0, 0.0);
    for (node, share) in expected(view, copies) {
        let (count, mean) = (counts.get(&node).copied().unwrap_or(0), share * blocks as f64);
        if share == 1.0 {
            assert_eq!(count, blocks, "a server with a whole share holds every block");
        } else {
            sum += (count as f64 - mean).powi(2) / (mean * (1.0 - share));
            free += 1.0;
        }
    }
    (sum, free)
}

#[test]
fn shares_are_exact() {
    let blocks = 30_000;
    for (servers, sites, copies) in [
        (4, 4, 3),
        (5, 5, 1),
        (6, 6, 3),
        (10, 10, 3),
        (30, 30, 3),
        (60, 60, 3),
        (20, 20, 14),
        (12, 6, 3),
        (30, 12, 3),
        (8, 2, 3),
        (12, 4, 6),
        (30, 10, 14),
    ] {
        let view = View::new(uneven(servers, sites, 1));
        let (sum, free) = chi_square(&view, copies, blocks);
        println!("{servers} servers, {sites} sites, N = {copies}: chi-square {sum:.1} of {free}");
        assert!(
            sum < free + 3.0 * (2.0 * free).sqrt(),
            "{servers} servers, {sites} sites, N = {copies}: {sum:.1} of {free}"
        );
    }
}

/// Blocks of one unit until the first server is full.
fn filled(servers: &[Server], copies: u8) -> u64 {
    let view = View::new(servers.to_vec());
    let mut free: BTreeMap<NodeId, u64> = servers
        .iter()
        .map(|server| (server.id, server.disks.iter().map(|disk| u64::from(disk.weight)).sum()))
        .collect();
    for number in 0.. {
        for node in nodes(&view.holders(block(number), copies)) {
            match free.get_mut(&node) {
                Some(left) if *left > 0 => *left -= 1,
                _ => return number,
            }
        }
    }
    unreachable!("every pool gets full")
}

#[test]
fn usable_space_is_what_fits() {
    for (servers, sites, copies) in [(4, 4, 3), (6, 6, 3), (6, 3, 4), (6, 2, 2)] {
        let mut servers = uneven(servers, sites, 3);
        for server in &mut servers {
            server.disks[0].weight *= 60;
        }
        let (usable, filled) = (View::new(servers.clone()).capacity(copies).usable, filled(&servers, copies));
        let off = usable.abs_diff(filled) as f64 / usable as f64;
        println!("{} servers, {sites} sites, N = {copies}: {usable} reported, {filled} fit", servers.len());
        assert!(off < 0.02, "{} servers, {sites} sites, N = {copies}: {usable} reported, {filled} fit", servers.len());
    }
}

#[test]
fn advice_names_what_is_missing_and_what_is_too_large() {
    let mut servers = vec![server(1, 1000), server(2, 100), server(3, 100)];
    let capacity = View::new(servers.clone()).capacity(2);
    assert_eq!((capacity.usable, capacity.copies_short, capacity.sites_short), (200, 0, 0));
    assert_eq!(capacity.stranded, [(node(1), 800)]);
    assert_eq!(capacity.too_large, [node(1)]);

    servers.truncate(2);
    servers[1].site = servers[0].site.clone();
    let capacity = View::new(servers).capacity(3);
    assert_eq!((capacity.usable, capacity.copies_short, capacity.sites_short), (100, 1, 1));
    assert_eq!(capacity.too_large, [node(1)]);
}

//! Everybody gets an exact share: counts against expectations; and what the capacity report says.

use super::*;

/// Chi-square of the replicas that `blocks` blocks leave on each server, and its degrees of freedom, at most; exact shares make
/// them about equal.
pub(super) fn chi_square(view: &ClusterMap, copies: u8, blocks: u64) -> (f64, f64) {
    let mut counts: BTreeMap<NodeId, u64> = BTreeMap::new();
    for id in super::blocks(1).take(blocks as usize) {
        for holder in view.holders(id, copies) {
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
    let blocks = 20_000;
    for (servers, sites, copies) in [
        (4, 4, 3),
        (5, 5, 1),
        (6, 6, 3),
        (10, 10, 3),
        (30, 30, 3),
        (60, 60, 3),
        (100, 100, 3),
        (100, 40, 16),
        (20, 20, 14),
        (12, 6, 3),
        (30, 12, 3),
        (8, 2, 3),
        (12, 4, 6),
        (30, 10, 14),
    ] {
        let view = ClusterMap::new(uneven(servers, sites, 1));
        let (sum, free) = chi_square(&view, copies, blocks);
        println!("{servers} servers, {sites} sites, N = {copies}: chi-square {sum:.1} of {free}");
        assert!(
            sum < free + 3.0 * (2.0 * free).sqrt(),
            "{servers} servers, {sites} sites, N = {copies}: {sum:.1} of {free}"
        );
    }
}

/// Variance-normalised: of the sum over servers of `(count - mean)^2 / (mean * (1 - share))`, divided by the number of servers
/// whose share is not whole.
#[test]
fn shares_of_thirty_log_normal_servers_are_exact() {
    let view = ClusterMap::new(log_normal(30, 1000.0, 1.0, 2));
    let (sum, free) = chi_square(&view, 3, 300_000);
    println!("30 servers, log-normal, N = 3, 300000 blocks: chi-square / servers = {:.2}", sum / free);
    assert!(sum / free <= 1.6, "{:.2}", sum / free);
}

#[test]
fn advice_names_what_is_missing_and_what_is_too_large() {
    let mut servers = vec![server(1, 1000), server(2, 100), server(3, 100)];
    let capacity = ClusterMap::new(servers.clone()).capacity(2);
    assert_eq!((capacity.usable, capacity.copies_short, capacity.sites_short), (200, 0, 0));
    assert_eq!(capacity.stranded, [(node(1), 800)]);
    assert_eq!(capacity.too_large, [node(1)]);

    servers.truncate(2);
    servers[1].site = servers[0].site.clone();
    let capacity = ClusterMap::new(servers).capacity(3);
    assert_eq!((capacity.usable, capacity.copies_short, capacity.sites_short), (100, 1, 1));
    assert_eq!(capacity.too_large, [node(1)]);
}

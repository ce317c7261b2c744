//! No branch for which nobody vouches holds all copies of a block, and that costs nothing while the others are large enough.

use std::collections::BTreeSet;

use super::shares::chi_square;
use super::*;

/// One-disk servers at sites of their own; those `inside` share a branch.
fn pool(weights: &[u32], inside: impl Fn(usize) -> bool) -> Vec<MapServer> {
    let server = |(number, weight): (usize, &u32)| MapServer {
        branch: inside(number).then(|| node(1_000)),
        ..server(number as u64, *weight)
    };
    weights.iter().enumerate().map(server).collect()
}

/// 16, 8, 4, 2, 2, 1, 1 TB, in GB.
const FRIENDS: [u32; 7] = [16_000, 8_000, 4_000, 2_000, 2_000, 1_000, 1_000];

#[test]
fn a_branch_never_holds_all_copies() {
    for (weights, honest, copies) in [
        // Twelve servers that do not exist, each as large as all others together.
        (&[&[8_000; 3][..], &[1 << 30; 12]].concat()[..], 3, 3),
        (&[1_000; 8], 2, 3),
        (&[1_000; 8], 4, 2),
        (&[1, 1_000_000, 1_000_000, 1_000_000], 1, 3),
        (&[1_000, 1_000, 2_000, 2_000, 4_000, 8_000, 16_000], 1, 3),
    ] {
        let view = ClusterMap::new(pool(weights, |number| number >= honest));
        let unbound = ClusterMap::new(pool(weights, |_| false));
        let liars: BTreeSet<NodeId> = (honest..weights.len()).map(|number| node(number as u64)).collect();
        let lost = |view: &ClusterMap| {
            let all = |id: &BlockId| view.holders(*id, copies).iter().all(|holder| liars.contains(&holder.node));
            blocks(1).take(2_000).filter(all).count()
        };
        let (bound, free) = (lost(&view), lost(&unbound));
        println!(
            "{honest} of {} outside, N = {copies}: {free} of 2000 with the branch only, {bound} bound",
            weights.len()
        );
        assert!(bound == 0 && free > 0, "{weights:?}: {bound}, unbound {free}");
    }
}

#[test]
fn it_costs_no_space_while_one_copy_of_everything_fits_beside_the_branch() {
    let fits = |inside: &dyn Fn(usize) -> bool| ClusterMap::new(pool(&FRIENDS, inside)).capacity(3).usable;
    let free = fits(&|_| false);
    assert!(free >= 8_990, "{free}");
    for inside in 0..128_u32 {
        let is_inside = |number: usize| inside >> number & 1 == 1;
        let outside: u64 =
            FRIENDS.iter().zip(0..).filter(|(_, at)| !is_inside(*at)).map(|(gb, _)| u64::from(*gb)).sum();
        let usable = fits(&is_inside);
        let at_best = if outside == 0 { free } else { free.min(outside) };
        assert!(usable * 100 >= at_best * 97, "{inside:b}: {usable} of {at_best}");
    }
}

#[test]
fn the_sites_of_a_branch_stay_sites() {
    // One friend invited all others: three copies are at three sites, as before.
    let view = ClusterMap::new(pool(&[4_000, 2_000, 2_000, 1_000, 1_000], |number| number > 0));
    for id in blocks(2).take(500) {
        let holders = view.holders(id, 3);
        let sites: BTreeSet<&str> =
            holders.iter().filter_map(|holder| view.server(holder.node)).map(|server| server.site.as_str()).collect();
        assert_eq!(sites.len(), 3);
    }
}

#[test]
fn names_of_sites_do_not_reach_across_a_branch() {
    // Whoever calls its site as the honest ones call theirs does not push them out of it.
    let mut servers = pool(&[1_000, 1_000, 1_000, 900_000, 900_000, 900_000], |number| number >= 3);
    for number in 3..6 {
        servers[number].site = servers[number - 3].site.clone();
    }
    let view = ClusterMap::new(servers);
    let honest = |id: BlockId| {
        view.holders(id, 3).iter().filter(|holder| (0..3).any(|number| node(number) == holder.node)).count()
    };
    assert!(blocks(3).take(500).all(|id| honest(id) >= 1));
}

#[test]
fn shares_stay_exact() {
    let mut dice = fastrand::Rng::with_seed(8);
    for (count, inside, copies) in [(6, 3, 3), (8, 6, 3), (10, 5, 3), (12, 9, 4), (20, 12, 14), (30, 10, 3)] {
        let mut servers = uneven(count, count, 1);
        for server in servers.iter_mut().take(inside) {
            server.branch = Some(node(1_000 + dice.u64(0..2)));
        }
        let view = ClusterMap::new(servers);
        let (sum, free) = chi_square(&view, copies, 20_000);
        println!("{count} servers, {inside} in two branches, N = {copies}: chi-square {sum:.1} of {free}");
        assert!(
            sum < free + 3.0 * (2.0 * free).sqrt(),
            "{count} servers, {inside} inside, N = {copies}: {sum:.1} of {free}"
        );
    }
}

//! What would be exact: the copies that each member should hold, and the most data that any placement could fit.

use super::network::OverlayNetwork;

/// Expected copies of a block on each member, by id, as the production code's capacity report implies them: what is in use when
/// the pool is full, per unit of data.
pub fn shares(network: &OverlayNetwork, copies: u8) -> Vec<f64> {
    let capacity = network.view().capacity(copies);
    let mut shares: Vec<f64> = network.members.iter().map(|member| member.weight() as f64).collect();
    for (node, stranded) in &capacity.stranded {
        shares[OverlayNetwork::member(*node)] -= *stranded as f64;
    }
    shares.iter().map(|used| used / capacity.usable.max(1) as f64).collect()
}

/// The largest volume of data of which every unit can have its copies on distinct servers, in distinct sites as far as there are enough, and
/// at every site otherwise. No placement can do better, and none of the code under study is used to find it.
pub fn best_volume(network: &OverlayNetwork, copies: u8) -> f64 {
    let (mut fits, mut over) = (0.0, network.total() as f64);
    // Fifty halvings: a millionth of a millionth.
    for _ in 0..50 {
        let middle = (fits + over) / 2.0;
        if can_hold(network, copies, middle) { fits = middle } else { over = middle }
    }
    fits
}

fn can_hold(network: &OverlayNetwork, copies: u8, volume: f64) -> bool {
    let sites = network.sites();
    let servers = network.live().count();
    let copies = servers.min(copies.into());
    let on_servers = |site: usize| {
        let here = network.live().filter(move |(_, member)| member.site == site);
        here.map(|(_, member)| (member.weight() as f64).min(volume)).sum::<f64>()
    };
    let held: Vec<f64> = sites.iter().map(|site| on_servers(*site)).collect();
    if sites.len() >= copies {
        held.iter().map(|held| held.min(volume)).sum::<f64>() >= copies as f64 * volume
    } else {
        held.iter().all(|held| *held >= volume) && held.iter().sum::<f64>() >= copies as f64 * volume
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_volume_of_small_pools() {
        let best = |sizes: &[u32], copies| best_volume(&OverlayNetwork::separate(1, sizes), copies).round();
        assert_eq!(best(&[10, 10, 10], 3), 10.0);
        assert_eq!(best(&[100, 10, 10], 2), 20.0, "the giant has no match");
        assert_eq!(best(&[16, 8, 4, 2, 2, 1, 1], 3), 9.0, "everything but the giant must hold two copies");
        assert_eq!(best(&[7, 9], 3), 7.0, "two servers keep two copies");
    }

    #[test]
    fn sites_count_once() {
        let mut network = OverlayNetwork::separate(1, &[10, 10, 10, 10]);
        network.members[3].site = 2;
        assert_eq!(best_volume(&network, 3).round(), 10.0);
        network.members[2].site = 0;
        network.members[3].site = 0;
        assert_eq!(best_volume(&network, 3).round(), 10.0, "the site with one server must hold a copy of everything");
    }

    #[test]
    fn shares_follow_sizes_up_to_one_copy() {
        let shares = shares(&OverlayNetwork::separate(1, &[1_000_000, 100_000, 100_000, 200_000]), 2);
        let expected = [1.0, 0.25, 0.25, 0.5];
        assert!(shares.iter().zip(expected).all(|(share, expected)| (share - expected).abs() < 1e-4), "{shares:?}");
    }
}

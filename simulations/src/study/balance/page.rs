//! What the study of balance says.

use super::cases::{BalanceCase, BalanceTable, COPIES, DRAWN, SERVERS, SHARED, SIGMA, drawn, home_pools, mean, shared};
use crate::study::family::PlacementKind;
use crate::study::network::TB;
use crate::study::page::{PageData, PagePart, StudyPage};
use crate::study::plot::{Plot, PlotAxis, PlotMark, PlotPoint, PlotSeries};

/// Functions that give every block its copies in pools where each server has a size of its own. The others are in the data
/// only: what a pool can hold means nothing while copies are missing.
const WHOLE: [PlacementKind; 3] = [PlacementKind::Ours, PlacementKind::Straw2, PlacementKind::RushR];
/// The home pool that is shown disk by disk.
const SHOWN: usize = 0;

pub fn page(all: &BalanceTable) -> StudyPage {
    let among_friends = |kind| 100.0 * mean([4, 6, 10].map(|servers| all.usable(kind, &drawn(servers), 3)));
    let [ours, straw, rush] = WHOLE.map(among_friends);
    StudyPage {
        name: "balance",
        title: "Does every disk fill to the same percentage?",
        answer: format!(
            "Yes: when the first disk is full, the pool holds {ours:.1} % of the data that could fit at best. Ceph's straw2 would reach \
             {straw:.0} %, RUSH_R {rush:.0} % (three copies; {DRAWN} pools each of 4, 6 and 10 servers of very unequal sizes)."
        ),
        findings: findings(all),
        parts: parts(all),
        data: vec![pools_data(all), disks_data(all)],
    }
}

fn findings(all: &BalanceTable) -> Vec<String> {
    let ours = || all.0.iter().filter(|(case, _)| case.kind == PlacementKind::Ours).map(|(_, balance)| balance);
    let chi2 = mean(ours().map(|balance| balance.chi2_per_disk).filter(|chi2| *chi2 > 0.0));
    let enough_sites = |case: &BalanceCase| case.network.sites().len() >= case.copies.into();
    let in_sites = all.0.iter().filter(|(case, _)| case.kind == PlacementKind::Ours && enough_sites(case));
    let exact = 100.0 * in_sites.map(|(_, balance)| balance.exact).fold(1.0, f64::min);
    let two_sites = SHARED.iter().filter(|(_, sites)| *sites < 3).map(|(servers, sites)| {
        100.0 * mean(all.of(PlacementKind::Ours, &shared(*servers, *sites), 3).map(|(_, balance)| balance.exact))
    });
    let two_sites: Vec<String> = two_sites.map(|exact| format!("{exact:.0} %")).collect();
    let thin = |kind| 100.0 * mean(all.of(kind, &drawn(10), 3).map(|(_, balance)| balance.thin));
    vec![
        format!(
            "Loads deviate from the exact shares as much as chance alone makes them: the mean square is {chi2:.2} times that (1 is \
             perfect; all {} pools and numbers of copies).",
            ours().count()
        ),
        format!(
            "The exact shares themselves reach {exact:.2} % of the best possible volume in the worst of these pools. What is missing \
             in the figures is chance: small disks have few blocks. It gets less as pools fill."
        ),
        format!(
            "Pools with fewer sites than copies are the exception: there the exact shares reach {} (means of {DRAWN} pools of 8 and 12 servers \
             at two sites). A third site mends it.",
            two_sites.join(" and ")
        ),
        format!(
            "RUSH_P leaves {:.0} % of the blocks of ten such servers with a copy too few and RUSH_T {:.0} %: they were made for batches \
             of equal servers, at least as many as there are copies. They are in the data (`thin_percent`), not in the plots.",
            thin(PlacementKind::RushP),
            thin(PlacementKind::RushT)
        ),
    ]
}

fn parts(all: &BalanceTable) -> Vec<PagePart> {
    let home_pool = home_pools()[SHOWN].0;
    let usable = format!(
        "Volume of data when the first disk is full, three copies, in % of the best possible. Mean of {DRAWN} pools with sizes drawn \
         log-normally (sigma {SIGMA}), each server at a site of its own. What fsdfs lacks in large pools is chance: the smallest of many disks \
         gets few blocks."
    );
    let disks =
        format!("Load of each disk / its exact share, three copies, in the home pool {home_pool}. 1 is perfect.");
    vec![
        PagePart::Heading("How much fits".into()),
        PagePart::Figure("usable", usable_plot(all), usable),
        PagePart::Text("Usable volume in % of the best possible:".into()),
        PagePart::Table(usable_table(all)),
        PagePart::Heading("Disk by disk".into()),
        PagePart::Figure("disks", disks_plot(all), disks),
        PagePart::Table(home_pool_table(all)),
    ]
}

fn usable_plot(all: &BalanceTable) -> String {
    let point = |kind, servers: usize| PlotPoint::new(servers as f64, 100.0 * all.usable(kind, &drawn(servers), 3));
    let line = |kind: PlacementKind| {
        let points = SERVERS.map(|servers| point(kind, servers)).into();
        PlotSeries { name: kind.name().into(), points, line: true }
    };
    let ticks = SERVERS.map(|servers| (servers as f64, servers.to_string()));
    Plot {
        title: "Usable volume, three copies".into(),
        x: PlotAxis::log("servers in the pool", (2.8, 110.0), ticks),
        y: PlotAxis::linear("% of the best possible", (50.0, 102.0), 10.0),
        series: WHOLE.map(line).into(),
        height: 460,
        mark: Some(PlotMark::Y(100.0)),
    }
    .svg()
}

fn disks_plot(all: &BalanceTable) -> String {
    let pool = home_pools()[SHOWN].0;
    let names = |(case, _): (&BalanceCase, _)| (0..case.network.members.len()).map(|id| disk_name(case, id)).collect();
    let disks: Vec<String> = all.of(PlacementKind::Ours, pool, 3).next().map(names).unwrap_or_default();
    let series = |(nr, kind): (usize, PlacementKind)| {
        let height = 0.2 - 0.2 * nr as f64;
        let loads = all.of(kind, pool, 3).flat_map(|(_, balance)| balance.loads.iter().enumerate());
        let points = loads.map(|(id, load)| PlotPoint::new(*load, height - id as f64)).collect();
        PlotSeries { name: kind.name().into(), points, line: false }
    };
    Plot {
        title: format!("Load of each disk of the home pool {pool}"),
        x: PlotAxis::linear("load / exact share", (0.6, 1.6), 0.1),
        y: PlotAxis::names(&disks),
        series: WHOLE.into_iter().enumerate().map(series).collect(),
        height: 480,
        mark: Some(PlotMark::X(1.0)),
    }
    .svg()
}

fn usable_table(all: &BalanceTable) -> PageData {
    let mut table = PageData::new("usable", with_functions(&["pool", "copies"]));
    let mut row = |pool: &str, copies: u8| {
        let known = |kind| all.of(kind, pool, copies).next().is_some();
        let usable = WHOLE.map(|kind| if known(kind) { percent(all.usable(kind, pool, copies)) } else { "-".into() });
        table.push([vec![pool.to_owned(), copies.to_string()], usable.into()].concat());
    };
    home_pools().iter().for_each(|(pool, _)| row(pool, 3));
    SERVERS.into_iter().for_each(|servers| row(&drawn(servers), 3));
    SHARED.into_iter().for_each(|(servers, sites)| row(&shared(servers, sites), 3));
    COPIES.into_iter().filter(|copies| *copies != 3).for_each(|copies| row(&drawn(30), copies));
    table
}

fn home_pool_table(all: &BalanceTable) -> PageData {
    let pool = home_pools()[SHOWN].0;
    let mut table = PageData::new("home_pool", with_functions(&["disk"]));
    let Some((case, _)) = all.of(PlacementKind::Ours, pool, 3).next() else { return table };
    for id in 0..case.network.members.len() {
        let load =
            |kind| all.of(kind, pool, 3).map(|(_, balance)| format!("{:.3}", balance.loads[id])).collect::<String>();
        table.push([vec![disk_name(case, id)], WHOLE.map(load).into()].concat());
    }
    table
}

/// Every pool, one row for each function and number of copies.
fn pools_data(all: &BalanceTable) -> PageData {
    let head =
        ["pool", "nr", "servers", "copies", "function", "usable_percent", "exact_percent", "max_load", "rms_percent"];
    let mut data = PageData::new("pools", head.into_iter().chain(["chi2_per_disk", "thin_percent"]));
    for (case, balance) in &all.0 {
        let exact = if case.kind == PlacementKind::Ours { percent(balance.exact) } else { String::new() };
        let max = balance.loads.iter().copied().fold(0.0, f64::max);
        data.row(&[
            &case.pool,
            &format!("{:x}", case.network.salt),
            &case.network.members.len(),
            &case.copies,
            &case.kind.name(),
            &percent(balance.usable),
            &exact,
            &format!("{max:.3}"),
            &percent(balance.rms),
            &format!("{:.2}", balance.chi2_per_disk),
            &percent(balance.thin),
        ]);
    }
    data
}

/// The home_pools, disk by disk.
fn disks_data(all: &BalanceTable) -> PageData {
    let mut data = PageData::new("disks", ["pool", "copies", "function", "disk", "terabytes", "load_per_share"]);
    let home_pools = home_pools();
    for (case, balance) in all.0.iter().filter(|(case, _)| home_pools.iter().any(|(name, _)| *name == case.pool)) {
        for (id, load) in balance.loads.iter().enumerate() {
            let terabytes = case.network.members[id].weight() / u64::from(TB);
            let load = format!("{load:.4}");
            data.row(&[&case.pool, &case.copies, &case.kind.name(), &(id + 1), &terabytes, &load]);
        }
    }
    data
}

fn percent(part: f64) -> String {
    format!("{:.1}", 100.0 * part)
}

fn with_functions(first: &[&str]) -> Vec<String> {
    first.iter().copied().chain(WHOLE.map(PlacementKind::name)).map(str::to_owned).collect()
}

fn disk_name(case: &BalanceCase, id: usize) -> String {
    format!("{}. {} TB", id + 1, case.network.members[id].weight() / u64::from(TB))
}

//! One year of a pool, hour by hour while copies are missing, from failure to failure while none are.
//!
//! Loss is rare, so while copies are missing disks die faster than they do (importance sampling): each year carries the weight
//! by which it is too likely. The mean of the weights of the years with loss is the probability of loss, without bias.

use super::plan::{MemberSet, PlacementPlan};
use super::site::{SiteModel, YEAR_H};

/// What a year is like.
pub struct LifetimeModel<'a> {
    pub sites: &'a [SiteModel],
    /// Of each server.
    pub site_of: &'a [usize],
    pub plan: &'a PlacementPlan,
    /// Deaths per disk and hour.
    pub rate: f64,
    /// Hours until a dead disk is known as such and replaced.
    pub notice_h: f64,
    /// How many blocks of the sample an uplink of 1 Mbit/s sends in an hour.
    pub blocks_per_mbit_h: f64,
    /// A site fails this year.
    pub site_fails: bool,
    /// Mean hours to the next death while copies are missing. About as long as they are missing: shorter, and the weights
    /// spread; longer, and losses are rarely seen.
    pub hurry_h: f64,
}

/// A year under way.
struct YearModel<'a> {
    life: &'a LifetimeModel<'a>,
    dice: fastrand::Rng,
    hour: f64,
    site_fails_at: Option<f64>,
    holidays: Vec<f64>,
    /// Servers that died, and when that is known.
    dead: Vec<(usize, f64)>,
    /// Living holders of each block.
    holders: Vec<MemberSet>,
    /// Blocks that lack copies.
    thin: Vec<usize>,
    /// Blocks that each site may still send in this step.
    credit: Vec<f64>,
    weight: f64,
}

impl LifetimeModel<'_> {
    /// The weight of this year if something was lost in it, otherwise 0.
    pub fn loss(&self, seed: u64) -> f64 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let site_fails_at = self.site_fails.then(|| dice.f64() * YEAR_H);
        let holidays = self.sites.iter().map(|_| dice.f64() * YEAR_H).collect();
        let credit = vec![0.0; self.sites.len()];
        let (dead, holders, thin) = (Vec::new(), Vec::new(), Vec::new());
        YearModel { life: self, dice, hour: 0.0, site_fails_at, holidays, dead, holders, thin, credit, weight: 1.0 }
            .live()
    }
}

impl YearModel<'_> {
    fn live(mut self) -> f64 {
        while self.hour < YEAR_H {
            let whole = self.dead.is_empty();
            let died = if whole { self.quiet() } else { self.repair_hour() };
            if died && self.is_lost() {
                return self.weight;
            }
        }
        0.0
    }

    /// Nothing is missing: the next failure. Whether it comes this year.
    fn quiet(&mut self) -> bool {
        let alone = self.life.rate * self.life.site_of.len() as f64;
        let at = self.hour + exponential(&mut self.dice) / alone;
        if self.site_fails_at.is_some_and(|hour| hour <= at) {
            return self.fail_site();
        }
        self.hour = at;
        at < YEAR_H && self.die()
    }

    /// Until the next failure, the next known event or for an hour, whichever comes first. Whether it was a failure.
    fn repair_hour(&mut self) -> bool {
        let step = self.step();
        self.send(step);
        if self.thin.is_empty() {
            // New disks are in the place of the old ones; what else lay there comes back without hurry.
            self.dead.clear();
            return false;
        }
        let alive = (self.life.site_of.len() - self.dead.len()) as f64;
        let (true_rate, rate) = (self.life.rate * alive, 1.0 / self.life.hurry_h);
        let failure = exponential(&mut self.dice) / rate;
        let past = failure.min(step);
        self.hour += past;
        self.weight *= libm::exp((rate - true_rate) * past);
        if failure < step {
            self.weight *= true_rate / rate;
            return self.die();
        }
        self.site_fails_at.is_some_and(|hour| hour <= self.hour) && self.fail_site()
    }

    /// To the next known event, an hour at most.
    fn step(&self) -> f64 {
        let notices = self.dead.iter().map(|(_, known)| *known);
        notices.chain(self.site_fails_at).map(|at| at - self.hour).filter(|left| *left > 0.0).fold(1.0, f64::min)
    }

    /// A living disk dies, each as likely.
    fn die(&mut self) -> bool {
        let alive: Vec<usize> =
            (0..self.life.site_of.len()).filter(|id| self.dead.iter().all(|(dead, _)| dead != id)).collect();
        self.dice.choice(&alive).is_some_and(|id| self.kill(&[*id]))
    }

    /// A site fails, each as likely.
    fn fail_site(&mut self) -> bool {
        self.hour = self.site_fails_at.take().unwrap_or(self.hour);
        let site = self.dice.usize(..self.life.sites.len());
        let servers: Vec<usize> = (0..self.life.site_of.len()).filter(|id| self.life.site_of[*id] == site).collect();
        self.kill(&servers)
    }

    fn kill(&mut self, servers: &[usize]) -> bool {
        if self.dead.is_empty() {
            self.holders = self.life.plan.holders(0).to_vec();
        }
        for &id in servers {
            self.dead.retain(|(dead, _)| *dead != id);
            self.dead.push((id, self.hour + self.life.notice_h));
            self.holders.iter_mut().for_each(|holders| *holders &= !(1 << id));
        }
        let lacks = |nr: &usize| self.holders[*nr].count_ones() < self.life.plan.copies();
        self.thin = (0..self.holders.len()).filter(lacks).collect();
        // Those with the fewest copies first.
        self.thin.sort_by_key(|nr| self.holders[*nr].count_ones());
        true
    }

    fn is_lost(&self) -> bool {
        self.thin.first().is_some_and(|nr| self.holders[*nr] == 0)
    }

    /// What the sites that are on send in the step that begins. A dead server whose death is not known yet is still waited for.
    fn send(&mut self, step_h: f64) {
        let known = self.dead.iter().filter(|(_, known)| *known <= self.hour).fold(0, |set, (id, _)| set | 1 << id);
        if known == 0 {
            return;
        }
        self.earn(step_h);
        let on: MemberSet = (0..self.life.site_of.len()).filter(|id| self.is_on(*id)).fold(0, |set, id| set | 1 << id);
        let (plan, wanted) = (self.life.plan, self.life.plan.holders(known));
        let mut thin = std::mem::take(&mut self.thin);
        // Those with the fewest copies come first; most of the time nobody can send any more after a few of them.
        let mut tried = 0;
        while tried < thin.len() && self.can_send() {
            self.send_block(thin[tried], wanted[thin[tried]], on);
            tried += 1;
        }
        let complete = |nr: usize| {
            let holders = self.holders[nr];
            holders.count_ones() >= plan.copies() || wanted[nr] & !holders == 0
        };
        let rest = thin.split_off(tried);
        thin.retain(|nr| !complete(*nr));
        thin.extend(rest);
        self.thin = thin;
    }

    /// Brings a block to wanted servers that are on, as far as somebody can send it.
    fn send_block(&mut self, nr: usize, wanted: MemberSet, on: MemberSet) {
        while let Some(to) = first(wanted & !self.holders[nr] & on) {
            let Some(site) = self.sender(self.holders[nr] & on) else { return };
            self.credit[site] -= 1.0;
            self.holders[nr] |= 1 << to;
        }
    }

    /// Each site that is on may send for so long. What it did not use before is gone, but for a part of a block.
    fn earn(&mut self, step_h: f64) {
        let blocks_per_mbit = self.life.blocks_per_mbit_h * step_h;
        for ((site, holidays), credit) in self.life.sites.iter().zip(&self.holidays).zip(&mut self.credit) {
            let on = site.is_on(self.hour, *holidays);
            *credit = if on { credit.min(1.0) + site.uplink_mbit_s * blocks_per_mbit } else { 0.0 };
        }
    }

    fn can_send(&self) -> bool {
        self.credit.iter().any(|credit| *credit >= 1.0)
    }

    fn is_on(&self, server: usize) -> bool {
        let site = self.life.site_of[server];
        self.dead.iter().all(|(dead, _)| *dead != server) && self.life.sites[site].is_on(self.hour, self.holidays[site])
    }

    /// The site of a holder that can still send most.
    fn sender(&self, holders: MemberSet) -> Option<usize> {
        let sites = (0..self.life.site_of.len()).filter(|id| holders >> id & 1 == 1).map(|id| self.life.site_of[id]);
        let best = sites.max_by(|one, other| self.credit[*one].total_cmp(&self.credit[*other]))?;
        (self.credit[best] >= 1.0).then_some(best)
    }
}

fn first(set: MemberSet) -> Option<u32> {
    (set != 0).then(|| set.trailing_zeros())
}

fn exponential(dice: &mut fastrand::Rng) -> f64 {
    -libm::log(1.0 - dice.f64())
}

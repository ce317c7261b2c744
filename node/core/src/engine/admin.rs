//! What owners ask: members, status, invitations, revocations, where blocks are.

use std::collections::{BTreeMap, BTreeSet};

use fsdfs_proto::identity::{Cert, CertKind, Fact, Revocation, Role};
use fsdfs_proto::ids::{BlockId, NodeId, PublicKey};
use fsdfs_proto::message::{HaveRequest, IDS_MAX, Message, Possession, Redundancy};
use fsdfs_proto::signed::Signed;

use super::peers::Purpose;
use super::{Engine, Reason, disk, reply};
use crate::facts::{MemberInfo, MemberStatus};
use crate::report::{Attention, BlockLocation, HeldState, MapReport, MemberList, MemberReport, Presence, StatusReport};
use crate::seam::{DiskRequest, Effect, OpId, Refusal, Reply};

/// A question to several servers about where blocks are.
pub(super) struct Locating {
    ids: Vec<BlockId>,
    waiting: BTreeSet<NodeId>,
    said: BTreeMap<(BlockId, NodeId), HeldState>,
}

impl Engine {
    pub(super) fn locate(&mut self, op: OpId, mut ids: Vec<BlockId>, out: &mut Vec<Effect>) {
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(IDS_MAX);
        let peers: Vec<NodeId> = self.up_peers().into_iter().filter(|node| self.usable(*node)).collect();
        let mut waiting: BTreeSet<NodeId> = peers.iter().copied().collect();
        waiting.insert(self.me);
        self.locates.insert(op, Locating { ids: ids.clone(), waiting, said: BTreeMap::new() });
        out.push(disk(DiskRequest::Have { ids: ids.clone(), renew: None }, Reason::LocateOwn(op)));
        let (map, redundancy) = (self.map_digest, Redundancy::Replicas(self.facts.rules().copies));
        for node in peers {
            let ids = ids.clone();
            let purpose = Purpose::Locate { op, ids: ids.clone() };
            let have = |request| Message::Have(HaveRequest { request, renew: false, map, redundancy, ids });
            self.ask(node, purpose, have, None, out);
        }
    }

    pub(super) fn located_own(&mut self, op: OpId, answers: &[Possession], out: &mut Vec<Effect>) {
        let Some(locating) = self.locates.get(&op) else { return };
        let ids = locating.ids.clone();
        self.located(op, self.me, &ids, answers, out);
    }

    pub(super) fn located(
        &mut self,
        op: OpId,
        from: NodeId,
        ids: &[BlockId],
        answers: &[Possession],
        out: &mut Vec<Effect>,
    ) {
        let Some(locating) = self.locates.get_mut(&op) else { return };
        for (id, answer) in ids.iter().zip(answers) {
            let held = match answer {
                Possession::Yes => HeldState::Yes,
                Possession::No => HeldState::No,
                Possession::NotYet => HeldState::Unknown,
            };
            locating.said.insert((*id, from), held);
        }
        locating.waiting.remove(&from);
        if locating.waiting.is_empty() {
            let locating = self.locates.remove(&op).expect("looked up above");
            let found = locating.ids.iter().map(|id| self.where_is(*id, &locating.said)).collect();
            out.push(reply(op, Reply::Locate(found)));
        }
    }

    fn where_is(&self, id: BlockId, said: &BTreeMap<(BlockId, NodeId), HeldState>) -> BlockLocation {
        let holders = self.view.holders(id, self.facts.rules().copies);
        let of = |node: NodeId| said.get(&(id, node)).copied().unwrap_or(HeldState::Unknown);
        let wanted: Vec<(NodeId, HeldState)> = holders.iter().map(|holder| (holder.node, of(holder.node))).collect();
        let holds = said
            .iter()
            .filter(|((block, _), held)| *block == id && **held == HeldState::Yes)
            .map(|((_, node), _)| *node);
        let others = holds.filter(|node| holders.iter().all(|holder| holder.node != *node)).collect();
        BlockLocation { id, wanted, others }
    }

    pub(super) fn report_members(&self, op: OpId, out: &mut Vec<Effect>) {
        let mut members: Vec<MemberReport> =
            self.facts.members().iter().map(|(node, info)| self.member(*node, info)).collect();
        members.sort_by(|one, other| (&one.name, one.node).cmp(&(&other.name, other.node)));
        out.push(reply(op, Reply::Members(MemberList { members, tickets: self.facts.tickets() })));
    }

    fn member(&self, node: NodeId, info: &MemberInfo) -> MemberReport {
        let card = info.card.as_ref().map(Signed::value);
        let peer = self.peers.get(&node);
        MemberReport {
            node,
            name: self.name_of(node),
            site: card.map(|card| card.site.clone()).unwrap_or_default(),
            addrs: card.map(|card| card.addrs.clone()).unwrap_or_default(),
            disks: card.map(|card| card.disks.iter().map(|disk| (disk.id, disk.gib)).collect()).unwrap_or_default(),
            role: info.role,
            presence: self.presence_of(node, info.status),
            connected: self.usable(node),
            uplink_kib: card.and_then(|card| card.uplink),
            rtt_ms: peer.filter(|peer| peer.up).and_then(|peer| peer.rtt_ms),
            heard_s: self.quiet_ms(node).map(|ms| ms / 1000),
            invited_by: info.invited_by,
            me: node == self.me,
        }
    }

    fn presence_of(&self, node: NodeId, status: MemberStatus) -> Presence {
        match status {
            MemberStatus::Member | MemberStatus::Guest if self.is_present(node) => Presence::Up,
            MemberStatus::Member | MemberStatus::Guest => Presence::Away,
            MemberStatus::Departed => Presence::Departed,
            MemberStatus::Removed => Presence::Removed,
            MemberStatus::Revoked => Presence::Revoked,
        }
    }

    /// A member's name for people.
    pub(super) fn name_of(&self, node: NodeId) -> String {
        let card = self.facts.members().get(&node).and_then(|member| member.card.as_ref());
        card.map_or_else(|| node.short(), |card| card.value().name.clone())
    }

    /// How far this node's clock is from the median of its connected peers'.
    pub(super) fn clock_off_ms(&self) -> i64 {
        let mut offs: Vec<i64> =
            self.peers.values().filter(|peer| peer.up).filter_map(|peer| peer.clock_off_ms).collect();
        offs.sort_unstable();
        // Of an even number the two in the middle cannot outvote each other: the smaller difference counts.
        let middle = [offs.len().saturating_sub(1) / 2, offs.len() / 2];
        let off = middle.iter().filter_map(|at| offs.get(*at)).min_by_key(|off| off.unsigned_abs());
        off.map_or(0, |off| off.saturating_neg())
    }

    pub(super) fn report_map(&self, op: OpId, out: &mut Vec<Effect>) {
        let (digest, copies, view) = (self.map_digest, self.facts.rules().copies, self.view.clone());
        out.push(reply(op, Reply::ClusterMap(Box::new(MapReport { digest, copies, view }))));
    }

    pub(super) fn report_status(&self, op: OpId, out: &mut Vec<Effect>) {
        let status = |member: &&MemberInfo| matches!(member.status, MemberStatus::Member | MemberStatus::Guest);
        let status = StatusReport {
            pool: self.pool,
            node: self.me,
            copies: self.facts.rules().copies,
            ready: self.ready(),
            has_key: self.keys.contains_key(&self.pool.volume()),
            connected: self.up_peers().into_iter().filter(|node| self.usable(*node)).count(),
            members: self.facts.members().values().filter(status).count().saturating_sub(1),
            disks: self.disks.clone(),
            repair_pending: self.topup.pending(),
            repair_sent: self.topup.sent,
            repair_running: self.topup.is_running(),
            replication_margin: self.topup.margin(),
            clock_off_min: self.clock_off_ms() / 60_000,
            attention: self.attention(),
        };
        out.push(reply(op, Reply::Status(Box::new(status))));
    }

    /// What the owner should do something about, the most important first.
    fn attention(&self) -> Vec<Attention> {
        let mut said = Vec::new();
        if self.boot.twin {
            said.push(Attention::DuplicateIdentity);
        }
        said.extend(match self.facts.members().get(&self.me).map(|me| me.status) {
            Some(MemberStatus::Revoked) => Some(Attention::Revoked),
            Some(MemberStatus::Removed) => Some(Attention::Removed),
            Some(MemberStatus::Guest) => Some(Attention::Guest),
            _ => None,
        });
        let off = self.clock_off_ms();
        if off.unsigned_abs() > crate::limits::CLOCK_OFF_MS_MAX {
            said.push(Attention::ClockOff { minutes: off / 60_000 });
        }
        if !self.unpublished.is_empty() {
            said.push(Attention::Unpublished);
        }
        if self.disks.iter().any(|disk| disk.read_only) {
            said.push(Attention::DiskReadOnly);
        }
        let away =
            self.facts.members().iter().filter(|(node, info)| self.presence_of(**node, info.status) == Presence::Away);
        let names: Vec<String> = away.map(|(node, _)| self.name_of(*node)).collect();
        if !names.is_empty() {
            said.push(Attention::Away { names });
        }
        let copies = self.facts.rules().copies;
        let short = self.view.capacity(copies).copies_short;
        if short > 0 {
            said.push(Attention::TooFewServers { possible: copies - short, copies });
        }
        for (node, peer) in self.peers.iter().filter(|(_, peer)| peer.wrong_blocks > 0) {
            said.push(Attention::WrongBlocks { name: self.name_of(*node), blocks: peer.wrong_blocks });
        }
        said
    }

    pub(super) fn invite(
        &mut self,
        op: OpId,
        subject: PublicKey,
        role: Role,
        redeem_by: u64,
        uses: u32,
        out: &mut Vec<Effect>,
    ) {
        let Some(mut chain) = self.facts.chain_of(self.me) else {
            return out.push(reply(op, Reply::Refused(Refusal::NotAllowed)));
        };
        let me = chain.last().map(|cert| cert.value().clone());
        let Some(me) = me.filter(|me| me.may_invite && me.depth >= 2) else {
            return out.push(reply(op, Reply::Refused(Refusal::NotAllowed)));
        };
        let off = self.clock_off_ms().unsigned_abs();
        if off > crate::limits::CLOCK_OFF_MS_MAX {
            // It would be over before it is handed out, or open for years.
            return out.push(reply(op, Reply::Refused(Refusal::ClockOff(off / 60_000))));
        }
        // Two links follow: the ticket's and the newcomer's.
        let ticket = Cert {
            version: 1,
            kind: CertKind::Ticket,
            issuer: self.me.into(),
            subject,
            role: role.max(me.role),
            may_invite: role == Role::Full,
            depth: me.depth - 1,
            grant_until: me.grant_until,
            redeem_by,
            uses: uses.max(1),
        };
        let cert = Signed::sign(self.pool, &self.key, ticket);
        chain.push(cert.clone());
        self.insert_facts(vec![Fact::from(cert)], None, out);
        out.push(reply(op, Reply::Invited(chain)));
    }

    /// Throws out a member or a ticket. What it signed before stays: other members came in by it.
    pub(super) fn revoke(&mut self, op: OpId, subject: PublicKey, mut reason: String, out: &mut Vec<Effect>) {
        let signer = PublicKey(self.me.0);
        if !self.facts.may_revoke(signer, subject) {
            return out.push(reply(op, Reply::Refused(Refusal::NotAllowed)));
        }
        let mut end = reason.len().min(200);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        reason.truncate(end);
        let mut keep = self.facts.signed_by(subject);
        keep.sort_unstable();
        keep.dedup();
        let revoke = Signed::sign(self.pool, &self.key, Revocation { version: 1, signer, subject, reason, keep });
        let id = revoke.id();
        self.insert_facts(vec![Fact::from(revoke)], None, out);
        out.push(reply(op, Reply::Revoked(id)));
    }

    pub(super) fn recent_blocks(&self, volume: fsdfs_proto::ids::VolumeId) -> crate::tree::BlockMap {
        self.commits.get(&volume).map(super::commit::Commits::recent).unwrap_or_default()
    }
}

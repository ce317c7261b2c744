//! Every bound of the engine, each with its reason. Times are milliseconds on the monotonic clock unless named otherwise.

/// A peer whose connection shows no progress for this long, while something is asked of it, is silent. Home links answer a
/// ping within 200 ms even when their uplink is busy; a second is five times that, and the most a user should wait.
pub const SILENT_MS: u64 = 1_000;
/// Quiet before a ping is sent to a peer that owes an answer: three pings fit into [`SILENT_MS`].
pub const PING_AFTER_MS: u64 = 300;
/// How often peers that owe answers are looked at.
pub const PEER_TICK_MS: u64 = 250;
/// A peer that is there and left a question unanswered is not waited for during so long: doubles with each time, up to
/// [`EVADED_MS_MAX`]. A disk that hung is back by then, or is not; whoever does it on purpose costs [`STALL_MS`] a time.
pub const EVADED_MS_MIN: u64 = 10_000;
/// See [`EVADED_MS_MIN`]: some ten minutes, of which four seconds are less than one in a hundred.
pub const EVADED_MS_MAX: u64 = 64 * EVADED_MS_MIN;
/// After so long without such a question the pauses begin anew.
pub const EVADED_FORGOTTEN_MS: u64 = 3_600_000;
/// A request to a peer that answers pings, but moves no block bytes for this long, counts as failed: its disk hangs.
/// Commands promise an end within 10 s; two such waits fit.
pub const STALL_MS: u64 = 4_000;
/// Blocks that move to or from a peer excuse its other answers for so long: with [`STALL_MS`] they end within 10 s.
pub const TRANSFER_GRACE_MS_MAX: u64 = 5_000;
/// A read asks the next holder as well after this long without an answer or bytes.
pub const HEDGE_MS: u64 = 300;
/// A read gives up on holders that cannot say yet (index being rebuilt) after this long.
pub const GET_MS_MAX: u64 = 9_000;
/// A read waits for an assigned holder that was heard this long ago at most: its way may have ended with the member that relayed for
/// both, and then they meet by another one. Commands promise an end within 10 s, and all that they read counts from the same moment.
pub const LOST_LATELY_MS: u64 = 8_000;
/// Pause before a holder that said "not yet" is asked again.
pub const NOT_YET_RETRY_MS: u64 = 500;
/// Pause before another copy is looked for in place of a damaged one. Until then the owner sees that a block lacks a copy.
pub const READ_REPAIR_RETRY_MS: u64 = 60_000;
/// Edits that come within this time share a commit: one durable head for many small files.
pub const GROUP_COMMIT_MS: u64 = 3;
/// Edits in one commit at most: bounds the job's memory and the time others wait behind it.
pub const EDITS_PER_COMMIT_MAX: usize = 1_000;
/// Bytes of inline content in one commit at most, for the same reason.
pub const INLINE_PER_COMMIT_MAX: usize = 4 << 20;
/// Names that one part of a job on a tree may visit: twice a folder of a million, seconds of a thread. What costs more was most
/// likely made to: it ends the job, not the node.
pub const JOB_NAMES_MAX: u64 = 1 << 21;
/// Bytes of tree blocks that a job may open, which are in memory meanwhile: a folder of a million names has some 150 MiB.
pub const JOB_BYTES_MAX: u64 = 256 << 20;
/// Nodes of a root folder that are read before the first head of a volume is used, when there is none to compare it with:
/// some 400,000 names.
pub const ROOT_NODES_MAX: usize = 4_096;
/// Times a query or commit may come home for blocks: a tree can be made so deep that every block has to be waited for. The
/// deepest path that a change may name has 256 folders of two levels each.
pub const JOB_ROUNDS_MAX: usize = 1_024;
/// States of a volume that are remembered without their trees: those that several heads list, and many that are past. 100 bytes each.
pub const STATES_NOTED_MAX: usize = 4_096;
/// Commits of earlier states that one job asks for at most, when it does not know of them: all that one head can name. A head may
/// name what there is not, and each of these is looked for at all servers.
pub const STATES_ASKED_MAX: usize = 256;
/// The commit of an earlier state that could not be had is not asked for again by the commits of this time, unless somebody comes up.
pub const STATES_AWAY_MS: u64 = 600_000;
/// Heads of a volume that are remembered as standing at the end of an hour at most: several stand only while members are apart.
pub const FLOOR_HEADS_MAX: usize = 16;
/// States, one an hour, that are remembered because a member may not know that they are over: 150 bytes each. If there are more,
/// those of one in six hours are, which is half of the least half grace; nobody is waited for longer than until it is gone.
pub const FLOOR_HELD_MAX: usize = 4_096;
/// That a state still stands is logged again after so many hours: a restart must not make it older by more than that.
pub const FLOOR_LOG_AGAIN_HOURS: u64 = 24;
/// Quarantined heads that one operation covers at most: half of the parents that a commit can have.
pub const COVERED_HEADS_MAX: usize = 128;
/// Writers that no other head knows, in a head that is covered, at most: an honest one that nobody can read names its own. More
/// would use up the writers of a volume.
pub const COVERED_WRITERS_MAX: usize = 8;
/// A head is left out for so long when a block of it cannot be had: time for a member to come back. It is looked at again before
/// if somebody comes up.
pub const QUARANTINE_AWAY_MS: u64 = 15_000;
/// And so long when it costs too much: seconds of a thread, an hour has 3,600 of them.
pub const QUARANTINE_COSTLY_MS: u64 = 10 * 60_000;
/// Heads of one volume that are kept in case all later ones are of no use.
pub const KEPT_HEADS_MAX: usize = 32;
/// Edits waiting for a commit at most; more are refused as busy.
pub const EDITS_QUEUED_MAX: usize = 20_000;
/// Several heads are merged after this long, plus jitter up to the same again, if nobody writes.
pub const MERGE_AFTER_MS: u64 = 3_000;
/// What a node acknowledged and did not publish is told to the others again at most this often while it grows: a reader is to
/// know within one gossip round, and a thousand writes are no thousand messages.
pub const UNPUBLISHED_EVERY_MS: u64 = 250;
/// A head that only its writer knows is told this long after somebody came up: several may come at once, and facts first.
pub const PUBLISH_AFTER_MS: u64 = 300;
/// And at most so long after a try that did not help: whoever is there may have room by then, or be believed.
pub const PUBLISH_AGAIN_MS_MAX: u64 = 120_000;
/// Blocks that one commit brings to more servers beside its own at most: they share its 10 s.
pub const REPLICATE_AT_ONCE: usize = 512;
/// Blocks of one commit on their way to disks and holders at once; the rest waits with the commit. Twice what may be under way
/// to one peer, so that no holder waits for another.
pub const COMMIT_PUTS_UNDER_WAY_MAX: usize = 2 * STORES_UNDER_WAY_MAX;
/// A commit with so many blocks or more tells their holders that more follow, which then wait a moment for the next one. Those of
/// a single write are made durable at once, each by whoever gets it.
pub const SHARED_SYNC_BLOCKS_MIN: usize = 32;
/// Questions which heads of a volume stand, under way at once. Whoever asks meanwhile shares the next one: with two, the next one
/// begins after half a round trip on average.
pub const HEAD_QUERIES_UNDER_WAY_MAX: usize = 2;
/// A server that was not heard of for this long is not waited for before a head is told: the grace after which repair, too,
/// replaces it.
pub const LONG_AWAY_MS: u64 = 3_600_000;

/// Blocks sent to a peer and not confirmed by it at most. Those of a commit share a sync as far as they are under way together,
/// and a commit of small files has some six hundred: with 128 it would take five syncs. A connection's queue holds twice as
/// many (see `node`'s sessions).
pub const STORES_UNDER_WAY_MAX: usize = 1024;
/// Bytes of these: a quarter of a second of a gigabit line, and more than a line of 100 ms holds.
pub const STORE_BYTES_UNDER_WAY_MAX: usize = 32 << 20;
/// Blocks asked of a peer and not come at most: it reads sixteen at a time, the rest covers the way there and back.
pub const FETCHES_UNDER_WAY_MAX: usize = 256;
/// Other questions to a peer that it has not answered at most, each at most 64 KiB and most of them 100 bytes.
pub const QUESTIONS_UNDER_WAY_MAX: usize = 512;

/// Blocks that are shorter go to each holder directly: a chain costs a hop's latency and saves little.
pub const RELAYED_BYTES_MIN: usize = 256 << 10;
/// A chain has to be so much faster than sending directly, in percent, or it is not worth what can go wrong along it.
pub const RELAY_GAIN_PERCENT: u64 = 125;
/// A holder that is reached in less than this in a local network is near: sending to it costs no uplink.
pub const NEAR_RTT_MS: u32 = 5;
/// Holders that lack a block wait so long for the word of others, so that one chain goes to all of them. As long as a peer may be
/// silent.
pub const PROBES_AWAITED_MS: u64 = SILENT_MS;
/// A holder that has a block is given so long to pass it on before its writer sends it itself ...
pub const RELAYED_MS_MIN: u64 = 2_000;
/// ... and so many times what the block took to the first: a line that is slow or shared is no fault.
pub const RELAYED_FACTOR: u64 = 2;
/// A holder that did not pass a block on is not asked to for so long; doubles each time, up to [`RELAY_PAUSE_MS_MAX`]. A line that
/// is busy is free again by then.
pub const RELAY_PAUSE_MS_MIN: u64 = 5_000;
/// See [`RELAY_PAUSE_MS_MIN`]: a line that is ten times slower than this node takes it for costs five seconds in ten minutes.
pub const RELAY_PAUSE_MS_MAX: u64 = 128 * RELAY_PAUSE_MS_MIN;
/// Bytes of blocks that wait here to be passed on at most. They hold memory that is meant for what comes in: with all of it, two
/// nodes that pass on to each other would wait for each other for ever. What is beyond is refused, and its writer sends it itself.
pub const RELAY_BYTES_WAITING_MAX: usize = 16 << 20;
/// So many blocks at most, which is as much in blocks of the least length.
pub const RELAY_BLOCKS_WAITING_MAX: usize = RELAY_BYTES_WAITING_MAX / RELAYED_BYTES_MIN;

/// Messages with facts that were passed on to a peer and may not have arrived at most: each has 256 KiB at most, most have one
/// head of a kilobyte. At half of them the peer is asked whether they have come.
pub const FACT_MESSAGES_UNDER_WAY_MAX: usize = 64;

/// A node that lacks keys to which it is entitled asks again after this long: those who may give them may not have heard of its
/// admission yet, and a newcomer is to be of use within 10 s.
pub const KEYS_RETRY_MS: u64 = 1_000;
/// It asks another one if the one that it asked says nothing for so long.
pub const KEYS_ANOTHER_MS: u64 = 10_000;
/// What is written while the key of a new epoch is on its way waits for it so long at most: commands end within 10 s.
pub const KEY_AWAITED_MS_MAX: u64 = 6_000;
/// And is looked at so often.
pub const KEY_POLL_MS: u64 = 200;
/// An admin's node begins a new epoch so long after it learnt that somebody is out who has the key...
pub const ROTATE_AFTER_MS: u64 = 200;
/// ... and so much later for each admin of higher rank, so that not all of them do it.
pub const ROTATE_STAGGER_MS: u64 = 5_000;
/// Between two epochs that one node begins: whoever has others thrown out one by one makes no epoch for each.
pub const ROTATE_EVERY_MS: u64 = 60_000;
/// An admin's node that could not get the key of the current epoch for so long begins the next one: whoever had it may be gone.
pub const ROTATE_STUCK_MS: u64 = 600_000;
/// Beyond its part of a member's budget a holder takes so much, and an eighth of the part: blocks of a megabyte fall on holders by
/// chance, and small pools are to work as without a rule until a budget is really used up.
pub const BUDGET_SLACK_BYTES: u64 = 16 << 20;
/// And so many times that of what was stored before: a budget may have been lowered, and repair completes copies all the same.
pub const BUDGET_REPAIR_FACTOR: u64 = 4;
/// Members about whom holders are asked at once before they get keys, and questions of one of them. A member that comes in asks
/// one thing; a whole pool that gets a new epoch's key comes one after the other.
pub const GRANTS_OPEN_MAX: usize = 64;
/// A connected holder that says so long that it does not know a member, or says nothing, is not asked about it any more. Facts
/// travel between connected members in seconds.
pub const HOLDERS_HEARD_MS: u64 = 60_000;
/// Capabilities of which no epoch is known yet, a volume: the one asked for, and some that were made up.
pub const CAPABILITIES_UNCONFIRMED_MAX: usize = 4;
/// Facts that one member may send, or is sent by asking for them, in a second, over a longer time. A writer that commits two
/// hundred times a second stays below it; what is beyond waits in its connection. Each is worth checking a signature, some 60
/// microseconds: a member that sends as many as it may takes 6 % of one processor.
pub const FACTS_PER_S: i64 = 1_024;
/// Facts that may come at once before that: all of a pool of 20,000, and half as many again.
pub const FACTS_AT_ONCE: i64 = 32_768;
/// A message costs as much as so many facts, so that facts one by one are no way around the bound.
pub const FACTS_PER_MESSAGE_COST: i64 = 4;
/// Bytes of facts in a second, over a longer time: heads have 1 to 3 KiB, the longest 64 KiB.
pub const FACT_BYTES_PER_S: i64 = 1 << 20;
/// Bytes of facts that may come at once before that; those of 20,000 facts are 7 MB.
pub const FACT_BYTES_AT_ONCE: i64 = 16 << 20;
/// Messages with facts that are made in one go for a peer that asked for many: 1 MiB or so, a few milliseconds.
pub const FACT_MESSAGES_PER_TURN_MAX: usize = 16;
/// Questions for facts that wait behind facts, of one peer. A comparison of 20,000 facts has five.
pub const WANTS_WAITING_MAX: usize = 64;
/// The ids of all facts go to one peer at most this often.
pub const SUMMARY_MS: u64 = 1_000;
/// A member that sent a fact whose signature is wrong is not talked to for so long; doubles with each such fact, up to
/// [`SHUN_MS_MAX`]. No honest program does so, but memory that fails may: so it is a pause and not the end.
pub const SHUN_MS_MIN: u64 = 60_000;
/// See [`SHUN_MS_MIN`]: sixteen minutes.
pub const SHUN_MS_MAX: u64 = 16 * SHUN_MS_MIN;
/// Of the heartbeats of another member at most one in this time is taken in: they come every [`HEARTBEAT_MS`], and each goes on
/// to others.
pub const HEARTBEAT_APART_MS: u64 = 1_000;
/// A card or heartbeat of another member is logged at most this often; what came meanwhile is logged then. Lost in between, it
/// comes again with the next comparison.
pub const OTHERS_LOGGED_MS: u64 = 60_000;
/// Cards of another member that change the map are taken in so far apart, over a longer time: each has everybody go through all
/// records. The newest of those that came sooner is taken in then.
pub const CARD_APART_MS: u64 = 60_000;
/// So many may come at once before that: a newcomer, or a node that restarts, finds its addresses and disks one by one.
pub const CARDS_AT_ONCE: u64 = 8;

/// Heartbeats: three fit into the minute after which a member counts as away.
pub const HEARTBEAT_MS: u64 = 20_000;
/// Heartbeats are sent this often while everybody who is up is connected: nobody depends on them then.
pub const HEARTBEAT_IDLE_MS: u64 = 60_000;
/// Without a heartbeat for this long a member is away.
pub const AWAY_MS: u64 = 60_000;
/// Everybody is looked at this often: as often as one has to be heard to count as up, so that no sign of life is missed.
pub const PRESENCE_MS: u64 = AWAY_MS;
/// Whom this node exchanged facts with is said to all connected members this often: 40 bytes a member.
pub const HEARD_MS: u64 = 10 * 60_000;
/// Sooner, if this node is connected to others than it said: but not again within this time, however lines come and go. Members that
/// never meet depend on it: who passes on what for whom must be known again before three heartbeats are lost.
pub const HEARD_AGAIN_MS: u64 = HEARTBEAT_MS;
/// Who was up is logged this often: some 230 bytes a member. What a node that stops saw since the last time is lost; it is
/// the same for all members, so none of them is called gone too early.
pub const OBSERVED_MS: u64 = HOUR_MS;
/// Two messages, one after the other, were under way for no longer: a connection over which nothing comes for ten seconds ends,
/// and facts go before blocks. So much earlier than it was noted an exchange of facts may have been.
pub const HEARING_SLACK_MS: u64 = 60_000;
/// Of each member so many exchanges are remembered, so far apart: some hours, for what a third says it did after one of them, every
/// [`HEARD_MS`].
pub const EXCHANGES_KEPT_MAX: usize = 32;
/// See [`EXCHANGES_KEPT_MAX`].
pub const EXCHANGES_APART_MS: u64 = 5 * 60_000;
/// Milliseconds of an hour.
pub const HOUR_MS: u64 = 3_600_000;
/// Milliseconds of a day.
pub const DAY_MS: u64 = DAY_HOURS * HOUR_MS;
/// Hours of a day.
pub const DAY_HOURS: u64 = 24;
/// Where copies are left at two sites or more, a holder may be away so many times longer before copies are made elsewhere: a
/// day instead of an hour. 4 TB at 20 Mbit/s are 18 days of an uplink; a dinner is no reason.
pub const GRACE_FACTOR: u64 = 24;
/// A member counts as usually up in an hour in which it was up for so much of it.
pub const USUAL_PERCENT: u8 = 60;
/// Members that fall silent together brake repair if they have more than one in so many parts of the pool's weight.
pub const OUTAGE_PART: u64 = 3;
/// Members that fall silent within this time of each other did so together.
pub const OUTAGE_APART_MS: u64 = 10 * 60_000;
/// Who fell silent together with many is called gone after so many times the time that the rules say.
pub const OUTAGE_GONE_FACTOR: u64 = 2;
/// Who announced an absence is called gone so long after the rules say at the latest.
pub const ABSENCE_GONE_DAYS_MAX: u64 = 60;
/// Nobody is called gone by a node that has not heard of most sites within this time: it may be in the smaller part of a cut
/// pool.
pub const SITES_HEARD_MS: u64 = HOUR_MS;
/// Digests go to one random peer this often; what direct gossip missed is found then.
pub const GOSSIP_MS: u64 = 5_000;
/// A peer that had the same digests before gets them again so much later: two nodes of which nothing changes say little.
pub const DIGESTS_IDLE_MS: u64 = 60_000;
/// A heartbeat that is new here goes on to so many peers that do not hear its node themselves.
pub const HEARTBEAT_RELAYS_MAX: usize = 8;
/// So many of those who reach both pass it on to each of them: a line may break at any time.
pub const HEARTBEAT_RELAYS: usize = 2;
/// If there are none of these, it goes on to this many random peers: two nodes of one identity hear of each other so.
pub const HEARTBEAT_FAN_OUT: usize = 1;
/// First pause between attempts to reach a member; doubles up to [`DIAL_MS_MAX`].
pub const DIAL_MS_MIN: u64 = 500;
/// A house that comes back is found within this time even if it cannot dial us.
pub const DIAL_MS_MAX: u64 = 30_000;
/// The node with the larger id waits this long before it dials, so that two nodes do not connect twice.
pub const DIAL_TIEBREAK_MS: u64 = 700;
/// Members that are tried at one moment after this machine slept or moved: a home router sees some dozens of new flows at once.
pub const DIALS_AT_ONCE: usize = 8;
/// And the next ones after this: a handshake on a line of 100 ms takes as long.
pub const DIAL_GROUP_MS: usize = 250;
/// A node that reached nobody since its start writes alone after this long.
pub const ALONE_MS: u64 = 3_000;
/// A node does not make stamps when its clock is further than this off the median of its peers.
pub const CLOCK_OFF_MS_MAX: u64 = 10 * 60_000;
/// Branches that have to speak of a clock before it counts as off, if the pool has so many.
pub const CLOCK_BRANCHES_MIN: usize = 2;
/// Bytes of tree blocks kept in memory: a few hundred directory blocks, the working set of a busy folder tree.
pub const CACHE_BYTES_MAX: usize = 24 << 20;
/// Tree blocks carried over from one job of a volume to the next.
pub const WORKING_SET_MAX: usize = 512;
/// Repair begins this long after what caused it, so that several peers that come up share a pass, and a put is not disturbed.
pub const REPAIR_DELAY_MS: u64 = 500;
/// Blocks short of copies that are remembered for the status at most: 64 GiB of chunks; beyond, the number is "at least".
pub const UNDER_REPLICATED_MAX: usize = 65_536;
/// Own records in one step of a pass.
pub const PASS_RECORDS: usize = 256;
/// All records are counted this often even when nothing seems to have changed.
pub const COUNT_PERIOD_MS: u64 = 24 * 3_600_000;
/// And not more often than this because sums do not fit what lists say.
pub const COUNT_APART_MS: u64 = 600_000;
/// What others are to keep is looked at again after this long, when some of it was on its way.
pub const PLACE_AGAIN_MS: u64 = 15_000;
/// And after this long, when a member that it was offered to could not say whether it has it: it reads its index, or has other facts.
pub const OFFER_AGAIN_MS: u64 = 60_000;
/// And so much longer for each block that a node which leaves has still to hand over: offers of all of them must not take the
/// line from the blocks.
pub const PLACE_BLOCK_MS: u64 = 5;
/// Blocks that are here and assigned to others only that are remembered, 6 MB; if there are more, the passes find them.
pub const ELSEWHERE_MAX: usize = 65_536;
/// Sets of holders that are told apart: those of pools of some seventy members.
pub const HOLDER_SETS_MAX: usize = 65_536;
/// With so many other servers the sums are as fine as they can be, 2.6 MB each when full; with more they are sixteen times coarser.
pub const FINE_TABLES_MAX: usize = 6;
/// Pairs of holders compare this often even when nothing seems to have changed.
pub const COMPARE_PERIOD_MS: u64 = 300_000;
/// What is younger than this may be on its way still: nothing is concluded from its absence. Longer than a put takes.
pub const COMPARE_SETTLED_MS: u64 = 20_000;
/// Such blocks that are remembered at most, of one pair.
pub const COMPARE_YOUNG_MAX: usize = 4_096;
/// Where something was found missing the two compare again after this long, which doubles while nothing changes.
pub const COMPARE_AGAIN_MS: u64 = 10_000;
/// The one with the larger id compares so much later.
pub const COMPARE_TIEBREAK_MS: u64 = 5_000;
/// Parts with so many ids are compared one by one: 8 bytes an id are less than further sums.
pub const COMPARE_PART_IDS: u64 = 24;
/// Questions of one comparison that are open at most.
pub const COMPARE_QUESTIONS_MAX: usize = 128;
/// Records that a comparison lists at once at most, some 200 bytes each.
pub const COMPARE_IDS_MAX: usize = 8_192;
/// Parts that wait to be listed at most, before the sums of others are asked for.
pub const COMPARE_LEAVES_MAX: usize = 1_024;
/// Records that a holder is taken to have said that it holds, after a comparison that found no difference.
pub const SAMPLE_RECORDS: usize = 64;
/// Blocks that wait to be offered to one member at most, some 250 bytes each.
pub const OFFERS_MAX: usize = 4_096;
/// Blocks that are to be pulled at most, some 300 bytes each. What is beyond is found again when these are here.
pub const PULLS_MAX: usize = 65_536;
/// Pulls under way, a megabyte each at most: enough to keep a line busy, few enough to leave room for users.
pub const PULLS_UNDER_WAY_MAX: usize = 16;
/// And of one member.
pub const PULLS_OF_ONE_MAX: usize = 4;
/// A member that is asked to wait is asked again after so long at most.
pub const PULL_WAIT_MS_MAX: u64 = 10_000;
/// How far ahead of its budget a node may be with what it sends.
pub const PULL_BURST_MS: u64 = 250;
/// After a write that found no room nothing is pulled for so long.
pub const PULL_FULL_MS: u64 = 60_000;
/// Bytes that repair sends in a second at most: half of a gigabit line, so that puts and gets go on beside it. The line may bear
/// less: then the network says so ([`crate::seam::Input::RepairBudget`]).
pub const REPAIR_BYTES_PER_S_MAX: u64 = 64 << 20;
/// A holder is audited so soon after it first said that it keeps a block: what it keeps for this second only is found by later audits.
pub const AUDIT_FIRST_MS: u64 = 500;
/// Audits of a holder follow each other so closely while one of the last eight has failed: a liar is found out in seconds, and
/// whoever had one bad sector is left alone soon.
pub const AUDIT_AGAIN_MS: u64 = 2_000;
/// Otherwise four an hour: of a holder that lacks a twentieth of what it says, a day has 96, and all of them succeed once in 140
/// days. Each reads a block on both sides, four megabytes an hour.
pub const AUDIT_PERIOD_MS: u64 = 15 * 60_000;
/// What a holder proved counts for so long: three audits may go without an answer.
pub const AUDIT_VALID_MS: u64 = 3_600_000;
/// Pause after an audit that was not answered clearly: a disk is busy, an index is read. Also for whoever is not believed.
pub const AUDIT_UNCLEAR_MS: u64 = 60_000;
/// What a holder said so long ago it cannot take back with an answer that was under way: longer than any question stays open.
pub const AUDIT_PROMISE_MS: u64 = STALL_MS + TRANSFER_GRACE_MS_MAX + SILENT_MS;
/// Blocks of a holder that are kept in mind for audits at most: those of four hours. Some 100 bytes each.
pub const AUDIT_SUBJECTS_MAX: usize = 16;
/// After so long the sample of a holder's blocks begins from nothing.
pub const AUDIT_SAMPLE_MS: u64 = 3_600_000;
/// Audits of one peer that are answered at once at most: as many as follow a failure, and as many again.
pub const AUDIT_ANSWERS_MAX: u64 = 16;
/// Beyond these, one in so long: a megabyte read and hashed each.
pub const AUDIT_ANSWER_MS: u64 = 1_000;
/// Beyond these and whoever asks: audits that are answered at once at most, for an owner who has all copies of a path proven.
pub const AUDIT_SHARED_MAX: u64 = 32;
/// One more in so long while no user moves bytes here: 32 MB/s of a disk, a tenth of a core.
pub const AUDIT_SHARED_MS: u64 = 31;
/// The same while users do.
pub const AUDIT_SHARED_BUSY_MS: u64 = 250;
/// Users are busy if a block was moved for one so lately.
pub const USERS_BUSY_MS: u64 = 2_000;
/// Blocks whose copies are proven at one time, a megabyte each at most.
pub const PROOFS_UNDER_WAY_MAX: usize = 8;
/// The same while users move bytes here.
pub const PROOFS_UNDER_WAY_BUSY: usize = 1;
/// A holder that cannot say now is asked again after so long.
pub const PROOF_AGAIN_MS: u64 = 500;
/// Whoever has not proved a copy after so long gave no answer.
pub const PROOF_MS_MAX: u64 = 60_000;
/// With less free room than this part of its quota, in percent, a disk gives up surplus copies.
pub const ROOM_LOW_PERCENT: u64 = 5;
/// And with less than so many segments: two of them are kept for what must always find room.
pub const ROOM_LOW_SEGMENTS: u64 = 4;
/// A segment is this part of a quota at most (06-store, section 7).
pub const SEGMENTS_OF_A_QUOTA: u64 = 32;
/// And no longer than this.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// Segments that are told apart when it is looked what may go: those of 16 TiB.
pub const EVICT_SEGMENTS_MAX: usize = 65_536;
/// What holders said that they have counts for so long.
pub const EVICT_PROOFS_MS_MAX: u64 = 60_000;
/// If not enough could go, it is looked again after this.
pub const EVICT_AGAIN_MS: u64 = 60_000;
/// A disk full of what has to stay is looked at ever more seldom, and at last so: a pass through a million records takes some seconds.
pub const EVICT_AGAIN_MS_MAX: u64 = 3_600_000;
/// The same after a change of the map: then copies move, and facts come in several parts.
pub const EVICT_DELAY_MS: u64 = 2_000;
/// Copies of one segment that are given up together at most: of tiny blocks it may have hundreds of thousands.
pub const EVICTED_COPIES_MAX: usize = 4_096;
/// From here on owners are told that a disk, or the pool, is nearly full: time to add some before writes are refused.
pub const NEARLY_FULL_PERCENT: u8 = 90;
/// How full a node is reaches the others when it changed by so much.
pub const FULL_PERCENT_STEP: u8 = 5;
/// Up to this many members everybody keeps every head (beyond, the holders of a volume's id do).
pub const HEADS_EVERYWHERE_MEMBERS_MAX: usize = 64;
/// Records that a survey of the pool asks for in total, shared evenly by its members; a member is asked for
/// [`INVENTORY_RECORDS_OF_ONE`] at most, and for one page at least. In five nodes that is a list of every block up to 16 GiB of
/// chunks; beyond, a sample whose shares are off by 1 % or less. A record takes 40 bytes on the wire.
pub const INVENTORY_RECORDS: usize = 1 << 18;
/// See [`INVENTORY_RECORDS`]: 640 KiB, a second on an uplink of 5 Mbit/s.
pub const INVENTORY_RECORDS_OF_ONE: usize = 1 << 14;
/// A survey ends with what it has after this long: half of what a command may take.
pub const INVENTORY_MS: u64 = 5_000;

// Bounds of the fact set: they protect memory against a misbehaving member; no honest pool comes near them.

/// Members at most. Every member keeps every fact and dials every member.
pub const MEMBERS_MAX: usize = 4096;
/// Members in one branch at most. Whoever invites so many is asked to have an admin vouch for some.
pub const MEMBERS_PER_BRANCH_MAX: u64 = 512;
/// What a fact costs its signer beside its payload: signature and indices. Small facts take some 400 bytes here in all, so
/// that bytes charged are bytes of memory, or nearly.
pub const FACT_OVERHEAD_BYTES: u64 = 320;
/// Statements of a member without rank at most, with what comes in by its tickets: it invites some 75 others. Cards,
/// heartbeats and heads of `pool` are not counted.
pub const STATEMENT_BYTES_PER_SIGNER_MAX: u64 = 256 << 10;
/// Statements of a guest, and of those who hang on one: it may say that it leaves, and little else. A ticket for one would make
/// sixteen members of its holder otherwise, each with an account of its own.
pub const STATEMENT_BYTES_PER_GUEST_MAX: u64 = 4 << 10;
/// Statements of an admin, who may have invited a whole pool of [`MEMBERS_MAX`]. The root key has no bound.
pub const STATEMENT_BYTES_PER_ADMIN_MAX: u64 = 16 << 20;
/// Statements of a branch: of one of the admins' friends, and of all who hang on its invitations, however many they are.
pub const STATEMENT_BYTES_PER_BRANCH_MAX: u64 = 8 << 20;
/// Statements of a pool, those of the root key aside: a node with little memory must bear it.
pub const STATEMENT_BYTES_PER_POOL_MAX: u64 = 64 << 20;
/// Each step away from the head of a branch leaves a quarter for a member and all below it, but so much at least.
pub const DESCENT_BYTES_MIN: u64 = 128 << 10;
/// The same of its members.
pub const DESCENT_MEMBERS_MIN: u64 = 16;
/// Certificates beyond a ticket's uses that are kept: two members that do not hear of each other may both let somebody in.
pub const TICKET_GUESTS_MAX: usize = 16;
/// Admissions of one certificate that are kept beside the winning one, for the day on which its witness is revoked.
pub const ADMISSIONS_IN_RESERVE_MAX: usize = 4;
/// Heads of one volume that are not merged, of the members of one branch; those of authors who are no members count as one.
/// Each writer has one between two merges. At the bound new ones are refused, and the writer is told so; one that was taken in
/// is never dropped for a bound.
pub const HEADS_PER_BRANCH_MAX: usize = 256;
/// Members of one branch that may be named in what a volume includes, each with four incarnations: a quarter of all that there
/// is place for, so that who invites itself does not keep others from writing.
pub const WRITERS_PER_BRANCH_MAX: usize = 64;
/// Of these, those of one author: an honest one has one, and one more for each time that it went on without what it could not
/// reach. With commits of 64 KiB they are 4 MiB.
pub const HEADS_PER_AUTHOR_MAX: usize = 64;
/// Facts kept aside until what they hang on comes: in the order of their ids the certificates of a large pool come before
/// their admissions.
pub const FACTS_WAITING_MAX: usize = 8192;
/// Bytes of these: heads may be 64 KiB.
pub const FACTS_WAITING_BYTES_MAX: u64 = 16 << 20;
/// Compiled-in floors of the rules: no admin, and nobody with an admin's key, can make data or members vanish faster.
pub const GONE_DAYS_MIN: u32 = 1;
/// See [`GONE_DAYS_MIN`].
pub const GARBAGE_GRACE_HOURS_MIN: u32 = 24;
/// See [`GONE_DAYS_MIN`].
pub const RETAIN_DAYS_MIN: u32 = 1;

/// Marks in one grace: with three days one in three hours.
pub const MARKS_PER_GRACE: u64 = 24;
/// Folders and states that nothing needs go after this part of the grace.
pub const FOLDER_GRACE_PART: u64 = 12;
/// Blocks whose links a mark asks for at a time.
pub const MARK_LINKS: usize = 128;
/// Blocks that a mark fetches from others at a time.
pub const MARK_FETCHES_MAX: usize = 8;
/// A mark that could not be made is tried again after this.
pub const MARK_AGAIN_MS: u64 = 60_000;
/// While users move bytes, collecting takes a step this often.
pub const COLLECT_PAUSE_MS: u64 = 100;
/// Copies that are judged at a time, and steps or links that are asked for at once at most.
pub const COLLECT_PAGE: usize = 256;
/// Blocks with links that are missing and are named, of one volume; with more of them a mark looks for no others of it.
pub const MISSING_LINKS_NOTED_MAX: usize = 256;
/// Of an earlier state a block counts as empty when all have denied it for so long.
pub const MISSING_EMPTY_HOURS: u64 = 7 * DAY_HOURS;
/// Such blocks that are remembered from mark to mark, with since when they have been denied.
pub const DENIED_NOTED_MAX: usize = 4_096;
/// A node alone in its pool, whose clock is confirmed by nothing, deletes after it has run for so long.
pub const ALONE_RUNNING_HOURS: u64 = 24;
/// So much of data goes in a day in any case; else a part of what there is.
pub const COLLECT_DAY_BYTES_MIN: u64 = 64 << 30;
/// That part.
pub const COLLECT_DAY_PART: u64 = 10;
/// Copies of which it is remembered that nothing needs them: some 16 MB.
pub const UNNEEDED_NOTED_MAX: usize = 262_144;
/// By so many hashes the list of blocks without links grows: 8 MiB.
pub const WALK_LEAVES_STEP: usize = 1 << 20;

const _: () = assert!(STATEMENT_BYTES_PER_SIGNER_MAX <= STATEMENT_BYTES_PER_BRANCH_MAX, "a signer is part of a branch");
const _: () = assert!(
    STATEMENT_BYTES_PER_ADMIN_MAX >= MEMBERS_MAX as u64 * (4 << 10),
    "a ticket, a certificate and its admissions for each member"
);
const _: () = assert!(
    4 * WRITERS_PER_BRANCH_MAX * fsdfs_proto::volume::WRITERS_PER_NODE_MAX
        <= fsdfs_proto::volume::VERSION_VECTOR_WRITERS_MAX,
    "a branch must not fill more than a quarter of a version vector"
);
const _: () = assert!(SILENT_MS >= 3 * PING_AFTER_MS, "three pings must fit before a peer is silent");
const _: () = assert!(UNPUBLISHED_EVERY_MS < GOSSIP_MS, "readers know within a gossip round what they cannot see");
const _: () = assert!(HEARTBEAT_MS >= 10 * HEARTBEAT_APART_MS, "an honest heartbeat is never too early");
const _: () = assert!(FACTS_AT_ONCE >= 20_000 + 20_000 / 64, "a newcomer gets a large pool at once");
const _: () = assert!(AWAY_MS >= 3 * HEARTBEAT_MS, "three heartbeats must fit before a member is away");

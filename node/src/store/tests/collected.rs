//! The two steps by which a copy goes that nothing needs, and what is remembered of links.

use std::fs;

use fsdfs_core::seam::{
    CollectStep, CopyState, DiskDone, DiskRequest, Lease, LinksDone, PlacedCopy, ReadDone, WriteDone,
};
use fsdfs_proto::block::Block;
use fsdfs_proto::ids::{BlockId, VolumeId};
use fsdfs_proto::message::{Possession, Redundancy};
use fsdfs_proto::volume::{BlockKind, Manifest, VolumeKeys, seal_data};

use super::freed::{ask, open};
use super::rig::{RECEIPT, StoreRig, block};
use crate::clock::wall_ms;
use crate::store::Store;
use crate::store::disk::job::DiskJob;

const R2: Redundancy = Redundancy::Replicas(2);

fn put(store: &Store, block: Block, lease: Lease) -> WriteDone {
    let (redundancy, receipt, first_seen, disk, more) = (R2, RECEIPT, 1, None, false);
    let write = DiskRequest::Write { block, redundancy, first_seen, lease, receipt, disk, more };
    let DiskDone::Written(done) = ask(store, write) else { panic!("a write is answered as such") };
    done
}

fn copies(store: &Store) -> Vec<PlacedCopy> {
    let DiskDone::Copies(Some(copies)) = ask(store, DiskRequest::Copies { after: None, max: 100 }) else { panic!() };
    copies
}

fn step(store: &Store, copy: &PlacedCopy, step: CollectStep) -> bool {
    let copies = vec![(copy.copy.info.id, copy.sequence, step)];
    ask(store, DiskRequest::Collect { disk: copy.disk, copies }) == DiskDone::Collected(vec![true])
}

fn have(store: &Store, id: BlockId, renew: Option<Redundancy>) -> Possession {
    let DiskDone::Have(answers) = ask(store, DiskRequest::Have { ids: vec![id], renew }) else { panic!() };
    answers[0]
}

fn links(store: &Store, id: BlockId) -> LinksDone {
    let DiskDone::Links(mut done) = ask(store, DiskRequest::Links { ids: vec![id] }) else { panic!() };
    done.pop().unwrap()
}

#[test]
fn a_copy_goes_in_two_steps_and_whoever_asks_between_them_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let it = block(1, 3000);
    put(&store, it.clone(), Lease::Now);
    let held = copies(&store).remove(0);
    assert!(!step(&store, &held, CollectStep::Delete), "not before the first step");
    let before = wall_ms();
    assert!(step(&store, &held, CollectStep::Condemn));
    assert!(!step(&store, &held, CollectStep::Condemn), "it is not as it was");
    let condemned = copies(&store).remove(0);
    let CopyState::Condemned { since } = condemned.copy.state else { panic!("{condemned:?}") };
    assert!((before..=wall_ms()).contains(&since));
    // It says no, is read all the same, and who puts it again revives it.
    assert_eq!(have(&store, it.id(), None), Possession::No);
    assert_eq!(ask(&store, DiskRequest::Read { id: it.id() }), DiskDone::Read(ReadDone::Found(it.clone())));
    assert_eq!(have(&store, it.id(), Some(R2)), Possession::Yes);
    assert!(!step(&store, &condemned, CollectStep::Delete), "somebody relies on it");
    assert_eq!(copies(&store)[0].copy.state, CopyState::Held);
    assert!(step(&store, &copies(&store)[0], CollectStep::Condemn));
    let last = copies(&store).remove(0);
    store.close();
    // Of both steps a start knows.
    let store = open(folder.path());
    assert_eq!(copies(&store).remove(0), last);
    assert!(step(&store, &last, CollectStep::Delete) && copies(&store).is_empty());
    store.close();
    let store = open(folder.path());
    assert!(copies(&store).is_empty());
    assert_eq!(put(&store, it.clone(), Lease::Now), WriteDone::New);
    assert_eq!(have(&store, it.id(), None), Possession::Yes);
}

#[test]
fn since_when_a_copy_is_condemned_outlives_its_index_and_its_segment() {
    let mut rig = StoreRig::new();
    rig.start().unwrap();
    let it = block(1, 3000);
    rig.write(&[(it.clone(), R2)]);
    rig.now += 1_000_000;
    let since = rig.now;
    assert!(rig.step(&[it.id()], CollectStep::Condemn));
    rig.now += 1_000_000;
    for _ in 0..2 {
        rig.appender().recover(Some("it failed".into()));
        let entry = rig.appender().disk.look_up(&it.id()).unwrap().unwrap();
        assert_eq!(entry.copy(it.id()).state, CopyState::Condemned { since });
        (10..40).for_each(|number| drop(rig.write(&[(block(number, 3000), R2)])));
        let others: Vec<_> = (10..40).map(|number| block(number, 3000).id()).collect();
        assert!(rig.delete(&others));
        rig.compact(1 << 20);
    }
    assert!(rig.commit(vec![DiskJob::Rebuild]).rejected.is_empty());
}

#[test]
fn links_are_remembered_of_what_is_here_and_of_what_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let volume = VolumeId([5; 32]);
    let keys = VolumeKeys::from_write_secret(volume, 1, fsdfs_proto::ids::Key([6; 32]));
    let writer = keys.writer().unwrap();
    let (chunk, at) = seal_data(writer, b"some bytes");
    let manifest = |size| Manifest { level: 1, chunk_bytes: 1 << 10, fan_out: 4, size, children: vec![Some(at)] };
    let ((here, _), (elsewhere, _)) = (manifest(10).seal(writer, 2), manifest(11).seal(writer, 2));
    let store = open(folder.path());
    put(&store, here.clone(), Lease::Now);
    put(&store, chunk.clone(), Lease::Now);
    assert_eq!(copies(&store).iter().filter(|copy| copy.kind == Some(BlockKind::Manifest)).count(), 1);
    let found = |id| match links(&store, id) {
        LinksDone::Known { kind, volume: of, links } => Some((kind, of, links.len())),
        LinksDone::No => None,
        LinksDone::NotYet => panic!("the index is there"),
    };
    assert_eq!(found(here.id()), Some((BlockKind::Manifest, volume, 1)));
    assert_eq!((found(chunk.id()), found(elsewhere.id())), (Some((BlockKind::Data, volume, 0)), None));
    assert_eq!(ask(&store, DiskRequest::KeepLinks { block: elsewhere.clone() }), DiskDone::LinksKept);
    assert_eq!(found(elsewhere.id()), Some((BlockKind::Manifest, volume, 1)));
    store.close();
    // It is remembered; and a folder that cannot be used is made again, as nothing in it is needed.
    let store = open(folder.path());
    assert!(matches!(links(&store, elsewhere.id()), LinksDone::Known { .. }));
    store.close();
    for entry in fs::read_dir(folder.path().join("home/links")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(path, b"garbage").unwrap();
        }
    }
    let store = open(folder.path());
    assert_eq!(links(&store, elsewhere.id()), LinksDone::No);
    assert!(matches!(links(&store, here.id()), LinksDone::Known { .. }));
}

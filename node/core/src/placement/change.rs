//! Maps that may come to be: this one, with one thing changed.

use fsdfs_proto::ids::{DiskId, NodeId};

use super::cluster_map::ClusterMap;
use super::server::{MapDisk, MapServer};

/// One change of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapChange {
    /// A server joins, at a site that is new or there already.
    Join(MapServer),
    /// A server is gone and hands nothing over.
    Leave(NodeId),
    /// A site is gone with all its servers.
    FailSite(String),
    /// A server gets another disk.
    Mount(NodeId, MapDisk),
    /// A server takes no blocks any more; it stays to hand over what it has.
    Drain(NodeId),
    /// A disk gets another weight; 0 drains it.
    Weigh(DiskId, u32),
}

/// A change that does not fit the map. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapChangeError {
    /// No such server.
    #[error("no server {} in the map", .0.short())]
    NoServer(NodeId),
    /// No server stands at this site.
    #[error("no server at a site called {0:?}")]
    NoSite(String),
    /// No such disk.
    #[error("no disk {} in the map", .0.short())]
    NoDisk(DiskId),
    /// A server of this id is in the map.
    #[error("server {} is in the map already", .0.short())]
    ServerTwice(NodeId),
    /// A disk of this id is in the map, or comes twice in one change.
    #[error("disk {} is in the map already", .0.short())]
    DiskTwice(DiskId),
}

impl ClusterMap {
    /// This map with one change. The view itself stays as it is.
    pub fn with(&self, change: MapChange) -> Result<Self, MapChangeError> {
        let mut servers = self.servers.clone();
        match change {
            MapChange::Join(server) => join(&mut servers, server)?,
            MapChange::Leave(id) => drop(servers.remove(place_of(&servers, id)?)),
            MapChange::FailSite(site) => fail_site(&mut servers, site)?,
            MapChange::Mount(id, disk) => mount(&mut servers, id, disk)?,
            MapChange::Drain(id) => {
                let server = place_of(&servers, id)?;
                servers[server].disks.iter_mut().for_each(|disk| disk.weight = 0);
            }
            MapChange::Weigh(id, weight) => {
                disks(&mut servers).find(|disk| disk.id == id).ok_or(MapChangeError::NoDisk(id))?.weight = weight;
            }
        }
        Ok(Self::new(servers))
    }
}

fn join(servers: &mut Vec<MapServer>, server: MapServer) -> Result<(), MapChangeError> {
    if servers.iter().any(|other| other.id == server.id) {
        return Err(MapChangeError::ServerTwice(server.id));
    }
    let (id, new) = (server.id, server.disks.clone());
    servers.push(MapServer { disks: Vec::new(), ..server });
    new.into_iter().try_for_each(|disk| mount(servers, id, disk))
}

fn fail_site(servers: &mut Vec<MapServer>, site: String) -> Result<(), MapChangeError> {
    let all = servers.len();
    servers.retain(|server| server.site != site);
    if servers.len() < all { Ok(()) } else { Err(MapChangeError::NoSite(site)) }
}

fn mount(servers: &mut [MapServer], id: NodeId, disk: MapDisk) -> Result<(), MapChangeError> {
    if disks(servers).any(|other| other.id == disk.id) {
        return Err(MapChangeError::DiskTwice(disk.id));
    }
    let server = place_of(servers, id)?;
    servers[server].disks.push(disk);
    Ok(())
}

fn place_of(servers: &[MapServer], id: NodeId) -> Result<usize, MapChangeError> {
    servers.iter().position(|server| server.id == id).ok_or(MapChangeError::NoServer(id))
}

fn disks(servers: &mut [MapServer]) -> impl Iterator<Item = &mut MapDisk> {
    servers.iter_mut().flat_map(|server| &mut server.disks)
}

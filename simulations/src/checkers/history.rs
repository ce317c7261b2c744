//! What every head that was ever made contains, and what was removed on the way to it.
//!
//! Each job that changes a tree is held against a plain model of the same edits. That turns "lost" into something exact: a
//! content is lost when a head that includes the commit that wrote it neither shows it nor has a removal in its past.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytes::Bytes;
use fsdfs_core::tree::{
    BlockMap, BlockRef, EditError, EditJob, EditOutcome, FileContent, JobDone, JobTerms, MergeJob, QueryJob,
    QueryResult, TreeEdit, TreeItem, TreeItemKind, TreeParams, TreePath, TreeQuery,
};
use fsdfs_proto::block::Block;
use fsdfs_proto::identity::Head;
use fsdfs_proto::ids::{BlockId, PublicKey};
use fsdfs_proto::message::Redundancy;
use fsdfs_proto::signed::Signed;
use fsdfs_proto::volume::{BlockKind, Dot, LinkClass, VersionVector, VolumeKeys, header};

use crate::users::file::WriteNumber;
use crate::world::heads::{commit_of, seen_of};
use crate::world::queue::Micros;

/// Files and folders of a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeModel {
    /// What lies at each path; several where writers disagree.
    pub files: BTreeMap<TreePath, BTreeSet<WriteNumber>>,
    /// All folders but the root.
    pub dirs: BTreeSet<TreePath>,
    /// Of those that members that lie made: folders that cannot be listed. They have no content, and may be removed.
    pub broken: BTreeSet<TreePath>,
}

/// A head.
#[derive(Clone, Debug, Default)]
pub struct HeadState {
    /// What it shows.
    pub tree: TreeModel,
    /// What was removed or replaced by somebody who had seen it.
    pub removed: BTreeSet<WriteNumber>,
    /// Which commits it includes.
    pub seen: VersionVector,
    /// The key of its epoch.
    pub signer: Option<PublicKey>,
    /// Blocks its job made.
    pub made: Vec<BlockId>,
}

/// All heads, blocks and contents of a world.
#[derive(Debug)]
pub struct VolumeHistory {
    /// Those of the job that is looked at: they open the heads that it is made from, of whatever epoch.
    keys: VolumeKeys,
    params: TreeParams,
    blocks: BlockMap,
    /// When each block was made first.
    made: BTreeMap<BlockId, Micros>,
    heads: BTreeMap<BlockId, Rc<HeadState>>,
    /// What lies below a folder's block never changes.
    below: BTreeMap<BlockRef, Rc<TreeModel>>,
    roots: BTreeMap<BlockId, WriteNumber>,
    /// What heads include that were made by members that lie. Nothing that they show is expected anywhere.
    forged: BTreeMap<BlockId, VersionVector>,
    /// Blocks below them.
    forged_blocks: BTreeSet<BlockId>,
    /// Written and removed again by the same batch of edits.
    vanished: BTreeSet<WriteNumber>,
}

impl HeadState {
    /// Whether the write of this content is part of it.
    pub fn includes(&self, number: WriteNumber) -> bool {
        self.removed.contains(&number) || self.tree.shows(number)
    }

    /// How far it goes: the sum of all sequence numbers that it includes.
    pub fn reached(&self) -> u64 {
        self.seen.dots().iter().map(|dot| dot.seq).sum()
    }
}

impl TreeModel {
    /// Whether some path shows it.
    pub fn shows(&self, number: WriteNumber) -> bool {
        self.files.values().any(|at| at.contains(&number))
    }

    /// Everything shown.
    pub fn numbers(&self) -> BTreeSet<WriteNumber> {
        self.files.values().flatten().copied().collect()
    }
}

impl VolumeHistory {
    /// Of a volume that has no head yet.
    pub fn new(keys: VolumeKeys, params: TreeParams) -> Self {
        let (blocks, made, heads, below, roots, forged, forged_blocks, vanished) = Default::default();
        Self { keys, params, blocks, made, heads, below, roots, forged, forged_blocks, vanished }
    }

    /// A user sealed a file; its root block, if it has one, carries this content.
    pub fn file_sealed(&mut self, number: WriteNumber, root: Option<BlockId>) {
        self.roots.extend(root.map(|root| (root, number)));
    }

    /// A block was made.
    pub fn made(&mut self, at: Micros, block: &Block) {
        self.blocks.insert(block.id(), block.clone());
        self.made.entry(block.id()).or_insert(at);
    }

    fn made_all(&mut self, at: Micros, blocks: &[Block], head: &Signed<Head>) {
        blocks.iter().for_each(|block| self.made(at, block));
        self.made(at, &Block::new(head.value().commit.clone()));
    }

    /// A member that lies made this head.
    pub fn forged(&mut self, head: &Signed<Head>, blocks: &[Block]) {
        self.forged.insert(commit_of(head), seen_of(std::slice::from_ref(head)));
        self.forged_blocks.extend(blocks.iter().map(Block::id));
        self.blocks.extend(blocks.iter().map(|block| (block.id(), block.clone())));
    }

    /// Whether a block is of a tree that a member that lies made.
    pub fn is_forged(&self, block: BlockId) -> bool {
        self.forged_blocks.contains(&block)
    }

    /// Whether a member that lies made this head.
    pub fn is_forged_head(&self, commit: BlockId) -> bool {
        self.forged.contains_key(&commit)
    }

    /// Without what only those did who lie.
    pub fn honest(&self, seen: &VersionVector) -> VersionVector {
        let forged = |dot: &Dot| self.forged.values().any(|seen| seen.get(dot.writer) > 0);
        seen.dots().iter().filter(|dot| !forged(dot)).copied().collect()
    }

    /// Whether a block was made not before then.
    pub fn made_since(&self, block: BlockId, since: Micros) -> bool {
        self.made.get(&block).is_some_and(|at| *at >= since)
    }

    /// The state of a head some job made.
    pub fn state(&self, commit: BlockId) -> Option<&Rc<HeadState>> {
        self.heads.get(&commit)
    }

    /// The states of those of these heads that some job made.
    pub fn states(&self, commits: &[BlockId]) -> Vec<(BlockId, Rc<HeadState>)> {
        commits.iter().filter_map(|commit| Some((*commit, Rc::clone(self.state(*commit)?)))).collect()
    }

    /// Blocks below a commit that some job made, without earlier states, each with the copies it wants.
    pub fn tree_of(&self, commit: BlockId) -> BTreeMap<BlockId, u8> {
        let mut found = BTreeMap::new();
        let mut open = vec![commit];
        while let Some(block) = open.pop().and_then(|id| self.block(id)) {
            for link in header(block.bytes()).map(|header| header.links).unwrap_or_default() {
                let Redundancy::Replicas(copies) = link.redundancy else { continue };
                if link.class != LinkClass::Parent && found.insert(link.id, copies).is_none() {
                    open.push(link.id);
                }
            }
        }
        found
    }

    /// Every folder's block that a head needs.
    pub fn folders_of(&self, commit: BlockId) -> Vec<BlockId> {
        let kind = |id: &BlockId| header(self.block(*id)?.bytes()).ok().map(|header| header.kind);
        self.tree_of(commit).into_keys().filter(|id| kind(id) == Some(BlockKind::Directory)).collect()
    }

    /// Any block that ever existed.
    pub fn block(&self, id: BlockId) -> Option<&Block> {
        self.blocks.get(&id)
    }

    /// Checks an edit against the model. `Err` says what is wrong.
    pub fn edited(
        &mut self,
        at: Micros,
        job: &EditJob,
        blocks: &[Block],
        head: &Signed<Head>,
        outcomes: &[Result<EditOutcome, EditError>],
    ) -> Result<(), String> {
        self.keys = job.keys.clone();
        self.made_all(at, blocks, head);
        let (mut state, merge) = self.merged(&job.heads)?;
        let before = state.tree.numbers();
        let mut exact = true;
        for (edit, outcome) in job.edits.iter().zip(outcomes) {
            if outcome.is_ok() {
                exact &= self.apply(&mut state, edit);
            }
        }
        let (writer, seq) = job.dot;
        state.seen.add(Dot { writer, seq });
        seen_of(&job.terms.covered).dots().iter().for_each(|dot| state.seen.add(*dot));
        let mut wanted = std::mem::replace(&mut state.tree, self.list(std::slice::from_ref(head))?);
        // Who makes a folder where a broken one is finds it there already.
        wanted.broken.clone_from(&state.tree.broken);
        wanted.dirs.retain(|dir| !wanted.broken.contains(dir));
        if !exact {
            let shown = state.tree.numbers();
            state.removed.retain(|number| !before.contains(number) || !shown.contains(number));
        }
        let fits = if exact { state.tree == wanted } else { wanted.numbers().is_subset(&state.tree.numbers()) };
        let difference = (!fits).then(|| difference(&wanted, &state.tree));
        self.keep(state, blocks, head)?;
        merge?;
        difference.map_or(Ok(()), |what| Err(format!("an edit made another tree than it should: {what}")))
    }

    /// Remembers a head's state.
    fn keep(&mut self, mut state: HeadState, blocks: &[Block], head: &Signed<Head>) -> Result<(), String> {
        state.made = blocks.iter().map(Block::id).collect();
        state.signer = Some(head.signer());
        let said = seen_of(std::slice::from_ref(head));
        let fits = self.honest(&said) == self.honest(&state.seen);
        let text = format!("a commit says it includes {said:?}, but it is {:?}", state.seen);
        self.heads.insert(commit_of(head), Rc::new(state));
        if fits { Ok(()) } else { Err(text) }
    }

    /// A batch of edits left everything as it was: what it put it removed again, or it was there.
    pub fn unchanged(&mut self, job: &EditJob) -> Result<(), String> {
        self.keys = job.keys.clone();
        let (state, merge) = self.merged(&job.heads)?;
        let puts = job.edits.iter().filter_map(|edit| match edit {
            TreeEdit::Put { file, .. } => self.number_of(&file.content),
            _ => None,
        });
        let vanished: Vec<WriteNumber> = puts.filter(|number| !state.includes(*number)).collect();
        self.vanished.extend(vanished);
        merge
    }

    /// Whether a write was undone by the commit it was part of.
    pub fn vanished(&self, number: WriteNumber) -> bool {
        self.vanished.contains(&number)
    }

    /// Checks what an earlier state was said to have in a folder. Of states that members made who lie nothing is expected.
    pub fn past_shown(&self, state: BlockId, path: &TreePath, entries: Option<&[TreeItem]>) -> Option<String> {
        let tree = &self.state(state)?.tree;
        let is_in = |other: &TreePath| other.split_last().is_some_and(|(_, parents)| parents == &path[..]);
        let wanted_files: BTreeSet<WriteNumber> =
            tree.files.iter().filter(|(file, _)| is_in(file)).flat_map(|(_, numbers)| numbers).copied().collect();
        let wanted_dirs: BTreeSet<&Bytes> =
            tree.dirs.iter().filter(|dir| is_in(dir)).filter_map(|dir| dir.last()).collect();
        let Some(entries) = entries else {
            let is_there = path.is_empty() || tree.dirs.contains(path);
            return is_there.then(|| format!("{} of state {} was not found", path_text(path), state.short()));
        };
        let is_dir = |item: &&TreeItem| matches!(item.kind, TreeItemKind::Dir { .. });
        let dirs: BTreeSet<&Bytes> = entries.iter().filter(is_dir).map(|item| &item.name).collect();
        let number = |item: &TreeItem| match &item.kind {
            TreeItemKind::File { content, .. } => self.number_of(content),
            TreeItemKind::Dir { .. } => None,
        };
        let files: BTreeSet<WriteNumber> = entries.iter().filter_map(number).collect();
        (files != wanted_files || dirs != wanted_dirs).then(|| {
            let (path, state) = (path_text(path), state.short());
            format!("{path} of state {state} shows {files:?} {dirs:?}, not {wanted_files:?} {wanted_dirs:?}")
        })
    }

    /// Checks a merge: nothing is gone but what one side had removed.
    pub fn merged_to(
        &mut self,
        at: Micros,
        job: &MergeJob,
        blocks: &[Block],
        head: &Signed<Head>,
    ) -> Result<(), String> {
        self.keys = job.keys.clone();
        self.made_all(at, blocks, head);
        let (mut state, merge) = self.merged(&job.heads)?;
        let wanted = std::mem::replace(&mut state.tree, self.list(std::slice::from_ref(head))?);
        let difference = (wanted != state.tree).then(|| difference(&wanted, &state.tree));
        self.keep(state, blocks, head)?;
        merge?;
        let text = |what| format!("a merge commit differs from the merged view of the same heads: {what}");
        difference.map_or(Ok(()), |what| Err(text(what)))
    }

    /// The merged view of heads, and what is wrong with it.
    fn merged(&mut self, heads: &[Signed<Head>]) -> Result<(HeadState, Result<(), String>), String> {
        // One head was listed when it was made.
        if let [head] = heads
            && let Some(state) = self.heads.get(&commit_of(head))
        {
            return Ok((HeadState { made: Vec::new(), ..HeadState::clone(state) }, Ok(())));
        }
        let mut merged = HeadState { tree: self.list(heads)?, ..HeadState::default() };
        let mut all = BTreeSet::new();
        for head in heads {
            let id = commit_of(head);
            if let Some(seen) = self.forged.get(&id) {
                merged.seen.add_all(seen);
                continue;
            }
            let state = self.heads.get(&id).ok_or_else(|| format!("a head {} that nobody made", id.short()))?;
            merged.seen.add_all(&state.seen);
            merged.removed.extend(&state.removed);
            all.extend(state.tree.numbers());
        }
        let shown = merged.tree.numbers();
        let lost: Vec<&WriteNumber> =
            all.difference(&shown).filter(|number| !merged.removed.contains(number)).collect();
        let extra: Vec<&WriteNumber> = shown.difference(&all).collect();
        let fits = match (lost.as_slice(), extra.as_slice()) {
            ([], []) => Ok(()),
            ([], extra) => Err(format!("a merge shows contents {extra:?} that no side has")),
            (lost, _) => Err(format!("a merge lost contents {lost:?} that nobody removed")),
        };
        Ok((merged, fits))
    }

    /// What an earlier state has at a path takes the place of what is there.
    fn restore(&self, state: &mut HeadState, past: BlockId, from: &TreePath, to: &TreePath) -> bool {
        let tree = &mut state.tree;
        make_parents(tree, to);
        tree.dirs.retain(|dir| !dir.starts_with(to));
        let gone: Vec<TreePath> = tree.files.keys().filter(|file| file.starts_with(to)).cloned().collect();
        let mut replaced: BTreeSet<WriteNumber> =
            gone.iter().filter_map(|path| tree.files.remove(path)).flatten().collect();
        // What a member that lies made has no model; and which of several versions has the name, the model does not know.
        let past = self.state(past).map(|past| &past.tree);
        let is_one = |past: &TreeModel| {
            past.files.get(from).is_none_or(|numbers| numbers.len() == 1 && !past.dirs.contains(from))
        };
        let Some(past) = past.filter(|past| is_one(past)) else {
            state.removed.extend(replaced);
            return false;
        };
        let moved = |path: &TreePath| [to.as_slice(), &path[from.len()..]].concat();
        tree.dirs.extend(past.dirs.iter().filter(|dir| dir.starts_with(from)).map(moved));
        let files = past.files.iter().filter(|(file, _)| file.starts_with(from));
        tree.files.extend(files.map(|(file, numbers)| (moved(file), numbers.clone())));
        let shown = tree.numbers();
        replaced.retain(|number| !shown.contains(number));
        state.removed.retain(|number| !shown.contains(number));
        state.removed.extend(replaced);
        // Broken folders of it, if it has any, are not known.
        past.broken.is_empty()
    }

    /// Edits of a tree, plainly. Where a name shows several versions only one of them is taken away, and the others stay
    /// under the names they are shown by; which is which the model does not know: it takes all away and returns false.
    fn apply(&self, state: &mut HeadState, edit: &TreeEdit) -> bool {
        let tree = &mut state.tree;
        let several = |path: &TreePath| tree.files.get(path).is_some_and(|numbers| numbers.len() > 1);
        let exact = !matches!(edit, TreeEdit::Remove { path, .. } if several(path));
        match edit {
            TreeEdit::Put { path, file, .. } => {
                make_parents(tree, path);
                let number = self.number_of(&file.content);
                let old = tree.files.insert(path.clone(), number.into_iter().collect());
                let kept = number.filter(|_| old.as_ref().is_some_and(|old| old.len() == 1));
                state.removed.extend(old.into_iter().flatten().filter(|old| Some(*old) != kept));
            }
            TreeEdit::MakeDir { path, .. } => {
                make_parents(tree, path);
                tree.dirs.insert(path.clone());
            }
            TreeEdit::Remove { path, .. } => {
                tree.dirs.retain(|dir| !dir.starts_with(path));
                let gone: Vec<TreePath> = tree.files.keys().filter(|file| file.starts_with(path)).cloned().collect();
                for path in gone {
                    state.removed.extend(tree.files.remove(&path).into_iter().flatten());
                }
            }
            TreeEdit::KeepHistory(_) | TreeEdit::DropStates(_) => {}
            TreeEdit::Restore { state: past, from, to, .. } => return self.restore(state, *past, from, to),
            TreeEdit::Move { from, to } if from == to => {}
            TreeEdit::Move { from, to } => {
                make_parents(tree, to);
                let moved = |path: &TreePath| [to.as_slice(), &path[from.len()..]].concat();
                let dirs: Vec<TreePath> = tree.dirs.iter().filter(|dir| dir.starts_with(from)).cloned().collect();
                for dir in dirs {
                    tree.dirs.remove(&dir);
                    tree.dirs.insert(moved(&dir));
                }
                let files: Vec<TreePath> = tree.files.keys().filter(|file| file.starts_with(from)).cloned().collect();
                for file in files {
                    let numbers = tree.files.remove(&file).unwrap_or_default();
                    let replaced = tree.files.insert(moved(&file), numbers);
                    state.removed.extend(replaced.into_iter().flatten());
                }
            }
        }
        exact
    }

    /// What the heads show, merged if there are several.
    fn list(&mut self, heads: &[Signed<Head>]) -> Result<TreeModel, String> {
        let mut tree = TreeModel::default();
        if !heads.is_empty() {
            let mut used = BlockMap::new();
            self.list_folder(heads, &TreePath::new(), &mut tree, &mut used)?;
        }
        Ok(tree)
    }

    fn list_folder(
        &mut self,
        heads: &[Signed<Head>],
        path: &TreePath,
        tree: &mut TreeModel,
        used: &mut BlockMap,
    ) -> Result<(), String> {
        for shown in self.look(heads, path, used)? {
            let mut child = path.clone();
            child.push(shown.conflict_of.clone().unwrap_or_else(|| shown.name.clone()));
            match &shown.kind {
                TreeItemKind::File { content, .. } => {
                    let number = self.number_of(content).ok_or_else(|| format!("{child:?} shows what nobody wrote"))?;
                    tree.files.entry(child).or_default().insert(number);
                }
                TreeItemKind::Dir { root } => {
                    let listed = self.list_subtree(heads, &child, *root, tree, used);
                    // A folder that cannot be listed may be one that a member that lies made: nobody expects it.
                    match listed {
                        Err(why) if self.forged.is_empty() => return Err(why),
                        Err(_) => drop(tree.broken.insert(child)),
                        Ok(()) => drop(tree.dirs.insert(child)),
                    }
                }
            }
        }
        Ok(())
    }

    /// With one head, what lies below a folder's block is known if the block was seen before.
    fn list_subtree(
        &mut self,
        heads: &[Signed<Head>],
        path: &TreePath,
        root: Option<BlockRef>,
        tree: &mut TreeModel,
        used: &mut BlockMap,
    ) -> Result<(), String> {
        let Some(root) = root.filter(|_| heads.len() == 1) else { return self.list_folder(heads, path, tree, used) };
        let below = match self.below.get(&root) {
            Some(below) => Rc::clone(below),
            None => {
                let mut below = TreeModel::default();
                self.list_folder(heads, path, &mut below, used)?;
                let below = Rc::new(below.below(path.len()));
                self.below.insert(root, Rc::clone(&below));
                below
            }
        };
        let whole = |inner: &TreePath| [path.as_slice(), inner].concat();
        tree.files.extend(below.files.iter().map(|(inner, numbers)| (whole(inner), numbers.clone())));
        tree.dirs.extend(below.dirs.iter().map(whole));
        tree.broken.extend(below.broken.iter().map(whole));
        Ok(())
    }

    fn look(&self, heads: &[Signed<Head>], path: &TreePath, used: &mut BlockMap) -> Result<Vec<TreeItem>, String> {
        let query = TreeQuery::List { path: path.clone(), after: None, max: usize::MAX };
        let (keys, params, terms) = (self.keys.clone(), self.params, JobTerms::default());
        let (heads, blocks) = (heads.to_vec(), std::mem::take(used));
        let mut job = QueryJob { keys, heads, state: None, query, known: None, params, terms, blocks };
        let found = loop {
            match job.run() {
                JobDone::Missing(ids) => {
                    let found: Vec<Block> = ids.iter().filter_map(|id| self.blocks.get(id).cloned()).collect();
                    if found.len() < ids.len() {
                        return Err(format!("the tree names a block that nobody made, in {path:?}"));
                    }
                    job.blocks.extend(found.into_iter().map(|block| (block.id(), block)));
                }
                JobDone::Queried { found: Ok(QueryResult::List { entries, .. }), .. } => break entries,
                other => return Err(format!("{path:?} cannot be listed: {other:?}")),
            }
        };
        *used = job.blocks;
        Ok(found)
    }

    /// Which write this is.
    pub fn number_of(&self, content: &FileContent) -> Option<WriteNumber> {
        match content {
            FileContent::Inline(bytes) => bytes.first_chunk().map(|number| WriteNumber::from_be_bytes(*number)),
            FileContent::Tree { root, .. } => self.roots.get(&root.id).copied(),
            FileContent::Symlink(_) => None,
        }
    }
}

impl TreeModel {
    fn below(self, depth: usize) -> Self {
        let cut = |path: TreePath| path[depth..].to_vec();
        Self {
            files: self.files.into_iter().map(|(path, numbers)| (cut(path), numbers)).collect(),
            dirs: self.dirs.into_iter().map(cut).collect(),
            broken: self.broken.into_iter().map(cut).collect(),
        }
    }
}

fn make_parents(tree: &mut TreeModel, path: &TreePath) {
    tree.dirs.extend((1..path.len()).map(|depth| path[..depth].to_vec()));
}

fn difference(wanted: &TreeModel, found: &TreeModel) -> String {
    let paths: BTreeSet<&TreePath> = wanted.files.keys().chain(found.files.keys()).collect();
    let differs = paths.into_iter().filter(|path| wanted.files.get(*path) != found.files.get(*path));
    let files: Vec<String> = differs
        .map(|path| format!("{} is {:?}, not {:?}", path_text(path), found.files.get(path), wanted.files.get(path)))
        .collect();
    let dirs: Vec<String> = wanted.dirs.symmetric_difference(&found.dirs).map(path_text).collect();
    format!("files [{}], folders only on one side [{}]", files.join("; "), dirs.join("; "))
}

/// A path for people.
pub fn path_text(path: &TreePath) -> String {
    path.iter().map(|name| format!("/{}", String::from_utf8_lossy(name))).collect()
}

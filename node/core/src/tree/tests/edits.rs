use super::{
    EditError, EditOutcome, FileAttributes, FileContent, FileNode, QueryResult, TestWriter, TreeEdit, TreeError,
    TreeItemKind, TreeParams, TreeQuery, inline, name, path,
};

fn put(at: &str, content: &str) -> TreeEdit {
    TreeEdit::Put { path: path(at), file: inline(content), xattrs: Vec::new() }
}

fn make(at: &str) -> TreeEdit {
    TreeEdit::MakeDir { path: path(at), attrs: None, xattrs: Vec::new(), fresh: false }
}

#[test]
fn what_is_put_is_found() {
    let mut peer = TestWriter::new(1);
    assert_eq!(peer.tree(), [""; 0]);
    assert_eq!(peer.put("/a/b/c.txt", "hello"), EditOutcome::Changed);
    assert_eq!(peer.put("/a/b/c.txt", "hello"), EditOutcome::Unchanged);
    assert_eq!(peer.one(make("/a/empty")), EditOutcome::Changed);
    assert_eq!(peer.one(make("/a")), EditOutcome::Unchanged);
    assert_eq!(peer.tree(), ["/a/", "/a/b/", "/a/b/c.txt=hello", "/a/empty/"]);
    let found = peer.entry("/a/b/c.txt").unwrap();
    assert_eq!((found.name, found.attrs.mode, found.attrs.mtime_ns), (name("c.txt"), 0o644, -5));
    assert_eq!(found.writer, peer.writer);
    assert_eq!(peer.entry("/a/x"), Err(TreeError::NotFound));
    assert_eq!(peer.entry("/a/b/c.txt/d"), Err(TreeError::NotAFolder));
    assert!(matches!(peer.entry("/").unwrap().kind, TreeItemKind::Dir { root: Some(_) }));
    assert!(matches!(peer.entry("/a/empty").unwrap().kind, TreeItemKind::Dir { root: None }));
}

#[test]
fn each_edit_of_a_batch_stands_alone() {
    let mut peer = TestWriter::new(1);
    let outcomes = peer.edit(&[put("/f", "1"), put("/f/g", "2"), put("/d/e", "3"), put("/d", "4"), put("/f", "5")]);
    let changed = Ok(EditOutcome::Changed);
    assert_eq!(outcomes, [changed, Err(EditError::NotAFolder), changed, Err(EditError::IsAFolder), changed]);
    assert_eq!(peer.tree(), ["/d/", "/d/e=3", "/f=5"]);
    let heads = peer.heads.clone();
    assert_eq!(peer.edit(&[put("/d", "4"), put("/f", "5")]), [Err(EditError::IsAFolder), Ok(EditOutcome::Unchanged)]);
    assert_eq!(peer.heads, heads, "nothing changed, so there is no new commit");
}

#[test]
fn bad_names_and_files_are_refused() {
    let mut peer = TestWriter::new(1);
    let bad = |at: &[u8]| TreeEdit::Put {
        path: vec![bytes::Bytes::copy_from_slice(at)],
        file: inline(""),
        xattrs: Vec::new(),
    };
    for at in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'x'; 256]] {
        assert_eq!(peer.edit(&[bad(at)]), [Err(EditError::BadName)], "{at:?}");
    }
    for at in [&b"\xff\n\"' "[..], &[b'x'; 255], b"..."] {
        assert_eq!(peer.edit(&[bad(at)]), [Ok(EditOutcome::Changed)], "{at:?}");
    }
    assert_eq!(
        peer.edit(&[TreeEdit::Put { path: path("/"), file: inline(""), xattrs: Vec::new() }]),
        [Err(EditError::IsAFolder)]
    );
    let file = FileNode { attrs: FileAttributes { mode: 0o10000, mtime_ns: 0 }, ..inline("") };
    assert_eq!(peer.edit(&[TreeEdit::Put { path: path("/m"), file, xattrs: Vec::new() }]), [Err(EditError::BadFile)]);
    let file = FileNode { content: FileContent::Symlink(name("")), ..inline("") };
    assert_eq!(peer.edit(&[TreeEdit::Put { path: path("/l"), file, xattrs: Vec::new() }]), [Err(EditError::BadFile)]);
}

#[test]
fn folders_have_attributes() {
    let mut peer = TestWriter::new(1);
    let attrs = |mode| Some(FileAttributes { mode, mtime_ns: 77 });
    let make =
        |at: &str, mode, fresh| TreeEdit::MakeDir { path: path(at), attrs: attrs(mode), xattrs: Vec::new(), fresh };
    assert_eq!(peer.one(make("/a/b", 0o700, true)), EditOutcome::Changed);
    assert_eq!(peer.entry("/a").unwrap().attrs.mode, 0o755);
    assert_eq!(peer.entry("/a/b").unwrap().attrs, attrs(0o700).unwrap());
    assert_eq!(peer.one(make("/a/b", 0o700, false)), EditOutcome::Unchanged);
    assert_eq!(peer.one(make("/a/b", 0o750, false)), EditOutcome::Changed);
    assert_eq!(peer.entry("/a/b").unwrap().attrs, attrs(0o750).unwrap());
    assert_eq!(peer.one(make("/", 0o711, false)), EditOutcome::Changed);
    assert_eq!(peer.entry("/").unwrap().attrs, attrs(0o711).unwrap());
    peer.put("/f", "");
    let refused = peer.edit(&[make("/a/b", 0, true), make("/f", 0, true), make("/f", 0, false), make("/f/x", 0, true)]);
    let not_a_folder = Err(EditError::NotAFolder);
    assert_eq!(refused, [Err(EditError::Exists), Err(EditError::Exists), not_a_folder, not_a_folder]);
}

#[test]
fn removing() {
    let mut peer = TestWriter::new(1);
    peer.edit(&[put("/a/b", "1"), put("/c", "2"), make("/e")]);
    let remove = |at: &str, recursive| TreeEdit::Remove { path: path(at), recursive };
    let outcomes = peer.edit(&[remove("/a", false), remove("/", true), remove("/x", true), remove("/c/y", true)]);
    let expected = [EditError::NotEmpty, EditError::IntoItself, EditError::NotFound, EditError::NotAFolder];
    assert_eq!(outcomes, expected.map(Err));
    assert_eq!(peer.edit(&[remove("/e", false), remove("/c", false)]), [Ok(EditOutcome::Changed); 2]);
    assert_eq!(peer.tree(), ["/a/", "/a/b=1"]);
    peer.one(remove("/a", true));
    assert_eq!(peer.tree(), [""; 0]);
}

#[test]
fn moving() {
    let mut peer = TestWriter::new(1);
    peer.edit(&[put("/a/b/f", "1"), put("/c", "2"), make("/e"), put("/g", "3")]);
    let fails = [
        ("/", "/x", EditError::IntoItself),
        ("/a", "/", EditError::IntoItself),
        ("/a", "/a/b/c", EditError::IntoItself),
        ("/x", "/y", EditError::NotFound),
        ("/c", "/no/c", EditError::NotFound),
        ("/c", "/g/c", EditError::NotAFolder),
        ("/c", "/c/c", EditError::NotAFolder),
        ("/c", "/e", EditError::IsAFolder),
        ("/a", "/e", EditError::Exists),
        ("/a", "/c", EditError::Exists),
    ];
    for (from, to, error) in fails {
        assert_eq!(peer.rename(from, to), Err(error), "{from} {to}");
    }
    assert_eq!(peer.rename("/c", "/c"), Ok(EditOutcome::Unchanged));
    assert_eq!(peer.rename("/c", "/g"), Ok(EditOutcome::Changed));
    assert_eq!(peer.rename("/a", "/e/z"), Ok(EditOutcome::Changed));
    assert_eq!(peer.tree(), ["/e/", "/e/z/", "/e/z/b/", "/e/z/b/f=1", "/g=2"]);
    assert_eq!(peer.rename("/e/z/b", "/b"), Ok(EditOutcome::Changed));
    assert_eq!(peer.tree(), ["/b/", "/b/f=1", "/e/", "/e/z/", "/g=2"]);
}

#[test]
fn a_large_folder_is_a_tree_of_small_blocks() {
    let mut peer = TestWriter::new(1);
    peer.params = TreeParams { nodes: super::nodes(1024, 1024), ..super::TINY };
    let edits: Vec<_> = (0..3000).map(|number| put(&format!("/d/file {number:04}"), &number.to_string())).collect();
    for batch in edits.chunks(500) {
        assert!(peer.edit(batch).iter().all(Result::is_ok));
    }
    let before = peer.store.len();
    peer.put("/d/file 1500", "changed");
    assert!(peer.store.len() - before < 9, "{}", peer.store.len() - before);
    assert!(peer.cost.1 < 9, "{:?} rounds and blocks to change one name", peer.cost);
    let list = peer.list("/d");
    let names: Vec<_> = list.iter().map(|shown| shown.name.clone()).collect();
    let expected: Vec<_> = (0..3000).map(|number| name(&format!("file {number:04}"))).collect();
    assert_eq!(names, expected);
    // What has to be read to find a name is a small part of the folder.
    let way = peer.query(TreeQuery::Way { path: path("/d/file 1500") }).unwrap();
    let QueryResult::Way { entry, blocks } = way else { panic!("{way:?}") };
    assert_eq!(entry.name, name("file 1500"));
    assert!((2..9).contains(&blocks.len()) && blocks.is_sorted(), "{blocks:?}");
    assert_eq!(peer.cost.1, blocks.len(), "all that was asked for, and nothing else");
    let page = TreeQuery::List { path: path("/d"), after: Some(name("file 2990")), max: 100 };
    assert!(matches!(peer.query(page), Ok(QueryResult::List { entries, more: false }) if entries.len() == 9));
}

/// The tree is a function of its entries, whatever order they came and went in.
#[test]
fn equal_folders_are_equal_blocks() {
    let names: Vec<String> = (0..200).map(|number| format!("n{:03}", number * 7919 % 1000)).collect();
    let root = |peer: &mut TestWriter, at: &str| match peer.entry(at).unwrap().kind {
        TreeItemKind::Dir { root } => root,
        TreeItemKind::File { .. } => panic!("a file"),
    };
    let mut random = fastrand::Rng::with_seed(1);
    for kept in [0, 1, 2, 5, 20, 77, 200] {
        let mut peer = TestWriter::new(1);
        let wanted = &names[..kept];
        let all = wanted.iter().map(|name| put(&format!("/a/{name}"), name)).chain([make("/a")]).collect::<Vec<_>>();
        peer.edit(&all);
        // Everything the other way round, with names in between that go again.
        let mut order: Vec<&String> = names.iter().collect();
        random.shuffle(&mut order);
        peer.one(make("/b"));
        for batch in order.chunks(13) {
            peer.edit(&batch.iter().map(|name| put(&format!("/b/{name}"), name)).collect::<Vec<_>>());
        }
        random.shuffle(&mut order);
        let gone = order.iter().filter(|name| !wanted.contains(name));
        let removes: Vec<_> =
            gone.map(|name| TreeEdit::Remove { path: path(&format!("/b/{name}")), recursive: false }).collect();
        for batch in removes.chunks(11) {
            peer.edit(batch);
        }
        // Dots and times differ, so compare with the same content written by one hand.
        let again: Vec<_> = wanted.iter().map(|name| put(&format!("/b/{name}"), "")).collect();
        let back: Vec<_> = wanted.iter().map(|name| put(&format!("/b/{name}"), name)).collect();
        peer.edit(&again);
        peer.edit(
            &[back, wanted.iter().map(|name| put(&format!("/a/{name}"), &format!("{name} "))).collect()].concat(),
        );
        let rest: Vec<_> = ["a", "b"]
            .iter()
            .flat_map(|at| wanted.iter().map(move |name| put(&format!("/{at}/{name}"), "z")))
            .collect();
        peer.edit(&rest);
        assert_eq!(root(&mut peer, "/a"), root(&mut peer, "/b"), "{kept} names");
    }
}

#[test]
fn trees_may_be_deep() {
    let mut peer = TestWriter::new(1);
    peer.at_hand = true;
    let deep = |names: usize| "/d".repeat(names);
    assert_eq!(peer.edit(&[put(&deep(257), "")]), [Err(EditError::BadName)]);
    peer.put(&deep(256), "1");
    let mut other = peer.fork(2);
    other.put(&format!("{}/e", deep(255)), "3");
    peer.put(&format!("{}/e", deep(255)), "4");
    peer.hear(&other);
    peer.merge();
    assert_eq!(peer.entry(&deep(256)).unwrap().conflict_of, None);
    assert_eq!(peer.list(&deep(255)).len(), 3);
    assert_eq!(peer.entry(&deep(100_000)), Err(TreeError::NotAFolder));
}

/// A block that a job was given may come from a change that failed. Only what lies in the tree of a head is there already.
#[test]
fn what_is_merely_at_hand_is_still_new() {
    let genesis = TestWriter::new(1);
    let store = |peer: &mut TestWriter| {
        peer.put("/a/f", "1");
        std::mem::take(&mut peer.store)
    };
    let first = store(&mut genesis.clone());
    let mut again = TestWriter { store: first.clone(), at_hand: true, ..genesis };
    let job = again.edit_job(&[put("/a/f", "1")]);
    let super::JobDone::Edited { blocks, .. } = again.run(super::TreeJob::Edit(job)) else { panic!("an edit") };
    assert_eq!(blocks.len(), 3, "a leaf for each folder and the commit");
    assert!(blocks.iter().all(|block| first.contains_key(&block.id())));
}

/// Removing all names before (or behind) some leaves old nodes as they were, of which one may become the root.
#[test]
fn what_is_left_of_a_folder_is_as_if_written_anew() {
    let genesis = TestWriter::new(1);
    let names = |range: std::ops::Range<usize>| range.map(|number| format!("/a/{number:03}")).collect::<Vec<_>>();
    let puts = |names: &[String]| names.iter().map(|name| put(name, "x")).collect::<Vec<_>>();
    let removes = |names: &[String]| {
        names.iter().map(|name| TreeEdit::Remove { path: path(name), recursive: false }).collect::<Vec<_>>()
    };
    for total in (14..200).step_by(17) {
        let mut full = genesis.clone();
        full.edit(&puts(&names(0..total)));
        for kept in 1..12 {
            for (left, gone) in [(0..kept, kept..total), (total - kept..total, 0..total - kept)] {
                let (mut anew, mut cut) = (genesis.clone(), full.clone());
                anew.edit(&puts(&names(left.clone())));
                cut.edit(&removes(&names(gone)));
                let kind = |peer: &mut TestWriter| peer.entry("/a").unwrap().kind;
                assert_eq!(kind(&mut anew), kind(&mut cut), "{left:?} of {total}");
            }
        }
    }
}

//! What the model allows, and what it finds wrong.

use super::*;

/// A model in which node 0 stored one write at a name.
fn with_one(path: &str) -> (ChaosModel, ContentToken) {
    let mut model = ChaosModel::new(1);
    let token = put(&mut model, 0, path, OperationEnd::Acknowledged(3));
    (model, token)
}

fn put(model: &mut ChaosModel, node: usize, path: &str, end: OperationEnd) -> ContentToken {
    let change = model.begin_put(node, path, 16);
    model.end(&change, end);
    change.token.expect("a put writes")
}

#[test]
fn what_was_acknowledged_must_be_there_until_something_may_have_taken_it() {
    let (mut model, token) = with_one("/d/f");
    assert_eq!(model.compare_with(&[("/d/f".into(), token)], 2), Vec::<String>::new());
    assert!(model.compare_with(&[], 2)[0].contains("is lost"));

    let (mut model, _) = with_one("/d/f");
    let newer = put(&mut model, 1, "/d/f", OperationEnd::Unknown);
    assert_eq!(model.compare_with(&[("/d/f (conflict 1 now)".into(), newer)], 2), Vec::<String>::new());
}

#[test]
fn what_a_node_replaced_knowing_it_must_not_come_back() {
    let (mut model, old) = with_one("/d/f");
    let new = put(&mut model, 0, "/d/f", OperationEnd::Acknowledged(2));
    let both = [("/d/f".to_owned(), new), ("/d/f (conflict 1 now)".to_owned(), old)];
    assert!(model.compare_with(&both, 2)[0].contains("is back"));

    let (mut model, old) = with_one("/d/f");
    // Node 1 never saw the old one: both may stand.
    let new = put(&mut model, 1, "/d/f", OperationEnd::Acknowledged(2));
    let both = [("/d/f".to_owned(), new), ("/d/f (conflict 1 now)".to_owned(), old)];
    assert_eq!(model.compare_with(&both, 2), Vec::<String>::new());
}

#[test]
fn with_wrong_clocks_a_node_may_remove_the_other_of_two_versions() {
    for clocks_lie in [false, true] {
        let mut model = ChaosModel { clocks_lie, ..ChaosModel::new(1) };
        put(&mut model, 1, "/d/f", OperationEnd::Acknowledged(1));
        let newer = put(&mut model, 0, "/d/f", OperationEnd::Acknowledged(1));
        let removal = model.begin_remove(0, "/d/f");
        model.end(&removal, OperationEnd::Acknowledged(2));
        let wrong = model.compare_with(&[("/d/f (conflict 1 now)".into(), newer)], 2);
        assert_eq!(wrong.is_empty(), clocks_lie, "{wrong:?}");
    }
}

#[test]
fn a_moved_file_gives_way_to_what_was_written_after_it() {
    for end in [OperationEnd::Unknown, OperationEnd::Acknowledged(1)] {
        let (mut model, old) = with_one("/d/a");
        put(&mut model, 2, "/d/f", end);
        let moving = model.begin_move(0, "/d/a", "/d/f");
        model.end(&moving, OperationEnd::Acknowledged(2));
        // Node 0 may have heard of the newer one by now: then that one has the name and is removed.
        let removal = model.begin_remove(0, "/d/f");
        model.end(&removal, OperationEnd::Acknowledged(2));
        let aside = [("/d/f (conflict 1 now)".to_owned(), old)];
        assert_eq!(model.compare_with(&aside, 3), Vec::<String>::new());
    }
}

#[test]
fn a_change_may_be_on_one_disk_while_it_is_made_and_when_it_ended_so() {
    let holders = |model: &ChaosModel| [0, 1].map(|node| model.may_hold_alone(node));
    for (end, after) in
        [(OperationEnd::Acknowledged(2), false), (OperationEnd::Refused, false), (OperationEnd::Acknowledged(1), true)]
    {
        let mut model = ChaosModel::new(1);
        let (one, other) = (model.begin_put(0, "/d/f", 16), model.begin_remove(0, "/d/g"));
        model.end(&other, OperationEnd::Acknowledged(3));
        assert_eq!(holders(&model), [true, false], "one of two is still under way");
        model.end(&one, end);
        assert_eq!(holders(&model), [after; 2], "{end:?}: the only copy may be on any disk");
        model.compare_with(&[], 2);
        assert_eq!(holders(&model), [false; 2]);
    }
}

#[test]
fn a_node_shows_no_less_than_it_knows() {
    let (mut model, old) = with_one("/d/f");
    let least = model.begin_read(0, "/d/f");
    assert!(model.end_read(0, "/d/f", least, None).is_err());
    assert!(model.end_read(1, "/d/f", model.begin_read(1, "/d/f"), None).is_ok(), "the other may not have heard of it");
    let new = put(&mut model, 0, "/d/f", OperationEnd::Acknowledged(2));
    let least = model.begin_read(0, "/d/f");
    assert!(model.end_read(0, "/d/f", least, Some(old)).is_err());
    assert!(model.end_read(0, "/d/f", least, Some(new)).is_ok());
    assert!(model.end_read(0, "/d/g", None, Some(new)).is_err(), "never stored there");
}

#[test]
fn a_folder_takes_its_content_along() {
    let (mut model, token) = with_one("/d/f");
    let change = model.begin_move(0, "/d", "/e");
    model.end(&change, OperationEnd::Acknowledged(3));
    assert!(model.compare_with(&[("/d/f".into(), token)], 2)[0].contains("is lost"), "node 0 knew it and moved it");
}

#[test]
fn a_move_may_come_before_or_after_what_is_done_meanwhile() {
    let place = |path: &str, token| [(path.to_owned(), token)];
    for path in ["/d/f", "/e/f"] {
        let mut model = ChaosModel::new(1);
        let moving = model.begin_move(0, "/d", "/e");
        let token = put(&mut model, 0, "/d/f", OperationEnd::Acknowledged(2));
        model.end(&moving, OperationEnd::Acknowledged(2));
        assert_eq!(model.compare_with(&place(path, token), 2), Vec::<String>::new());
    }
    let (mut model, old) = with_one("/d/f");
    let putting = model.begin_put(0, "/d/f", 16);
    let moving = model.begin_move(0, "/d", "/e");
    assert!(model.candidates("/e/f").iter().any(|(token, _)| *token == old), "it may be seen before it is over");
    model.end(&moving, OperationEnd::Acknowledged(2));
    model.end(&putting, OperationEnd::Acknowledged(2));
    let new = putting.token.expect("a put writes");
    assert_eq!(model.compare_with(&place("/e/f", new), 2), Vec::<String>::new(), "it was replaced, then moved");
}

#[test]
fn a_file_may_be_moved_before_or_after_its_folder() {
    let moves = [("/e/g", "/d/f", vec!["/d/f", "/x/f"]), ("/d/g", "/d/f", vec!["/d/f", "/x/f", "/x/g"])];
    for (from, to, places) in moves {
        for (file_first, place) in [true, false].into_iter().flat_map(|first| places.iter().map(move |p| (first, p))) {
            let mut model = ChaosModel::new(1);
            let token = put(&mut model, 0, from, OperationEnd::Acknowledged(2));
            let (file, folder) = (model.begin_move(0, from, to), model.begin_move(0, "/d", "/x"));
            let (first, last) = if file_first { (file, folder) } else { (folder, file) };
            model.end(&first, OperationEnd::Acknowledged(2));
            model.end(&last, OperationEnd::Acknowledged(2));
            assert_eq!(
                model.compare_with(&[((*place).to_owned(), token)], 2),
                Vec::<String>::new(),
                "{from} is at {place}"
            );
        }
    }
}

#[test]
fn what_was_moved_away_meanwhile_was_not_replaced() {
    let (mut model, old) = with_one("/d/f");
    let putting = model.begin_put(0, "/d/f", 16);
    let moving = model.begin_move(0, "/d", "/x");
    model.end(&moving, OperationEnd::Acknowledged(2));
    model.end(&putting, OperationEnd::Acknowledged(2));
    let new = putting.token.expect("a put writes");
    let both = [("/x/f".to_owned(), old), ("/d/f".to_owned(), new)];
    assert_eq!(model.compare_with(&both, 2), Vec::<String>::new());
}

#[test]
fn what_was_not_moved_stays() {
    let (mut model, token) = with_one("/d/f");
    let change = model.begin_move(0, "/d", "/x");
    model.end(&change, OperationEnd::Refused);
    assert!(model.compare_with(&[("/x/f".into(), token)], 2)[0].contains("is lost"));
}

#[test]
fn shared_names_are_not_emptied_by_writes() {
    let mut model = ChaosModel::new(1);
    model.share("/s");
    let (one, other) = (model.begin_put(0, "/s", 16), model.begin_put(1, "/s", 16));
    model.end(&one, OperationEnd::Acknowledged(3));
    model.end(&other, OperationEnd::Acknowledged(3));
    assert!(model.compare_with(&[], 2)[0].contains("nothing is left"));
}

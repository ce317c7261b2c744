//! What comes into the program from outside, as far as the lock file tells without a network. The rest of deny.toml is for
//! cargo-deny.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::{read, root};

/// The packages of the lock file by name, each with those that depend on it.
fn locked() -> BTreeMap<String, BTreeSet<String>> {
    let lock = table("Cargo.lock");
    let packages = lock["package"].as_array().expect("packages");
    let mut dependants = BTreeMap::<String, BTreeSet<String>>::new();
    for package in packages {
        let name = text(&package["name"]);
        dependants.entry(name.to_owned()).or_default();
        for named in package.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
            // "name", or "name version" where there are two.
            let on = text(named).split(' ').next().unwrap_or_default();
            dependants.entry(on.to_owned()).or_default().insert(name.to_owned());
        }
    }
    dependants
}

fn table(file: &str) -> Table {
    read(&root().join(file)).parse().unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn list<'a>(deny: &'a Table, section: &str, name: &str) -> &'a [Value] {
    deny[section][name].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn nothing_that_is_banned_comes_in_but_by_those_who_may() {
    let (deny, locked) = (table("deny.toml"), locked());
    for ban in list(&deny, "bans", "deny") {
        let name = text(&ban["crate"]);
        assert!(ban.get("reason").is_some(), "{name} is banned, but deny.toml does not say why");
        let Some(dependants) = locked.get(name) else { continue };
        let may = ban.get("wrappers").and_then(Value::as_array).into_iter().flatten().map(text).collect::<Vec<_>>();
        let others: Vec<_> = dependants.iter().filter(|by| !may.contains(&by.as_str())).collect();
        assert!(!may.is_empty() && others.is_empty(), "{name} came in by {others:?}: {}", text(&ban["reason"]));
    }
}

#[test]
fn what_is_excused_is_still_there() {
    let (deny, locked) = (table("deny.toml"), locked());
    let excused: Vec<&str> = list(&deny, "advisories", "ignore").iter().map(|entry| text(&entry["id"])).collect();
    let bans = list(&deny, "bans", "deny").iter();
    let of_here =
        bans.filter(|ban| ban.get("wrappers").is_some()).filter(|ban| text(&ban["reason"]).starts_with("RUSTSEC"));
    for ban in of_here {
        let (name, advisory) = (text(&ban["crate"]), text(&ban["reason"]));
        assert!(locked.contains_key(name), "{name} is gone: take it and {advisory} off deny.toml");
        assert!(excused.contains(&advisory), "{advisory} of {name} is not among the advisories");
    }
    assert_eq!(excused.len(), 3, "an advisory is excused with who may bring its crate, in bans.deny");
}

#[test]
fn what_is_there_twice_is_known() {
    let (deny, lock) = (table("deny.toml"), table("Cargo.lock"));
    let mut versions = BTreeMap::<&str, BTreeSet<&str>>::new();
    for package in lock["package"].as_array().expect("packages") {
        versions.entry(text(&package["name"])).or_default().insert(text(&package["version"]));
    }
    let skipped: BTreeSet<&str> = list(&deny, "bans", "skip").iter().map(|entry| text(&entry["crate"])).collect();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let known = versions.iter().filter(|version| skipped.contains(format!("{name}@{version}").as_str())).count();
        assert!(known + 1 >= versions.len(), "{name} is there in {versions:?}: say why in deny.toml, or use one");
    }
    for skipped in skipped {
        let (name, version) = skipped.split_once('@').expect("a version");
        let there = versions.get(name).is_some_and(|versions| versions.len() > 1 && versions.contains(version));
        assert!(there, "{skipped} is not there beside another version: take it off deny.toml");
    }
}

//! Fail points: each stands in the source under a name of its own that says in which crate, so that the crash suite finds it,
//! and whoever reads of it too.

use std::collections::BTreeMap;

use xtask::fail_points::{FailPoint, of};

use crate::{assert_kept, rooms};

#[test]
fn every_fail_point_has_a_name_of_its_own() {
    let points: Vec<FailPoint> = rooms().flat_map(|(package, files)| of(package, files)).collect();
    assert!(points.len() > 10, "the rule looks where there are none: {points:?}");
    assert_kept(points.iter().filter_map(odd_name).chain(doubles(&points)));
}

fn odd_name(point: &FailPoint) -> Option<String> {
    let (place, package) = (&point.place, &point.package);
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let step = point.name.split_once('.').filter(|(room, step)| room == package && step.split('-').all(word));
    step.is_none().then(|| {
        format!("{place}: the fail point \"{}\": write its name out on its line, as \"{package}.before-the-step\"", point.name)
    })
}

fn doubles(points: &[FailPoint]) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for point in points {
        places.entry(&point.name).or_default().push(&point.place);
    }
    let several = places.into_iter().filter(|(_, places)| places.len() > 1);
    several.map(|(name, places)| format!("{}: {name} stands in several places: tell them apart", places.join(", "))).collect()
}

mod planted {
    use super::*;
    use crate::{file, package};

    fn points(text: &str) -> Vec<FailPoint> {
        of(&package("engine", "engine"), &[file("src/a.rs", text)])
    }

    #[test]
    fn fail_points_are_found_where_they_are_reached() {
        let text = "fn f() {\n    fail_point(\"engine.a-b\");\n    kernel::fail_point(\"engine.c\");\n}\n// fail_point(\"engine.d\");\n\
                    pub fn fail_point(name: &str) {}\n#[cfg(test)]\nmod tests { fn g() { fail_point(\"engine.e\") } }";
        let found = points(text);
        assert_eq!(found.iter().map(|point| point.name.as_str()).collect::<Vec<_>>(), ["engine.a-b", "engine.c"]);
        assert!(found[0].place.ends_with("crates/engine/src/a.rs:2"), "{found:?}");
        assert!(found.iter().all(|point| odd_name(point).is_none()));
    }

    #[test]
    fn odd_and_double_names_are_found() {
        for name in ["\"store.before\"", "\"engine\"", "\"engine.Before\"", "\"engine.a--b\"", "\"engine.a.b\"", "NAME", "\"\""] {
            let found = points(&format!("fail_point({name});"));
            assert!(found.len() == 1 && odd_name(&found[0]).is_some(), "{name}");
        }
        let twice = points("fail_point(\"engine.a\");\nfail_point(\"engine.b\");\nfail_point(\"engine.a\");");
        assert_eq!(doubles(&twice).len(), 1);
    }
}

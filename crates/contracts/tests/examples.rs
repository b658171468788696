//! Every event that was ever published still loads: each has an example in `examples/`, named after its kind.
//! Leaves what services make of an event to their own tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use contracts::{EventInfo, every_event};
use serde_json::Value;

/// Kinds whose examples stay, for the record, though no program reads them any more. A kind that may still lie in some log
/// does not belong here but in `every_event()`.
const RETIRED: &[&str] = &[];

/// A field that no program of today knows.
const NEWER: &str = "of_a_newer_program";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The examples by the kind that their file names.
fn examples() -> BTreeMap<String, String> {
    let files = fs::read_dir(folder()).expect("the folder of examples can be read");
    let example = |path: PathBuf| {
        let kind = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")).map(str::to_owned);
        let kind = kind.unwrap_or_else(|| panic!("{} is no example: expected <kind>.json", path.display()));
        (kind, fs::read_to_string(&path).expect("an example can be read"))
    };
    files.map(|file| example(file.expect("the folder of examples can be listed").path())).collect()
}

/// What is wrong with the example of `event`, if anything is.
fn fault_of(event: &EventInfo, example: Option<&String>) -> Option<String> {
    let kind = event.kind;
    let Some(example) = example else {
        return Some(format!(
            "{kind} has no example: write one as it would really be sent to crates/contracts/examples/{kind}.json"
        ));
    };
    let again = match (event.reload)(example) {
        Ok(again) => again,
        Err(error) => return Some(format!("the example of {kind} no longer loads: {error}; make a new version instead")),
    };
    let (before, after): (Value, Value) = match (serde_json::from_str(example), serde_json::from_str(&again)) {
        (Ok(before), Ok(after)) => (before, after),
        (before, after) => return Some(format!("{kind} is no JSON: {before:?} {after:?}")),
    };
    (before != after).then(|| format!("the example of {kind} comes back changed, as {again}"))
}

#[test]
fn every_event_has_an_example_that_loads_and_comes_back_the_same() {
    let examples = examples();
    let faults: Vec<String> = every_event().iter().filter_map(|event| fault_of(event, examples.get(event.kind))).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A field that a newer program adds, anywhere in an event, is passed over by those that do not know it.
#[test]
fn every_event_may_grow() {
    let examples = examples();
    let faults: Vec<String> = every_event().iter().filter_map(|event| stiffness_of(event, &examples[event.kind])).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Where `event` cannot bear a field that it does not know, if anywhere. Objects that have no fields, being maps or one of
/// several forms, complain of something else.
fn stiffness_of(event: &EventInfo, example: &str) -> Option<String> {
    let known: Value = serde_json::from_str(example).expect("an example is JSON");
    let refused = |grown: Value| (event.reload)(&grown.to_string()).err().map(|error| error.to_string());
    let refusals = (0..).map_while(|number| grown(&known, number)).filter_map(refused);
    let mut stiff = refusals.filter(|error| error.contains("unknown field"));
    stiff.next().map(|error| format!("{} refuses what a newer program may add: {error}", event.kind))
}

/// The example with a field more in the object of this number, if there is one.
fn grown(example: &Value, number: usize) -> Option<Value> {
    let mut grown = example.clone();
    let (mut waiting, mut seen) = (vec![&mut grown], 0);
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) if seen == number => {
                fields.insert(NEWER.to_owned(), Value::Null);
                return Some(grown);
            }
            Value::Object(fields) => {
                seen += 1;
                waiting.extend(fields.values_mut());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    None
}

#[test]
fn every_example_belongs_to_an_event() {
    let kinds: BTreeSet<&str> = every_event().iter().map(|event| event.kind).chain(RETIRED.iter().copied()).collect();
    let examples = examples();
    let strays: Vec<&String> = examples.keys().filter(|kind| !kinds.contains(kind.as_str())).collect();
    assert!(
        strays.is_empty(),
        "examples of no event: {strays:?}; what was once published stays in every_event(), or is named in RETIRED"
    );
    for kind in RETIRED {
        assert!(every_event().iter().all(|event| event.kind != *kind), "{kind} is retired and is not");
        assert!(examples.contains_key(*kind), "{kind} is retired and its example is gone");
    }
}

#[test]
fn kinds_are_unique_and_end_in_a_version() {
    let mut seen = BTreeSet::new();
    for event in every_event() {
        assert!(seen.insert(event.kind), "{} stands twice", event.kind);
        let parts: Vec<&str> = event.kind.split('.').collect();
        let [aggregate, what, version] = parts[..] else { panic!("{}: expected <aggregate>.<what happened>.v<n>", event.kind) };
        assert!(is_kebab(aggregate) && is_kebab(what), "{}: expected kebab-case", event.kind);
        let number: Option<u32> = version.strip_prefix('v').and_then(|number| number.parse().ok());
        assert!(
            number.is_some_and(|number| number >= 1 && version == format!("v{number}")),
            "{}: expected .v<n> at the end",
            event.kind
        );
    }
}

#[test]
fn topics_are_named_by_service_and_aggregate() {
    for event in every_event() {
        let sound = event.topic.split_once('.').is_some_and(|(service, aggregates)| is_kebab(service) && is_kebab(aggregates));
        assert!(sound, "{} travels on {}: expected <service>.<aggregates>", event.kind, event.topic);
    }
}

fn is_kebab(word: &str) -> bool {
    let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    plain && !word.is_empty() && !word.starts_with('-') && !word.ends_with('-')
}

mod planted {
    use super::*;

    #[test]
    fn missing_broken_and_changed_examples_are_found() {
        let event = every_event().into_iter().find(|event| event.kind == "order.cancelled.v1").expect("it is there");
        let fault = |example: &str| fault_of(&event, Some(&example.to_owned()));
        let order = "01a20eba-5248-740f-8171-a089daba079f";
        assert_eq!(fault(&format!(r#"{{"order": "{order}", "reason": "gave-up"}}"#)), None);
        let missing = fault_of(&event, None).expect("it is missed");
        assert!(missing.contains("crates/contracts/examples/order.cancelled.v1.json"), "{missing}");
        assert!(fault(&format!(r#"{{"order": "{order}"}}"#)).is_some_and(|fault| fault.contains("no longer loads")));
        let stiff = EventInfo { reload: |_| Err(serde::de::Error::unknown_field(NEWER, &["order"])), ..event };
        assert!(stiffness_of(&stiff, "{}").is_some_and(|fault| fault.contains(NEWER)));
        let more = format!(r#"{{"order": "{order}", "reason": "gave-up", "by": "shopper"}}"#);
        assert!(fault(&more).is_some_and(|fault| fault.contains("comes back changed")));
    }
}

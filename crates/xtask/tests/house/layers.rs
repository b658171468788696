//! Who may depend on whom: layers between our own crates, fences around drivers.
//! A new dependency between rooms is the only expensive change; here it becomes one that must be argued for.

use xtask::workspace::{Dependency, Kind, Package};

use crate::{assert_kept, packages};

/// A layer and the layers its crates may depend on.
///
/// A stand-in takes the place of somebody outside, as a payment provider: a service by its form, and nobody's neighbour. The
/// program may run one and tests may speak to one, but no service is built on it.
const LAYERS: [(&str, &[&str]); 9] = [
    ("kernel", &[]),
    ("contracts", &["kernel"]),
    ("platform", &["kernel", "contracts"]),
    ("engine", &["kernel", "contracts", "platform"]),
    ("service", &["kernel", "contracts", "platform", "engine"]),
    ("stand-in", &["kernel", "platform", "engine"]),
    ("edge", &["kernel", "contracts"]),
    ("root", &["kernel", "contracts", "platform", "engine", "service", "stand-in", "edge"]),
    ("tools", &["kernel", "contracts", "platform", "engine", "service", "stand-in", "edge", "root", "tools"]),
];

/// Crates that may depend on a crate of ours beyond their layer.
const ALSO: [(Who, &str); 5] = [
    (Who::Package("log"), "store"),
    (Who::Package("web"), "telemetry"),
    (Who::Package("load"), "audit"),
    (Who::Layer("edge"), "web"),
    (Who::Layer("edge"), "telemetry"),
];

/// Crates of others, and the only packages that may name them; a trailing `*` stands for any ending.
const FENCES: [(&[&str], &[&str]); 4] = [
    (&["rusqlite", "libsqlite3-sys", "tokio-postgres*", "postgres-types", "deadpool*", "sqlx*"], &["store"]),
    (&["rdkafka*"], &["log"]),
    (&["axum*", "hyper*", "tower*"], &["web", "gateway", "swiftcart"]),
    (&["reqwest*"], &["web", "gateway", "payments", "notifications", "audit", "load"]),
];

/// An exception is for one package or for a layer.
enum Who {
    Package(&'static str),
    Layer(&'static str),
}

#[test]
fn every_package_states_its_layer() {
    assert_kept(packages().iter().filter_map(without_layer));
}

#[test]
fn dependencies_between_our_crates_follow_the_layers() {
    assert_kept(against_layers(packages()));
}

#[test]
fn there_is_one_root() {
    assert_kept(second_roots(packages()));
}

#[test]
fn drivers_stay_behind_their_fence() {
    assert_kept(packages().iter().flat_map(over_fences));
}

#[test]
fn the_kernel_knows_neither_tokio_nor_drivers() {
    assert_kept(packages().iter().flat_map(heavy_kernel));
}

fn without_layer(package: &Package) -> Option<String> {
    let known = LAYERS.map(|(layer, _)| layer);
    let stated = package.layer.as_deref();
    let missing = !stated.is_some_and(|layer| known.contains(&layer));
    missing.then(|| {
        let known = known.join(", ");
        format!(
            "{} states {stated:?}: its manifest needs `[package.metadata.swiftcart] layer = \"…\"`, one of {known}",
            package.name
        )
    })
}

fn against_layers(packages: &[Package]) -> Vec<String> {
    let mut breaches = Vec::new();
    for from in packages {
        for dependency in from.dependencies.iter().filter(|dependency| dependency.local) {
            let Some(to) = packages.iter().find(|package| package.name == dependency.name) else { continue };
            if !may_depend(from, to, dependency.kind) {
                breaches.push(format!(
                    "{} ({}) depends on {} ({}): remove that line from its manifest; what both need belongs in a lower layer, what \
                     one must learn from the other comes by event",
                    from.name,
                    layer(from),
                    to.name,
                    layer(to)
                ));
            }
        }
    }
    breaches
}

/// Tests may use tools and stand-ins beyond what their crate may use, and their own crate.
fn may_depend(from: &Package, to: &Package, kind: Kind) -> bool {
    let below = LAYERS.iter().any(|(name, below)| *name == layer(from) && below.contains(&layer(to)));
    let also = ALSO.iter().any(|(who, allowed)| *allowed == to.name && who.is(from));
    let in_tests = kind == Kind::Dev && (["tools", "stand-in"].contains(&layer(to)) || from.name == to.name);
    below || also || in_tests
}

impl Who {
    fn is(&self, package: &Package) -> bool {
        match self {
            Self::Package(name) => package.name == *name,
            Self::Layer(name) => layer(package) == *name,
        }
    }
}

fn second_roots(packages: &[Package]) -> Vec<String> {
    let strangers = packages.iter().filter(|package| layer(package) == "root" && package.name != "swiftcart");
    strangers
        .map(|package| format!("{} states the layer root, which is for `swiftcart` alone: choose another", package.name))
        .collect()
}

fn over_fences(package: &Package) -> Vec<String> {
    if layer(package) == "tools" {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for (drivers, homes) in FENCES.iter().filter(|(_, homes)| !homes.contains(&package.name.as_str())) {
        let fenced = shipped(package).filter(|dependency| drivers.iter().any(|driver| fits(&dependency.name, driver)));
        breaches.extend(fenced.map(|dependency| {
            let homes = homes.join(", ");
            format!(
                "{} depends on {}, which only {homes} may: use what they offer, or extend that",
                package.name, dependency.name
            )
        }));
    }
    breaches
}

fn heavy_kernel(package: &Package) -> Vec<String> {
    if layer(package) != "kernel" {
        return Vec::new();
    }
    let heavy =
        |name: &str| fits(name, "tokio*") || FENCES.iter().any(|(drivers, _)| drivers.iter().any(|driver| fits(name, driver)));
    let breaches = shipped(package).filter(|dependency| heavy(&dependency.name));
    breaches.map(|dependency| format!("{} depends on {}: the kernel does no I/O", package.name, dependency.name)).collect()
}

fn shipped(package: &Package) -> impl Iterator<Item = &Dependency> {
    package.dependencies.iter().filter(|dependency| dependency.kind != Kind::Dev && !dependency.local)
}

fn layer(package: &Package) -> &str {
    package.layer.as_deref().unwrap_or("no layer")
}

fn fits(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |start| name.starts_with(start))
}

mod planted {
    use super::*;
    use crate::package;

    fn depending(name: &str, layer: &str, on: &str, kind: Kind, local: bool) -> Package {
        let dependencies = vec![Dependency { name: on.into(), kind, local }];
        Package { dependencies, ..package(name, layer) }
    }

    fn breaks_layers(from: (&str, &str), to: (&str, &str), kind: Kind) -> bool {
        !against_layers(&[depending(from.0, from.1, to.0, kind, true), package(to.0, to.1)]).is_empty()
    }

    #[test]
    fn a_missing_or_unknown_layer_is_found() {
        assert!(without_layer(&Package { layer: None, ..package("a", "") }).is_some());
        assert!(without_layer(&package("a", "basement")).is_some());
        assert!(without_layer(&package("a", "edge")).is_none());
    }

    #[test]
    fn wrong_directions_are_found() {
        let wrong = [
            (("kernel", "kernel"), ("contracts", "contracts")),
            (("orders", "service"), ("payments", "service")),
            (("web", "platform"), ("store", "platform")),
            (("store", "platform"), ("log", "platform")),
            (("gateway", "edge"), ("orders", "service")),
            (("gateway", "edge"), ("store", "platform")),
            (("console", "edge"), ("storefront", "edge")),
            (("swiftcart", "root"), ("load", "tools")),
            (("orders", "service"), ("sim", "tools")),
            (("payments", "service"), ("sandbox", "stand-in")),
            (("sandbox", "stand-in"), ("payments", "service")),
            (("sandbox", "stand-in"), ("contracts", "contracts")),
        ];
        for (from, to) in wrong {
            assert!(breaks_layers(from, to, Kind::Normal), "{from:?} on {to:?}");
        }
        assert!(breaks_layers(("orders", "service"), ("payments", "service"), Kind::Dev));
        assert!(breaks_layers(("orders", "service"), ("payments", "service"), Kind::Build));
    }

    #[test]
    fn right_directions_pass() {
        let right = [
            (("log", "platform"), ("store", "platform")),
            (("engine", "engine"), ("log", "platform")),
            (("orders", "service"), ("engine", "engine")),
            (("gateway", "edge"), ("web", "platform")),
            (("swiftcart", "root"), ("orders", "service")),
            (("swiftcart", "root"), ("sandbox", "stand-in")),
            (("e2e", "tools"), ("swiftcart", "root")),
        ];
        for (from, to) in right {
            assert!(!breaks_layers(from, to, Kind::Normal), "{from:?} on {to:?}");
        }
        assert!(!breaks_layers(("orders", "service"), ("sim", "tools"), Kind::Dev));
        assert!(!breaks_layers(("payments", "service"), ("sandbox", "stand-in"), Kind::Dev));
    }

    #[test]
    fn a_foreign_crate_of_the_same_name_is_not_ours() {
        let packages = [depending("web", "platform", "log", Kind::Normal, false), package("log", "platform")];
        assert!(against_layers(&packages).is_empty());
    }

    #[test]
    fn a_second_root_is_found() {
        assert_eq!(second_roots(&[package("swiftcart", "root"), package("shortcut", "root")]).len(), 1);
    }

    #[test]
    fn drivers_out_of_place_are_found() {
        for driver in
            ["rusqlite", "tokio-postgres", "deadpool-postgres", "rdkafka", "axum", "hyper-util", "tower-http", "reqwest"]
        {
            assert_eq!(over_fences(&depending("orders", "service", driver, Kind::Normal, false)).len(), 1, "{driver}");
            assert!(over_fences(&depending("orders", "service", driver, Kind::Dev, false)).is_empty(), "{driver}");
            assert!(over_fences(&depending("sim", "tools", driver, Kind::Normal, false)).is_empty(), "{driver}");
        }
        assert!(over_fences(&depending("store", "platform", "rusqlite", Kind::Normal, false)).is_empty());
        assert!(over_fences(&depending("payments", "service", "reqwest", Kind::Normal, false)).is_empty());
        assert_eq!(over_fences(&depending("payments", "service", "axum", Kind::Normal, false)).len(), 1);
    }

    #[test]
    fn a_kernel_with_io_is_found() {
        for heavy in ["tokio", "tokio-util", "rusqlite", "reqwest"] {
            assert_eq!(heavy_kernel(&depending("kernel", "kernel", heavy, Kind::Normal, false)).len(), 1, "{heavy}");
        }
        assert!(heavy_kernel(&depending("kernel", "kernel", "serde", Kind::Normal, false)).is_empty());
        assert!(heavy_kernel(&depending("web", "platform", "tokio", Kind::Normal, false)).is_empty());
    }
}

//! Finds a Java on this machine and Kafka's jars in the cache, or installs the one and has Maven fetch the other.
//! It leaves running them to `server`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::servers::{matching, on_path, packages};

const KAFKA: &str = "4.1.1";

/// The oldest Java that this Kafka runs on.
const JAVA_MIN: u32 = 17;

/// Names the directory of Kafka's jars; set, it is taken or the start fails.
const CHOICE: &str = "SWIFTCART_TEST_KAFKA_JARS";

/// Where distributions put each version, `*` standing for it.
const PLACES: [&str; 2] = ["/usr/lib/jvm/*/bin", "/opt/homebrew/opt/openjdk@*/bin"];

/// What Debian and its relatives call a Java that serves; each release has one of them.
const JAVA_PACKAGES: [&str; 2] = ["openjdk-17-jre-headless", "openjdk-21-jre-headless"];

/// What Maven is to fetch: Kafka with all that it needs, and something that writes its log.
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>swiftcart</groupId>
  <artifactId>private-kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>KAFKA</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"#;

/// The program `java` and the directory of Kafka's jars.
///
/// # Errors
/// When one of them is not there and cannot be had.
pub(in crate::servers) fn find_or_install() -> Result<Vec<PathBuf>> {
    Ok(vec![java()?, jars()?])
}

fn java() -> Result<PathBuf> {
    if let Some(java) = find_java() {
        return Ok(java);
    }
    let advice = || format!("Kafka needs Java {JAVA_MIN} or newer, and {}", advice());
    ensure!(packages::installable(), advice());
    eprintln!("There is no Java {JAVA_MIN} or newer on this machine: installing one with apt-get.");
    JAVA_PACKAGES
        .iter()
        .map(|package| packages::install(&[package]))
        .reduce(|first, second| first.or(second))
        .expect("there is a package")
        .with_context(advice)?;
    find_java().with_context(advice)
}

/// The Java that is chosen, or that of the path, or one of the known places.
fn find_java() -> Option<PathBuf> {
    let chosen = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let placed = PLACES.iter().flat_map(|place| matching(place)).map(|dir| dir.join("java"));
    chosen.into_iter().chain(on_path("java")).chain(placed).find(|java| java_version(java).is_some_and(|major| major >= JAVA_MIN))
}

fn java_version(java: &Path) -> Option<u32> {
    let output = Command::new(java).arg("-version").stdin(Stdio::null()).output().ok()?;
    java_major(&String::from_utf8_lossy(&output.stderr))
}

/// Reads `openjdk version "17.0.15" 2025-04-15`.
fn java_major(version: &str) -> Option<u32> {
    let number = version.split_once("version \"")?.1;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The directory of Kafka's jars, fetched if it is not there.
fn jars() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os(CHOICE).map(PathBuf::from) {
        let kafka = format!("kafka_2.13-{KAFKA}.jar");
        ensure!(dir.join(&kafka).is_file(), "{CHOICE} names {}, but there is no {kafka}", dir.display());
        return Ok(dir);
    }
    let dir = cache()?.join(format!("kafka-{KAFKA}"));
    if !dir.is_dir() {
        fetch(&dir)?;
    }
    Ok(dir)
}

/// Fetches Kafka into `dir`, which appears when all of it is there.
fn fetch(dir: &Path) -> Result<()> {
    let maven = maven()?;
    let partial = dir.with_extension(format!("{}.partial", std::process::id()));
    let cause = || format!("cannot write to {}", partial.display());
    std::fs::create_dir_all(&partial).with_context(cause)?;
    let pom = partial.join("pom.xml");
    std::fs::write(&pom, POM.replace("KAFKA", KAFKA)).with_context(cause)?;
    eprintln!("Apache Kafka {KAFKA} is not in {} yet: Maven fetches it.", dir.display());
    let mut command = Command::new(maven);
    command.args(["--batch-mode", "--quiet", "dependency:copy-dependencies", "-DincludeScope=runtime", "--file"]).arg(&pom);
    command.arg(format!("-DoutputDirectory={}", partial.display())).stdin(Stdio::null()).stdout(std::io::stderr());
    let status = command.status().context("Maven did not start")?;
    let fetched = status.success() && std::fs::rename(&partial, dir).is_ok();
    let _ = std::fs::remove_dir_all(&partial);
    // Another run may have been quicker.
    ensure!(
        fetched || dir.is_dir(),
        "Maven did not fetch Apache Kafka {KAFKA} ({status}); the reason stands above, and {}",
        advice()
    );
    Ok(())
}

fn maven() -> Result<PathBuf> {
    if let Some(maven) = on_path("mvn") {
        return Ok(maven);
    }
    let advice = || format!("Kafka is fetched by Maven, and {}", advice());
    ensure!(packages::installable(), advice());
    eprintln!("There is no Maven on this machine: installing the package `maven` with apt-get.");
    packages::install(&["maven"]).with_context(advice)?;
    on_path("mvn").with_context(advice)
}

/// Where what was fetched is kept.
fn cache() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    Ok(cache.context("neither XDG_CACHE_HOME nor HOME tells where Kafka can be kept")?.join("swiftcart"))
}

fn advice() -> String {
    format!(
        "it could not be had here: install it (Debian, Ubuntu: `apt-get install {} maven`; Fedora: `dnf install \
         java-21-openjdk-headless maven`; macOS: `brew install openjdk@21 maven`), or let {CHOICE} name a directory with \
         the jars of Kafka {KAFKA}",
        JAVA_PACKAGES[0]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(java_major("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment"), Some(17));
        assert_eq!(java_major("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(java_major("java version \"1.8.0_392\""), Some(1));
        assert_eq!(java_major("no Java here"), None);
    }
}

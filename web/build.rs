//! Builds the page in `ui/` and hands its folder to the crate as `WEB_DIST`.
//!
//! With `HIDAMARI_UI=skip`, or in a debug build on a machine without npm, a placeholder page is
//! embedded instead; the API works all the same. A release build without npm stops.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the page is made from. `node_modules`, `generated` and `dist` are not here: a build script
/// that writes into a folder it watches runs at every build.
const SOURCES: [&str; 8] = [
    "ui/package.json",
    "ui/package-lock.json",
    "ui/index.html",
    "ui/vite.config.ts",
    "ui/tsconfig.json",
    "ui/src",
    "ui/public",
    "openapi.json",
];

const PLACEHOLDER: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<title>Hidamari</title>
<p>This program was built without its page. The API works:
<a href=\"/api/openapi.json\">/api/openapi.json</a>.
Install Node 20.19 or later with npm and build again to get the page.
</html>
";

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed=HIDAMARI_UI");
    match embed() {
        Ok(dist) => {
            println!("cargo::rustc-env=WEB_DIST={}", dist.display());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            problem.lines().for_each(|line| println!("cargo::error={line}"));
            ExitCode::FAILURE
        }
    }
}

/// Fills the folder to embed and returns it.
fn embed() -> Result<PathBuf, String> {
    let dist = PathBuf::from(variable("OUT_DIR")?).join("dist");
    if env::var("HIDAMARI_UI").is_ok_and(|value| value == "skip") {
        return placeholder(dist);
    }
    for source in SOURCES.iter().filter(|source| Path::new(source).exists()) {
        println!("cargo::rerun-if-changed={source}");
    }
    if !Path::new("ui/package.json").exists() {
        println!("cargo::rerun-if-changed=ui/package.json");
        println!("cargo::warning=there is no web/ui: a placeholder page is embedded");
        return placeholder(dist);
    }
    if Command::new("npm").arg("--version").output().is_err() {
        if variable("PROFILE")? == "release" {
            return Err("npm was not found. A release build embeds the dashboard's page: install \
                        Node 20.19 or later with npm, or set HIDAMARI_UI=skip to build without \
                        the page"
                .to_owned());
        }
        println!("cargo::warning=npm was not found: a placeholder page is embedded");
        return placeholder(dist);
    }
    if dependencies_are_stale() {
        npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"], &dist)?;
    }
    npm(&["run", "build"], &dist)?;
    if dist.join("index.html").is_file() {
        Ok(dist)
    } else {
        Err(format!("npm run build left no index.html in {}", dist.display()))
    }
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}

fn placeholder(dist: PathBuf) -> Result<PathBuf, String> {
    let failed =
        |error| format!("cannot write the placeholder page to {}: {error}", dist.display());
    if dist.exists() {
        fs::remove_dir_all(&dist).map_err(failed)?;
    }
    fs::create_dir_all(&dist).map_err(failed)?;
    fs::write(dist.join("index.html"), PLACEHOLDER).map_err(failed)?;
    Ok(dist)
}

/// Whether the lock is newer than what was installed from it, or nothing was installed.
fn dependencies_are_stale() -> bool {
    let changed = |path: &str| fs::metadata(path).and_then(|file| file.modified()).ok();
    match (changed("ui/package-lock.json"), changed("ui/node_modules/.package-lock.json")) {
        (Some(lock), Some(installed)) => lock > installed,
        _ => true,
    }
}

/// Runs npm in `ui`; `WEB_DIST` tells Vite where to put the page.
fn npm(arguments: &[&str], dist: &Path) -> Result<(), String> {
    let command = format!("npm {}", arguments.join(" "));
    let output = Command::new("npm")
        .args(arguments)
        .current_dir("ui")
        .env("WEB_DIST", dist)
        .output()
        .map_err(|error| format!("{command} cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let tail: Vec<_> = said.lines().rev().take(30).collect();
    let tail: Vec<_> = tail.into_iter().rev().collect();
    Err(format!(
        "`{command}` failed in web/ui ({}). Its last lines:\n{}\nHIDAMARI_UI=skip builds without \
         the page.",
        output.status,
        tail.join("\n")
    ))
}

//! `letmein import`: letmein 12's configuration as one of ours.

use crate::cli::Import;
use anyhow::{Context as _, anyhow, bail};
use letmein_enrolment::{file, is_host};
use std::fs;
use zeroize::Zeroizing;

/// What to print: what the file becomes, or nothing after it was written to a new file that only its owner can read.
pub fn run(options: &Import) -> anyhow::Result<Zeroizing<String>> {
    let from = options.file.display();
    if let Some(host) = options.host.as_ref().filter(|host| !is_host(host)) {
        bail!("{host:?} is neither a name nor an address");
    }
    let text = fs::read_to_string(&options.file).with_context(|| format!("cannot read {from}"))?;
    let text = Zeroizing::new(text);
    let ours =
        letmein_import::client(&text, options.host.as_deref()).map_err(|error| anyhow!("{from}: {error}"))?;
    let Some(path) = &options.output else {
        return Ok(ours);
    };
    file::make_folder_of(path)
        .and_then(|()| file::write_new(path, &ours))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Zeroizing::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Transport};
    use std::time::Duration;
    use tempfile::TempDir;

    const KEY: &str = "5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A";

    fn import(text: &str, host: Option<&str>) -> anyhow::Result<String> {
        let folder = TempDir::new()?;
        let file = folder.path().join("letmein.conf");
        fs::write(&file, text)?;
        let host = host.map(ToOwned::to_owned);
        let output = Some(folder.path().join("folder/ours"));
        let printed = run(&Import {
            file: file.clone(),
            host: host.clone(),
            output: None,
        })?;
        assert_eq!(*run(&Import { file, host, output })?, "");
        assert_eq!(fs::read_to_string(folder.path().join("folder/ours"))?, *printed);
        Ok(printed.to_string())
    }

    #[test]
    fn every_option_means_the_same() {
        let text = format!(
            "[GENERAL]\ndebug = true\nport = 5801 / udp\ncontrol-timeout = 1.5\nseccomp = off\nx = y\n\
             [CLIENT]\ndefault-user = 2\n[KEYS]\n00000001 = {KEY}\n2 = {KEY}\n\
             [RESOURCES]\n1A = port: 22\n1B = port: 80 / users: 00000001\n20 = jump / input: X\n"
        );
        let ours = import(&text, Some("192.0.2.1")).unwrap();
        let config = Config::parse(&ours).unwrap_or_else(|error| panic!("{error:?}\n{ours}"));
        let names: Vec<_> = config.servers.keys().map(String::as_str).collect();
        assert_eq!(names, ["192.0.2.1", "192.0.2.1-00000001"]);
        let (first, second) = (
            &config.servers["192.0.2.1-00000001"],
            &config.servers["192.0.2.1"],
        );
        assert_eq!((first.user.0, second.user.0), (1, 2));
        assert_eq!((first.port, first.transport), (5801, Transport::Udp));
        assert_eq!(
            (first.timeout, first.host.as_deref()),
            (Duration::from_millis(1500), Some("192.0.2.1"))
        );
        let resources = |server: &crate::config::Server| {
            let resources = server
                .resources
                .iter()
                .map(|(name, one)| format!("{name} {:X} {:?}", one.id.0, one.port));
            resources.collect::<Vec<_>>()
        };
        assert_eq!(
            resources(first),
            [
                "jump-00000020 20 None",
                "port-22 1A Some(22)",
                "port-80 1B Some(80)"
            ]
        );
        assert_eq!(
            resources(second),
            ["jump-00000020 20 None", "port-22 1A Some(22)"]
        );
        assert!(
            ours.contains("Not taken over: x in [GENERAL] (line 6)."),
            "{ours}"
        );
    }

    /// letmein 12 knocks over TCP unless told otherwise, and so does what comes of it.
    #[test]
    fn defaults_are_theirs() {
        let ours = import(&format!("[KEYS]\n1 = {KEY}\n"), None).unwrap();
        let config = Config::parse(&ours).unwrap();
        assert_eq!(config.servers["gate.example.org"].transport, Transport::Tcp);
        assert!(ours.contains("Write the host of your gate below"), "{ours}");
        let nothing = import("", None).unwrap();
        assert!(Config::parse(&nothing).unwrap().servers.is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = import("[KEYS]\n1 = 5A5A\n", None).unwrap_err().to_string();
        assert!(
            error.ends_with("line 2: 1: a key is 64 hexadecimal digits, and neither all zeros nor all ones"),
            "{error}"
        );
        let error = import("", Some("a b")).unwrap_err().to_string();
        assert!(error.contains("neither a name nor an address"), "{error}");
    }
}

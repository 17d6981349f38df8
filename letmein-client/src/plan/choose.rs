//! Finding in the configuration what was named on the command line.

use crate::config::{Config, Server, values};
use anyhow::{Context as _, anyhow, bail};
use letmein_common::{ResourceId, UserId};

/// The sections with this name or host, by name.
pub fn with_host<'a>(config: &'a Config, host: &str) -> impl Iterator<Item = (&'a str, &'a Server)> {
    config
        .servers
        .iter()
        .filter(move |(name, server)| *name == host || server.host.as_deref() == Some(host))
        .map(|(name, server)| (name.as_str(), server))
}

/// The section with this name, or else the only one with this host; in any case with this user, if one is given.
pub fn server<'a>(
    config: &'a Config,
    host: &str,
    user: Option<UserId>,
) -> anyhow::Result<(&'a str, &'a Server)> {
    let with_host: Vec<_> = with_host(config, host).collect();
    let mut fitting: Vec<_> = with_host.clone();
    fitting.retain(|(_, server)| user.is_none_or(|user| server.user == user));
    if let Some(named) = fitting.iter().find(|(name, _)| *name == host) {
        return Ok(*named);
    }
    match (fitting.as_slice(), user) {
        ([only], _) => Ok(*only),
        ([], Some(user)) if !with_host.is_empty() => {
            let users = with_host.iter().map(|(_, server)| server.user.to_string());
            bail!("{host:?} has no user {user} here, but {}", list(users))
        }
        ([], _) => {
            let names = config.servers.keys().cloned();
            bail!(
                "no [servers.NAME] section is for {host:?}; there is {}. Add one: see docs/client.md",
                list(names)
            )
        }
        (several, _) => {
            let names = several
                .iter()
                .map(|(name, server)| format!("{name} (user {})", server.user));
            bail!(
                "{host:?} is the host of {}; give the section's name, or a user with -u",
                list(names)
            )
        }
    }
}

/// A resource by its name, or by the port it opens.
pub fn by_port_or_name(server: &Server, wanted: &str) -> anyhow::Result<ResourceId> {
    if let Some(resource) = server.resources.get(wanted) {
        return Ok(resource.id);
    }
    match wanted.parse::<u16>() {
        Ok(port) => by_port(server, port),
        Err(_) => Err(unknown(server, wanted, "-r takes an id")),
    }
}

/// The only resource with this port.
pub fn by_port(server: &Server, port: u16) -> anyhow::Result<ResourceId> {
    let with_port: Vec<_> = server
        .resources
        .iter()
        .filter(|(_, resource)| resource.port == Some(port))
        .collect();
    match with_port.as_slice() {
        [(_, resource)] => Ok(resource.id),
        [] => Err(unknown(server, &port.to_string(), "-r takes an id")),
        several => {
            let names = several.iter().map(|(name, _)| (*name).clone());
            bail!("port {port} is that of {}; give the name", list(names))
        }
    }
}

/// A resource by its name, or by its id, which the configuration need not know.
pub fn by_id_or_name(server: &Server, wanted: &str) -> anyhow::Result<ResourceId> {
    match server.resources.get(wanted) {
        Some(resource) => Ok(resource.id),
        None => values::resource_id(wanted)
            .map_err(|_| unknown(server, wanted, "an id is 1 to 8 hexadecimal digits")),
    }
}

/// The resource for SSH: the one with that name, or else the one with its port.
pub fn ssh(server: &Server) -> anyhow::Result<ResourceId> {
    match server.resources.get("ssh") {
        Some(resource) => Ok(resource.id),
        None => {
            by_port(server, 22).context("neither a resource named ssh, nor one with port 22 (-r chooses)")
        }
    }
}

/// The port that the configuration has for a resource.
pub fn port(server: &Server, resource: ResourceId) -> Option<u16> {
    let mut same = server.resources.values().filter(|one| one.id == resource);
    same.find_map(|one| one.port)
}

fn unknown(server: &Server, wanted: &str, remedy: &str) -> anyhow::Error {
    let known = server
        .resources
        .iter()
        .map(|(name, resource)| match resource.port {
            Some(port) => format!("{name} (port {port})"),
            None => name.clone(),
        });
    anyhow!(
        "no resource is called {wanted:?}; there is {}; {remedy}",
        list(known)
    )
}

/// `none`, `a`, or `a, b`.
fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() {
        return "none".to_owned();
    }
    items.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        toml::from_str(
            "[servers.home]\nhost = \"gate.example\"\nuser = \"1\"\nkey-file = \"k\"\n\
             [servers.home.resources]\nssh = { id = \"A\", port = 22 }\nvpn = { id = \"B\" }\n\
             dns-tcp = { id = \"C\", port = 53 }\ndns-udp = { id = \"D\", port = 53 }\n22 = { id = \"E\" }\n\
             [servers.admin]\nhost = \"gate.example\"\nuser = \"2\"\nkey-file = \"k\"\n\
             [servers.work]\nhost = \"home\"\nuser = \"3\"\nkey-file = \"k\"\n",
        )
        .unwrap()
    }

    fn name(host: &str, user: Option<u32>) -> Result<String, String> {
        server(&config(), host, user.map(UserId))
            .map(|(name, _)| name.to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_server_goes_by_name_before_host_and_by_user() {
        assert_eq!(name("home", None).as_deref(), Ok("home"));
        assert_eq!(name("work", None).as_deref(), Ok("work"));
        assert_eq!(name("home", Some(3)).as_deref(), Ok("work"));
        assert_eq!(name("gate.example", Some(2)).as_deref(), Ok("admin"));
        assert_eq!(name("admin", Some(2)).as_deref(), Ok("admin"));
    }

    #[test]
    fn a_server_that_is_not_clear_is_refused_with_what_there_is() {
        for (host, user, expected) in [
            (
                "gate.example",
                None,
                "\"gate.example\" is the host of admin (user 00000002), home (user 00000001); give the section's name",
            ),
            (
                "gate.example",
                Some(9),
                "no user 00000009 here, but 00000002, 00000001",
            ),
            ("elsewhere", None, "there is admin, home, work. Add one"),
            (
                "elsewhere",
                Some(1),
                "no [servers.NAME] section is for \"elsewhere\"",
            ),
        ] {
            let error = name(host, user).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let nothing = toml::from_str("").unwrap();
        let error = server(&nothing, "home", None).err().unwrap().to_string();
        assert!(error.contains("there is none"), "{error}");
    }

    #[test]
    fn resources_go_by_name_port_and_id() {
        let config = config();
        let home = &config.servers["home"];
        for (wanted, id) in [("ssh", 0xA), ("vpn", 0xB), ("22", 0xE), ("dns-udp", 0xD)] {
            assert_eq!(by_port_or_name(home, wanted).unwrap(), ResourceId(id), "{wanted}");
        }
        for (wanted, id) in [("ssh", 0xA), ("b", 0xB), ("0000001f", 0x1F)] {
            assert_eq!(by_id_or_name(home, wanted).unwrap(), ResourceId(id), "{wanted}");
        }
    }

    #[test]
    fn unknown_resources_get_the_list_of_known_ones() {
        let config = config();
        let home = &config.servers["home"];
        for (found, expected) in [
            (
                by_port_or_name(home, "web"),
                "\"web\"; there is 22, dns-tcp (port 53), dns-udp (port 53), ssh (port 22), vpn; -r takes an id",
            ),
            (by_port_or_name(home, "80"), "no resource is called \"80\""),
            (
                by_port_or_name(home, "53"),
                "port 53 is that of dns-tcp, dns-udp; give the name",
            ),
            (by_id_or_name(home, "web"), "an id is 1 to 8 hexadecimal digits"),
            (by_port_or_name(&config.servers["work"], "ssh"), "there is none"),
        ] {
            let error = found.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

//! `letmein.conf` to `letmein.toml`.

use crate::{
    ImportError,
    ini::Ini,
    resource::{self, Opens},
    server::{bounded, control_port, general, unknown},
    writer::{Writer, key},
};
use std::time::Duration;
use toml_edit::{InlineTable, Value};
use zeroize::Zeroizing;

const KNOWN: &[(&str, &[&str])] = &[
    ("GENERAL", &["debug", "port", "control-timeout", "seccomp"]),
    ("CLIENT", &["default-user"]),
];

/// Our configuration of a client, from letmein 12's, for this gate. It holds the users' keys.
pub fn client(text: &str, host: Option<&str>) -> Result<Zeroizing<String>, ImportError> {
    let ini = Ini::parse(text)?;
    let users = resource::users(&ini)?;
    let resources = resource::resources(&ini)?;
    let default = match ini.get("CLIENT", "default-user") {
        Some(given) => given.id(&given.value)?,
        None => 0,
    };
    let (port, tcp, _) = control_port(&ini)?.unwrap_or((5800, true, false));
    let mut to = Writer::default();
    to.note(
        "From a configuration of letmein 12. It holds keys: only its owner may be able to read it (chmod 600). letmein 12 \
         names the host on the command line; here each section is for one gate, and is called by the section's name.",
    );
    if host.is_none() {
        to.note("Write the host of your gate below, and copy the sections for further gates.");
    }
    unknown(&mut to, &ini, KNOWN);
    if ini.get("GENERAL", "seccomp").is_some() {
        to.note("Not taken over: seccomp, which the client here does not use.");
    }
    general(&mut to, &ini)?;
    if users.is_empty() {
        to.note("There is no user with a key, so there is no section.");
    }
    let host = host.unwrap_or("gate.example.org");
    for user in &users {
        let name = if user.id == default || users.len() == 1 {
            host.to_owned()
        } else {
            format!("{host}-{:08X}", user.id)
        };
        to.section(&format!("servers.{}", key(&name)));
        if user.id == default && users.len() > 1 {
            to.note(
                "The default-user. The others have the same host, so call this section by -u or by its name.",
            );
        }
        to.option("host", host);
        to.option("port", i64::from(port));
        to.option("transport", if tcp { "tcp" } else { "udp" });
        if let Some(given) = ini.get("GENERAL", "control-timeout") {
            let time = given.seconds(&given.value)?;
            let time = bounded(
                &mut to,
                "control-timeout",
                time,
                Duration::from_millis(1),
                Duration::from_mins(10),
            );
            to.option("timeout", time);
        }
        to.option("user", format!("{:08X}", user.id));
        to.option("key", user.key.as_str());
        let mut section = false;
        for resource in resources.iter().filter(|resource| resource.is_for(user.id)) {
            if !section {
                to.section(&format!("servers.{}.resources", key(&name)));
                section = true;
            }
            let mut options = InlineTable::new();
            options.insert("id", format!("{:08X}", resource.id).into());
            if let Opens::Port { port, .. } = resource.opens {
                options.insert("port", i64::from(port).into());
            }
            to.option(&key(&resource.name()), Value::InlineTable(options));
        }
    }
    Ok(to.finish())
}

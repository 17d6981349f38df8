//! `letmeind.conf` to `letmeind.toml`.

use crate::{
    ImportError,
    ini::{Given, Ini},
    resource::{self, HOOKS, Opens, Resource},
    value::{items, number},
    writer::{Writer, duration, key},
};
use std::time::Duration;
use toml_edit::Array;
use zeroize::Zeroizing;

const LONGEST_LEASE: Duration = Duration::from_hours(365 * 24);
/// Ours, unless `max-lease` says otherwise.
const USUAL_LEASE: Duration = Duration::from_hours(24);
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);
const DEFAULT_RULES: u32 = 100;

/// The options that are understood, by section; of `[KEYS]` and `[RESOURCES]` all are.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "GENERAL",
        &[
            "debug",
            "port",
            "control-timeout",
            "control-error-policy",
            "seccomp",
        ],
    ),
    (
        "NFTABLES",
        &[
            "exe",
            "family",
            "table",
            "chain-input",
            "chain-forward",
            "chain-output",
            "timeout",
            "max-nr-rules",
        ],
    ),
];

/// Our configuration of a server, from letmein 12's, for these interfaces. It holds the users' keys.
pub fn server(text: &str, interfaces: &[String]) -> Result<Zeroizing<String>, ImportError> {
    let ini = Ini::parse(text)?;
    let users = resource::users(&ini)?;
    let resources = resource::resources(&ini)?;
    let mut to = Writer::default();
    to.note(
        "From a configuration of letmein 12. It holds keys: only its owner may be able to read it (chmod 600). \
         Users and resources have no names there; call them what you like, here and where they are named.",
    );
    unknown(&mut to, &ini, KNOWN);
    gate(&mut to, &ini, interfaces)?;
    firewall(&mut to, &ini, &resources)?;
    for resource in &resources {
        one_resource(&mut to, resource);
        for id in resource
            .users
            .iter()
            .filter(|id| !users.iter().any(|user| user.id == **id))
        {
            to.note(&format!("Not taken over: user {id:08X}, who has no key there."));
        }
    }
    for user in &users {
        if !resources.iter().any(|resource| resource.is_for(user.id)) {
            to.note(&format!(
                "Not taken over: user {:08X}, who may open nothing there.",
                user.id
            ));
            continue;
        }
        to.section(&format!("users.user-{:08X}", user.id));
        to.option("id", format!("{:08X}", user.id));
        to.option("key", user.key.as_str());
        let own = resources
            .iter()
            .filter(|resource| resource.users.contains(&user.id));
        let own: Array = own.map(Resource::name).collect();
        to.option("resources", own);
    }
    Ok(to.finish())
}

/// What letmein 12 does not know either, or ignores.
pub fn unknown(to: &mut Writer, ini: &Ini, known: &[(&str, &[&str])]) {
    for section in ini.sections() {
        if ["KEYS", "RESOURCES"].contains(&&*section.name) {
            continue;
        }
        let Some((_, known)) = known.iter().find(|(name, _)| *name == section.name) else {
            to.note(&format!(
                "Not taken over: section [{}] (line {}).",
                section.name, section.line
            ));
            continue;
        };
        for option in section
            .options()
            .iter()
            .filter(|option| !known.contains(&&*option.name))
        {
            to.note(&format!(
                "Not taken over: {} in [{}] (line {}).",
                option.name, section.name, option.line
            ));
        }
    }
}

/// Number, TCP and UDP of the control port.
pub fn control_port(ini: &Ini) -> Result<Option<(u16, bool, bool)>, ImportError> {
    let Some(given) = ini.get("GENERAL", "port") else {
        return Ok(None);
    };
    let (mut port, mut tcp, mut udp) = (5800, false, false);
    for item in items(given)? {
        for value in &item.values {
            match &*value.to_lowercase() {
                "tcp" if item.key.is_empty() => tcp = true,
                "udp" if item.key.is_empty() => udp = true,
                _ if item.key.is_empty() => port = given.port(value)?,
                _ => return Err(given.wrong("this is written as PORT / tcp, udp")),
            }
        }
    }
    Ok(Some((port, tcp || !udp, udp)))
}

/// What both programs have and neither of ours needs.
pub fn general(to: &mut Writer, ini: &Ini) -> Result<(), ImportError> {
    if let Some(debug) = ini.get("GENERAL", "debug") {
        debug.flag()?;
        to.note("No counterpart to debug: what is worth knowing is always told.");
    }
    Ok(())
}

/// A time, moved into our bounds with a note.
pub fn bounded(to: &mut Writer, what: &str, time: Duration, least: Duration, most: Duration) -> String {
    let kept = Duration::from_millis(u64::try_from(time.clamp(least, most).as_millis()).unwrap_or(u64::MAX));
    if kept != time {
        to.note(&format!(
            "{what} was {} s there; here it may be from {} to {}.",
            time.as_secs_f64(),
            duration(least),
            duration(most)
        ));
    }
    duration(kept)
}

fn gate(to: &mut Writer, ini: &Ini, interfaces: &[String]) -> Result<(), ImportError> {
    to.section("gate");
    if interfaces.is_empty() {
        to.note("letmein 12 has no such option: the interfaces whose packets are checked (`ip link` lists yours).");
        to.option("interfaces", ["eth0"].into_iter().collect::<Array>());
    } else {
        to.option("interfaces", interfaces.iter().collect::<Array>());
    }
    let (port, tcp, udp) = control_port(ini)?.unwrap_or((5800, true, false));
    to.option("port", i64::from(port));
    let transports = [("tcp", tcp), ("udp", udp)];
    let on = transports.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
    if !udp {
        to.note("With \"udp\", forged knocks end in the XDP program. letmein 12's clients then take -U.");
    }
    to.option("transports", on.collect::<Array>());
    if let Some(given) = ini.get("GENERAL", "control-timeout") {
        let time = given.seconds(&given.value)?;
        let time = bounded(
            to,
            "control-timeout",
            time,
            Duration::from_millis(100),
            Duration::from_mins(10),
        );
        to.option("control-timeout", time);
    }
    let policy = match ini.get("GENERAL", "control-error-policy") {
        None => "always".to_owned(),
        Some(given) => {
            let policy = given.value.to_lowercase();
            if !["always", "basic-auth", "full-auth"].contains(&&*policy) {
                return Err(given.wrong("this is always, basic-auth or full-auth"));
            }
            policy
        }
    };
    if policy == "always" {
        to.note(
            "This is letmein 12's default. \"basic-auth\", which is ours, answers nobody who proves no key; over UDP \
             \"always\" answers forged sources.",
        );
    }
    to.option("error-policy", policy);
    if let Some(seccomp) = ini.get("GENERAL", "seccomp") {
        if !["off", "log", "kill"].contains(&&*seccomp.value.to_lowercase()) {
            return Err(seccomp.wrong("this is off, log or kill"));
        }
        to.note("Not taken over: seccomp.");
    }
    general(to, ini)
}

fn firewall(to: &mut Writer, ini: &Ini, resources: &[Resource]) -> Result<(), ImportError> {
    to.section("firewall");
    to.note(
        "letmein 12's way: your own rules close the ports and jump to these chains. With mode = \"guard\" instead, and \
         without table and chains, letmeind closes the ports itself, whatever other firewall there is.",
    );
    to.option("mode", "chain");
    let get = |option| ini.get("NFTABLES", option);
    match get("family").map(|given| (given, given.value.as_str())) {
        None | Some((_, "inet")) => {}
        Some((_, family @ ("ip" | "ip6"))) => to.note(&format!(
            "The table was of family {family} there. Here it has to be of family inet: both kinds of addresses in one."
        )),
        Some((given, _)) => return Err(given.wrong("this is inet, ip or ip6")),
    }
    if let Some(table) = get("table").filter(|table| !table.value.is_empty()) {
        to.option("table", table.value.as_str());
    }
    let jumps = |hook: usize| {
        let mut jumps = resources.iter().map(|resource| &resource.opens);
        jumps.any(|opens| matches!(opens, Opens::Jump(to) if to[hook].is_some()))
    };
    for (hook, option, ours) in [
        (0, "chain-input", "chain"),
        (1, "chain-forward", "forward-chain"),
        (2, "chain-output", "output-chain"),
    ] {
        if let Some(given) = get(option) {
            let name = resource::chain(given, &given.value)?;
            if hook == 0 || jumps(hook) {
                to.option(ours, name);
            } else {
                to.note(&format!(
                    "Not needed: {option}, since no resource jumps from there."
                ));
            }
        }
    }
    if let Some(exe) = get("exe").filter(|exe| *exe.value != *"nft") {
        to.note(&format!(
            "Not taken over: exe (line {}). nft is looked for in PATH.",
            exe.line
        ));
    }
    let default = get("timeout").map_or(Ok(DEFAULT_TIMEOUT), |given| given.seconds(&given.value))?;
    let default_lease = bounded(to, "timeout", default, Duration::from_secs(1), LONGEST_LEASE);
    to.option("default-lease", default_lease);
    let longest = resources
        .iter()
        .filter_map(|resource| resource.timeout)
        .fold(default, Duration::max);
    if longest > USUAL_LEASE {
        to.option("max-lease", duration(longest.min(LONGEST_LEASE)));
    }
    let rules = get("max-nr-rules").map_or(Ok(DEFAULT_RULES), most)?;
    to.note("Counted are ports that are open, each for each source, and no rules.");
    to.option("max-leases", i64::from(rules.clamp(1, 1_000_000)));
    Ok(())
}

fn most(given: &Given) -> Result<u32, ImportError> {
    number(&given.value).ok_or_else(|| given.wrong("this is a number"))
}

fn one_resource(to: &mut Writer, resource: &Resource) {
    to.section(&format!("resources.{}", key(&resource.name())));
    to.option("id", format!("{:08X}", resource.id));
    match &resource.opens {
        Opens::Port { port, tcp, udp } => {
            let ports = [("tcp", tcp), ("udp", udp)].into_iter().filter(|(_, on)| **on);
            to.option(
                "ports",
                ports
                    .map(|(protocol, _)| format!("{protocol}/{port}"))
                    .collect::<Array>(),
            );
        }
        Opens::Jump(jumps) => {
            let given = || {
                HOOKS
                    .iter()
                    .zip(jumps)
                    .filter_map(|(hook, jump)| Some((hook, jump.as_ref()?)))
            };
            for (hook, jump) in given() {
                to.option(&format!("jump-{hook}"), jump.chain.as_str());
            }
            let for_all: Array = given()
                .filter(|(_, jump)| !jump.saddr)
                .map(|(hook, _)| *hook)
                .collect();
            if !for_all.is_empty() {
                to.note("These had no match there: while anybody's lease lives, everybody's packets jump.");
                to.option("jump-for-all", for_all);
            }
            if given().any(|(hook, jump)| *hook == "output" && jump.saddr) {
                to.note("output-match: saddr compares with the server's own address there, and with the client's here.");
            }
        }
    }
    if let Some(timeout) = resource.timeout {
        let lease = bounded(to, "timeout", timeout, Duration::from_secs(1), LONGEST_LEASE);
        to.option("lease", lease);
    }
    if resource.users.is_empty() {
        to.option("all-users", true);
    }
}

//! Users and resources, which both of letmein 12's files have alike.

use crate::{
    ImportError,
    ini::{Given, Ini},
    value::{Item, items},
};
use std::time::Duration;
use zeroize::Zeroizing;

/// A user.
pub struct User {
    pub id: u32,
    /// 64 hexadecimal digits.
    pub key: Zeroizing<String>,
}

/// A resource.
pub struct Resource {
    pub id: u32,
    pub opens: Opens,
    pub timeout: Option<Duration>,
    /// Empty for everybody.
    pub users: Vec<u32>,
}

/// What a resource opens.
pub enum Opens {
    Port { port: u16, tcp: bool, udp: bool },
    Jump([Option<Jump>; 3]),
}

/// A jump from one of [`HOOKS`].
pub struct Jump {
    pub chain: String,
    /// For packets of who knocked only.
    pub saddr: bool,
}

/// Where jumps may be, in the order of [`Opens::Jump`].
pub const HOOKS: [&str; 3] = ["input", "forward", "output"];

impl Resource {
    /// What to call it: letmein 12 has no names.
    pub fn name(&self) -> String {
        match self.opens {
            Opens::Port { port, .. } => format!("port-{port}"),
            Opens::Jump(_) => format!("jump-{:08X}", self.id),
        }
    }

    pub fn is_for(&self, user: u32) -> bool {
        self.users.is_empty() || self.users.contains(&user)
    }
}

pub fn users(ini: &Ini) -> Result<Vec<User>, ImportError> {
    let mut users: Vec<User> = Vec::new();
    for given in ini.options("KEYS") {
        // Whoever has put a key in the place of the id is not to find it in the error.
        let id = u32::from_str_radix(&given.name, 16);
        let id = id.map_err(|_| ImportError::at(given.line, "a user's id is 1 to 8 hexadecimal digits"))?;
        let key = &given.value;
        let same = |digit| key.bytes().all(|other| other.eq_ignore_ascii_case(&digit));
        if key.len() != 64 || !key.bytes().all(|digit| digit.is_ascii_hexdigit()) || same(b'0') || same(b'F')
        {
            return Err(given.wrong("a key is 64 hexadecimal digits, and neither all zeros nor all ones"));
        }
        if users.iter().any(|user| user.id == id) {
            return Err(given.wrong("this user is there twice"));
        }
        users.push(User { id, key: key.clone() });
    }
    Ok(users)
}

pub fn resources(ini: &Ini) -> Result<Vec<Resource>, ImportError> {
    let mut resources: Vec<Resource> = Vec::new();
    for given in ini.options("RESOURCES") {
        let resource = resource(given)?;
        for other in &resources {
            if other.id == resource.id {
                return Err(given.wrong("this resource is there twice"));
            }
            if let (Opens::Port { port, .. }, Opens::Port { port: same, .. }) =
                (&other.opens, &resource.opens)
                && port == same
            {
                return Err(given.wrong(format!(
                    "port {port} is that of resource {:08X} already",
                    other.id
                )));
            }
        }
        resources.push(resource);
    }
    Ok(resources)
}

fn resource(given: &Given) -> Result<Resource, ImportError> {
    let (mut port, mut tcp, mut udp, mut jump) = (None, false, false, false);
    let (mut timeout, mut users) = (None, Vec::new());
    let (mut chains, mut saddr) = ([None, None, None], [false; 3]);
    for item in items(given)? {
        let hook = |suffix: &str| {
            HOOKS
                .iter()
                .position(|hook| item.key == format!("{hook}{suffix}"))
        };
        match item.key {
            "" => {
                for value in &item.values {
                    match &*value.to_lowercase() {
                        "tcp" => tcp = true,
                        "udp" => udp = true,
                        "jump" => jump = true,
                        _ => return Err(unknown(given, &item)),
                    }
                }
            }
            "port" => port = Some(given.port(item.one(given)?)?),
            "timeout" => timeout = Some(given.seconds(item.one(given)?)?),
            "users" => {
                let ids: Result<_, _> = item.values.iter().map(|id| given.id(id)).collect();
                users = ids?;
            }
            _ => match (hook(""), hook("-match")) {
                (Some(hook), _) => chains[hook] = Some(chain(given, item.one(given)?)?),
                (_, Some(hook)) if item.one(given)? == "saddr" => saddr[hook] = true,
                _ => return Err(unknown(given, &item)),
            },
        }
    }
    let to_chains = chains.iter().any(Option::is_some);
    let opens = match (port, jump) {
        (Some(port), false) if !to_chains && saddr == [false; 3] => Opens::Port {
            port,
            tcp: tcp || !udp,
            udp,
        },
        (None, true) if to_chains && !tcp && !udp => {
            let mut of_whom = saddr.into_iter();
            Opens::Jump(chains.map(|chain| {
                let saddr = of_whom.next().unwrap_or_default();
                chain.map(|chain| Jump { chain, saddr })
            }))
        }
        _ => return Err(given.wrong("a resource is either `port: NUMBER` or `jump` with a chain to jump to")),
    };
    Ok(Resource {
        id: given.id(&given.name)?,
        opens,
        timeout,
        users,
    })
}

/// A chain's name; `None` for what letmein 12 does not take.
pub fn chain(given: &Given, name: &str) -> Result<String, ImportError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if matches!(name.len(), 1..=64) && name.bytes().all(plain) {
        return Ok(name.to_owned());
    }
    Err(given.wrong("a chain's name has 1 to 64 letters, digits and _ - ."))
}

fn unknown(given: &Given, item: &Item<'_>) -> ImportError {
    let key = if item.key.is_empty() { "a value" } else { item.key };
    given.wrong(format!("{key} is nothing that letmein 12 knows"))
}

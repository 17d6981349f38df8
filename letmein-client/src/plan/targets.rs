//! What a command line names to open or close: things of one server, or of several.

use super::{Book, What};
use anyhow::{anyhow, bail};
use std::net::IpAddr;

/// More at once than anybody has to open; each takes a socket and a thread or two.
const MOST: usize = 64;

/// The servers, and what of each.
///
/// The first word decides. A section's name or host is followed by what to open there, as ever. So are a name without a
/// colon and an address, known or not. Any other word with a colon is `HOST:WHAT`, and then all are.
pub fn targets(
    book: &Book,
    first: &str,
    others: &[String],
    resource: Option<&str>,
) -> anyhow::Result<Vec<(String, What)>> {
    if others.len() >= MOST {
        bail!("that is more than {MOST} resources at once; knock on some of them, and then on the others");
    }
    if let Some(wanted) = resource {
        return Ok(vec![(first.to_owned(), What::IdOrName(wanted.to_owned()))]);
    }
    if !first.contains(':') || book.has(first) || first.parse::<IpAddr>().is_ok() {
        if others.is_empty() {
            bail!("name what to open or close: a port, a name, or an id with -r");
        }
        let wanted = others.iter().cloned().map(What::Wanted);
        return Ok(wanted.map(|what| (first.to_owned(), what)).collect());
    }
    let words = [first].into_iter().chain(others.iter().map(String::as_str));
    words.map(pair).collect()
}

fn pair(word: &str) -> anyhow::Result<(String, What)> {
    let (host, wanted) = word
        .rsplit_once(':')
        .filter(|(host, wanted)| !host.is_empty() && !wanted.is_empty())
        .ok_or_else(|| {
            anyhow!(
                "{word:?} is not HOST:PORT or HOST:NAME; write all of them so, or one host and then what to open there"
            )
        })?;
    // As in a URL, since an address has colons of its own.
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    Ok((bare.unwrap_or(host).to_owned(), What::Wanted(wanted.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &str) -> Result<Vec<String>, String> {
        let section = "user = \"1\"\nkey-file = \"k\"\n";
        let hosts = ["home", "\"odd:name\"", "\"fd77::1:2\""];
        let text: String = hosts.map(|host| format!("[servers.{host}]\n{section}")).concat();
        let book = Book {
            path: "letmein.toml".into(),
            config: toml::from_str(&text).unwrap(),
        };
        let words: Vec<_> = words.split(' ').map(ToOwned::to_owned).collect();
        let found = targets(&book, &words[0], &words[1..], None).map_err(|error| error.to_string())?;
        let show = |(host, what)| match what {
            What::Wanted(wanted) => format!("{wanted} of {host}"),
            other => format!("{other:?}"),
        };
        Ok(found.into_iter().map(show).collect())
    }

    #[test]
    fn a_host_is_followed_by_what_to_open_there() {
        for (words, expected) in [
            ("home 22", vec!["22 of home"]),
            ("home ssh vpn", vec!["ssh of home", "vpn of home"]),
            ("home work:ssh", vec!["work:ssh of home"]),
            ("elsewhere ssh", vec!["ssh of elsewhere"]),
            ("odd:name ssh", vec!["ssh of odd:name"]),
            ("odd:name a:b", vec!["a:b of odd:name"]),
            ("fd77::1:2 ssh", vec!["ssh of fd77::1:2"]),
            ("fd77::9 ssh", vec!["ssh of fd77::9"]),
        ] {
            assert_eq!(found(words).unwrap(), expected, "{words}");
        }
    }

    #[test]
    fn words_with_colons_each_name_host_and_resource() {
        for (words, expected) in [
            ("home:ssh", vec!["ssh of home"]),
            (
                "home:ssh odd:name:vpn [fd77::9]:22",
                vec!["ssh of home", "vpn of odd:name", "22 of fd77::9"],
            ),
        ] {
            assert_eq!(found(words).unwrap(), expected, "{words}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for (words, expected) in [
            ("home", "name what to open or close"),
            ("odd:name", "name what to open or close"),
            ("fd77::9", "name what to open or close"),
            ("home:ssh vpn", "\"vpn\" is not HOST:PORT or HOST:NAME"),
            ("home:", "is not HOST:PORT"),
            (":ssh", "is not HOST:PORT"),
        ] {
            let error = found(words).unwrap_err();
            assert!(error.contains(expected), "{words}: {error}");
        }
        let many = format!("home{}", " 22".repeat(64));
        assert!(found(&many).unwrap_err().contains("more than 64"));
        assert_eq!(found(&many[..many.len() - 3]).unwrap().len(), 63);
    }
}

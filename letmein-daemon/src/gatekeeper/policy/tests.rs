//! What the gatekeeper is told arrives, and nothing else is taken for it.

use super::*;
use std::path::Path;

fn config(key: &str) -> Config {
    let text = format!(
        "[gate]\nxdp = \"off\"\nsilent = true\nnumber = 7\nerror-policy = \"full-auth\"\n\
         [resources.ssh]\nid = \"1\"\nports = [\"tcp/22\"]\nlease = \"90s\"\n\
         [resources.web]\nid = \"2\"\nports = [\"tcp/443\"]\n\
         [users.alice]\nid = \"1\"\nkey = \"{key}\"\nresources = [\"*\"]\nother-addresses = true\n\
         [users.bob]\nid = \"2\"\nkey = \"{}\"\nresources = [\"web\"]\n",
        "5b".repeat(32)
    );
    Config::parse(&text, Path::new("f"), Path::new("/")).unwrap()
}

#[test]
fn all_of_it_arrives() {
    let config = config(&"5a".repeat(32));
    let policy = Policy::of(&config).unwrap();
    assert_eq!(policy.gate.error_policy, ErrorPolicy::FullAuth);
    assert_eq!(
        (policy.gate.limit, policy.gate.prefixes),
        (config.gate.limit, config.gate.prefixes)
    );
    assert_eq!((policy.gate.number, policy.gate.in_userspace), (7, true));
    assert_eq!(policy.gate.max_opens_per_second, 100);
    let ssh = policy.resource(ResourceId(1)).unwrap();
    assert_eq!((ssh.name.as_str(), ssh.lease), ("ssh", Duration::from_secs(90)));
    for (id, user) in config.users() {
        let told = policy.user(id).unwrap();
        assert_eq!((&told.name, &told.permits), (&user.name, &user.permits));
        assert_eq!(told.other_addresses, user.other_addresses);
        assert_eq!(told.key.lanes(), user.key.lanes());
        let tags = [told, user].map(|user| user.silent.as_ref().unwrap().tag(9, 7, id, ResourceId(2)));
        assert_eq!(tags[0], tags[1]);
    }
    let mut pairs = policy.pairs();
    pairs.sort_unstable();
    let pair = |user, resource| (UserId(user), ResourceId(resource));
    assert_eq!(pairs, [pair(1, 1), pair(1, 2), pair(2, 2)]);
}

/// A vector that grows leaves a copy of the keys behind.
#[test]
fn there_is_room_from_the_beginning() {
    let config = config(&"5a".repeat(32));
    assert!(encode(&config).len() <= room(&config));
}

#[test]
fn what_is_cut_short_or_goes_on_is_none() {
    let bytes = encode(&config(&"5a".repeat(32)));
    for length in 0..bytes.len() {
        assert_eq!(
            Policy::decode(&bytes[..length]).err(),
            Some(Unreadable),
            "{length}"
        );
    }
    assert!(Policy::decode(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn a_proof_is_worth_as_much_as_the_key() {
    let [one, same, other] = ["5a", "5a", "5c"].map(|key| Policy::of(&config(&key.repeat(32))).unwrap());
    assert!(one.agrees_with(&same, UserId(1), ResourceId(1)));
    assert!(!one.agrees_with(&other, UserId(1), ResourceId(1)));
    assert!(one.agrees_with(&other, UserId(2), ResourceId(2)));
    assert!(!one.agrees_with(&same, UserId(2), ResourceId(1)));
    assert!(!one.agrees_with(&same, UserId(3), ResourceId(1)));
}

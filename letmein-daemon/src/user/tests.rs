//! Whole changes of a configuration.

use super::*;
use letmein_common::UserId;
use letmein_enrolment::line::Enrolment;
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};
use tempfile::TempDir;

const TEXT: &str = "# Ours.\n[gate]   # here\ninterfaces = [\"eth0\"]\nport = 5801\n\n[resources.ssh]\nid = \"A\"\n\
                    ports = [\"tcp/22\"]\n# Last, but not least:\n[resources.vpn]\nid = \"B\"\nports = [\"udp/51820\", \"tcp/443\"]\n\n\
                    # The boss.\n[users.alice] # first\nid = \"00000001\" # one\nkey-file = \"alice.key\"\nresources = [\"*\"]\n\
                    # The end.\n";

struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::write(scene.path(), TEXT).unwrap();
        fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o644)).unwrap();
        let key = scene.folder.path().join("alice.key");
        fs::write(&key, "5a".repeat(32)).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        scene
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("letmeind.toml")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn book(&self) -> Book {
        Book::open(&self.path()).unwrap()
    }

    fn keys(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.folder.path().join("keys"));
        let files = folder.into_iter().flatten();
        files.map(|file| file.unwrap().path()).collect()
    }

    fn enrolment(&self, name: &str, silent: bool) -> anyhow::Result<Enrolment> {
        let options = Line {
            host: Some("gate.example.org".to_owned()),
            server: None,
            silent,
            qr: false,
        };
        let line = invitation::line(&self.book(), name, &options)?;
        Ok(line.parse()?)
    }
}

fn id(book: &Book, name: &str) -> UserId {
    book.config.users().find(|(_, user)| user.name == name).unwrap().0
}

#[test]
fn a_user_is_added_and_everything_else_stays_as_it_was() {
    let scene = Scene::new();
    scene.book().add("bob", &["ssh".to_owned()], None).unwrap();
    let text = scene.text();
    let added = text
        .strip_prefix(TEXT.strip_suffix("# The end.\n").unwrap())
        .unwrap();
    let id = id(&scene.book(), "bob");
    let section = format!(
        "\n[users.bob]\nid = \"{id}\"\nkey-file = \"keys/bob-{id}.key\"\nresources = [\"ssh\"]\n# The end.\n"
    );
    assert_eq!(added, section);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&scene.path()), 0o644);
    assert_eq!(
        scene.keys().iter().map(|key| mode(key)).collect::<Vec<_>>(),
        [0o600]
    );
    assert_eq!(mode(&scene.folder.path().join("keys")), 0o700);
}

#[test]
fn the_line_says_what_the_configuration_says() {
    let scene = Scene::new();
    let alice = scene.enrolment("alice", false).unwrap();
    assert_eq!(
        (alice.name.as_str(), alice.host.as_str(), alice.port),
        ("gate", "gate.example.org", 5801)
    );
    assert_eq!((alice.user, *alice.key), (UserId(1), [0x5A; 32]));
    assert!(!alice.silent && !alice.tcp && alice.gate_number == 0);
    let resources: Vec<_> = alice
        .resources
        .iter()
        .map(|one| (one.name.as_str(), one.id.0, one.port))
        .collect();
    assert_eq!(resources, [("ssh", 0xA, Some(22)), ("vpn", 0xB, Some(443))]);

    let error = scene.enrolment("alice", true).unwrap_err().to_string();
    assert!(error.contains("takes no silent knocks"), "{error}");
    let silent = TEXT.replace("port = 5801\n", "challenge = false\nsilent = true\nnumber = 7\n");
    fs::write(scene.path(), silent).unwrap();
    let alice = scene.enrolment("alice", false).unwrap();
    assert!(alice.silent && alice.gate_number == 7 && alice.port == 5800);
    let over_tcp = TEXT.replace("port = 5801\n", "transports = [\"tcp\"]\nnumber = 7\n");
    fs::write(scene.path(), over_tcp).unwrap();
    let alice = scene.enrolment("alice", false).unwrap();
    assert!(alice.tcp && !alice.silent && alice.gate_number == 0);
}

#[test]
fn what_would_be_wrong_changes_nothing() {
    let scene = Scene::new();
    for (name, resource, expected) in [
        ("bob", "web", "there is no section [resources.web]"),
        ("alice", "ssh", "there is a user \"alice\" already"),
        ("../bob", "ssh", "is no usable name"),
        ("-c", "ssh", "is no usable name"),
    ] {
        let error = scene.book().add(name, &[resource.to_owned()], None).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
    let inline = "[resources.ssh]\nid = \"A\"\nports = [\"tcp/22\"]\n[gate]\ninterfaces = [\"eth0\"]\n[users]\n\
                  alice = { id = \"1\", key-file = \"alice.key\", resources = [\"ssh\"] }\n";
    assert_eq!(scene.text(), TEXT);
    fs::write(scene.path(), inline).unwrap();
    let error = scene
        .book()
        .rotate("alice", Duration::ZERO, SystemTime::now())
        .unwrap_err();
    assert!(error.to_string().contains("write it as a section"), "{error}");
    assert_eq!(scene.text(), inline);
    assert_eq!(scene.keys(), Vec::<PathBuf>::new(), "no key is left over");
}

#[test]
fn a_rotation_keeps_the_old_key_for_a_while() {
    let scene = Scene::new();
    let now = SystemTime::now();
    scene
        .book()
        .rotate("alice", Duration::from_hours(1), now)
        .unwrap();
    let book = scene.book();
    let (new, old) = (id(&book, "alice"), id(&book, "alice-00000001"));
    assert!(new != old && old == UserId(1));
    assert_ne!(*book.key("alice").unwrap(), [0x5A; 32]);
    assert_eq!(*book.key("alice-00000001").unwrap(), [0x5A; 32]);
    let lease = |id, after: u64, wanted: u64| {
        let then = now + Duration::from_secs(after);
        let lease = book.config.user(id)?.lease(Duration::from_secs(wanted), then);
        lease.map(|lease| lease.as_secs_f64().round())
    };
    assert_eq!(lease(new, 1_000_000, 600), Some(600.0));
    assert_eq!(lease(old, 0, 600), Some(600.0));
    assert_eq!(lease(old, 3590, 600).map(|left| left <= 11.0), Some(true));
    assert_eq!(lease(old, 3602, 600), None);
    assert!(
        scene.text().contains("# The boss.\n[users.alice] # first\n"),
        "{}",
        scene.text()
    );
    // A second rotation keeps no second time what ends anyway, and removing the user ends all of it.
    book.config.user(new).unwrap();
    drop(book);
    scene
        .book()
        .rotate("alice", Duration::from_hours(1), now)
        .unwrap();
    let removed = scene.book().remove("alice").unwrap();
    assert_eq!(removed.len(), 3, "{removed:?}");
    assert_eq!(scene.book().config.users().count(), 0);
    assert_eq!(scene.keys(), Vec::<PathBuf>::new());
    assert!(
        scene.folder.path().join("alice.key").exists(),
        "it is not in our folder"
    );
}

#[test]
fn without_keep_the_old_key_is_worth_nothing_at_once() {
    let scene = Scene::new();
    scene
        .book()
        .add("bob", &["*".to_owned()], Some(SystemTime::now()))
        .unwrap();
    let before = scene.keys();
    scene
        .book()
        .rotate("bob", Duration::ZERO, SystemTime::now())
        .unwrap();
    let after = scene.keys();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
    let error = scene.book().remove("nobody").unwrap_err().to_string();
    assert!(error.contains("there is no user \"nobody\""), "{error}");
}

#[test]
fn two_at_a_time_do_not_undo_each_other() {
    let scene = Scene::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let scene = &scene;
            scope.spawn(move || {
                scene
                    .book()
                    .add(&format!("u{number}"), &["ssh".to_owned()], None)
                    .unwrap();
            });
        }
    });
    assert_eq!(scene.book().config.users().count(), 9);
}

#[test]
fn a_time_may_be_in_days() {
    assert_eq!(keep::parse("7d"), Ok(Duration::from_hours(168)));
    assert_eq!(keep::parse("90m"), Ok(Duration::from_mins(90)));
    for text in ["", "7", "0d", "-1d", "4294967296d", "d"] {
        assert!(keep::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_picture_is_dark_on_light() {
    let picture = qr::picture("letmein://gate/x", true).unwrap();
    let first = picture.lines().next().unwrap();
    // The margin is light, and light is what the terminal is told to have behind the letters.
    assert!(
        first.starts_with("\x1b[30;107m  ") && first.ends_with("  \x1b[0m"),
        "{first:?}"
    );
    assert!(!qr::picture("letmein://gate/x", false).unwrap().contains('\x1b'));
}

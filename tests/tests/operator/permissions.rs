//! Who may use the socket.

use super::{alice, complaint, gate, json};
use letmein_tests::{
    gate::{Gate, configuration, program},
    lab::Lab,
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// A system group that every Debian has, and its number.
const GROUP: (&str, &str) = ("operator", "37");

/// `letmeind status` as user 4711 with this group besides the user's own.
fn status_as_user(socket: &Path, group: Option<&str>) -> Output {
    // The program has to be where everybody can start it.
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let letmeind = folder.path().join("letmeind");
    fs::copy(program("letmeind").unwrap(), &letmeind).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "4711", "--regid", "4711"]);
    match group {
        Some(group) => command.args(["--groups", group]),
        None => command.arg("--clear-groups"),
    };
    command.arg(letmeind).args(["status", "--socket"]).arg(socket);
    command.output().unwrap()
}

/// A gate whose socket is in a folder that everybody may enter.
fn open_to_group(lab: &Lab, folder: &Path) -> Gate {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let operator = format!(
        "[operator]\nsocket = \"{}\"\ngroup = \"{}\"\n",
        folder.join("socket").display(),
        GROUP.0
    );
    Gate::start_with(&lab.server, &(configuration("", "", "1h") + &operator)).unwrap()
}

#[test]
fn without_a_group_it_is_roots_alone() {
    let lab = Lab::new().unwrap();
    let gate = gate(&lab, "", "");
    let of_socket = fs::metadata(gate.socket()).unwrap();
    assert_eq!((of_socket.mode() & 0o7777, of_socket.uid()), (0o600, 0));
}

#[test]
fn root_and_the_group_and_nobody_else() {
    let lab = Lab::new().unwrap();
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let _gate = open_to_group(&lab, folder.path());
    let of_socket = fs::metadata(&socket).unwrap();
    assert_eq!(
        (
            of_socket.mode() & 0o7777,
            of_socket.uid(),
            of_socket.gid().to_string().as_str()
        ),
        (0o660, 0, GROUP.1)
    );
    assert!(status_as_user(&socket, Some(GROUP.1)).status.success());
    let refused = complaint(&status_as_user(&socket, None));
    assert!(
        refused.contains("only root and the group in operator.group may"),
        "{refused}"
    );
}

/// Also if somebody has opened the file to everybody.
#[test]
fn whoever_gets_past_the_files_mode_is_asked_who_they_are() {
    let lab = Lab::new().unwrap();
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let _gate = open_to_group(&lab, folder.path());
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    assert!(status_as_user(&socket, Some(GROUP.1)).status.success());
    let refused = complaint(&status_as_user(&socket, None));
    assert!(
        refused.contains("letmeind: only root and the group in operator.group may"),
        "{refused}"
    );
}

/// What cannot be is said, and is no reason to leave the ports alone.
#[test]
fn a_gate_whose_socket_cannot_be_made_serves_all_the_same() {
    let lab = Lab::new().unwrap();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "somebody's").unwrap();
    let operator = format!("[operator]\nsocket = \"{}\"\n", file.display());
    let gate = Gate::start_with(&lab.server, &(configuration("", "", "1h") + &operator)).unwrap();
    alice(&gate, &lab, "knock");
    assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's");
}

#[test]
fn a_crash_leaves_a_socket_that_the_next_one_replaces() {
    let lab = Lab::new().unwrap();
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    open_to_group(&lab, folder.path()).kill().unwrap();
    let nobody = complaint(&status_as_user(&socket, Some(GROUP.1)));
    assert!(nobody.contains("does letmeind run"), "{nobody}");
    let _again = open_to_group(&lab, folder.path());
    assert!(status_as_user(&socket, Some(GROUP.1)).status.success());
    let gate = gate(&Lab::new().unwrap(), "", "");
    assert_eq!(json(&gate, "status")["leases"]["now"], 0);
}

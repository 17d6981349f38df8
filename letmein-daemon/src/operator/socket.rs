//! Making a Unix socket that only root and one group may use.

use anyhow::{Context as _, bail, ensure};
use nix::unistd::{Gid, Group, Uid, getegid, setegid};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
};

/// The socket's folder: others may pass through it.
const FOLDER: u32 = 0o755;
/// Writing to a socket is what connecting takes.
const FOR_GROUP: u32 = 0o660;
const FOR_OWNER: u32 = 0o600;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 32;

/// A socket, and who may use it besides root.
pub struct Listener {
    pub(super) socket: UnixListener,
    pub(super) group: Option<Gid>,
}

/// Listens at `path`, for root and `group`. Nobody else gets there at any moment.
pub fn bind(path: &Path, group: Option<&str>) -> anyhow::Result<Listener> {
    let group = group.map(find).transpose()?;
    prepare(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let mode = if let Some(group) = group {
        make_for(group, &socket, path)?;
        FOR_GROUP
    } else {
        make(&socket, path)?;
        FOR_OWNER
    };
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot open {} to its group", path.display()))?;
    // Until now, whoever came was refused.
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(Listener {
        socket: OwnedFd::from(socket).into(),
        group,
    })
}

/// Makes the file, by listening there.
fn make(socket: &Socket, path: &Path) -> anyhow::Result<()> {
    let bound = SockAddr::unix(path).and_then(|address| socket.bind(&address));
    bound.with_context(|| format!("cannot make the socket {}", path.display()))
}

/// Makes the file as a member of its group, so that it need not be given away afterwards: that would take a privilege
/// over all files.
fn make_for(group: Gid, socket: &Socket, path: &Path) -> anyhow::Result<()> {
    let doing = || format!("cannot give {} its group", path.display());
    let ours = getegid();
    setegid(group).with_context(doing)?;
    let made = make(socket, path);
    setegid(ours).with_context(doing)?;
    made?;
    // Some folders give what is made in them their own.
    let found = fs::symlink_metadata(path).with_context(doing)?;
    ensure!(
        found.gid() == group.as_raw(),
        "{}: its folder gives it another one; `chmod g-s` the folder",
        doing()
    );
    Ok(())
}

fn find(name: &str) -> anyhow::Result<Gid> {
    let found = Group::from_name(name).with_context(|| format!("cannot look for the group {name:?}"))?;
    let found = found.with_context(|| {
        format!("there is no group {name:?} on this machine; `groupadd --system {name}` makes it")
    })?;
    Ok(found.gid)
}

/// Makes the folder, and removes a socket that nobody listens to any more.
fn prepare(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().context("a socket is in a folder")?;
    match DirBuilder::new().mode(FOLDER).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make {}", folder.display()));
        }
        _ => {}
    }
    let of_folder = fs::metadata(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    let others_write = of_folder.mode() & 0o022 != 0 && of_folder.mode() & 0o1000 == 0;
    let ours = of_folder.uid() == 0 || of_folder.uid() == Uid::effective().as_raw();
    ensure!(
        ours && !others_write,
        "others can put a socket of their own into {}; `chown root` it and `chmod go-w`",
        folder.display()
    );
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot look at {}", path.display())),
        Ok(found) if !found.file_type().is_socket() => {
            bail!("{} is there and is no socket", path.display())
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        _ => bail!(
            "another program serves {} already: another letmeind in another network namespace?",
            path.display()
        ),
    }
    fs::remove_file(path).with_context(|| format!("cannot remove the old {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn an_old_socket_makes_way_and_a_living_one_does_not() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sub").join("socket");
        let first = bind(&path, None).unwrap();
        let error = bind(&path, None).err().unwrap().to_string();
        assert!(error.contains("another program serves"), "{error}");
        drop(first);
        bind(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn without_its_group_there_is_no_socket() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let error = bind(&path, Some("no-such-group")).err().unwrap().to_string();
        assert!(error.contains("there is no group \"no-such-group\""), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn it_is_made_for_its_group_and_we_stay_who_we_are() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("socket");
        let before = getegid();
        let nogroup = Group::from_name("nogroup").unwrap().unwrap().gid;
        bind(&path, Some("nogroup")).unwrap();
        let made = fs::metadata(&path).unwrap();
        assert_eq!((made.gid(), made.mode() & 0o777), (nogroup.as_raw(), 0o660));
        assert_eq!(getegid(), before);
    }

    #[test]
    fn a_folder_that_gives_its_own_group_is_refused() {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o2755)).unwrap();
        let path = folder.path().join("socket");
        let error = bind(&path, Some("nogroup")).err().unwrap().to_string();
        assert!(error.contains("chmod g-s"), "{error}");
    }

    #[test]
    fn a_file_in_its_place_is_left_alone() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "mine").unwrap();
        let error = bind(&path, None).err().unwrap().to_string();
        assert!(error.contains("is no socket"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn a_folder_that_others_write_to_is_refused() {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let error = bind(&folder.path().join("socket"), None)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("others can put a socket"), "{error}");
    }
}

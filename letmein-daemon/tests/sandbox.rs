//! What each process can do that somebody has taken over: nothing of this. Every attempt is made in a process of its own,
//! which has given up what the real one gives up. Needs root, and a kernel with Landlock.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot do without, it must fail without"
)]
#![expect(
    unsafe_code,
    reason = "an attempt is a system call, mostly a wrong one, in a child that ends with it"
)]

use letmein_daemon::sandbox::{Files, Seccomp, become_nobody, confine_gatekeeper, confine_warden};
use libc::c_long;
use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, fork, getppid},
};
use std::{
    fs::{self, File, OpenOptions},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::Command,
};

const NOBODY: u32 = 61_734;

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It did what it wanted.
    Done,
    /// The kernel refused it.
    Refused(Errno),
    /// The kernel killed the process.
    Killed,
}

/// Attempts this in a process that has been confined before.
fn attempt(confine: impl FnOnce() -> anyhow::Result<()>, act: impl FnOnce() -> Result<(), Errno>) -> Ended {
    // SAFETY: the child has one thread, which confines itself, acts, and ends without unwinding or running destructors.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let code = match confine() {
                Ok(()) => act().map_or_else(|errno| errno as i32, |()| 0),
                Err(error) => {
                    eprintln!("{error:#}");
                    255
                }
            };
            // SAFETY: it does not return.
            unsafe { libc::_exit(code) }
        }
        ForkResult::Parent { child } => match waitpid(child, None).unwrap() {
            WaitStatus::Exited(_, 0) => Ended::Done,
            WaitStatus::Exited(_, code) => Ended::Refused(Errno::from_raw(code)),
            WaitStatus::Signaled(_, Signal::SIGSYS, _) => Ended::Killed,
            other => panic!("{other:?}"),
        },
    }
}

fn gatekeeper(seccomp: Seccomp) -> impl FnOnce() -> anyhow::Result<()> {
    move || {
        become_nobody(NOBODY, NOBODY)?;
        confine_gatekeeper(seccomp)
    }
}

fn warden(seccomp: Seccomp, folder: PathBuf) -> impl FnOnce() -> anyhow::Result<()> {
    move || {
        let files = Files {
            readable: Vec::new(),
            writable: vec![folder],
        };
        confine_warden(seccomp, &files)
    }
}

/// A system call with arguments that no kernel accepts, should it get as far as looking at them.
fn call(number: c_long) -> Result<(), Errno> {
    // SAFETY: no pointer among the arguments is one.
    Errno::result(unsafe { libc::syscall(number, -1, -1, -1, -1, -1, -1) }).map(drop)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(254))
}

/// What neither process has any business with.
const NOBODYS: &[(&str, c_long)] = &[
    ("ptrace", libc::SYS_ptrace),
    ("process_vm_readv", libc::SYS_process_vm_readv),
    ("process_vm_writev", libc::SYS_process_vm_writev),
    ("mount", libc::SYS_mount),
    ("umount2", libc::SYS_umount2),
    ("pivot_root", libc::SYS_pivot_root),
    ("chroot", libc::SYS_chroot),
    ("unshare", libc::SYS_unshare),
    ("setns", libc::SYS_setns),
    ("setuid", libc::SYS_setuid),
    ("setresuid", libc::SYS_setresuid),
    ("setgroups", libc::SYS_setgroups),
    ("capset", libc::SYS_capset),
    ("prctl", libc::SYS_prctl),
    ("init_module", libc::SYS_init_module),
    ("finit_module", libc::SYS_finit_module),
    ("kexec_load", libc::SYS_kexec_load),
    ("reboot", libc::SYS_reboot),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("add_key", libc::SYS_add_key),
    ("keyctl", libc::SYS_keyctl),
    ("settimeofday", libc::SYS_settimeofday),
    ("clock_settime", libc::SYS_clock_settime),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
];

/// What the gatekeeper has none with, besides.
const NOT_THE_GATEKEEPERS: &[(&str, c_long)] = &[
    ("openat", libc::SYS_openat),
    ("execve", libc::SYS_execve),
    ("execveat", libc::SYS_execveat),
    ("clone", libc::SYS_clone),
    ("clone3", libc::SYS_clone3),
    ("socket", libc::SYS_socket),
    ("connect", libc::SYS_connect),
    ("bind", libc::SYS_bind),
    ("listen", libc::SYS_listen),
    ("bpf", libc::SYS_bpf),
    ("kill", libc::SYS_kill),
    ("tgkill", libc::SYS_tgkill),
    ("pidfd_open", libc::SYS_pidfd_open),
    ("memfd_create", libc::SYS_memfd_create),
    ("mprotect", libc::SYS_mprotect),
    ("setsockopt", libc::SYS_setsockopt),
    ("unlinkat", libc::SYS_unlinkat),
    ("newfstatat", libc::SYS_newfstatat),
    ("prlimit64", libc::SYS_prlimit64),
];

#[test]
fn the_gatekeeper_is_killed_at_any_other_system_call() {
    for (name, number) in NOBODYS.iter().chain(NOT_THE_GATEKEEPERS) {
        let ended = attempt(gatekeeper(Seccomp::Kill), || call(*number));
        assert_eq!(ended, Ended::Killed, "{name}");
    }
}

#[test]
fn the_gatekeeper_gets_no_memory_to_execute() {
    let map = |protection| {
        move || {
            // SAFETY: a new mapping, of which nobody uses anything.
            let start = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    4096,
                    protection,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            if start == libc::MAP_FAILED {
                Err(Errno::last())
            } else {
                Ok(())
            }
        }
    };
    assert_eq!(
        attempt(gatekeeper(Seccomp::Kill), map(libc::PROT_READ | libc::PROT_WRITE)),
        Ended::Done
    );
    assert_eq!(
        attempt(gatekeeper(Seccomp::Kill), map(libc::PROT_READ | libc::PROT_EXEC)),
        Ended::Killed
    );
}

/// Without seccomp there is still the user, and Landlock.
#[test]
fn the_gatekeeper_reaches_no_file_no_port_and_no_other_process() {
    let folder = tempfile::TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let attempt = |act: &dyn Fn() -> std::io::Result<()>| {
        attempt(gatekeeper(Seccomp::Off), || act().map_err(|error| errno(&error)))
    };
    assert_eq!(
        attempt(&|| File::open("/etc/passwd").map(drop)),
        Ended::Refused(Errno::EACCES)
    );
    assert_eq!(
        attempt(&|| fs::read_dir("/").map(drop)),
        Ended::Refused(Errno::EACCES)
    );
    assert_eq!(
        attempt(&|| fs::write(folder.path().join("x"), "x")),
        Ended::Refused(Errno::EACCES)
    );
    assert_eq!(
        attempt(&|| Err(Command::new("/bin/true").exec())),
        Ended::Refused(Errno::EACCES)
    );
    assert_eq!(
        attempt(&|| TcpStream::connect(address).map(drop)),
        Ended::Refused(Errno::EACCES)
    );
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    assert_eq!(
        attempt(&|| TcpListener::bind(any).map(drop)),
        Ended::Refused(Errno::EACCES)
    );
    let to_its_parent = || nix::sys::signal::kill(getppid(), Signal::SIGWINCH).map_err(Into::into);
    assert_eq!(attempt(&to_its_parent), Ended::Refused(Errno::EPERM));
}

#[test]
fn the_warden_is_killed_at_what_it_has_no_business_with() {
    for (name, number) in NOBODYS {
        let ended = attempt(warden(Seccomp::Kill, "/nowhere".into()), || call(*number));
        assert_eq!(ended, Ended::Killed, "{name}");
    }
}

#[test]
fn the_warden_reads_and_writes_nothing_but_its_own() {
    let ours = tempfile::TempDir::new().unwrap();
    let others = tempfile::TempDir::new().unwrap();
    let program = others.path().join("program");
    fs::copy("/bin/true", &program).unwrap();
    let attempt = |act: &dyn Fn() -> std::io::Result<()>| {
        let confine = warden(Seccomp::Kill, ours.path().to_owned());
        attempt(confine, || act().map_err(|error| errno(&error)))
    };
    assert_eq!(attempt(&|| fs::write(ours.path().join("x"), "x")), Ended::Done);
    assert_eq!(
        attempt(&|| Err(Command::new("/usr/sbin/nft").arg("--version").exec())),
        Ended::Done
    );
    assert_eq!(
        attempt(&|| File::open("/etc/shadow").map(drop)),
        Ended::Refused(Errno::EACCES)
    );
    assert_eq!(
        attempt(&|| fs::write(others.path().join("x"), "x")),
        Ended::Refused(Errno::EACCES)
    );
    assert_eq!(
        attempt(&|| fs::read_dir(others.path()).map(drop)),
        Ended::Refused(Errno::EACCES)
    );
    assert_eq!(
        attempt(&|| Err(Command::new(&program).exec())),
        Ended::Refused(Errno::EACCES)
    );
    let profile = || OpenOptions::new().append(true).open("/etc/profile").map(drop);
    assert_eq!(attempt(&profile), Ended::Refused(Errno::EACCES));
}

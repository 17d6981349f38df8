//! Which system calls each process may make. The lists were found by running every end-to-end test; a new one belongs
//! here only with its reason, and not where it can reach what the process is kept from.

use crate::config::Seccomp;
use anyhow::Context as _;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use std::env::consts::ARCH;

/// What every program of ours needs: memory, time, random numbers, waiting, what is open already, and an end.
const COMMON: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// The same by its older names.
#[cfg(target_arch = "x86_64")]
const COMMON_HERE: &[c_long] = &[libc::SYS_epoll_wait, libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const COMMON_HERE: &[c_long] = &[libc::SYS_ppoll];

/// Connections of guests.
const GATEKEEPER: &[c_long] = &[libc::SYS_accept4, libc::SYS_shutdown];

/// Netlink, BPF, its files, and the `nft` program with all that it does.
const WARDEN: &[c_long] = &[
    // Sockets of netlink, and those that a changed configuration asks for. That of a trial takes connections.
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_listen,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socket,
    libc::SYS_socketpair,
    // Maps, programs and links, and the keys' way to the gatekeeper.
    libc::SYS_bpf,
    libc::SYS_memfd_create,
    libc::SYS_pwrite64,
    libc::SYS_pread64,
    libc::SYS_ftruncate,
    // Files.
    libc::SYS_openat,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_mkdirat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_fchmodat,
    libc::SYS_fsync,
    libc::SYS_flock,
    libc::SYS_dup,
    libc::SYS_dup3,
    // Its children: nft, and the gatekeeper's end.
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_execve,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_kill,
    libc::SYS_tgkill,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_pipe2,
    libc::SYS_setpgid,
    // What the dynamic loader and the C library do when nft begins.
    libc::SYS_mprotect,
    libc::SYS_prlimit64,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getppid,
    libc::SYS_ioctl,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_sched_getaffinity,
];

/// The same by its older names.
#[cfg(target_arch = "x86_64")]
const WARDEN_HERE: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_mkdir,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_unlink,
    libc::SYS_vfork,
];
#[cfg(not(target_arch = "x86_64"))]
const WARDEN_HERE: &[c_long] = &[];

/// Leaves this thread, and what it starts, only what the gatekeeper needs.
pub fn confine_gatekeeper(mode: Seccomp) -> anyhow::Result<()> {
    let no_new_code = rule(libc::SYS_mmap, 2, libc::PROT_EXEC.cast_unsigned());
    let blocking = ioctl_of(libc::FIONBIO);
    confine(
        mode,
        &[COMMON, COMMON_HERE, GATEKEEPER],
        vec![no_new_code?, blocking?],
    )
}

/// Leaves this thread, and what it starts, only what the warden needs.
pub fn confine_warden(mode: Seccomp) -> anyhow::Result<()> {
    let lists = [COMMON, COMMON_HERE, WARDEN, WARDEN_HERE];
    confine(mode, &lists, vec![(libc::SYS_mmap, vec![])])
}

/// A call whose argument has none of these bits.
fn rule(call: c_long, argument: u8, forbidden: u32) -> anyhow::Result<(c_long, Vec<SeccompRule>)> {
    let without = SeccompCmpOp::MaskedEq(forbidden.into());
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, without, 0)?;
    Ok((call, vec![SeccompRule::new(vec![condition])?]))
}

fn ioctl_of(request: libc::c_ulong) -> anyhow::Result<(c_long, Vec<SeccompRule>)> {
    let condition = SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, request)?;
    Ok((libc::SYS_ioctl, vec![SeccompRule::new(vec![condition])?]))
}

fn confine(
    mode: Seccomp,
    lists: &[&[c_long]],
    conditional: Vec<(c_long, Vec<SeccompRule>)>,
) -> anyhow::Result<()> {
    let otherwise = match mode {
        Seccomp::Off => return Ok(()),
        Seccomp::Log => SeccompAction::Log,
        Seccomp::Kill => SeccompAction::KillProcess,
    };
    let doing = "cannot keep system calls away (seccomp); seccomp = \"off\" in section [daemon] does without";
    let rules = lists.iter().copied().flatten().map(|call| (*call, Vec::new()));
    let rules = rules.chain(conditional).collect();
    let architecture = ARCH.try_into().context(doing)?;
    let filter = SeccompFilter::new(rules, otherwise, SeccompAction::Allow, architecture).context(doing)?;
    let program: BpfProgram = filter.try_into().context(doing)?;
    apply_filter(&program).context(doing)
}

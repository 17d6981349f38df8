//! Which files each process may use (Landlock). A kernel before 5.13, or one that was started without it, does not know
//! it: then the log says so, and the process goes on without.

use anyhow::Context as _;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use std::{env, path::PathBuf};
use tracing::{info, warn};

/// The newest that is known here. What a kernel lacks of it is left out.
const NEWEST: ABI = ABI::V6;

/// Where `nft` and its libraries are.
const PROGRAMS: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store"];
/// What the dynamic loader and `nft` read besides, and where the kernel tells of itself.
const READ: &[&str] = &[
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/iproute2",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/services",
    "/dev/urandom",
    "/proc",
    "/sys",
];
/// Where output goes that nobody wants.
const NULL: &str = "/dev/null";

/// What the warden may use of the file system.
pub struct Files {
    /// Folders with the configuration and its keys.
    pub readable: Vec<PathBuf>,
    /// Folders with what it leaves to its next run.
    pub writable: Vec<PathBuf>,
}

/// No file at all, no TCP connection or port that it has not been given, and no signal to anybody else.
pub fn confine_gatekeeper() -> anyhow::Result<()> {
    let ruleset = Ruleset::default().handle_access(AccessNet::from_all(NEWEST));
    let ruleset = ruleset.and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)));
    confine("gatekeeper", ruleset, Ok)
}

/// Programs, the configuration and what the kernel tells; and to write, only these folders.
pub fn confine_warden(files: &Files) -> anyhow::Result<()> {
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    confine("warden", Ok(Ruleset::default()), |ruleset| {
        ruleset
            .add_rules(path_beneath_rules(PROGRAMS, read | AccessFs::Execute))?
            .add_rules(path_beneath_rules(folders_with_nft(), read | AccessFs::Execute))?
            .add_rules(path_beneath_rules(READ, read))?
            .add_rules(path_beneath_rules(&files.readable, read))?
            .add_rules(path_beneath_rules([NULL], read | AccessFs::WriteFile))?
            .add_rules(path_beneath_rules(
                &files.writable,
                AccessFs::from_all(NEWEST) & !AccessFs::Execute,
            ))
    })
}

/// Where it is, if it is not where the others are.
fn folders_with_nft() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|folder| folder.join("nft").is_file())
        .collect()
}

fn confine(
    process: &str,
    ruleset: Result<Ruleset, RulesetError>,
    allow: impl FnOnce(RulesetCreated) -> Result<RulesetCreated, RulesetError>,
) -> anyhow::Result<()> {
    let restrict = || allow(ruleset?.handle_access(AccessFs::from_all(NEWEST))?.create()?)?.restrict_self();
    let status = restrict().context("cannot keep files away (Landlock)")?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => {}
        RulesetStatus::PartiallyEnforced => {
            info!("the Landlock of this kernel keeps files from the {process}, but is older than letmeind's");
        }
        RulesetStatus::NotEnforced => warn!(
            "this kernel has no Landlock, or it is off: only its user keeps files from the {process} (Linux 5.13 has it, \
             and `lsm=` on the kernel's command line may name it)"
        ),
    }
    Ok(())
}

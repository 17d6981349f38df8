//! The file system of the emulated machine: the tests, the programs that they start, and the kernel's modules.

use super::image::Kernel;
use crate::{paths, sh};
use anyhow::{Context as _, bail};
use std::{
    fmt::Write as _,
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The machine says this for each test program that succeeds.
pub const PASSED: &str = "letmein-test: passed";
/// And this at the end.
pub const DONE: &str = "letmein-test: done";

/// Modules that namespaces, veth pairs and the ruleset take; others are loaded by the kernel as it needs them.
const MODULES: &[&str] = &[
    "veth",
    "nf_tables",
    "nft_ct",
    "nft_reject_inet",
    "af_packet",
    "unix",
    "ipv6",
];
/// Folders of modules that are taken along.
const MODULE_FOLDERS: &[&str] = &[
    "kernel/net",
    "kernel/lib",
    "kernel/crypto",
    "kernel/arch",
    "kernel/drivers/net",
];

/// Packs all of it into an archive that the kernel takes as its first file system.
pub fn pack(kernel: &Kernel, tests: &[(PathBuf, &[&str])], folder: &Path) -> anyhow::Result<PathBuf> {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for folder in [
        "bin", "sbin", "proc", "sys", "dev", "run", "tmp", "etc", "lib", "test", "usr",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    symlink("../bin", root.join("usr/bin"))?;
    symlink("../sbin", root.join("usr/sbin"))?;
    copy("/bin/busybox".as_ref(), &root.join("bin/busybox"))?;
    // Where the kernel looks for it when it needs a module.
    symlink("../bin/busybox", root.join("sbin/modprobe"))?;
    for name in ["ip", "nft"] {
        let program = which(name)?;
        add(&program, &root, &root.join("sbin").join(name))?;
    }
    for name in ["letmeind", "letmein"] {
        add(&paths::debug(name), &root, &root.join("test").join(name))?;
    }
    let mut commands = String::new();
    for (test, only) in tests {
        let name = test.file_name().context("a test has a name")?.to_string_lossy();
        add(test, &root, &root.join("test").join(&*name))?;
        let only = only.join(" ");
        writeln!(commands, "/test/{name} --test-threads=1 {only} && echo {PASSED}")?;
    }
    // nft calls protocols by their names, and the tests load the example ruleset from where it is.
    copy("/etc/protocols".as_ref(), &root.join("etc/protocols"))?;
    // letmeind becomes another user, and looks for that one there.
    for list in ["passwd", "group"] {
        fs::write(root.join("etc").join(list), "")?;
    }
    let workspace = paths::workspace();
    let there = root.join(workspace.strip_prefix("/").unwrap_or(&workspace));
    for package in ["letmein-tests", "letmein-daemon"] {
        fs::create_dir_all(there.join(package))?;
    }
    copy(&workspace.join("nftables.conf"), &there.join("nftables.conf"))?;
    modules(kernel, &root)?;
    write_init(&root.join("init"), &commands)?;
    archive(&root, &folder.join("root.cpio"))
}

/// Nothing is mounted on `/tmp`: the workspace may be there, and all of this is in memory anyway.
fn write_init(path: &Path, commands: &str) -> anyhow::Result<()> {
    let load = MODULES.join(" ");
    let init = format!(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         rm -f /bin/ip\n\
         export PATH=/sbin:/bin HOME=/tmp\n\
         mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev\n\
         mount -t tmpfs run /run; mount -t bpf bpf /sys/fs/bpf\n\
         ln -s /proc/self/fd /dev/fd; ln -s /proc/self/fd/0 /dev/stdin\n\
         ip link set lo up\n\
         for module in {load}; do modprobe $module; done\n\
         uname -r\n\
         {commands}\
         echo {DONE}\n\
         poweroff -f\n"
    );
    fs::write(path, init)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Copies a program without its debugging information, and the libraries that it is linked with.
fn add(program: &Path, root: &Path, to: &Path) -> anyhow::Result<()> {
    if !sh::succeeds(
        Command::new("strip")
            .arg("--strip-debug")
            .arg("-o")
            .arg(to)
            .arg(program),
    ) {
        copy(program, to)?;
    }
    let libraries = sh::output(Command::new("ldd").arg(program))
        .with_context(|| format!("ldd does not read {}", program.display()))?;
    // `name => /path (address)`, or `/path (address)` for the loader.
    for library in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        let copied = root.join(library.trim_start_matches('/'));
        if !copied.exists() {
            fs::create_dir_all(copied.parent().unwrap_or(root))?;
            copy(Path::new(library), &copied)?;
        }
    }
    Ok(())
}

fn modules(kernel: &Kernel, root: &Path) -> anyhow::Result<()> {
    let folder = Path::new("lib/modules").join(&kernel.release);
    let to = root.join(&folder);
    // Since Debian 13, `/lib` is `/usr/lib` in packages, too.
    let places = [kernel.root.join(&folder), kernel.root.join("usr").join(&folder)];
    let from = places.iter().find(|place| place.is_dir());
    let from = from.with_context(|| format!("the package of Linux {} has no modules", kernel.release))?;
    for part in MODULE_FOLDERS {
        let parent = to.join(part);
        let parent = parent.parent().unwrap_or(&to);
        fs::create_dir_all(parent)?;
        sh::run(Command::new("cp").arg("-a").arg(from.join(part)).arg(parent))?;
    }
    for list in ["modules.builtin", "modules.order"] {
        copy(&from.join(list), &to.join(list))?;
    }
    // Since Debian 13, they are compressed, and the machine has nothing that could change that.
    let compressed = ["-name", "*.ko.xz", "-exec", "xz", "--decompress", "{}", "+"];
    sh::run(Command::new("find").arg(&to).args(compressed))?;
    sh::run(
        Command::new("depmod")
            .arg("--basedir")
            .arg(root)
            .arg(&kernel.release),
    )
}

fn archive(root: &Path, to: &Path) -> anyhow::Result<PathBuf> {
    let mut find = Command::new("find")
        .arg(".")
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()?;
    let names = find.stdout.take().context("find was piped")?;
    let status = Command::new("cpio")
        .args(["--create", "--format=newc", "--quiet"])
        .current_dir(root)
        .stdin(names)
        .stdout(File::create(to)?)
        .status()?;
    if !find.wait()?.success() || !status.success() {
        bail!("cannot pack {}", root.display());
    }
    Ok(to.to_owned())
}

fn which(name: &str) -> anyhow::Result<PathBuf> {
    let found = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file());
    found.with_context(|| format!("{name} is not installed"))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

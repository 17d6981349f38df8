//! Where the program runs: the interfaces, and what holds it there.
//!
//! With a folder to pin them in, links outlive the process, and so does the program with its maps: while no letmeind
//! runs, strangers are kept out and guests get in as before. The next one puts its own program in the place of that.

use super::{
    attach::{Attached, Mode, in_mode, refusal},
    error::XdpError,
    framing::Framing,
    link::{self, BpfLink},
    pin::{PinnedLink, Pins},
    programs,
};
use crate::{
    netlink::{Link, Links},
    stacking,
};
use aya::{
    Ebpf,
    programs::{
        ProgramError, XdpMode,
        xdp::{XdpLink, XdpLinkId},
    },
    sys::SyscallError,
    util::KernelVersion,
};
use nix::errno::Errno;
use std::{
    collections::HashMap,
    fs, io,
    os::fd::{AsFd as _, BorrowedFd},
};
use tracing::{info, warn};

/// The interfaces that the program is attached to, by the names that they had then.
pub(super) struct Hooks {
    pins: Option<Pins>,
    by_name: HashMap<String, Hook>,
    /// Those of another program of this process, by the names of their interfaces, and whether they are in the driver.
    offered: HashMap<String, (XdpLink, bool)>,
}

enum Hook {
    /// A file holds it.
    Pinned(PinnedLink),
    /// It is there as long as this program is loaded; `true` if it is in the driver.
    Held(XdpLinkId, bool, Framing),
}

impl Hooks {
    /// None yet. Without pins, they end with the program.
    pub fn new(pins: Option<Pins>) -> Self {
        Self {
            pins,
            by_name: HashMap::new(),
            offered: HashMap::new(),
        }
    }

    /// Lets go of the interfaces that a program is on without pins, for the next one to take.
    pub fn give_up(&mut self, ebpf: &mut Ebpf) -> HashMap<String, (XdpLink, bool)> {
        let mut given = std::mem::take(&mut self.offered);
        for (name, hook) in std::mem::take(&mut self.by_name) {
            match hook {
                Hook::Pinned(_) => drop(self.by_name.insert(name, hook)),
                Hook::Held(link, native, framing) => {
                    let link = programs::loaded(ebpf, framing)
                        .and_then(|program| program.take_link(link).map_err(XdpError::Verifier));
                    if let Ok(link) = link {
                        given.insert(name, (link, native));
                    }
                }
            }
        }
        given
    }

    /// Takes what another program has given up.
    pub fn take(&mut self, given: HashMap<String, (XdpLink, bool)>) {
        self.offered = given;
    }

    /// Attaches the program to an interface, in the place of the one before, and instead of to an interface
    /// that had this name before.
    pub fn attach(&mut self, ebpf: &mut Ebpf, name: &str, mode: Mode) -> Result<Attached, XdpError> {
        let Some(interface) = Links::open()
            .and_then(|mut links| links.named(name))
            .map_err(XdpError::Interfaces)?
        else {
            return Err(XdpError::NoInterface {
                interface: name.to_owned(),
            });
        };
        let framing = Framing::of(&interface).map_err(|source| XdpError::Unfit {
            interface: name.to_owned(),
            source,
        })?;
        match self.attach_to(ebpf, &interface, framing, mode) {
            Err(XdpError::Busy { .. }) if self.make_way(ebpf, &interface)? => {
                self.attach_to(ebpf, &interface, framing, mode)
            }
            outcome => outcome,
        }
    }

    fn attach_to(
        &mut self,
        ebpf: &mut Ebpf,
        interface: &Link,
        framing: Framing,
        mode: Mode,
    ) -> Result<Attached, XdpError> {
        let name = interface.name.as_str();
        let Some(pins) = self.pins.clone() else {
            self.release(ebpf, name);
            return self.hold(ebpf, interface, framing, mode);
        };
        let number = interface.index.cast_unsigned();
        let ours = |hook: &Hook| matches!(hook, Hook::Pinned(pin) if pin.interface == number);
        if !self.by_name.get(name).is_some_and(ours) {
            self.release(ebpf, name);
        }
        let descriptor = programs::loaded(ebpf, framing)?
            .fd()
            .map_err(XdpError::Verifier)?;
        match place(&pins, descriptor.as_fd(), interface, mode) {
            Ok((pin, attached)) => {
                self.by_name.insert(name.to_owned(), Hook::Pinned(pin));
                Ok(attached)
            }
            Err(XdpError::NotSupported { .. }) if !knows_links() => {
                let attached = self.hold(ebpf, interface, framing, mode)?;
                warn!(
                    "this kernel keeps no XDP program for a process that has ended: while letmeind does not run, {name} has \
                     no shield, and nftables alone keeps ports closed"
                );
                Ok(attached)
            }
            Err(error) => Err(error),
        }
    }

    /// The kernel attaches no program below an interface that has one. Takes ours from there; whoever keeps it there attaches
    /// it again. Returns whether there was any.
    fn make_way(&mut self, ebpf: &mut Ebpf, interface: &Link) -> Result<bool, XdpError> {
        let links = Links::open()
            .and_then(|mut links| links.all())
            .map_err(XdpError::Interfaces)?;
        let mut made = false;
        for above in stacking::above(&links, interface.index) {
            if above.programs.is_empty() {
                continue;
            }
            if !self.detach(ebpf, &above.name)? {
                return Err(XdpError::BusyAbove {
                    interface: interface.name.clone(),
                    above: above.name.clone(),
                });
            }
            made = true;
        }
        Ok(made)
    }

    /// Takes the program, or that of an earlier run, from an interface. Returns whether it was there.
    pub fn detach(&mut self, ebpf: &mut Ebpf, name: &str) -> Result<bool, XdpError> {
        let mut found = self.offered.remove(name).is_some();
        found |= self.release(ebpf, name);
        let Some(pins) = &self.pins else {
            return Ok(found);
        };
        let interface = Links::open()
            .and_then(|mut links| links.named(name))
            .map_err(XdpError::Interfaces)?;
        let number = interface.map(|interface| interface.index.cast_unsigned());
        for pin in pins.links()? {
            if Some(pin.interface) == number {
                detach(&pin).map_err(|source| pins.failed(source))?;
                found = true;
            }
        }
        Ok(found)
    }

    /// Detaches what an earlier run has attached to interfaces that are not configured any more.
    pub fn release_others(&mut self) -> Result<(), XdpError> {
        self.offered.clear();
        let Some(pins) = &self.pins else {
            return Ok(());
        };
        let kept: Vec<_> = self
            .by_name
            .values()
            .filter_map(|hook| match hook {
                Hook::Pinned(pin) => Some(pin.interface),
                Hook::Held(..) => None,
            })
            .collect();
        for pin in pins.links()? {
            if !kept.contains(&pin.interface) {
                detach(&pin).map_err(|source| pins.failed(source))?;
                let interface = name_of(&pin);
                info!(
                    event = "detached",
                    interface, "XDP program detached from {interface}"
                );
            }
        }
        Ok(())
    }

    /// Attaches it for as long as it is loaded.
    fn hold(
        &mut self,
        ebpf: &mut Ebpf,
        interface: &Link,
        framing: Framing,
        mode: Mode,
    ) -> Result<Attached, XdpError> {
        let name = interface.name.as_str();
        let program = programs::loaded(ebpf, framing)?;
        let offered = self.offered.remove(name);
        let fits = offered.filter(|(_, native)| mode == Mode::Auto || mode == Mode::of(*native));
        let without_a_gap = fits.is_some();
        let (link, native) = match fits {
            Some((link, native)) => {
                let link = program.attach_to_link(link);
                (link.map_err(|source| refusal(name, source))?, native)
            }
            None => in_mode(mode, name, |mode| program.attach(name, mode))?,
        };
        self.by_name
            .insert(name.to_owned(), Hook::Held(link, native, framing));
        Ok(Attached {
            interface: name.to_owned(),
            native,
            without_a_gap,
        })
    }

    /// Detaches it from the interface that had this name. Nothing is left to detach where the interface has gone. Returns
    /// whether there was one.
    fn release(&mut self, ebpf: &mut Ebpf, name: &str) -> bool {
        match self.by_name.remove(name) {
            Some(Hook::Held(link, _, framing)) => {
                if let Ok(program) = programs::loaded(ebpf, framing) {
                    drop(program.detach(link));
                }
                true
            }
            Some(Hook::Pinned(pin)) => {
                drop(detach(&pin));
                true
            }
            None => false,
        }
    }
}

/// Puts the program on the interface, in the place of the one that is there if that is ours.
fn place(
    pins: &Pins,
    program: BorrowedFd<'_>,
    interface: &Link,
    mode: Mode,
) -> Result<(PinnedLink, Attached), XdpError> {
    let number = interface.index.cast_unsigned();
    let wanted = pins.link(number, mode);
    let attached = |native, without_a_gap| Attached {
        interface: interface.name.clone(),
        native,
        without_a_gap,
    };
    let found = pins.links()?.into_iter().find(|pin| pin.interface == number);
    let Some(found) = found else {
        let native = make(program, interface, &wanted, pins)?;
        return Ok((wanted, attached(native, false)));
    };
    let failed = |source| XdpError::Attach {
        interface: interface.name.clone(),
        source: system_call("bpf_link_update", source),
    };
    let link = BpfLink::open(&found.path).map_err(|source| pins.failed(source))?;
    if suits(&found, mode, interface.native) {
        match link.update(program) {
            Ok(()) => {
                if found.path != wanted.path {
                    fs::rename(&found.path, &wanted.path).map_err(|source| pins.failed(source))?;
                }
                return Ok((wanted, attached(interface.native, true)));
            }
            // It is of a kind that cannot follow the other, as after an upgrade that changes what a program may be.
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    // The kernel has no way to change the mode of what is attached.
    let earlier = link.info().and_then(|info| link::program(info.program));
    detach(&found).map_err(|source| pins.failed(source))?;
    let made = make(program, interface, &wanted, pins);
    let native = made.inspect_err(|_| {
        // As it was.
        let pin = PinnedLink {
            mode: Mode::of(interface.native),
            ..found
        };
        let earlier = earlier.map_err(failed);
        if let Err(error) = earlier.and_then(|earlier| make(earlier.as_fd(), interface, &pin, pins)) {
            let error = anyhow::Error::from(error);
            warn!("{} is without the XDP program: {error:#}", interface.name);
        }
    })?;
    info!(
        "for a moment no XDP program was on {}, as it runs in another mode now; nftables kept ports closed",
        interface.name
    );
    Ok((wanted, attached(native, false)))
}

/// Whether this kernel has links for XDP. One that has them though it is older has made one before this is asked.
fn knows_links() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(5, 9, 0))
}

/// Makes a link and pins it. Returns whether it is in the driver.
pub(super) fn make(
    program: BorrowedFd<'_>,
    interface: &Link,
    pin: &PinnedLink,
    pins: &Pins,
) -> Result<bool, XdpError> {
    let (link, native) = in_mode(pin.mode, &interface.name, |mode| {
        BpfLink::create(program, pin.interface, flags(mode))
            .map_err(|source| system_call("bpf_link_create", source))
    })?;
    link.pin(&pin.path).map_err(|source| pins.failed(source))?;
    Ok(native)
}

/// Whether a link that was made for another mode does for this one. By `auto`, an interface whose driver has no XDP gets
/// the generic hook once, and keeps it.
fn suits(pin: &PinnedLink, mode: Mode, native: bool) -> bool {
    match mode {
        Mode::Auto => native || pin.mode == Mode::Auto,
        Mode::Native => native,
        Mode::Generic => !native,
    }
}

/// Takes the program from the interface, and removes the link.
pub(super) fn detach(pin: &PinnedLink) -> io::Result<()> {
    match BpfLink::open(&pin.path).and_then(|link| link.detach()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::remove_file(&pin.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The interface's name, or its number if it has none in this network namespace.
pub(super) fn name_of(pin: &PinnedLink) -> String {
    let interface = Links::open().and_then(|mut links| links.numbered(pin.interface.cast_signed()));
    match interface {
        Ok(Some(interface)) => interface.name,
        _ => format!("interface {}", pin.interface),
    }
}

/// `XDP_FLAGS_*` of `linux/if_link.h`.
const fn flags(mode: XdpMode) -> u32 {
    match mode {
        XdpMode::Default => 0,
        XdpMode::Skb => 1 << 1,
        XdpMode::Driver => 1 << 2,
        XdpMode::Hardware => 1 << 3,
    }
}

fn system_call(call: &'static str, io_error: io::Error) -> ProgramError {
    SyscallError { call, io_error }.into()
}

//! What an earlier run has left attached and recorded, to be put back after a trial.

use super::{
    attach::Mode,
    error::XdpError,
    hooks::{detach, make, name_of},
    link::{self, BpfLink},
    pin::{PinnedLink, Pins, RECORDS, Record},
};
use crate::netlink::{Link, Links};
use aya::maps::MapData;
use std::{
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};
use tracing::info;

/// Links and records, as they were.
pub struct Before {
    folder: PathBuf,
    links: Vec<Earlier>,
    records: Vec<(Record, MapData)>,
}

struct Earlier {
    pin: PinnedLink,
    program: OwnedFd,
    native: bool,
}

impl Before {
    /// Looks into this folder.
    pub fn take(folder: &Path) -> Result<Self, XdpError> {
        let mut before = Self {
            folder: folder.to_owned(),
            links: Vec::new(),
            records: Vec::new(),
        };
        let Some(pins) = Pins::existing(folder)? else {
            return Ok(before);
        };
        for pin in pins.links()? {
            let program = BpfLink::open(&pin.path)
                .and_then(|link| link.info())
                .and_then(|info| link::program(info.program))
                .map_err(|source| pins.failed(source))?;
            let native = interface(&pin)?.is_some_and(|interface| interface.native);
            before.links.push(Earlier { pin, program, native });
        }
        for record in RECORDS {
            let path = pins.record(record);
            if path.exists() {
                let map = MapData::from_pin(path).map_err(|source| pins.failed(io::Error::other(source)))?;
                before.records.push((record, map));
            }
        }
        Ok(before)
    }

    /// Attaches what was attached, detaches what was not, and goes on with the records that there were.
    pub fn restore(&self) -> Result<(), XdpError> {
        let pins = if self.links.is_empty() && self.records.is_empty() {
            Pins::existing(&self.folder)?
        } else {
            Some(Pins::open(&self.folder)?)
        };
        let Some(pins) = pins else {
            return Ok(());
        };
        for pin in pins.links()? {
            if !self
                .links
                .iter()
                .any(|earlier| earlier.pin.interface == pin.interface)
            {
                let interface = name_of(&pin);
                info!(
                    event = "detached",
                    interface, "XDP program detached from {interface}"
                );
                detach(&pin).map_err(|source| pins.failed(source))?;
            }
        }
        for earlier in &self.links {
            put_back(&pins, earlier)?;
        }
        pins.remove_records().map_err(|source| pins.failed(source))?;
        for (record, map) in &self.records {
            map.pin(pins.record(*record))
                .map_err(|source| pins.failed(io::Error::other(source)))?;
        }
        Ok(())
    }
}

fn put_back(pins: &Pins, earlier: &Earlier) -> Result<(), XdpError> {
    // Without its interface it has gone.
    let Some(interface) = interface(&earlier.pin)? else {
        return Ok(());
    };
    let failed = |source| pins.failed(source);
    let program = earlier.program.as_fd();
    let same = |pin: &PinnedLink| pin.interface == earlier.pin.interface;
    if let Some(now) = pins.links()?.into_iter().find(same) {
        if interface.native == earlier.native {
            let link = BpfLink::open(&now.path).map_err(failed)?;
            link.update(program).map_err(failed)?;
            return fs::rename(&now.path, &earlier.pin.path).map_err(failed);
        }
        detach(&now).map_err(failed)?;
    }
    let pin = PinnedLink {
        path: earlier.pin.path.clone(),
        interface: earlier.pin.interface,
        mode: Mode::of(earlier.native),
    };
    make(program, &interface, &pin, pins).map(drop)
}

fn interface(pin: &PinnedLink) -> Result<Option<Link>, XdpError> {
    Links::open()
        .and_then(|mut links| links.numbered(pin.interface.cast_signed()))
        .map_err(XdpError::Interfaces)
}

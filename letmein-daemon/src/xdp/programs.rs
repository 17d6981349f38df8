//! The programs of the object, which share its maps: one for each thing that packets can begin with. The kernel is given
//! one when the first interface needs it.

use super::{error::XdpError, framing::Framing, kernel};
use aya::{
    Ebpf,
    maps::{Map, MapData, MapError},
    programs::{ProgramError, Xdp},
};
use nix::errno::Errno;
use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

/// The program for interfaces of this kind, loaded.
pub(super) fn loaded(ebpf: &mut Ebpf, framing: Framing) -> Result<&mut Xdp, XdpError> {
    let program: &mut Xdp = ebpf
        .program_mut(framing.program())
        .ok_or(XdpError::Missing("program"))?
        .try_into()
        .map_err(XdpError::Verifier)?;
    if program.fd().is_err() {
        program
            .load()
            .map_err(|error| kernel::blame(verifier_error(error)))?;
    }
    Ok(program)
}

/// The same program, loaded or not.
pub(super) fn of(ebpf: &Ebpf, framing: Framing) -> Result<&Xdp, XdpError> {
    let program = ebpf
        .program(framing.program())
        .ok_or(XdpError::Missing("program"))?;
    program.try_into().map_err(XdpError::Verifier)
}

/// Opens a map of the object. The object keeps it open besides, under the number that stands in programs which are not
/// loaded yet.
pub(super) fn take<M: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    map: &'static str,
) -> Result<M, XdpError> {
    let failed = |source| XdpError::Map { map, source };
    let found = ebpf.map(map).ok_or(XdpError::Missing(map))?;
    let descriptor = descriptor(found).ok_or(XdpError::Missing(map))?;
    let opened = MapData::from_fd(descriptor.map_err(|error| failed(MapError::IoError(error)))?);
    let opened = opened.and_then(Map::from_map_data).map_err(failed)?;
    M::try_from(opened).map_err(failed)
}

/// A descriptor of its own; `None` for kinds of maps that the object does not have.
fn descriptor(map: &Map) -> Option<io::Result<OwnedFd>> {
    let (Map::Array(data)
    | Map::HashMap(data)
    | Map::LruHashMap(data)
    | Map::PerCpuArray(data)
    | Map::PerCpuHashMap(data)
    | Map::PerCpuLruHashMap(data)
    | Map::RingBuf(data)) = map
    else {
        return None;
    };
    Some(data.fd().as_fd().try_clone_to_owned())
}

/// Without `CAP_PERFMON` a program may do less, and the verifier says so where it does more. To root, the same error
/// number says that the program is wrong.
fn verifier_error(error: ProgramError) -> XdpError {
    if let ProgramError::LoadError {
        io_error,
        verifier_log,
    } = &error
        && io_error.kind() == io::ErrorKind::PermissionDenied
        && (io_error.raw_os_error() == Some(Errno::EPERM as i32)
            || verifier_log.to_string().contains("!root"))
    {
        return XdpError::Permission;
    }
    XdpError::Verifier(error)
}

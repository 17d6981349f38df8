//! Relaying between standard input and output and a connection, each way until its sender has no more.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
};

/// For each way. As much as a pipe holds.
const ROOM: usize = 64 << 10;

/// Relays until both ways have ended. An end of one way is passed on at once, while the other goes on.
pub fn run(stream: &TcpStream) -> io::Result<()> {
    // ssh sends what somebody types, and large blocks: both must not wait for more.
    stream.set_nodelay(true)?;
    let (mut input, mut output) = standard_streams()?;
    let mut there = stream.try_clone()?;
    let sending = thread::spawn(move || {
        let sent = pass_on(&mut input, &mut there);
        // The gate may have ended the connection meanwhile, which the other way tells.
        let _ended = there.shutdown(Shutdown::Write);
        sent
    });
    let mut here = stream;
    pass_on(&mut here, &mut output)?;
    drop(output);
    if !close_output()? {
        return Ok(());
    }
    match sending.join() {
        Ok(sent) => sent,
        Err(_) => Err(io::Error::other("the sending thread ended early")),
    }
}

/// Passes on what comes as it comes, until its end. `io::copy` would leave that to the kernel, which may wait for more.
fn pass_on(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; ROOM];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Both without the buffers of the standard library, which would keep back what is sent until a line is full.
#[cfg(unix)]
fn standard_streams() -> io::Result<(File, File)> {
    use std::os::fd::AsFd as _;
    let (input, output) = (io::stdin(), io::stdout());
    Ok((
        input.as_fd().try_clone_to_owned()?.into(),
        output.as_fd().try_clone_to_owned()?.into(),
    ))
}

#[cfg(windows)]
fn standard_streams() -> io::Result<(File, File)> {
    use std::os::windows::io::AsHandle as _;
    let (input, output) = (io::stdin(), io::stdout());
    Ok((
        input.as_handle().try_clone_to_owned()?.into(),
        output.as_handle().try_clone_to_owned()?.into(),
    ))
}

/// Lets the reader of standard output see its end. Whether that can be done, other than by ending.
#[cfg(unix)]
fn close_output() -> io::Result<bool> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&nowhere)?;
    Ok(true)
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
fn close_output() -> io::Result<bool> {
    Ok(false)
}

//! Over TCP: four messages on one connection.

use super::Failure;
use crate::plan::Plan;
use letmein_common::wire::challenge::{LEN, Message, Operation};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

pub fn exchange(plan: &Plan, gate: SocketAddr) -> io::Result<Result<(), Failure>> {
    let mut stream = TcpStream::connect_timeout(&gate, plan.timeout)?;
    stream.set_read_timeout(Some(plan.timeout))?;
    stream.set_nodelay(true)?;
    stream.write_all(&super::first(plan)?.to_bytes())?;
    let challenge = match read(&mut stream, Operation::Challenge)? {
        Ok(challenge) => challenge,
        Err(refused) => return Ok(Err(refused)),
    };
    stream.write_all(&super::response(plan, &challenge.auth)?.to_bytes())?;
    Ok(read(&mut stream, Operation::ComeIn)?.map(drop))
}

fn read(stream: &mut TcpStream, expected: Operation) -> io::Result<Result<Message, Failure>> {
    let mut bytes = [0; LEN];
    stream.read_exact(&mut bytes)?;
    match Message::parse(&bytes) {
        Ok(message) if message.operation == expected => Ok(Ok(message)),
        Ok(message) if message.operation == Operation::GoAway => Ok(Err(Failure::Refused)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this is no letmein gate",
        )),
    }
}

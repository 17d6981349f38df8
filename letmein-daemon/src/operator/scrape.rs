//! Who asks for metrics: HTTP on a Unix socket or on loopback, as little of it as Prometheus needs. Whoever may ask may
//! learn what is counted, and do nothing.

use super::{
    Desk,
    metrics::{self, Form},
    peer::Peer,
    socket, status,
};
use crate::config::{MetricsAddress, OperatorSettings};
use anyhow::Context as _;
use std::{
    cell::Cell,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net,
    task::spawn_local,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

/// The longest request, all headers included.
const LONGEST: usize = 8 * 1024;
/// For a request and its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who asks at one time; more are turned away.
const MOST: usize = 8;
/// How long to wait when there are no descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Where metrics are asked for.
pub enum Listener {
    /// By whoever is in the group.
    Unix(socket::Listener),
    /// By whoever is on this machine.
    Loopback(TcpListener),
}

/// Listens where the configuration says, if it does.
pub fn listen(settings: &OperatorSettings) -> Option<anyhow::Result<Listener>> {
    let listener = match settings.metrics.as_ref()? {
        MetricsAddress::Unix(path) => {
            socket::bind(path, settings.metrics_group.as_deref()).map(Listener::Unix)
        }
        MetricsAddress::Loopback(address) => loopback(*address).map(Listener::Loopback),
    };
    Some(listener)
}

fn loopback(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers for good.
pub async fn serve(listener: Listener, desk: Rc<Desk>) {
    let served = match listener {
        Listener::Unix(listener) => {
            let group = listener.group;
            match net::UnixListener::from_std(listener.socket) {
                Ok(listener) => {
                    let next = async || listener.accept().await.map(|(stream, _)| stream);
                    let may = |stream: &_| Peer::of(stream).is_ok_and(|peer| peer.may_operate(group));
                    accept(&desk, next, may).await
                }
                Err(error) => error,
            }
        }
        Listener::Loopback(listener) => match net::TcpListener::from_std(listener) {
            Ok(listener) => {
                accept(
                    &desk,
                    async || listener.accept().await.map(|(stream, _)| stream),
                    |_| true,
                )
                .await
            }
            Err(error) => error,
        },
    };
    warn!("metrics are not served any more: {served}");
}

async fn accept<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    desk: &Rc<Desk>,
    next: impl AsyncFn() -> io::Result<S>,
    may: impl Fn(&S) -> bool,
) -> io::Error {
    let served = Rc::new(Cell::new(0));
    loop {
        match next().await {
            Ok(stream) if served.get() < MOST && may(&stream) => {
                served.set(served.get() + 1);
                let (served, desk) = (Rc::clone(&served), Rc::clone(desk));
                spawn_local(async move {
                    match timeout(PATIENCE, answer(stream, &desk)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => debug!("metrics: {error}"),
                        Err(_late) => debug!("metrics: took too long"),
                    }
                    served.set(served.get() - 1);
                });
            }
            Ok(_turned_away) => {}
            Err(error) => {
                warn!("cannot accept a connection for metrics: {error}");
                sleep(EXHAUSTED).await;
            }
        }
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, desk: &Desk) -> anyhow::Result<()> {
    let request = read(&mut stream).await?;
    let (code, kind, body) = match Request::parse(&request) {
        Some(request) if request.target == "/metrics" => {
            let status = status::status(desk).await?;
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH)?;
            let started = since_1970.saturating_sub(desk.started.elapsed());
            let text = metrics::text(&status, started.as_secs_f64().round(), request.form);
            ("200 OK", request.form.content_type(), text)
        }
        Some(_) => ("404 Not Found", PLAIN, "metrics are at /metrics\n".to_owned()),
        None => (
            "400 Bad Request",
            PLAIN,
            "GET /metrics is all there is\n".to_owned(),
        ),
    };
    let head = format!(
        "HTTP/1.1 {code}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

const PLAIN: &str = "text/plain; charset=utf-8";

/// Up to the empty line behind the headers, or as much as there may be.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while request.len() < LONGEST && !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part).await? {
            0 => break,
            length => request.extend_from_slice(part.get(..length).unwrap_or_default()),
        }
    }
    Ok(request)
}

/// What matters of a request.
#[derive(Debug, PartialEq)]
struct Request<'a> {
    target: &'a str,
    form: Form,
}

impl<'a> Request<'a> {
    /// `None` for what is no GET, or has no end.
    fn parse(request: &'a [u8]) -> Option<Self> {
        let (head, _) = std::str::from_utf8(request).ok()?.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let ("GET", target, version) = (words.next()?, words.next()?, words.next()?) else {
            return None;
        };
        if !version.starts_with("HTTP/1.") || words.next().is_some() {
            return None;
        }
        let accepts = |line: &str| {
            let header = line.to_ascii_lowercase();
            header.starts_with("accept:") && header.contains("application/openmetrics-text")
        };
        let form = if lines.any(accepts) {
            Form::OpenMetrics
        } else {
            Form::Prometheus
        };
        Some(Self { target, form })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_what_it_takes() {
        let parse = |text: &'static str| Request::parse(text.as_bytes());
        let request = parse("GET /metrics HTTP/1.1\r\nHost: gate\r\n\r\n").unwrap();
        assert_eq!((request.target, request.form), ("/metrics", Form::Prometheus));
        let open =
            "GET / HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\n\r\n";
        assert_eq!(parse(open).unwrap().form, Form::OpenMetrics);
        for bad in [
            "",
            "GET /metrics HTTP/1.1\r\n",
            "POST /metrics HTTP/1.1\r\n\r\n",
            "GET /metrics\r\n\r\n",
            "GET /metrics HTTP/1.1 more\r\n\r\n",
            "GET  /metrics HTTP/1.1\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(Request::parse(b"GET /\xFF HTTP/1.1\r\n\r\n"), None);
    }
}

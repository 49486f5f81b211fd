//! The sockets: loopback over both IPv4 and IPv6, and connections that can be cut.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A free IPv4 port may be taken on IPv6: so often another is tried.
const ATTEMPTS: usize = 32;

/// One port on both loopback addresses: `localhost` resolves to either.
#[derive(Debug)]
pub struct Loopback {
    v4: TcpListener,
    /// Absent where the machine has no IPv6.
    v6: Option<TcpListener>,
}

impl Loopback {
    /// Listens on `port`, or on one that is free on both if it is 0.
    ///
    /// # Errors
    ///
    /// The port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        let mut attempts = if port == 0 { ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            let same = v4.local_addr()?.port();
            match TcpListener::bind((Ipv6Addr::LOCALHOST, same)).await {
                Ok(v6) => return Ok(Self { v4, v6: Some(v6) }),
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                    return Ok(Self { v4, v6: None });
                }
                Err(error) if attempts == 0 => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// The port.
    ///
    /// # Errors
    ///
    /// The system does not tell it.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.v4.local_addr()?.port())
    }
}

impl Listener for Loopback {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Axum's own listener goes on after errors of single connections.
        let (stream, peer) = match &mut self.v6 {
            Some(v6) => tokio::select! {
                accepted = Listener::accept(&mut self.v4) => accepted,
                accepted = Listener::accept(v6) => accepted,
            },
            None => Listener::accept(&mut self.v4).await,
        };
        // Small answers should not wait for each other; without it all the same works, slower.
        let _ = stream.set_nodelay(true);
        let connection = Connection { stream, cutter: Cutter::default() };
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.v4.local_addr()
    }
}

/// Cuts a connection.
#[derive(Clone, Debug, Default)]
pub struct Cutter(Arc<AtomicBool>);

impl Cutter {
    /// From now on nothing goes out: the peer gets a TCP reset as soon as an answer would be written.
    pub fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Loopback>> for Cutter {
    fn connect_info(stream: IncomingStream<'_, Loopback>) -> Self {
        stream.io().cutter.clone()
    }
}

/// A TCP connection with a [`Cutter`].
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    cutter: Cutter,
}

impl Connection {
    /// Fails once the connection is cut. The server then drops it, and with no time to linger the
    /// system sends a reset instead of an orderly end.
    fn check(&self) -> io::Result<()> {
        if self.cutter.0.load(Ordering::Acquire) {
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

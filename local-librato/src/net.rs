//! Sockets: loopback on both IPv4 and IPv6, and connections that can be reset.

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

/// Most ports that are tried: one that is free on IPv4 may be taken on IPv6.
const ATTEMPTS: usize = 32;

/// A listener on one port of both loopback addresses, as `localhost` resolves to either.
#[derive(Debug)]
pub struct Loopback {
    v4: TcpListener,
    /// Absent where the machine has no IPv6.
    v6: Option<TcpListener>,
}

impl Loopback {
    /// Listens on `port`, or for 0 on one that is free on both.
    ///
    /// # Errors
    ///
    /// When the port is taken.
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

    /// Returns the port.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.v4.local_addr()?.port())
    }
}

impl Listener for Loopback {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Axum's own `accept` retries after the errors of single connections.
        let (stream, peer) = match &mut self.v6 {
            Some(v6) => tokio::select! {
                accepted = Listener::accept(&mut self.v4) => accepted,
                accepted = Listener::accept(v6) => accepted,
            },
            None => Listener::accept(&mut self.v4).await,
        };
        // Small answers should not wait for each other. A failure costs speed and nothing else.
        let _ = stream.set_nodelay(true);
        let connection = Connection { stream, reset: ResetHandle::default() };
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.v4.local_addr()
    }
}

/// Handle to reset a connection.
#[derive(Clone, Debug, Default)]
pub struct ResetHandle(Arc<AtomicBool>);

impl ResetHandle {
    /// Makes the peer get a TCP reset in place of an answer.
    pub fn reset(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Loopback>> for ResetHandle {
    fn connect_info(stream: IncomingStream<'_, Loopback>) -> Self {
        stream.io().reset.clone()
    }
}

/// A TCP connection with a [`ResetHandle`].
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    reset: ResetHandle,
}

impl Connection {
    /// Fails once the connection is to be reset. The server then drops it, and with a linger time of zero the system
    /// sends a reset in place of an orderly end.
    fn check(&self) -> io::Result<()> {
        if self.reset.0.load(Ordering::Acquire) {
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
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
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

//! `local-librato`: see the crate's documentation.

use std::io;
use std::path::{Path, PathBuf};

use clap::Parser;
use local_librato::net::Loopback;
use local_librato::{Settings, serve};
use tokio::sync::oneshot;

/// A strict, local Librato with a live page.
#[derive(Parser)]
#[command(version)]
struct Flags {
    /// Port on the loopback addresses; 0 takes any that is free.
    #[arg(long, default_value_t = 8788)]
    port: u16,
    /// User name that the API expects.
    #[arg(long, default_value = "local")]
    user: String,
    /// Token that the API expects.
    #[arg(long, default_value = "local")]
    token: String,
    /// Base URL of the Worker that the page's playground sends to.
    #[arg(long, default_value = "http://localhost:8787")]
    worker: String,
    /// Write key that the playground uses.
    #[arg(long, default_value = "local")]
    write_key: String,
    /// A `node_modules` folder with the libraries of the page [default: the project's]
    #[arg(long, value_name = "DIR")]
    vendor: Option<PathBuf>,
    /// Exit when standard input ends, that is, with the process that started this one.
    #[arg(long)]
    exit_with_stdin: bool,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let flags = Flags::parse();
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let settings = Settings {
        user: flags.user,
        token: flags.token,
        worker: flags.worker,
        write_key: flags.write_key,
        page: home.join("../page"),
        vendor: flags.vendor.unwrap_or_else(|| home.join("../node_modules")),
    };
    let listener = Loopback::bind(flags.port).await.map_err(|error| {
        let port = flags.port;
        io::Error::new(error.kind(), format!("cannot listen on port {port}: {error}"))
    })?;
    println!("local Librato listening on http://localhost:{}", listener.port()?);
    // Without a graceful shutdown: an open live page would keep its connection, and so the process.
    tokio::select! {
        result = serve(listener, settings) => result,
        result = signalled() => result,
        () = stdin_closed(), if flags.exit_with_stdin => Ok(()),
    }
}

/// Waits for Ctrl-C or, on Unix, SIGTERM.
async fn signalled() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// Waits for the end of standard input. A separate thread reads it, since the runtime waits for its own threads before
/// it ends.
async fn stdin_closed() {
    let (sender, closed) = oneshot::channel();
    std::thread::spawn(move || {
        // An error ends the input as well.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = sender.send(());
    });
    let _ = closed.await;
}

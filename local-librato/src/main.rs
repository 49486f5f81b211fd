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
    /// The Worker that the page's playground talks to.
    #[arg(long, default_value = "http://localhost:8787")]
    worker: String,
    /// The write key that it uses there.
    #[arg(long, default_value = "local")]
    write_key: String,
    /// A `node_modules` folder with the libraries of the page [default: the project's]
    #[arg(long, value_name = "DIR")]
    vendor: Option<PathBuf>,
    /// Exit when standard input ends: whoever started this is gone then.
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
        page: home.join("page"),
        vendor: flags.vendor.unwrap_or_else(|| home.join("../node_modules")),
    };
    let listener = Loopback::bind(flags.port).await.map_err(|error| {
        let port = flags.port;
        io::Error::new(error.kind(), format!("cannot listen on port {port}: {error}"))
    })?;
    println!("local Librato listening on http://localhost:{}", listener.port()?);
    // Nothing is worth an orderly end: a live page holds its connection for as long as it is open.
    tokio::select! {
        result = serve(listener, settings) => result,
        result = signalled() => result,
        () = stdin_closed(), if flags.exit_with_stdin => Ok(()),
    }
}

/// Waits for Ctrl-C or, where there is such a thing, SIGTERM.
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

/// Waits for the end of standard input. A thread of its own does the reading: the runtime would wait
/// for one of its threads before it ends.
async fn stdin_closed() {
    let (sender, closed) = oneshot::channel();
    std::thread::spawn(move || {
        // Whether it ends or fails, nobody is there any more.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = sender.send(());
    });
    let _ = closed.await;
}

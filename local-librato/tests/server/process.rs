//! The process: its port, its output and its shutdown.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::librato::{Librato, start, wait_for};

fn port(librato: &Librato) -> &str {
    librato.url.strip_prefix("http://localhost:").unwrap()
}

#[test]
fn it_listens_on_both_loopback_addresses() {
    let librato = Librato::new();
    let port = port(&librato);
    TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    // The rest needs a machine with IPv6.
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        TcpStream::connect(format!("[::1]:{port}")).unwrap();
    }
}

#[test]
fn a_taken_port_is_named() {
    let librato = Librato::new();
    let port = port(&librato);
    let output = Command::new(env!("CARGO_BIN_EXE_local-librato")).args(["--port", port]).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("cannot listen on port {port}")), "{error}");
}

#[test]
fn it_ends_with_its_standard_input_if_told() {
    let mut librato = start(&[]);
    assert!(librato.process.try_wait().unwrap().is_none());
    drop(librato.process.stdin.take());
    let status = librato.process.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn it_goes_on_without_standard_input_otherwise() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_local-librato"))
        .args(["--port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let port = line.trim_end().rsplit(':').next().unwrap().to_owned();
    TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    assert!(process.try_wait().unwrap().is_none());
    process.kill().unwrap();
    process.wait().unwrap();
    // It prints one line and no more.
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[cfg(unix)]
#[test]
fn signals_end_it_at_once() {
    for signal in ["-INT", "-TERM"] {
        let mut librato = start(&[]);
        // An open live page does not delay it.
        let stream = TcpStream::connect(format!("127.0.0.1:{}", port(&librato))).unwrap();
        std::io::Write::write_all(&mut &stream, b"GET /local/stream HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        (&stream).read_exact(&mut [0; 15]).unwrap();
        let id = librato.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        wait_for("the end", || librato.process.try_wait().unwrap().is_some());
        assert!(librato.process.wait().unwrap().success(), "{signal}");
    }
}

//! A server for each test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Request, Response};

/// Longest wait in a test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A running server, which is stopped when it is dropped.
pub(crate) struct Librato {
    pub(crate) process: Child,
    pub(crate) url: String,
    agent: Agent,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    response: Response<()>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.response.headers().get(name)?.to_str().unwrap())
    }
}

/// Starts the binary with further flags and waits until it is ready.
pub(crate) fn start(flags: &[&str]) -> Librato {
    let mut process = Command::new(env!("CARGO_BIN_EXE_local-librato"))
        .args(["--port", "0", "--exit-with-stdin"])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url =
        line.trim_end().strip_prefix("local Librato listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
    let agent = Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE)).build().into();
    Librato { process, url, agent }
}

impl Drop for Librato {
    fn drop(&mut self) {
        // Some tests have stopped it already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `local:local`, the default credentials.
const BASIC: &str = "Basic bG9jYWw6bG9jYWw=";

impl Librato {
    pub(crate) fn new() -> Self {
        start(&[])
    }

    /// Sends a request with exactly the given headers.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = self.agent.run(request.body(body.as_ref()).unwrap())?;
        let body = response.body_mut().read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), body, response: response.map(|_| ()) })
    }

    /// Sends a request with valid credentials and JSON.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        let headers = [("authorization", BASIC), ("content-type", "application/json; charset=utf-8")];
        self.ask(method, path, &headers, body.to_string())
    }

    pub(crate) fn post(&self, body: &Value) -> Answer {
        self.call("POST", "/v1/metrics", body).unwrap()
    }

    pub(crate) fn put(&self, name: &str, body: &Value) -> Answer {
        self.call("PUT", &format!("/v1/metrics/{name}"), body).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let headers = [("authorization", BASIC)];
        self.ask("GET", path, &headers, "").unwrap()
    }

    /// Posts gauges, which must be accepted.
    pub(crate) fn store(&self, gauges: &Value) {
        let answer = self.post(&json!({ "gauges": gauges }));
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }

    pub(crate) fn state(&self) -> Value {
        self.get("/local/state").json()
    }

    /// Returns the totals of a metric.
    pub(crate) fn metric(&self, name: &str) -> Value {
        let state = self.state();
        let metrics = state["metrics"].as_array().unwrap();
        let metric = metrics.iter().find(|metric| metric["name"] == name);
        metric.unwrap_or_else(|| panic!("no {name} in {state}")).clone()
    }

    /// Returns the last request in the journal.
    pub(crate) fn last_request(&self) -> Value {
        let requests = self.get("/local/requests?limit=1").json();
        requests["requests"][0].clone()
    }

    pub(crate) fn fault(&self, fault: &Value) -> Value {
        let answer = self.call("POST", "/local/faults", fault).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }
}

/// Returns the time in epoch seconds.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Waits until `condition` holds.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

// The libraries for Rust against the Worker.

import { outages } from "../../e2e/clients/outages.mjs";
import { rustClients } from "../../e2e/clients/rust.mjs";
import { delivers } from "../../e2e/clients/servers.mjs";

delivers(rustClients);
// Call by call, RudderStack's waits for each in its turn.
outages(rustClients.filter(({ id }) => id !== "rust-rudderstack"));

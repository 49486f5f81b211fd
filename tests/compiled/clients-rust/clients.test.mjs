// The libraries for Rust against the Worker.

import { rustClients } from "../../e2e/clients/rust.mjs";
import { delivers } from "../../e2e/clients/servers.mjs";

delivers(rustClients);

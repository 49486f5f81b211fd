// The libraries for Go against the Worker.

import { goClients } from "../../e2e/clients/go.mjs";
import { outages } from "../../e2e/clients/outages.mjs";
import { delivers } from "../../e2e/clients/servers.mjs";

delivers(goClients);
outages(goClients);

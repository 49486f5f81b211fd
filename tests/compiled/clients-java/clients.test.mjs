// The libraries for Java and Kotlin against the Worker.

import { javaClients } from "../../e2e/clients/java.mjs";
import { outages } from "../../e2e/clients/outages.mjs";
import { delivers } from "../../e2e/clients/servers.mjs";

delivers(javaClients);
outages(javaClients);

// The libraries for Java, and Kotlin's.

import { byCompiled } from "./program.mjs";
import { javaVersion } from "./versions.mjs";

const PROGRAM = "clients-java";

const inJava = (id, name, group, library, more) => ({
  id,
  name,
  version: javaVersion(PROGRAM, group),
  send: byCompiled(PROGRAM, library),
  retries: "all",
  ...more,
});

const kotlin = byCompiled(PROGRAM, "kotlin");

export const javaClients = [
  inJava("java-segment", "analytics-java", "com.segment.analytics.java", "segment"),
  inJava("java-rudderstack", "RudderStack, Java", "com.rudderstack.sdk.java.analytics", "rudderstack"),
  inJava("kotlin-segment", "analytics-kotlin", "com.segment.analytics.kotlin", "kotlin", {
    // With a flush every second, each of which sends again what is left.
    meets: 5,
    send: ({ edge }, calls) => kotlin({ host: edge }, calls),
  }),
];

// The npm commands when something is missing or wrong.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, beforeEach, describe, it } from "node:test";
import { projectPath } from "./lib/project.mjs";

let folder;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "librato-edge-scripts-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a program with Node to its end. `null` unsets a variable. */
async function node(args, env = {}) {
  // It is not part of this test run, and uses the project's toolchain.
  const all = { ...process.env, NODE_TEST_CONTEXT: null, RUSTUP_TOOLCHAIN: null, CI: "true", NO_COLOR: "1", ...env };
  const child = spawn(process.execPath, args, {
    cwd: projectPath("."),
    env: Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null)),
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { out, err, code };
}

describe("a test that writes to standard output", () => {
  async function run(name, body) {
    const file = join(folder, `${name}.test.mjs`);
    writeFileSync(file, `import { it } from "node:test";\nit("passes", (t) => { ${body} });\n`);
    const flags = ["--test", "--test-reporter=spec", "--test-reporter-destination=stdout"];
    flags.push(`--test-reporter=${projectPath("scripts/lib/silence.mjs")}`, "--test-reporter-destination=stderr");
    const result = await node([...flags, file]);
    assert.match(result.out, /^ℹ pass 1$/m);
    return result;
  }

  for (const [name, body] of [
    ["a-line", 'console.log("spoken");'],
    ["half-a-line", 'process.stdout.write("spoken");'],
    ["a-child", '(process.getBuiltinModule("child_process")).spawnSync("echo", ["spoken"], { stdio: "inherit" });'],
  ]) {
    it(`${name} makes the run fail`, async () => {
      const { err, code } = await run(name, body);
      assert.match(err, new RegExp(`${name}\\.test\\.mjs: "spoken`));
      assert.equal(code, 1);
    });
  }

  for (const [name, body] of [
    ["nothing", ""],
    ["a-diagnostic", 't.diagnostic("told");'],
    ["an-error", 'console.error("told");'],
  ]) {
    it(`${name} does not`, async () => {
      const { err, code } = await run(name, body);
      assert.doesNotMatch(err, /standard output/);
      assert.equal(code, 0);
    });
  }
});

describe("on a fresh clone", () => {
  it("the commands read no package before they have installed any", () => {
    const files = ["start", "test", "build", "bench", "setup"].map((name) => projectPath(`scripts/${name}.mjs`));
    const seen = new Set();
    while (files.length > 0) {
      const file = files.pop();
      if (seen.has(file)) continue;
      seen.add(file);
      for (const [, from] of readFileSync(file, "utf8").matchAll(
        /^(?:(?:import|export)\b[^;"]* from|import) "([^"]+)";$/gm,
      )) {
        if (from.startsWith("node:")) continue;
        assert.match(from, /^\./, `${file} imports ${from}`);
        files.push(join(dirname(file), from));
      }
    }
    assert.ok(seen.size > 10, "the scripts were followed");
  });
});

describe("on Windows", () => {
  const { scripts } = JSON.parse(readFileSync(projectPath("package.json"), "utf8"));
  const windows = 'data:text/javascript,Object.defineProperty(process, "platform", { value: "win32" })';
  for (const [name, command] of Object.entries(scripts)) {
    if (name === "format") continue;
    it(`${name}: a sentence says what to do`, async () => {
      // The command that npm runs must work on Windows too.
      const first = scripts[`pre${name}`] ?? command;
      const [, script] = /^node (scripts\/\w+\.mjs)$/.exec(first) ?? assert.fail(first);
      const { out, err, code } = await node(["--import", windows, script]);
      assert.match(err, /^\s*✗ librato-edge is built and run on Linux and macOS\. On Windows, use it in WSL/);
      assert.deepEqual([out, code], ["", 1]);
    });
  }
});

describe("Rust by rustup", () => {
  const WASM = "wasm32-unknown-unknown";
  const wanted = /^channel = "(.+)"$/m.exec(readFileSync(projectPath("rust-toolchain.toml"), "utf8"))[1];
  let tools;
  let state;
  /** Arguments of the calls of rustup. */
  const told = () => readFileSync(join(state, "told"), "utf8").split("\n").filter(Boolean);

  /** Simulates a machine with a rustup that installs nothing. */
  function machine({ toolchains = [], targets = false, others = false }) {
    tools = mkdtempSync(join(folder, "bin-"));
    state = mkdtempSync(join(folder, "rustup-"));
    writeFileSync(join(state, "told"), "");
    writeFileSync(join(state, "toolchains"), toolchains.map((name) => `${name}-x86_64-unknown-linux-gnu\n`).join(""));
    if (targets) mkdirSync(join(state, WASM));
    const programs = {
      rustup: `
        case "$1 $2" in
          "--version ") echo "rustup 1.0.0";;
          "toolchain list") cat ${state}/toolchains;;
          "toolchain install")
            echo "$*" >> ${state}/told
            if [ -n "$OFFLINE" ]; then echo "error: could not download file" >&2; exit 1; fi
            echo "$3-x86_64-unknown-linux-gnu" >> ${state}/toolchains
            mkdir -p ${state}/${WASM};;
          "target add") echo "$*" >> ${state}/told; ${others ? ":" : `mkdir -p ${state}/${WASM}`};;
        esac`,
      rustc: `
        if ! grep -q "^\${RUSTUP_TOOLCHAIN:-${wanted}}-" ${state}/toolchains; then
          echo "error: toolchain is not installed" >&2; exit 1
        fi
        case "$1" in
          --version) echo "rustc \${RUSTUP_TOOLCHAIN:-${wanted}} (abcdef 2026-01-01)";;
          --target) echo ${state}/${WASM};;
        esac`,
      cargo: 'echo "cargo 1.0.0"',
    };
    for (const [name, program] of Object.entries(programs)) {
      writeFileSync(join(tools, name), `#!/bin/sh\n${program}\n`);
      chmodSync(join(tools, name), 0o755);
    }
  }

  const setup = (env = {}) =>
    node(["scripts/setup.mjs"], { PATH: [tools, process.env.PATH].join(delimiter), OFFLINE: null, ...env });

  it("has the project's toolchain: nothing is done", async () => {
    machine({ toolchains: ["stable", wanted], targets: true });
    const { err, code } = await setup();
    assert.deepEqual([err, code, told()], ["", 0, []]);
  });

  for (const toolchains of [[], ["stable"], [`${wanted}0`]]) {
    it(`has ${toolchains[0] ?? "none"}: the project's is installed, with its target`, async () => {
      machine({ toolchains });
      const { out, err, code } = await setup();
      assert.deepEqual([err, code], ["", 0]);
      assert.match(out, new RegExp(`✓ Rust ${wanted}, by rustup`));
      const [line, ...more] = told();
      assert.match(line, new RegExp(`^toolchain install ${wanted} .*--target ${WASM}\\b`));
      assert.deepEqual(more, []);
      await setup();
      assert.equal(told().length, 1, "a second run installs nothing");
    });
  }

  it("has the toolchain without the target: that is added", async () => {
    machine({ toolchains: [wanted] });
    const { err, code } = await setup();
    assert.deepEqual([err, code, told()], ["", 0, [`target add ${WASM}`]]);
  });

  it("adds the target to another Rust than the one on the PATH: it is said", async () => {
    machine({ toolchains: [wanted], others: true });
    const { err, code } = await setup();
    assert.match(err, /that rustc is not rustup's/);
    assert.equal(code, 1);
  });

  it("cannot download: its own words, and what to do", async () => {
    machine({ toolchains: ["stable"] });
    const { err, code } = await setup({ OFFLINE: "1" });
    assert.match(err, /could not download file[\s\S]*With RUSTUP_TOOLCHAIN=stable/);
    assert.equal(code, 1);
  });

  it("is told another toolchain: that one is used, if it is new enough", async () => {
    machine({ toolchains: ["1.999.0"], targets: true });
    assert.deepEqual([(await setup({ RUSTUP_TOOLCHAIN: "1.999.0" })).code, told()], [0, []]);
    machine({ toolchains: ["1.80.1"], targets: true });
    const { err, code } = await setup({ RUSTUP_TOOLCHAIN: "1.80.1" });
    assert.match(err, /This needs Rust 1\.\d+ or newer.* This is rustc 1\.80\.1/);
    assert.deepEqual([code, told()], [1, []]);
  });
});

describe("npm test -- compiled, without Go and Maven", () => {
  const script = `
    import { buildAllCompiled, tellLeftOut } from "./scripts/lib/compiled.mjs";
    const { files, leftOut } = await buildAllCompiled();
    console.log(files.join(" "));
    if (!tellLeftOut(leftOut)) process.exitCode = 1;
  `;
  let tools;
  before(() => {
    tools = mkdtempSync(join(folder, "bin-"));
    writeFileSync(join(tools, "cargo"), "#!/bin/sh\n");
    chmodSync(join(tools, "cargo"), 0o755);
  });
  const build = (env) =>
    node(["--input-type=module", "--eval", script], { PATH: tools, HOME: tools, CARGO_HOME: null, ...env });

  for (const [where, CI, code] of [
    ["on a laptop", null, 0],
    ["in CI", "true", 1],
  ]) {
    it(`${where}: what is left out and what to install, and the exit code is ${code}`, async () => {
      const result = await build({ CI });
      const built = result.out.split("\n").filter((line) => line.startsWith("tests/"));
      assert.deepEqual(built, ["tests/compiled/clients-rust/clients.test.mjs"]);
      const leftOut = [...result.err.matchAll(/Left out: (.+)\n {2}This needs (Go|a JDK) /g)];
      const needs = Object.fromEntries(
        leftOut.flatMap(([, files, what]) => files.split(", ").map((file) => [file, what])),
      );
      assert.equal(needs["tests/compiled/clients-go/clients.test.mjs"], "Go");
      assert.equal(needs["tests/compiled/clients-java/clients.test.mjs"], "a JDK");
      const files = readdirSync(projectPath("tests/compiled"), { recursive: true })
        .filter((name) => name.endsWith(".test.mjs"))
        .map((name) => `tests/compiled/${name}`);
      assert.deepEqual([...built, ...Object.keys(needs)].sort(), files.sort());
      assert.equal(result.code, code);
    });
  }
});

describe("npm run deploy, with the real Wrangler before a Cloudflare of its own", () => {
  const ACCOUNT = "0123456789abcdef0123456789abcdef";
  const queues = [/^queue = "(.+)"$/m, /^dead_letter_queue = "(.+)"$/m].map(
    (pattern) => pattern.exec(readFileSync(projectPath("wrangler.toml"), "utf8"))[1],
  );
  let asked;
  let answers;
  const cloudflare = createServer((request, response) => {
    const path = request.url.replace("/client/v4", "");
    const known = Object.keys(answers).find((key) => `${request.method} ${path}`.startsWith(key));
    text(request).then((body) => {
      if (path.includes("/queues")) asked.push(`${request.method} ${body && JSON.parse(body).queue_name}`.trim());
      const { status = 200, result = null, error } = answers[known] ?? { status: 404, error: [7003, "no such route"] };
      const errors = error ? [{ code: error[0], message: error[1] }] : [];
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ success: !error, result, errors, messages: [] }));
    });
  });
  let url;
  let bare;
  before(async () => {
    cloudflare.listen(0, "127.0.0.1");
    await once(cloudflare, "listening");
    url = `http://127.0.0.1:${cloudflare.address().port}/client/v4`;
    // A minimal Worker, which is deployed in place of the project's without a build.
    bare = join(folder, "wrangler.toml");
    writeFileSync(bare, 'name = "bare"\nmain = "bare.js"\ncompatibility_date = "2026-11-01"\n');
    writeFileSync(join(folder, "bare.js"), 'export default { fetch: () => new Response("") };');
  });
  beforeEach(() => {
    asked = [];
  });
  after(() => cloudflare.close());

  const GET = `GET /accounts/${ACCOUNT}/queues`;
  const POST = `POST /accounts/${ACCOUNT}/queues`;
  const none = { result: [] };
  const one = { result: [{ queue_name: "x", queue_id: "1", producers_total_count: 0, consumers_total_count: 0 }] };

  const deploy = (env = {}) =>
    node(["scripts/deploy.mjs", "--config", bare, "--dry-run"], {
      CLOUDFLARE_API_BASE_URL: url,
      CLOUDFLARE_API_TOKEN: "token",
      CLOUDFLARE_ACCOUNT_ID: ACCOUNT,
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_SEND_ERROR_REPORTS: "false",
      WRANGLER_WRITE_LOGS: "false",
      XDG_CONFIG_HOME: folder,
      ...env,
    });
  const deployed = ({ out, err, code }) => {
    assert.match(out, /--dry-run: exiting now/, err);
    assert.equal(code, 0);
  };
  const ended = ({ out, err, code }, words) => {
    assert.match(err, words);
    assert.match(err, /"npx wrangler login"/);
    assert.doesNotMatch(out, /--dry-run: exiting now/);
    assert.equal(code, 1);
  };

  it("the queues are there", async () => {
    answers = { [GET]: one };
    deployed(await deploy());
    assert.deepEqual(asked, ["GET", "GET"]);
  });

  it("the queues are not there: they are created", async () => {
    answers = { [GET]: none, [POST]: one };
    deployed(await deploy());
    assert.deepEqual(asked, ["GET", `POST ${queues[0]}`, "GET", `POST ${queues[1]}`]);
  });

  for (const error of [
    [11009, "Queue name 'x' is already taken. Please use a different name and try again."],
    [11009, "other words"],
    [10000, "this queue already exists"],
  ]) {
    it(`created by somebody else meanwhile, "${error[1]}": it goes on`, async () => {
      answers = { [GET]: none, [POST]: { status: 409, error } };
      deployed(await deploy());
      assert.equal(asked.length, 4);
    });
  }

  for (const [status, code, message] of [
    [403, 10000, "Authentication error"],
    [400, 7003, "Could not route to /accounts/x/queues, perhaps your object identifier is invalid?"],
    [404, 10007, "this account does not exist"],
  ]) {
    it(`Wrangler cannot know (${message}): its words, and nothing is created`, async () => {
      answers = { [GET]: { status, error: [code, message] }, [POST]: one };
      ended(await deploy(), new RegExp(message.slice(0, 30)));
      assert.deepEqual(asked, ["GET"]);
    });
  }

  it("two accounts: its words, and nothing is created", async () => {
    const accounts = ["one", "two"].map((name) => ({ id: name.padEnd(32, "0"), name }));
    const memberships = accounts.map((account, n) => ({ id: `${n}`, account }));
    answers = { "GET /memberships": { result: memberships }, "GET /accounts": { result: accounts }, [POST]: one };
    ended(await deploy({ CLOUDFLARE_ACCOUNT_ID: null }), /More than one account available/);
    assert.deepEqual(asked, []);
  });

  it("nobody is logged in: its words, and nothing is created", async () => {
    answers = { [POST]: one };
    ended(await deploy({ CLOUDFLARE_API_TOKEN: null }), /CLOUDFLARE_API_TOKEN/);
    assert.deepEqual(asked, []);
  });

  it("a queue cannot be created: its words, and nothing is deployed", async () => {
    answers = { [GET]: none, [POST]: { status: 403, error: [10023, "Queues is unavailable on your current plan."] } };
    ended(await deploy(), /Queues is unavailable on your current plan/);
    assert.deepEqual(asked, ["GET", `POST ${queues[0]}`]);
  });
});

import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { UserError } from "../../../../src/core/errors.ts";
import type { SshLogin } from "../../../../src/runner/remote/ssh_target.ts";
import type {
  AuthRequest,
  KeyLibrary,
  LibraryAgent,
  LibraryKey,
} from "../../../../src/runner/ssh/library.ts";
import { Login } from "../../../../src/runner/ssh/login.ts";

const PASSWORD = "s3cret of the password";
const PASSPHRASE = "s3cret of the key";
const EVERY_METHOD = ["publickey", "password", "keyboard-interactive"];

function key(name: string): LibraryKey {
  return {
    type: "ssh-ed25519",
    getPublicSSH: () => Buffer.from(name),
    isPrivateKey: () => true,
    getPrivatePEM: () => name,
  };
}

class StandInAgent implements LibraryAgent {
  keys: LibraryKey[] = [];
  getIdentities(callback: (error: Error | null, keys?: LibraryKey[]) => void): void {
    callback(null, this.keys);
  }
  sign(): void {}
}

/** An agent with keys of these names; key files that hold their own names. */
function library(agentKeys: readonly string[]): KeyLibrary {
  return {
    parseKey: (text) => key(String(text)),
    createAgent: () => Object.assign(new StandInAgent(), { keys: agentKeys.map(key) }),
    BaseAgent: StandInAgent,
  };
}

interface Scene {
  login?: Partial<SshLogin>;
  agentKeys?: string[];
  /** Key files under `~/.ssh`, by name; their content is the key. */
  files?: Record<string, string>;
  isHostKnown?: boolean;
  methods?: string[];
}

interface Told {
  requests: AuthRequest[];
  names: string[];
  refusal: UserError;
  said: string[];
}

/** Lets a node refuse everything, and tells what it was offered. */
async function offered(scene: Scene): Promise<Told> {
  const home = await Deno.makeTempDir({ prefix: "login-test-" });
  try {
    await Deno.mkdir(`${home}/.ssh`);
    for (const [name, content] of Object.entries(scene.files ?? {})) {
      await Deno.writeTextFile(`${home}/.ssh/${name}`, content, { mode: 0o600 });
    }
    const said: string[] = [];
    const given = scene.login ?? {};
    const identityFile = given.identityFile && { identityFile: `${home}/.ssh/${given.identityFile}` };
    const login = new Login({
      target: { host: "pve1", port: 22, user: "root" },
      login: {
        method: "auto",
        ...(scene.agentKeys && { agentSocket: "/agent" }),
        ...given,
        ...identityFile,
      },
      trust: { hostKeyCheck: "strict", recordIn: "/none" },
      connectTimeout: 1000,
      keepalive: 1000,
      say: (text) => said.push(text),
    }, {
      library: library(scene.agentKeys ?? []),
      home,
      mayHavePassword: () => scene.isHostKnown ?? true,
    });
    const requests: AuthRequest[] = [];
    let next = await login.next(null);
    while (next) {
      requests.push(next);
      next = await login.next(scene.methods ?? EVERY_METHOD);
    }
    const names = await Promise.all(requests.slice(1).map(nameOf));
    assert.equal(requests[0]?.type, "none");
    return { requests, names, refusal: login.refusal(), said };
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

function nameOf(request: AuthRequest): Promise<string> | string {
  if (request.type === "publickey") return `file ${request.key.getPublicSSH()}`;
  if (request.type !== "agent") return request.type;
  return new Promise((resolve) =>
    request.agent.getIdentities((_error, keys) => resolve(`agent ${keys!.map((one) => one.getPublicSSH())}`))
  );
}

Deno.test("Login tries the agent's keys, the usual files, the password, then the question for it", async () => {
  const { names } = await offered({
    agentKeys: ["A"],
    files: { id_rsa: "R", id_ed25519: "E", id_dsa: "D" },
    login: { password: PASSWORD },
  });
  assert.deepEqual(names, ["agent A", "file E", "file R", "password", "keyboard-interactive"]);
});

Deno.test("Login never makes more than five attempts, and leaves some to what comes after an agent", async () => {
  const agentKeys = ["A", "B", "C", "D", "E", "F", "G"];
  const all = { id_ed25519: "1", id_ecdsa: "2", id_rsa: "3" };
  assert.equal((await offered({ agentKeys })).names.length, 5);
  assert.deepEqual((await offered({ agentKeys, login: { password: PASSWORD } })).names, [
    "agent A",
    "agent B",
    "agent C",
    "agent D",
    "password",
  ]);
  const full = await offered({ agentKeys, files: all, login: { password: PASSWORD } });
  assert.deepEqual(full.names, ["agent A", "agent B", "file 1", "file 2", "password"]);
});

Deno.test("Login offers a key of the agent only once, though its file is there too", async () => {
  const { names } = await offered({ agentKeys: ["E", "A"], files: { id_ed25519: "E" } });
  assert.deepEqual(names, ["agent E", "agent A"]);
});

Deno.test("Login tries a key file that was named before the agent, and no other file", async () => {
  const { names } = await offered({
    agentKeys: ["A"],
    files: { mine: "M", id_rsa: "R" },
    login: { identityFile: "mine" },
  });
  assert.deepEqual(names, ["file M", "agent A"]);
});

Deno.test("Login keeps to the method that was asked for", async () => {
  const scene = { agentKeys: ["A"], files: { id_rsa: "R", mine: "M" } };
  const named = async (login: Partial<SshLogin>) => (await offered({ ...scene, login })).names;
  assert.deepEqual(await named({ method: "agent", password: PASSWORD }), ["agent A"]);
  assert.deepEqual(await named({ method: "identity", identityFile: "mine", password: PASSWORD }), ["file M"]);
  assert.deepEqual(await named({ method: "password", password: PASSWORD }), [
    "password",
    "keyboard-interactive",
  ]);
});

Deno.test("Login offers only what the node takes", async () => {
  const scene = { agentKeys: ["A"], login: { password: PASSWORD } };
  assert.deepEqual((await offered({ ...scene, methods: ["publickey"] })).names, ["agent A"]);
  assert.deepEqual((await offered({ ...scene, methods: ["keyboard-interactive"] })).names, [
    "keyboard-interactive",
  ]);
  const { refusal } = await offered({ methods: ["password", "hostbased"] });
  assert.match(refusal.sentence, /takes only password, hostbased/);
});

Deno.test("Login never hands a password to a host key that nobody knew before, and says why", async () => {
  for (const method of ["auto", "password"] as const) {
    const { names, refusal } = await offered({ isHostKnown: false, login: { method, password: PASSWORD } });
    assert.deepEqual(names, []);
    assert.equal(refusal.kind, "unreachable");
    assert.match(refusal.sentence, /the password was not sent.*host_key_fingerprint/);
  }
});

Deno.test("Login names what it tried, and no secret", async () => {
  const { refusal } = await offered({
    agentKeys: ["A", "B"],
    files: { id_ed25519: "E" },
    login: { password: PASSWORD, identityPassphrase: PASSPHRASE },
  });
  assert.equal(refusal.kind, "unreachable");
  assert.match(
    refusal.message,
    /^Cannot log in to "root@pve1": .*the agent's 2 keys, ".*id_ed25519", the password/,
  );
  assert.ok(!refusal.sentence.includes("s3cret"));
});

Deno.test("Login skips an encrypted key without passphrase in auto, and refuses to go on where it was asked for", async () => {
  const encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
  const files = { id_rsa: encrypted, id_ecdsa: "C" };
  const { names, refusal } = await offered({ files });
  assert.deepEqual(names, ["file C"]);
  assert.match(refusal.message, /id_rsa" was not tried: it is encrypted/);
  await assert.rejects(offered({ files, login: { method: "identity", identityFile: "id_rsa" } }), (error) => {
    return error instanceof UserError && error.kind === "usage" &&
      /conn_identity_passphrase/.test(error.sentence);
  });
});

Deno.test("Login refuses to go on when the key file that was named is not there", async () => {
  for (const method of ["auto", "identity"] as const) {
    await assert.rejects(offered({ login: { method, identityFile: "none" } }), (error) => {
      return error instanceof UserError && error.kind === "usage" &&
        /".*none": there is no such file/.test(error.message);
    });
  }
});

Deno.test("Login says what is missing when there is nothing to try", async () => {
  assert.match((await offered({ login: { method: "agent" } })).refusal.message, /SSH_AUTH_SOCK/);
  assert.match(
    (await offered({ agentKeys: [], login: { method: "agent" } })).refusal.message,
    /holds no keys/,
  );
  assert.match(
    (await offered({ login: { method: "password" } })).refusal.message,
    /conn_password is not set/,
  );
});

Deno.test("Login answers one hidden question with the password, and nothing else", async () => {
  const { requests } = await offered({ login: { method: "password", password: PASSWORD } });
  const request = requests.at(-1)!;
  assert.ok(request.type === "keyboard-interactive");
  const ask = (...prompts: { prompt: string; echo: boolean }[]) => {
    let answers: string[] = ["none given"];
    request.prompt("", "", "", prompts, (given) => answers = given);
    return answers;
  };
  const hidden = { prompt: "Password: ", echo: false };
  assert.deepEqual(ask({ prompt: "Name: ", echo: true }), [""]);
  assert.deepEqual(ask(hidden, hidden), ["", ""]);
  assert.deepEqual(ask(hidden), [PASSWORD]);
  assert.deepEqual(ask({ prompt: "Code: ", echo: false }), [""], "a second factor");
});

Deno.test("Login goes on with another method when the first is not enough, and tells so when there is none", async () => {
  const login = new Login({
    target: { host: "pve1", port: 22, user: "root" },
    login: { method: "agent", agentSocket: "/agent" },
    trust: { hostKeyCheck: "strict", recordIn: "/none" },
    connectTimeout: 1000,
    keepalive: 1000,
    say: () => {},
  }, { library: library(["A"]), home: undefined, mayHavePassword: () => true });
  await login.next(null);
  assert.ok(await login.next(["publickey"]));
  assert.equal(await login.next(["password"], true), false);
  assert.match(login.refusal().sentence, /accepted and is not enough.*takes only password/);
});

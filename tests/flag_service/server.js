// A company's flag service: flagd's own evaluator of JavaScript, behind OpenFeature's remote evaluation
// protocol. Arguments: a file of flags, which is read at each request, and the key that callers need.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

import { FlagdCore } from "@openfeature/flagd-core";

const [file, key] = process.argv.slice(2);

function evaluate(request, body) {
  if (request.headers.authorization !== `Bearer ${key}`) return { status: 401 };
  if (request.method !== "POST" || request.url !== "/ofrep/v1/evaluate/flags") return { status: 404 };
  const context = JSON.parse(body).context;
  if (!context?.targetingKey) {
    return { status: 400, body: { errorCode: "TARGETING_KEY_MISSING" } };
  }
  const flags = readFileSync(file, "utf8");
  const etag = `"${createHash("sha256").update(flags).digest("hex")}"`;
  if (request.headers["if-none-match"] === etag) return { status: 304, etag };
  const core = new FlagdCore();
  core.setConfigurations(flags);
  const all = core.resolveAll(context).map(({ flagKey, value, variant, reason, flagMetadata }) => {
    return { key: flagKey, value, variant, reason, metadata: flagMetadata };
  });
  return { status: 200, etag, body: { flags: all } };
}

const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const answer = evaluate(request, body);
  const headers = { "content-type": "application/json" };
  if (answer.etag) headers.etag = answer.etag;
  response.writeHead(answer.status, headers);
  response.end(answer.body && JSON.stringify(answer.body));
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));

// An acquire must carry a ticket in a label. Functions and fields are those of wit/policy.wit, in
// camel case; `trace` is a global. Numbers of 64 bits are exact up to 2 ** 53.

const schema = {
  type: "object",
  additionalProperties: false,
  required: ["label", "prefix"],
  properties: {
    label: { type: "string", minLength: 1 },
    prefix: { type: "string", minLength: 1 },
  },
};

export function describe() {
  return {
    name: "needs-ticket",
    version: "0.1.0",
    operations: ["acquire"],
    needsLock: false,
    needsUsage: false,
    configSchema: JSON.stringify(schema),
  };
}

// Refuses what the schema cannot: what is thrown is the reason.
export function check(config) {
  const { label } = JSON.parse(config);
  if (label.trim() !== label) {
    throw "label: must not begin or end with a space";
  }
}

// Judges one request. A pure function: there is no clock, and nothing lasts from call to call.
export function decide(request, principal, facts, config) {
  const { label, prefix } = JSON.parse(config);
  trace(`${principal.subject} asks for ${request.lock}`);
  const ticket = request.labels.find((pair) => pair.key === label);
  if (ticket === undefined) {
    return deny("no-ticket", `add the label ${label}`);
  }
  if (!ticket.value.startsWith(prefix)) {
    return deny("bad-ticket", `${ticket.value} does not begin with ${prefix}`);
  }
  return { tag: "allow", val: { maxTtlMs: undefined, maxHoldMs: undefined } };
}

function deny(code, message) {
  return { tag: "deny", val: { code, message, retryAfterMs: undefined } };
}

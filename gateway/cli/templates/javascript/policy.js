// An acquire must carry a ticket in a label. Functions and fields are those of wit/policy.wit, in
// camel case; `trace` is a global. Numbers of 64 bits are exact up to 2 ** 53.

const schema = {
  type: "object",
  additionalProperties: false,
  required: ["label", "prefix"],
  properties: {
    label: { type: "string", minLength: 1 },
    prefix: { type: "string", minLength: 1 },
    // How many leases a ticket may have at a time.
    max_leases: { type: "integer", minimum: 1, maximum: 1000000 },
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
    // The rule sees only these inputs, so the gateway may cache its verdicts. With `undefined` it sees
    // all inputs, and its verdicts are not cached.
    reads: {
      fields: ["request.lock", "request.labels", "principal.subject"],
      nowGranularityMs: undefined,
    },
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
  const { label, prefix, max_leases } = JSON.parse(config);
  trace(`${principal.subject} asks for ${request.lock}`);
  const ticket = request.labels.find((pair) => pair.key === label);
  if (ticket === undefined) {
    return deny("no-ticket", `add the label ${label}`);
  }
  if (!ticket.value.startsWith(prefix)) {
    return deny("bad-ticket", `${ticket.value} does not begin with ${prefix}`);
  }
  return allow(counters(ticket.value, max_leases));
}

// If the configuration limits the leases of a ticket, the gateway counts them, and denies an
// acquire that would exceed the limit.
function counters(ticket, maximum) {
  if (maximum === undefined) {
    return [];
  }
  return [{ name: `ticket:${ticket}`, maximum, code: "ticket-in-use" }];
}

function allow(counters) {
  return { tag: "allow", val: { maxTtlMs: undefined, maxHoldMs: undefined, counters } };
}

function deny(code, message) {
  return { tag: "deny", val: { code, message, retryAfterMs: undefined } };
}

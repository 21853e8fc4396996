// The rule: an acquire must carry a ticket in a label.
import { Counter, Denial, Facts, Principal, Request, Verdict } from "./abi";
import { member } from "./json";

// The configuration that a binding gives; it satisfies `SCHEMA`.
export class Config {
  // The label that holds the ticket.
  label: string;
  // What the ticket begins with.
  prefix: string;
  // How many leases a ticket may have at a time; 0 for any number.
  maxLeases: u32;

  constructor(json: string) {
    this.label = member(json, "label");
    this.prefix = member(json, "prefix");
    const maxLeases = member(json, "max_leases");
    this.maxLeases = maxLeases == "" ? 0 : <u32>parseInt(maxLeases);
  }

  // Refuses what the schema cannot. Returns the reason, or null.
  problem(): string | null {
    if (this.label.trim() != this.label) return "label: must not begin or end with a space";
    return null;
  }
}

export const SCHEMA =
  '{"type":"object","additionalProperties":false,"required":["label","prefix"],' +
  '"properties":{"label":{"type":"string","minLength":1},"prefix":{"type":"string","minLength":1},' +
  '"max_leases":{"type":"integer","minimum":1,"maximum":1000000}}}';

// Judges one request. A pure function: there is no clock and no memory of earlier requests.
export function decide(request: Request, who: Principal, facts: Facts, config: Config): Verdict {
  for (let i = 0; i < request.labels.length; i++) {
    const label = request.labels[i];
    if (label.key != config.label) continue;
    if (label.value.startsWith(config.prefix)) return allow(label.value, config);
    const message = label.value + " does not begin with " + config.prefix;
    return new Verdict(new Denial("bad-ticket", message));
  }
  return new Verdict(new Denial("no-ticket", "add the label " + config.label));
}

// Allows. If the configuration limits the leases of a ticket, the gateway counts them, and denies an
// acquire that would exceed the limit.
function allow(ticket: string, config: Config): Verdict {
  const verdict = new Verdict(null);
  if (config.maxLeases > 0) {
    const counter = new Counter("ticket:" + ticket, config.maxLeases);
    counter.code = "ticket-in-use";
    verdict.counters = [counter];
  }
  return verdict;
}

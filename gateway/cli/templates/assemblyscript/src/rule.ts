// The rule: an acquire must carry a ticket in a label.
import { Denial, Facts, Principal, Request, Verdict } from "./abi";
import { member } from "./json";

// The configuration that a binding gives; it satisfies `SCHEMA`.
export class Config {
  // The label that holds the ticket.
  label: string;
  // What the ticket begins with.
  prefix: string;

  constructor(json: string) {
    this.label = member(json, "label");
    this.prefix = member(json, "prefix");
  }

  // Refuses what the schema cannot. Returns the reason, or null.
  problem(): string | null {
    if (this.label.trim() != this.label) return "label: must not begin or end with a space";
    return null;
  }
}

export const SCHEMA =
  '{"type":"object","additionalProperties":false,"required":["label","prefix"],' +
  '"properties":{"label":{"type":"string","minLength":1},"prefix":{"type":"string","minLength":1}}}';

// Judges one request. A pure function: there is no clock and no memory of earlier requests.
export function decide(request: Request, who: Principal, facts: Facts, config: Config): Verdict {
  for (let i = 0; i < request.labels.length; i++) {
    const label = request.labels[i];
    if (label.key != config.label) continue;
    if (label.value.startsWith(config.prefix)) return new Verdict(null);
    const message = label.value + " does not begin with " + config.prefix;
    return new Verdict(new Denial("bad-ticket", message));
  }
  return new Verdict(new Denial("no-ticket", "add the label " + config.label));
}

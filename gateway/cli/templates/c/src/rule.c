#include "rule.h"

#include "text.h"

#include <string.h>

bool read_config(policy_string_t json, config_t *config, policy_string_t *problem) {
  if (!json_member(json, "label", &config->label) || !json_member(json, "prefix", &config->prefix)) {
    *problem = text("label and prefix: must be there");
    return false;
  }
  config->max_leases = 0;
  json_number(json, "max_leases", &config->max_leases);
  const uint8_t *label = config->label.ptr;
  size_t length = config->label.len;
  if (length > 0 && (label[0] == ' ' || label[length - 1] == ' ')) {
    *problem = text("label: must not begin or end with a space");
    return false;
  }
  return true;
}

static policy_verdict_t deny(const char *code, policy_string_t message) {
  policy_verdict_t verdict = {.tag = LEASEHOLD_POLICY_TYPES_VERDICT_DENY};
  verdict.val.deny.code = text(code);
  verdict.val.deny.message = message;
  verdict.val.deny.retry_after_ms.is_some = false;
  return verdict;
}

// Allows. If the configuration limits the leases of a ticket, the gateway counts them, and denies an
// acquire that would exceed the limit.
static policy_verdict_t allow(policy_string_t ticket, const config_t *config) {
  static leasehold_policy_types_counter_t counter;
  policy_verdict_t verdict = {.tag = LEASEHOLD_POLICY_TYPES_VERDICT_ALLOW};
  verdict.val.allow.max_ttl_ms.is_some = false;
  verdict.val.allow.max_hold_ms.is_some = false;
  if (config->max_leases > 0) {
    counter.name = join(text("ticket:"), ticket);
    counter.maximum = config->max_leases;
    counter.code.is_some = true;
    counter.code.val = text("ticket-in-use");
    verdict.val.allow.counters.ptr = &counter;
    verdict.val.allow.counters.len = 1;
  }
  return verdict;
}

policy_verdict_t decide(const policy_request_t *request, const config_t *config) {
  const policy_string_t *ticket = NULL;
  for (size_t i = 0; i < request->labels.len; i++) {
    if (equal(request->labels.ptr[i].key, config->label)) {
      ticket = &request->labels.ptr[i].value;
    }
  }
  if (ticket == NULL) {
    return deny("no-ticket", join(text("add the label "), config->label));
  }
  if (ticket->len < config->prefix.len ||
      memcmp(ticket->ptr, config->prefix.ptr, config->prefix.len) != 0) {
    policy_string_t message = join(*ticket, text(" does not begin with "));
    return deny("bad-ticket", join(message, config->prefix));
  }
  return allow(*ticket, config);
}

// The rule: an acquire must carry a ticket in a label.
#pragma once

#include "policy.h"

// The configuration that a binding gives; it satisfies the schema in component.c.
typedef struct {
  policy_string_t label;  // the label that holds the ticket
  policy_string_t prefix; // what the ticket begins with
  uint32_t max_leases;    // how many leases a ticket may have at a time; 0 for any number
} config_t;

// Reads the configuration, and refuses what the schema cannot. Returns false with `problem` set.
bool read_config(policy_string_t json, config_t *config, policy_string_t *problem);

// Judges one request. A pure function: there is no clock and no memory of earlier requests.
policy_verdict_t decide(const policy_request_t *request, const config_t *config);

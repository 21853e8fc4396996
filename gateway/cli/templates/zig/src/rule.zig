//! The rule: an acquire must carry a ticket in a label.

const std = @import("std");
const abi = @import("abi.zig");

/// The configuration that a binding gives; it satisfies `schema.json`.
pub const Config = struct {
    /// The label that holds the ticket.
    label: []const u8,
    /// What the ticket begins with.
    prefix: []const u8,
    /// How many leases a ticket may have at a time.
    max_leases: ?u32 = null,

    pub fn read(json: []const u8) !Config {
        return std.json.parseFromSliceLeaky(Config, abi.allocator(), json, .{});
    }

    /// Refuses what the schema cannot. Returns the reason, or null.
    pub fn problem(config: Config) ?[]const u8 {
        if (std.mem.trim(u8, config.label, " ").len != config.label.len) {
            return "label: must not begin or end with a space";
        }
        return null;
    }
};

/// Judges one request. A pure function: there is no clock and no memory of earlier requests.
pub fn decide(request: *const abi.Request, config: Config) !abi.Verdict {
    for (request.labels.items()) |label| {
        if (!std.mem.eql(u8, label.key.slice(), config.label)) continue;
        const ticket = label.value.slice();
        if (std.mem.startsWith(u8, ticket, config.prefix)) return allow(ticket, config);
        return abi.Verdict.deny("bad-ticket", "{s} does not begin with {s}", .{ ticket, config.prefix });
    }
    return abi.Verdict.deny("no-ticket", "add the label {s}", .{config.label});
}

/// Allows. If the configuration limits the leases of a ticket, the gateway counts them, and denies an
/// acquire that would exceed the limit.
fn allow(ticket: []const u8, config: Config) !abi.Verdict {
    const maximum = config.max_leases orelse return abi.Verdict.allow(.{});
    const name = try std.fmt.allocPrint(abi.allocator(), "ticket:{s}", .{ticket});
    const counters = abi.make([1]abi.Counter);
    counters.* = .{.{
        .name = abi.String.of(name),
        .maximum = maximum,
        .code = .some(abi.String.of("ticket-in-use")),
    }};
    return abi.Verdict.allow(.{ .counters = abi.List(abi.Counter).of(counters) });
}

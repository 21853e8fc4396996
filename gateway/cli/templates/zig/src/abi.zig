//! The types of wit/policy.wit in memory, by the component model's canonical ABI, which lays records
//! out as C does. There is no generator of bindings for Zig. What a field means is said in
//! wit/policy.wit.

const std = @import("std");

/// A decision is served from here. The gateway throws the instance away after each call, so nothing
/// is given back.
var arena: [512 * 1024]u8 align(16) = undefined;
var fixed = std.heap.FixedBufferAllocator.init(&arena);

pub fn allocator() std.mem.Allocator {
    return fixed.allocator();
}

pub fn make(comptime T: type) *T {
    return allocator().create(T) catch @trap();
}

/// Gives the gateway memory for arguments.
export fn cabi_realloc(_: usize, _: usize, alignment: usize, size: usize) usize {
    if (size == 0) return alignment;
    const made = allocator().alignedAlloc(u8, .@"16", size) catch @trap();
    return @intFromPtr(made.ptr);
}

extern "$root" fn trace(text: [*]const u8, length: usize) void;

/// Tells the author what the policy thinks; shown by `leasehold policy explain`.
pub fn say(comptime format: []const u8, arguments: anytype) void {
    const text = std.fmt.allocPrint(allocator(), format, arguments) catch return;
    trace(text.ptr, text.len);
}

pub fn List(comptime T: type) type {
    return extern struct {
        at: usize,
        length: usize,

        pub const empty: @This() = .{ .at = 0, .length = 0 };

        pub fn of(list: []const T) @This() {
            // The pointer of an empty slice may lie outside the memory, which the gateway refuses.
            if (list.len == 0) return empty;
            return .{ .at = @intFromPtr(list.ptr), .length = list.len };
        }

        pub fn items(list: @This()) []const T {
            if (list.length == 0) return &.{};
            const first: [*]const T = @ptrFromInt(list.at);
            return first[0..list.length];
        }
    };
}

pub const String = extern struct {
    at: usize,
    length: usize,

    pub fn of(text: []const u8) String {
        return .{ .at = @intFromPtr(text.ptr), .length = text.len };
    }

    pub fn slice(text: String) []const u8 {
        if (text.length == 0) return "";
        const first: [*]const u8 = @ptrFromInt(text.at);
        return first[0..text.length];
    }
};

pub fn Option(comptime T: type) type {
    return extern struct {
        is_some: u8,
        value: T,

        pub const none: @This() = .{ .is_some = 0, .value = std.mem.zeroes(T) };

        pub fn some(value: T) @This() {
            return .{ .is_some = 1, .value = value };
        }

        pub fn get(option: @This()) ?T {
            return if (option.is_some == 1) option.value else null;
        }
    };
}

pub const Pair = extern struct { key: String, value: String };

/// `is_shared` is 0 for exclusive.
pub const Mode = extern struct { is_shared: u8, permits: u32 };

pub const Request = extern struct {
    operation: String,
    namespace: String,
    lock: String,
    mode: Option(Mode),
    ttl_ms: Option(u64),
    wait_ms: Option(u64),
    grace_ms: Option(u64),
    instance: Option(String),
    labels: List(Pair),
    reason: Option(String),
    value: Option(String),
    successor: Option(String),
    lease: Option(String),
};

pub const Principal = extern struct {
    subject: String,
    team: Option(String),
    roles: List(String),
    claims: List(Pair),
};

pub const Holder = extern struct {
    lease: String,
    subject: String,
    team: Option(String),
    instance: Option(String),
    labels: List(Pair),
    reason: Option(String),
    mode: Mode,
    token: u64,
    since_ms: u64,
    remaining_ms: u64,
    draining: u8,
};

pub const LockView = extern struct {
    revision: u64,
    limit: u32,
    holders: List(Holder),
    waiters: u32,
    cooldown_remaining_ms: u64,
    reserved_for: Option(String),
    last_token: u64,
};

pub const Usage = extern struct { subject_leases: u32, team_leases: u32 };

pub const Facts = extern struct {
    now_ms: u64,
    utc_weekday: u8,
    utc_day_ms: u32,
    lock: Option(LockView),
    usage: Option(Usage),
};

pub const Arguments = extern struct {
    request: Request,
    principal: Principal,
    facts: Facts,
    config: String,
};

pub const Manifest = extern struct {
    name: String,
    version: String,
    operations: List(String),
    needs_lock: u8,
    needs_usage: u8,
    config_schema: String,
    reads: Option(Inputs),
};

pub const Inputs = extern struct { fields: List(String), now_granularity_ms: Option(u64) };

pub const Counter = extern struct { name: String, maximum: u32, code: Option(String) };

pub const Limits = extern struct {
    max_ttl_ms: Option(u64) = .none,
    max_hold_ms: Option(u64) = .none,
    counters: List(Counter) = .empty,
};

pub const Denial = extern struct {
    code: String,
    message: String,
    retry_after_ms: Option(u64),
};

pub const Verdict = extern struct {
    is_denial: u8,
    value: extern union { limits: Limits, denial: Denial },

    pub fn allow(limits: Limits) Verdict {
        return .{ .is_denial = 0, .value = .{ .limits = limits } };
    }

    pub fn deny(code: []const u8, comptime format: []const u8, arguments: anytype) !Verdict {
        const message = try std.fmt.allocPrint(allocator(), format, arguments);
        const denial = Denial{
            .code = String.of(code),
            .message = String.of(message),
            .retry_after_ms = .none,
        };
        return .{ .is_denial = 1, .value = .{ .denial = denial } };
    }
};

pub const Checked = extern struct { is_error: u8, message: String };

pub fn accepted() *const Checked {
    const answer = make(Checked);
    answer.* = .{ .is_error = 0, .message = String.of("") };
    return answer;
}

pub fn refused(problem: []const u8) *const Checked {
    const answer = make(Checked);
    answer.* = .{ .is_error = 1, .message = String.of(problem) };
    return answer;
}

pub const Decided = extern struct {
    is_error: u8,
    value: extern union { verdict: Verdict, message: String },
};

pub fn decided(verdict: Verdict) *const Decided {
    const answer = make(Decided);
    answer.* = .{ .is_error = 0, .value = .{ .verdict = verdict } };
    return answer;
}

/// Says that the policy could not decide; its binding says what follows.
pub fn undecided(reason: []const u8) *const Decided {
    const answer = make(Decided);
    answer.* = .{ .is_error = 1, .value = .{ .message = String.of(reason) } };
    return answer;
}

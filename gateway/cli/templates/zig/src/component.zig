//! The component: what the gateway calls. The rule itself is in `rule.zig`.

const std = @import("std");
const abi = @import("abi.zig");
const rule = @import("rule.zig");

export fn describe() *const abi.Manifest {
    const manifest = abi.make(abi.Manifest);
    const operations = abi.make([1]abi.String);
    operations.* = .{abi.String.of("acquire")};
    // The rule sees only these inputs, so the gateway may cache its verdicts. With `.reads = .none` it
    // sees all inputs, and its verdicts are not cached.
    const reads = abi.make([3]abi.String);
    reads.* = .{
        abi.String.of("request.lock"),
        abi.String.of("request.labels"),
        abi.String.of("principal.subject"),
    };
    manifest.* = .{
        .name = abi.String.of("needs-ticket"),
        .version = abi.String.of("0.1.0"),
        .operations = abi.List(abi.String).of(operations),
        .needs_lock = 0,
        .needs_usage = 0,
        .config_schema = abi.String.of(@embedFile("schema.json")),
        .reads = .some(.{
            .fields = abi.List(abi.String).of(reads),
            .now_granularity_ms = .none,
        }),
    };
    return manifest;
}

export fn check(config: usize, length: usize) *const abi.Checked {
    const text = abi.String{ .at = config, .length = length };
    const read = rule.Config.read(text.slice()) catch |failed| return abi.refused(@errorName(failed));
    return if (read.problem()) |problem| abi.refused(problem) else abi.accepted();
}

export fn decide(arguments: *const abi.Arguments) *const abi.Decided {
    return judged(arguments) catch |failed| abi.undecided(@errorName(failed));
}

fn judged(arguments: *const abi.Arguments) !*const abi.Decided {
    const config = try rule.Config.read(arguments.config.slice());
    const subject = arguments.principal.subject.slice();
    abi.say("{s} asks for {s}", .{ subject, arguments.request.lock.slice() });
    return abi.decided(try rule.decide(&arguments.request, config));
}

/// Traces the text of a panic: the gateway shows authors what was traced last.
pub const panic = std.debug.FullPanic(panicked);

fn panicked(message: []const u8, _: ?usize) noreturn {
    abi.say("panicked: {s}", .{message});
    @trap();
}

//! The policy of @NAME@.

const std = @import("std");
const contract = @import("contract.zig");

comptime {
    contract.use(@This());
}

/// Once for each new instance, before anything else. `settings` is JSON. A text refuses them. What
/// must last as long as the instance comes from `lasting`.
pub fn configure(lasting: std.mem.Allocator, settings: []const u8) ?[]const u8 {
    _ = lasting;
    if (std.mem.eql(u8, settings, "{}")) return null;
    return "@NAME@ has no settings";
}

/// Judges one observation, and must depend on nothing else. What `arena` gives is freed afterwards.
pub fn decide(arena: std.mem.Allocator, seen: *const contract.Observation) contract.Judgement {
    const answer = seen.answer("health") orelse
        return .{ .failure = .{ .unsupported = "there is no source `health`" } };
    return .{ .decision = switch (answer.outcome) {
        .failure => .{
            .health = .unknown,
            .reason = .{ .code = "no-answer", .detail = "it does not answer" },
        },
        .response => |response| judge(arena, &response),
    } };
}

fn judge(arena: std.mem.Allocator, response: *const contract.Response) contract.Decision {
    if (response.status == 0) {
        // A TCP probe: all there is to know is that the port is open.
        return .{ .health = .healthy, .phase = 0, .reason = .{ .code = "ok", .detail = "its port is open" } };
    }
    if (response.status < 200 or response.status > 299) {
        const detail = std.fmt.allocPrint(arena, "HTTP status {d}", .{response.status}) catch "HTTP status";
        return .{ .health = .unhealthy, .reason = .{ .code = "http-status", .detail = detail } };
    }
    if (std.mem.startsWith(u8, response.body, "busy")) {
        return .{
            .health = .healthy,
            .phase = 0,
            .participation = .@"defer",
            .reason = .{ .code = "busy", .detail = "it says that it is busy" },
        };
    }
    return .{ .health = .healthy, .phase = 0, .reason = .{ .code = "ok", .detail = "it answers" } };
}

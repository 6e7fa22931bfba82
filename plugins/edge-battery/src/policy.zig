//! Upgrades edge devices where the power and the network allow it: never on a low battery, those with
//! a strong signal first, ring by ring.

const std = @import("std");
const contract = @import("contract.zig");
const json = @import("json.zig");
const Settings = @import("settings.zig").Settings;

comptime {
    contract.use(@This());
}

/// What a device says of itself. Members that it does not know are ignored.
const Status = struct {
    /// 0 to 100.
    percent: f64,
    charging: bool,
    /// Received signal in dBm, -150 to 0; absent or null on a cable.
    signal: ?f64,
};

/// Classes of signal in each ring; a ring has the phases 3r, 3r+1 and 3r+2.
const classes = 3;

var settings: Settings = .{};

pub fn configure(lasting: std.mem.Allocator, text: []const u8) ?[]const u8 {
    return settings.read(lasting, text);
}

pub fn decide(arena: std.mem.Allocator, seen: *const contract.Observation) contract.Judgement {
    const answer = seen.answer("health") orelse return unsupported("there is no source `health`");
    const response = switch (answer.outcome) {
        .failure => return decided(.{
            .health = .unknown,
            .participation = .@"defer",
            .reason = .{ .code = "no-answer", .detail = "it does not answer" },
        }),
        .response => |response| response,
    };
    if (response.status == 0) return unsupported("a TCP probe brings no status; probe with http or https");
    if (response.status < 200 or response.status > 299) return decided(.{
        .health = .unhealthy,
        .participation = .@"defer",
        .reason = .{ .code = "http-status", .detail = line(arena, "HTTP status {d}", .{response.status}) },
    });
    const ring = readRing(&seen.instance) catch
        return unsupported(line(arena, "label `{s}` is no number from 0 to 1000", .{settings.ring_label}));
    const status = switch (readStatus(arena, response.body)) {
        .status => |status| status,
        .fault => |fault| return unreadable(line(arena, "the answer is no device status: {s}", .{fault})),
    };
    return decided(judge(arena, status, ring));
}

fn judge(arena: std.mem.Allocator, status: Status, ring: u32) contract.Decision {
    const percent: u8 = @intFromFloat(status.percent);
    const class: u32 = if (status.signal) |signal|
        if (signal >= settings.strong_dbm) 0 else if (signal >= settings.weak_dbm) 1 else 2
    else
        0;
    var decision: contract.Decision = .{ .health = .healthy, .phase = ring * classes + class };
    if (!status.charging and status.percent < settings.battery_min) {
        decision.participation = .skip;
        decision.reason = .{
            .code = "on-battery",
            .detail = line(arena, "on battery with {d} % (limit {d} %)", .{ percent, settings.battery_min }),
        };
    } else if (status.charging and status.percent < settings.charging_min) {
        decision.participation = .@"defer";
        decision.reason = .{
            .code = "charging",
            .detail = line(arena, "charging, {d} % so far (limit {d} %)", .{ percent, settings.charging_min }),
        };
    } else {
        const words = [classes][]const u8{ "strong", "fair", "weak" };
        const power: []const u8 = if (status.charging) "on power" else "on battery";
        decision.reason = .{
            .code = "powered",
            .detail = line(arena, "{s} with {d} %, signal {s}, ring {d}", .{ power, percent, words[class], ring }),
        };
    }
    return decision;
}

const Read = union(enum) { status: Status, fault: []const u8 };

/// What is kept of an answer; all else is skipped, and costs no memory.
const Members = struct { battery: std.json.Value = .null, signal: std.json.Value = .null };

/// Reads values as they are and not as numbers, for which Zig also takes texts of digits.
fn readStatus(arena: std.mem.Allocator, body: []const u8) Read {
    const root = std.json.parseFromSliceLeaky(Members, arena, body, .{
        .ignore_unknown_fields = true,
        .duplicate_field_behavior = .use_last,
    }) catch |why| return .{ .fault = switch (why) {
        // The one type that is asked for here.
        error.UnexpectedToken => "it is no object",
        else => line(arena, "it is no JSON ({s})", .{@errorName(why)}),
    } };
    const battery = root.battery;
    if (battery == .null) return wrong(arena, "battery", null, "an object");
    if (battery != .object) return wrong(arena, "battery", battery, "an object");
    const percent = battery.object.get("percent");
    const charging = battery.object.get("charging");
    const charge = json.number(percent, 0, 100) orelse
        return wrong(arena, "battery.percent", percent, "a number from 0 to 100");
    if (charging == null or charging.? != .bool) return wrong(arena, "battery.charging", charging, "true or false");
    var status: Status = .{ .percent = charge, .charging = charging.?.bool, .signal = null };
    if (root.signal != .null) status.signal = json.number(root.signal, -150, 0) orelse
        return wrong(arena, "signal", root.signal, "dBm from -150 to 0, or null");
    return .{ .status = status };
}

fn wrong(arena: std.mem.Allocator, member: []const u8, value: ?std.json.Value, expected: []const u8) Read {
    return .{ .fault = line(arena, "{s} {s}, expected {s}", .{ member, json.show(arena, value), expected }) };
}

fn readRing(instance: *const contract.Instance) !u32 {
    const text = instance.label(settings.ring_label) orelse return 0;
    // Zig's own reader also takes signs and underscores.
    for (text) |byte| if (!std.ascii.isDigit(byte)) return error.InvalidCharacter;
    const ring = try std.fmt.parseInt(u32, text, 10);
    return if (ring > 1000) error.Overflow else ring;
}

fn line(arena: std.mem.Allocator, comptime format: []const u8, args: anytype) []const u8 {
    return std.fmt.allocPrint(arena, format, args) catch format;
}

fn decided(decision: contract.Decision) contract.Judgement {
    return .{ .decision = decision };
}

fn unsupported(detail: []const u8) contract.Judgement {
    return .{ .failure = .{ .unsupported = detail } };
}

fn unreadable(detail: []const u8) contract.Judgement {
    return .{ .failure = .{ .unreadable = detail } };
}

//! The settings of edge-battery, checked once.

const std = @import("std");
const json = @import("json.zig");

pub const Settings = struct {
    /// Below this share of charge, in percent, a device on battery is left out.
    battery_min: u8 = 50,
    /// Below this one, a device that charges is asked again later.
    charging_min: u8 = 20,
    /// From this signal on, in dBm, the first phase of a ring; from the other on the second.
    strong_dbm: i16 = -67,
    weak_dbm: i16 = -85,
    /// Label with the number of the ring.
    ring_label: []const u8 = "ring",

    /// Takes the settings, or says what is wrong with them: which, its value, and what was expected.
    pub fn read(self: *Settings, lasting: std.mem.Allocator, text: []const u8) ?[]const u8 {
        self.* = .{};
        const root = std.json.parseFromSliceLeaky(std.json.Value, lasting, text, .{ .allocate = .alloc_always }) catch
            return "the settings are no JSON";
        if (root != .object) return refuse(lasting, "what was given as settings", root, "an object");
        var members = root.object.iterator();
        while (members.next()) |member| {
            const name = member.key_ptr.*;
            const value = member.value_ptr.*;
            if (!known(name)) {
                const parts = .{ name, names };
                return std.fmt.allocPrint(lasting, "{s} is no setting; known are {s}", parts) catch names;
            }
            if (self.take(name, value)) |expected| return refuse(lasting, name, value, expected);
        }
        if (self.weak_dbm > self.strong_dbm) return std.fmt.allocPrint(
            lasting,
            "weakDbm is {d}, expected no more than strongDbm, which is {d}",
            .{ self.weak_dbm, self.strong_dbm },
        ) catch "weakDbm must not be above strongDbm";
        return null;
    }

    /// Keeps one setting, or says what was expected.
    fn take(self: *Settings, name: []const u8, value: std.json.Value) ?[]const u8 {
        const is = std.mem.eql;
        if (is(u8, name, "batteryMin") or is(u8, name, "chargingMin")) {
            const percent = whole(value, 0, 100) orelse return "whole percent from 0 to 100";
            if (name[0] == 'b') self.battery_min = @intCast(percent) else self.charging_min = @intCast(percent);
        } else if (is(u8, name, "strongDbm") or is(u8, name, "weakDbm")) {
            const dbm = whole(value, -150, 0) orelse return "whole dBm from -150 to 0";
            if (name[0] == 's') self.strong_dbm = @intCast(dbm) else self.weak_dbm = @intCast(dbm);
        } else {
            if (value != .string or value.string.len == 0 or value.string.len > 128)
                return "the name of a label, 1 to 128 bytes";
            self.ring_label = value.string;
        }
        return null;
    }
};

const names = "batteryMin, chargingMin, strongDbm, weakDbm, ringLabel";

fn known(name: []const u8) bool {
    var each = std.mem.splitSequence(u8, names, ", ");
    while (each.next()) |one| if (std.mem.eql(u8, one, name)) return true;
    return false;
}

/// A text of digits is no number, and neither is one with a fraction.
fn whole(value: std.json.Value, low: i64, high: i64) ?i64 {
    if (value != .integer or value.integer < low or value.integer > high) return null;
    return value.integer;
}

fn refuse(lasting: std.mem.Allocator, name: []const u8, value: std.json.Value, expected: []const u8) []const u8 {
    const parts = .{ name, json.show(lasting, value), expected };
    return std.fmt.allocPrint(lasting, "{s} {s}, expected {s}", parts) catch "a setting does not do";
}
